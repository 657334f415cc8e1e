"""The command line: what each command takes. What it does is in the module of its name."""

from __future__ import annotations

import errno
import io
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from otel_autopilot import __version__
from otel_autopilot.cli.query import add_commands as add_queries
from otel_autopilot.errors import AutopilotError, CollectorError, QueryError, SettingsError, SourceError, StoreError

app = typer.Typer(
    name="otel-autopilot",
    help="Trace your email pipeline: Email, Ingestion, Digest, Delivery as one OpenTelemetry trace.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
collector_app = typer.Typer(name="collector", help="Work with OpenTelemetry Collector configurations.", no_args_is_help=True)
app.add_typer(collector_app)
stack_app = typer.Typer(
    name="stack",
    help="The real backends on this machine: Collector, Jaeger and Prometheus, on loopback and in the background.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.add_typer(stack_app)
query_app = typer.Typer(
    name="query",
    help="Ask the embedded store what the viewer asks it: tables for people, --json for scripts.",
    epilog="Example: `otel-autopilot query breakdown --from 7d`, then `otel-autopilot query traces --stage digest --min-ms 500 --json`",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
add_queries(query_app)
app.add_typer(query_app)

Collector = Annotated[
    str | None,
    typer.Option("--collector", metavar="URL", help="Send OTLP there instead of to the embedded store (gRPC by default)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for machines, on stdout.")]


class Outcome(StrEnum):
    """How an email can end."""

    SUCCESS = "success"
    FAILED = "failed"
    REJECTED = "rejected"


class Fault(StrEnum):
    """What `demo` can break."""

    SLOW_PDF = "slow-pdf"
    HOSTILE_PDF = "hostile-pdf"
    SMTP_REFUSING = "smtp-refusing"
    SLOW_DIGEST = "slow-digest"
    WORKER_KILLED = "worker-killed"
    BACKEND_AWAY = "backend-away"


class BackendSource(StrEnum):
    """Where `stack up` may take the backends from."""

    BINARIES = "binaries"
    CONTAINERS = "containers"
    BUILD = "build"


def _version(value: bool) -> None:
    if value:
        typer.echo(f"otel-autopilot {__version__}")
        raise typer.Exit


@app.callback(epilog="Example: `otel-autopilot demo`, then `otel-autopilot trace mail.eml`")
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass


@app.command(epilog="Example: `otel-autopilot demo --fault smtp-refusing`")
def demo(
    fault: Annotated[Fault | None, typer.Option("--fault", help="Break something, and see how the trace shows it.")] = None,
) -> None:
    """Send one real email through the whole pipeline and show its trace."""
    from otel_autopilot.cli.demo import demo as run_demo

    raise typer.Exit(run_demo(fault.value if fault else None))


@app.command(epilog="Example: `otel-autopilot trace mail.eml newsletters/ --json > traces.jsonl`")
def trace(
    source: Annotated[
        list[Path], typer.Argument(metavar="SOURCE...", readable=False, help="Mail files, folders of mail, Maildirs or mboxes.")
    ],
    as_json: AsJson = False,
    deliver_to: Annotated[
        list[str] | None,
        typer.Option("--deliver-to", metavar="TARGET", help="A folder, maildir:PATH, smtp://host:port or https://...; repeatable."),
    ] = None,
    collector: Collector = None,
    jaeger: Annotated[
        str | None,
        typer.Option(
            "--jaeger", metavar="URL", help="With a Collector: the Jaeger to wait for and link to (its host, port 16686)."
        ),
    ] = None,
    skip: Annotated[int, typer.Option("--skip", min=0, help="Leave out the first N mails (to go on after Ctrl-C).")] = 0,
) -> None:
    """Take each mail through the pipeline as a fresh run and show its trace."""
    from otel_autopilot.cli.trace import trace as run_trace

    raise typer.Exit(run_trace(source, as_json=as_json, deliver_to=deliver_to or [], collector=collector, jaeger=jaeger, skip=skip))


@app.command(epilog="Example: `otel-autopilot show 7f3c2a1b`")
def show(
    key: Annotated[
        str, typer.Argument(metavar="RUN|TRACE|MESSAGE-ID", help="A run id, a trace id (8 or more digits) or a Message-ID.")
    ],
    as_json: AsJson = False,
) -> None:
    """Show a stored trace again."""
    from otel_autopilot.cli.show import show as run_show

    raise typer.Exit(run_show(key, as_json=as_json))


@app.command(name="list", epilog="Example: `otel-autopilot list --outcome failed`")
def list_(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many.")] = 20,
    outcome: Annotated[Outcome | None, typer.Option("--outcome", help="Only those that ended so.")] = None,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Other traces too, such as those of API requests.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the latest emails in the embedded store."""
    from otel_autopilot.cli.show import list_traces

    raise typer.Exit(list_traces(limit=limit, outcome=outcome.value if outcome else None, everything=everything, as_json=as_json))


@app.command(epilog="Example: `otel-autopilot serve --deliver-to digests/ --watch ~/Maildir`")
def serve(
    deliver_to: Annotated[
        list[str] | None, typer.Option("--deliver-to", metavar="TARGET", help="Where digests go; repeatable.")
    ] = None,
    watch: Annotated[
        list[Path] | None, typer.Option("--watch", metavar="FOLDER", help="Folder or Maildir to take mail from.")
    ] = None,
    collector: Collector = None,
    http_port: Annotated[int | None, typer.Option("--http-port", min=0, max=65535, help="Port of the API [8025].")] = None,
    smtp_port: Annotated[int | None, typer.Option("--smtp-port", min=0, max=65535, help="Port of the SMTP gateway [2525].")] = None,
    ready_file: Annotated[
        Path | None, typer.Option("--ready-file", metavar="FILE", help="Write the ports and the pid there, as JSON, once ready.")
    ] = None,
) -> None:
    """Run the gateway, the pipeline and the API until SIGTERM or Ctrl-C."""
    from otel_autopilot.cli.serve import serve as run_serve

    raise typer.Exit(
        run_serve(
            deliver_to=deliver_to, watch=watch, collector=collector, http_port=http_port, smtp_port=smtp_port, ready_file=ready_file
        )
    )


@app.command(epilog="Example: `otel-autopilot view --open`, and send OTLP to 127.0.0.1:4317")
def view(
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Port of the viewer [8026].")] = None,
    otlp_grpc_port: Annotated[
        int | None, typer.Option("--otlp-grpc-port", min=0, max=65535, help="Where OTLP is taken by gRPC [4317].")
    ] = None,
    otlp_http_port: Annotated[
        int | None, typer.Option("--otlp-http-port", min=0, max=65535, help="Where OTLP is taken by HTTP [4318].")
    ] = None,
    jaeger: Annotated[str | None, typer.Option("--jaeger", metavar="URL", help="Jaeger to link to from each trace.")] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    ready_file: Annotated[
        Path | None, typer.Option("--ready-file", metavar="FILE", help="Write the ports and the pid there, as JSON, once ready.")
    ] = None,
) -> None:
    """Show the embedded store in a browser, and take OTLP into it, until SIGTERM or Ctrl-C.

    Beside `serve`, which does both too, it shares the store. A port of 0 takes a free one.
    """
    from otel_autopilot.cli.view import view as run_view

    raise typer.Exit(
        run_view(
            port=port, grpc_port=otlp_grpc_port, http_port=otlp_http_port, jaeger=jaeger, open_browser=open_browser,
            ready_file=ready_file,
        )
    )  # fmt: skip


@app.command(epilog="Example: `otel-autopilot mcp`, as the command of a server in an assistant's settings")
def mcp() -> None:
    """Answer assistants over the Model Context Protocol (stdio): the questions of `query` as read-only tools."""
    from otel_autopilot.cli.mcp import mcp as run_mcp

    raise typer.Exit(run_mcp())


@app.command(epilog="Example: `otel-autopilot erase '<id@example.org>'`")
def erase(
    key: Annotated[str, typer.Argument(metavar="RUN|MESSAGE-ID|ADDRESS", help="A run id, a Message-ID or a sender's address.")],
    as_json: AsJson = False,
) -> None:
    """Erase what `serve` keeps of an email: its content, its checkpoints and its digest.

    What was delivered already, also into a folder, is its recipient's and stays. Spans hold no personal data.
    """
    from otel_autopilot.cli.erase import erase as run_erase

    raise typer.Exit(run_erase(key, as_json=as_json))


@app.command(epilog="Example: `otel-autopilot doctor --json`")
def doctor(as_json: AsJson = False) -> None:
    """Print the settings and where each came from, what is reachable, and what telemetry was dropped."""
    from otel_autopilot.cli.doctor import doctor as run_doctor

    raise typer.Exit(run_doctor(as_json=as_json))


@collector_app.command(epilog="Example: `otel-autopilot collector check local.yaml agent.yaml gateway.yaml`")
def check(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILES...",
            help="Configurations; one that isn't whole is laid over the one before it.",
            show_default=False,
        ),
    ] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Lay every file over the first, as --config A --config B does.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find in Collector configurations (0.158.0) what the Collector's own validate lets pass.

    One line for each finding: file:line: rule: message. Exits 0 when there is none, 1 with findings, 2 for files that can't be read.
    `# lint: allow RULE because REASON` in a file allows one.
    """
    from otel_autopilot.cli.collector import check_files

    if not files:
        raise CollectorError(
            "expected configurations of the Collector to check, got none: otel-autopilot collector check collector.yaml, "
            "or a base and its overlay: otel-autopilot collector check base.yaml overlay.yaml"
        )
    raise typer.Exit(check_files(files, merge=merge, as_json=as_json))


@stack_app.command(
    epilog="Example: `otel-autopilot stack up`, then `otel-autopilot trace mail.eml --collector http://127.0.0.1:4317`"
)
def up(
    otlp_grpc_port: Annotated[
        int | None, typer.Option("--otlp-grpc-port", min=0, max=65535, help="Where spans, metrics and logs go, by gRPC [4317].")
    ] = None,
    otlp_http_port: Annotated[
        int | None, typer.Option("--otlp-http-port", min=0, max=65535, help="The same by HTTP [4318].")
    ] = None,
    jaeger_port: Annotated[int | None, typer.Option("--jaeger-port", min=0, max=65535, help="Jaeger's UI and API [16686].")] = None,
    prometheus_port: Annotated[
        int | None, typer.Option("--prometheus-port", min=0, max=65535, help="Prometheus' UI and API [9090].")
    ] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option("--config", metavar="FILE", readable=False, help="Merge this over the Collector's configuration; repeatable."),
    ] = None,
    way: Annotated[
        BackendSource | None,
        typer.Option("--from", help="Only binaries that are there, containers, or a build [the first that can be had]."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start what doesn't run, and return when all of it is healthy. A port of 0 takes a free one.

    Without Go, containers or binaries nothing can be started: the error says what is missing.
    """
    from otel_autopilot.cli.stack import up as run_up

    ports = {"otlp_grpc": otlp_grpc_port, "otlp_http": otlp_http_port, "jaeger": jaeger_port, "prometheus": prometheus_port}
    raise typer.Exit(run_up(ports, overlays=config or [], forced=way.value if way else None, as_json=as_json))


@stack_app.command(epilog="Example: `otel-autopilot stack down --erase`")
def down(
    erase: Annotated[bool, typer.Option("--erase", help="Remove what they kept, too: traces, metrics, queues, logs.")] = False,
) -> None:
    """Stop the stack; what it kept stays for the next start."""
    from otel_autopilot.cli.stack import down as run_down

    raise typer.Exit(run_down(erase=erase))


@stack_app.command(epilog="Example: `otel-autopilot stack status --json`")
def status(as_json: AsJson = False) -> None:
    """Print what runs and whether it is healthy; exit code 1 when not all of it is."""
    from otel_autopilot.cli.stack import status as run_status

    raise typer.Exit(run_status(as_json=as_json))


def run() -> None:
    """Run the command line; errors on purpose become one message and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a locale without the characters of a digest must not end the command
    try:
        app()
    except (CollectorError, QueryError, SettingsError, SourceError, StoreError) as error:
        sys.stderr.write(f"otel-autopilot: {error}\n")
        raise SystemExit(2) from error
    except AutopilotError as error:
        sys.stderr.write(f"otel-autopilot: {error}\n")
        raise SystemExit(1) from error
    except BrokenPipeError:
        # The reader has gone (`... | head`): nothing more to say, and Python must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        sys.stderr.write(f"otel-autopilot: the output can't be written: {error.strerror}\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from error
