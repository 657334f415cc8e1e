"""`demo`: one real email by SMTP through our own gateway and pipeline, and its trace; with a fault on request.

The service is the real one, `serve` as a process of its own on free ports, with its mail and runs in a folder that is gone
afterwards. Its telemetry goes to the usual embedded store, so `show` and `list` know the trace later.
"""

from __future__ import annotations

import json
import os
import signal
import smtplib
import subprocess  # nosec B404  # starts our own command
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.status import Status

from otel_autopilot.cli.demo_mail import demo_mail, hostile_mail, slow_mail
from otel_autopilot.cli.extras import THIS_PROGRAM, own_path
from otel_autopilot.cli.faults import hanging_model, refusing_smtp_server, unused_port
from otel_autopilot.errors import AutopilotError
from otel_autopilot.local.store import TraceStore
from otel_autopilot.local.terminal import console, print_trace
from otel_autopilot.settings import Settings, prepare_data_dir
from otel_autopilot.telemetry.health import read_health

#: How long the demo waits for the service to start and for the email to be done, in seconds.
START_SECONDS = 60.0
RUN_SECONDS = 120.0
FINISHED = {"success", "partial_success", "failed", "rejected", "uncertain", "cancelled"}


@dataclass
class Scene:
    """What a fault changes: the mail, the service's environment, what happens while the email is under way."""

    mail: Callable[[], bytes] = demo_mail
    environment: dict[str, str] = field(default_factory=dict)
    kill_in_stage: str | None = None
    story: str = "One email with an HTML body and a six-page PDF."


def _scene(fault: str | None, stack: ExitStack) -> Scene:
    match fault:
        case None:
            return Scene()
        case "slow-pdf":
            return Scene(mail=slow_mail, story="The PDF has thousands of pages: ingestion is where the time goes.")
        case "hostile-pdf":
            return Scene(
                mail=hostile_mail, environment={"AUTOPILOT_WORKER_TIMEOUT_SECONDS": "10", "AUTOPILOT_WORKER_MEMORY_BYTES": "200000000"},
                story="The PDF is a bomb: its worker is stopped, and this email alone fails.",
            )  # fmt: skip
        case "smtp-refusing":
            port = stack.enter_context(refusing_smtp_server())
            return Scene(
                environment={"AUTOPILOT_DELIVER_TO": f"smtp://127.0.0.1:{port}?to=team@example.org",
                             "AUTOPILOT_ALLOWED_RECIPIENTS": "team@example.org", "AUTOPILOT_DELIVERY_ATTEMPTS": "3",
                             "AUTOPILOT_STAGE_ATTEMPTS": "1"},
                story="The SMTP server answers 451: each try is a span, and delivery fails in the end.",
            )  # fmt: skip
        case "slow-digest":
            url = stack.enter_context(hanging_model())
            return Scene(
                environment={"AUTOPILOT_MODEL_URL": url, "AUTOPILOT_MODEL_TIMEOUT_SECONDS": "3"},
                story="The model does not answer: after 3 s the extractive digest takes its place.",
            )
        case "worker-killed":
            return Scene(
                mail=slow_mail, kill_in_stage="ingestion",
                story="kill -9 in the middle of ingestion, and a new start: the lost attempt shows, the email arrives.",
            )  # fmt: skip
        case "backend-away":
            port = stack.enter_context(unused_port())
            return Scene(
                environment={"OTEL_TRACES_EXPORTER": "autopilot,otlp", "OTEL_METRICS_EXPORTER": "autopilot", "OTEL_LOGS_EXPORTER": "autopilot",
                             "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "1"},
                story="Nothing listens at the OTLP endpoint: the email isn't slower, and the loss is counted.",
            )  # fmt: skip
        case _:
            raise AutopilotError(f"demo: no fault is called {fault!r}")


def demo(fault: str | None) -> int:
    """Run the command; 0 when the email ended as the scene says it should."""
    settings = Settings.load()
    prepare_data_dir(settings)
    out, err = console(), Console(stderr=True)
    with ExitStack() as stack:
        scene = _scene(fault, stack)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="otel-autopilot-demo-")))
        out.print(f"[bold]{scene.story}[/]", highlight=False)
        with err.status("Starting gateway, pipeline and API …") as status:
            run = _play(scene, folder, status)
        trace_id = run["trace_id"]
        store = TraceStore.open(settings.traces_db)
        spans, logs = store.trace(trace_id)
        print_trace(spans, logs, out)
        store.close()
        _digest(folder, run, out)
        _losses(settings, out, fault)
    out.print(f"\nAgain: [bold]otel-autopilot show {run['id'][:12]}[/]   all: [bold]otel-autopilot list[/]", highlight=False)
    out.print("In a browser: [bold]otel-autopilot view --open[/]", highlight=False)
    expected_failure = fault in ("hostile-pdf", "smtp-refusing")
    return 0 if (run["outcome"] != "success") == expected_failure else 1


def _play(scene: Scene, folder: Path, status: Status) -> dict[str, Any]:
    with _service(folder, scene.environment) as service:
        status.update("Sending the email by SMTP …")
        run_id = _send(service["smtp_port"], scene.mail())
        if scene.kill_in_stage is None:
            status.update("The email is under way …")
            return _finished(service, run_id)
        status.update(f"Waiting for {scene.kill_in_stage} …")
        _wait_for(lambda: _in_stage(service, run_id, scene.kill_in_stage or ""), RUN_SECONDS, "the stage to begin")
        os.kill(service["pid"], signal.SIGKILL)
        service["process"].wait()
    status.update("Killed; starting again …")
    with _service(folder, scene.environment) as service:
        return _finished(service, run_id)


@contextmanager
def _service(folder: Path, environment: dict[str, str]) -> Iterator[dict[str, Any]]:
    """`serve` on free ports; stopped by SIGTERM, so that it leaves its telemetry complete."""
    ready, log = folder / "ready.json", folder / "serve.log"
    ready.unlink(missing_ok=True)
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AUTOPILOT_DELIVER_TO")},
        "PYTHONPATH": own_path(),
        "AUTOPILOT_WORK_DIR": str(folder / "work"),
        "AUTOPILOT_DELIVER_TO": str(folder / "digests"),
        "AUTOPILOT_OTLP_GRPC_PORT": "0",  # whoever else listens on the usual ones
        "AUTOPILOT_OTLP_HTTP_PORT": "0",
        **environment,
    }
    with log.open("ab") as stderr:
        process = subprocess.Popen(  # noqa: S603  # nosec B603  # our own interpreter and module
            [*THIS_PROGRAM, "serve", "--http-port", "0", "--smtp-port", "0", "--ready-file", str(ready)],
            env=variables, stdout=subprocess.DEVNULL, stderr=stderr, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        _wait_for(lambda: ready.exists() or process.poll() is not None, START_SECONDS, "the service to start")
        if process.poll() is not None:
            raise AutopilotError(f"demo: the service did not start:\n{log.read_text(errors='replace')}")
        yield {**json.loads(ready.read_text()), "process": process}
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _send(port: int, mail: bytes) -> str:
    """Send the mail; the gateway's answer to DATA names the run."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        client.ehlo()
        client.mail("grace@example.com")
        client.rcpt("inbox@example.org")
        code, answer = client.data(mail)
    if code != 250:
        raise AutopilotError(f"demo: expected 250 from the gateway, got {code} {answer.decode(errors='replace')}")
    return answer.decode().split()[-1]


def _get(service: dict[str, Any], run_id: str) -> dict[str, Any]:
    response = httpx.get(f"http://127.0.0.1:{service['http_port']}/api/runs/{run_id}", timeout=10)
    response.raise_for_status()
    run: dict[str, Any] = response.json()
    return run


def _in_stage(service: dict[str, Any], run_id: str, stage: str) -> bool:
    return any(attempt["stage"] == stage and attempt["ended_unix_nano"] is None for attempt in _get(service, run_id)["stages"])


def _finished(service: dict[str, Any], run_id: str) -> dict[str, Any]:
    _wait_for(lambda: _get(service, run_id)["state"] in FINISHED, RUN_SECONDS, "the email to be done")
    return _get(service, run_id)


def _wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AutopilotError(f"demo: waited {seconds:.0f} s for {what}")
        time.sleep(0.02)


def _digest(folder: Path, run: dict[str, Any], out: Console) -> None:
    for path in sorted((folder / "digests").glob("**/*.md")):
        out.print()
        out.print(path.read_text("utf-8"), markup=False, highlight=False)
    if run["error"]:
        out.print(f"\n{run['error']['stage']} failed: {run['error']['message']}", style="red", markup=False, highlight=False)


def _losses(settings: Settings, out: Console, fault: str | None) -> None:
    health = read_health(settings.data_dir)
    if health is None or fault != "backend-away":
        return
    signals = health["signals"]["spans"]
    for reason, count in signals["dropped"].items():
        out.print(
            f"\n{count} spans could not be sent ({reason}); {signals['exported']} were kept in the embedded store.", style="yellow"
        )
