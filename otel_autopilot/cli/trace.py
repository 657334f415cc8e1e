"""`trace`: each mail of the sources as a fresh run, its trace on the terminal or as a line of JSON."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loguru import logger
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.trace import ReadableSpan
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from otel_autopilot.cli.jaeger import Jaeger, beside
from otel_autopilot.errors import EmailError, SettingsError, SourceError
from otel_autopilot.local.model import LogRecordRow, SpanRecord
from otel_autopilot.local.terminal import console, json_text, print_trace
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.delivery.outbox import MemoryOutbox
from otel_autopilot.pipeline.email.sources import SourceMail, left_out, read_source
from otel_autopilot.pipeline.messages import Envelope, RawEmail
from otel_autopilot.pipeline.threads import in_thread
from otel_autopilot.pipeline.workers import WorkerPool
from otel_autopilot.settings import Settings, prepare_data_dir
from otel_autopilot.telemetry import exporters
from otel_autopilot.telemetry.health import write_health
from otel_autopilot.telemetry.setup import Telemetry, configure
from otel_autopilot.telemetry.tap import Tap
from otel_autopilot.workflow.agents import BuiltInAgents, parse_targets
from otel_autopilot.workflow.once import Once, OnceRunner
from otel_autopilot.workflow.outcomes import row_of

#: Where stderr is no terminal, how often progress is told there, in seconds.
PROGRESS_SECONDS = 10.0
#: With more mails than this, a line each instead of a waterfall each.
WATERFALLS = 3
#: Of how many traces that stay incomplete in Jaeger a line says so.
_MISSING_TOLD = 10


def trace(
    sources: Sequence[Path], *, as_json: bool, deliver_to: Sequence[str], collector: str | None, jaeger: str | None, skip: int
) -> int:
    """Run the command; returns the exit code: 0 all succeeded, 1 some did not or a trace stays incomplete in Jaeger, 130 interrupted.

    Raises SettingsError when a Jaeger is named and traces go to the embedded store.
    """
    settings = Settings.load(collector=collector, jaeger_url=jaeger, deliver_to=tuple(deliver_to) or None)
    to_collector = "otlp" in exporters.names_of("traces", settings.collector)
    if jaeger is not None and not to_collector:
        raise SettingsError("--jaeger: expected --collector as well; without one, traces stay in the embedded store")
    prepare_data_dir(settings)
    settings.export_retention()
    mails: list[SourceMail] = []
    for path in sources:
        of_path = list(read_source(path))
        mails += of_path
        files, folders = left_out(path, of_path)
        if files:
            sys.stderr.write(f"{path}: {files} {'file' if files == 1 else 'files'} left out: no mail\n")
        if folders:
            sys.stderr.write(
                f"{path}: {folders} {'folder' if folders == 1 else 'folders'} in it left out: name what you want of them\n"
            )
    total = len(mails) - skip
    if total <= 0:
        raise SourceError(f"--skip {skip}: expected less than the {len(mails)} mails that there are")
    logger.remove()
    tap = Tap()
    telemetry = configure(
        service_name=settings.service_name,
        collector=settings.collector,
        protocol=settings.collector_protocol,
        data_dir=settings.data_dir,
        pseudonym_key_file=settings.pseudonym_key_file,
        tap=tap,
        runtime_metrics=False,
    )
    found = _jaeger(settings) if to_collector else None
    command = _Trace(settings, tap, found, to_collector=to_collector, as_json=as_json, total=total)
    with _work_directory(settings.data_dir) as directory:
        code = asyncio.run(command.run(mails[skip:], BlobStore(directory)))
    telemetry.shutdown(10.0)
    write_health(settings.data_dir, telemetry, settings.service_name)
    command.sum_up(telemetry, skip)
    if found is None or code == 130:
        return code
    try:
        return code if command.wait_for_jaeger(sum(telemetry.spans.dropped.values())) else code or 1
    except KeyboardInterrupt:
        return 130


def _jaeger(settings: Settings) -> Jaeger | None:
    """The Jaeger to look in; None when there is none at that address."""
    jaeger = Jaeger(settings.jaeger_url or beside(exporters.endpoint_of("traces", settings.collector) or "127.0.0.1"))
    if jaeger.answers():
        return jaeger
    sys.stderr.write(f"no Jaeger answers at {jaeger.url} (--jaeger URL): whether the traces arrive is not looked at\n")
    return None


@contextmanager
def _work_directory(data_dir: Path) -> Iterator[Path]:
    """A folder for the parts of the mails under way; gone afterwards, and at the next start if this process is killed."""
    base = data_dir / "trace"
    base.mkdir(mode=0o700, exist_ok=True)
    for left in base.iterdir():
        pid = left.name.partition("-")[0]
        if not pid.isdigit() or not Path(f"/proc/{pid}").exists():
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=base, prefix=f"{os.getpid()}-") as directory:
        yield Path(directory)


class _Trace:
    def __init__(
        self, settings: Settings, tap: Tap, jaeger: Jaeger | None, *, to_collector: bool, as_json: bool, total: int
    ) -> None:
        self._settings = settings
        self._tap = tap
        self._jaeger = jaeger
        self._to_collector = to_collector
        self._spans: dict[str, Sequence[int]] = {}
        self._json = as_json
        self._total = total
        self._outcomes: Counter[str] = Counter()
        self._stopping = False
        self._interrupted = False
        self._out = console()
        terminal = Console(stderr=True)
        self._quiet = not terminal.is_terminal
        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), console=terminal, transient=True, disable=self._quiet,
        )  # fmt: skip

    async def run(self, mails: Sequence[SourceMail], blobs: BlobStore) -> int:
        """Trace the mails, a few at a time; results come in the order of the sources."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        loop.add_signal_handler(signal.SIGTERM, self._interrupt)
        settings = self._settings
        with self._progress:
            task = self._progress.add_task("Tracing", total=self._total)
            async with WorkerPool(
                processes=settings.worker_processes,
                memory_bytes=settings.worker_memory_bytes,
                timeout_seconds=settings.worker_timeout_seconds,
            ) as pool:
                agents = BuiltInAgents(
                    settings, pool=pool, blobs=blobs, outbox=MemoryOutbox(), targets=parse_targets(settings.deliver_to),
                    progress=self._page if self._total == 1 else None, patient=False,
                )  # fmt: skip
                runner = OnceRunner(agents, blobs, stage_attempts=1, trusted_senders=settings.trusted_senders)
                tell = asyncio.create_task(self._tell())
                waiting: list[tuple[SourceMail, asyncio.Task[Once]]] = []
                for mail in mails:
                    if self._stopping:
                        break
                    waiting.append((mail, asyncio.create_task(_one(mail, runner, blobs))))
                    if len(waiting) > settings.worker_processes:
                        await self._show(*waiting.pop(0))
                        self._progress.advance(task)
                for mail, work in waiting:
                    await self._show(mail, work)
                    self._progress.advance(task)
                tell.cancel()
        self._interrupted = self._stopping and self._outcomes.total() < self._total
        if self._interrupted:
            return 130
        return 0 if self._outcomes["success"] == self._outcomes.total() else 1

    def sum_up(self, telemetry: Telemetry, skip: int) -> None:
        """Say on stderr how it went, and what telemetry was lost."""
        done = self._outcomes.total()
        if self._total != 1:
            counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self._outcomes.items())) or "none"
            sys.stderr.write(f"{done} of {self._total} mails traced: {counts}\n")
        if self._interrupted:
            sys.stderr.write(f"interrupted; go on with --skip {skip + done}\n")
        for reason, spans in telemetry.spans.dropped.items():
            where = self._settings.collector or "the embedded store"
            sys.stderr.write(f"{spans} spans could not be sent to {where} ({reason}); see: otel-autopilot doctor\n")

    def wait_for_jaeger(self, lost: int) -> bool:
        """Wait until Jaeger has every trace whole; False, and a line for each on stderr, when some stay incomplete.

        ``lost`` spans could not be sent, so they are not waited for. KeyboardInterrupt, told of on stderr, by SIGINT and SIGTERM.
        """
        assert self._jaeger is not None
        total, whole, told = len(self._spans), 0, time.monotonic()

        def tell(count: int) -> None:
            nonlocal whole, told
            whole = count
            progress.update(task, completed=count)
            if self._quiet and time.monotonic() - told >= PROGRESS_SECONDS:
                told = time.monotonic()
                sys.stderr.write(f"Jaeger has {count:,} of {total:,} traces whole; waiting\n")

        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            with self._progress as progress:
                task = progress.add_task("Waiting for Jaeger", total=total)
                missing = self._jaeger.wait_for(self._spans, self._settings.jaeger_wait_seconds, lost=lost, tell=tell)
        except KeyboardInterrupt:
            sys.stderr.write(f"interrupted; Jaeger had {whole:,} of {total:,} traces whole by then\n")
            raise
        finally:
            signal.signal(signal.SIGTERM, before)
        if not missing and total:
            spans = sum(map(len, self._spans.values()))
            traces = "the whole trace" if total == 1 else f"all {total:,} traces whole"
            sys.stderr.write(f"Jaeger has {traces}: {spans:,} spans\n")
        elif missing:
            if not self._jaeger.answers():
                why = "it no longer answers"
            elif lost:
                why = "what could not be sent is not waited for"
            else:
                why = "a Collector that samples may have left others out"
            sys.stderr.write(f"Jaeger has {total - len(missing):,} of {total:,} traces whole; {why}\n")
        for trace_id, count in list(missing.items())[:_MISSING_TOLD]:
            sys.stderr.write(f"{count} of {len(self._spans[trace_id])} spans are missing: {self._jaeger.link(trace_id)}\n")
        if len(missing) > _MISSING_TOLD:
            sys.stderr.write(f"and of {len(missing) - _MISSING_TOLD:,} more traces\n")
        self._jaeger.close()
        return not missing

    async def _tell(self) -> None:
        """Where stderr is no terminal: a line now and then, also while one mail takes long."""
        while self._quiet:
            await asyncio.sleep(PROGRESS_SECONDS)
            sys.stderr.write(f"{self._outcomes.total()} of {self._total} mails\n")

    def _interrupt(self) -> None:
        if self._stopping:
            raise KeyboardInterrupt
        self._stopping = True
        sys.stderr.write("\nfinishing the mails under way; press Ctrl-C again to stop at once\n")

    def _page(self, part: str, done: int, total: int) -> None:
        self._progress.update(self._progress.task_ids[0], description=f"Reading part {part}: page {done} of {total}")

    async def _show(self, mail: SourceMail, work: asyncio.Task[Once]) -> None:
        once = await work
        spans, logs = self._tap.take(once.identity.trace_id)
        outcome = row_of(once.finished.state).outcome or "failed"
        self._outcomes[outcome] += 1
        link = None
        if self._jaeger is not None:
            trace_id = f"{once.identity.trace_id:032x}"
            link = self._jaeger.link(trace_id)
            self._spans[trace_id] = array("Q", (span.context.span_id for span in spans if span.context))
        if self._json:
            line = _line(mail, once, outcome, spans)
            sys.stdout.write(json_text({**line, "jaeger": link} if self._to_collector else line) + "\n")
            sys.stdout.flush()
        elif self._total <= WATERFALLS:
            self._waterfall(mail, once, spans, logs)
        else:
            self._summary(mail, once, outcome)
        if link is not None and not self._json:
            self._out.print(f"Jaeger: {link}", markup=False, highlight=False, soft_wrap=True)

    def _waterfall(self, mail: SourceMail, once: Once, spans: list[ReadableSpan], logs: list[ReadableLogRecord]) -> None:
        self._out.print(mail.label, style="bold", markup=False, highlight=False)
        print_trace(
            [SpanRecord.from_readable(span) for span in spans], [LogRecordRow.from_readable(log) for log in logs], self._out
        )
        digest = once.finished.digest
        if digest is not None:
            self._out.print()
            self._out.print(digest.text, markup=False, highlight=False)
        for delivery in once.finished.delivery.outcomes if once.finished.delivery else ():
            self._out.print(
                f"{delivery.target}: {delivery.outcome}" + (f" ({delivery.error})" if delivery.error else ""), markup=False
            )

    def _summary(self, mail: SourceMail, once: Once, outcome: str) -> None:
        milliseconds = (once.finished.ended_unix_nano - once.identity.started_unix_nano) / 1e6
        error = f"  {once.finished.error.stage}: {once.finished.error.message}" if once.finished.error else ""
        style = "green" if outcome == "success" else "red"
        self._out.print(f"[{style}]{outcome:<8}[/] {milliseconds:>8.1f} ms  {once.identity.run_id[:12]}  ", end="", highlight=False)
        self._out.print(f"{mail.label}{error}", markup=False, highlight=False, soft_wrap=True)


async def _one(mail: SourceMail, runner: OnceRunner, blobs: BlobStore) -> Once:
    received = time.time_ns()
    unreadable: EmailError | None = None
    try:
        blob = await in_thread(blobs.put, mail.chunks())
    except OSError as error:
        unreadable = EmailError(f"the mail can't be read: {error.strerror or type(error).__name__}")
        blob = blobs.put(b"")
    envelope = Envelope(source=mail.kind, received_unix_nano=received, stored_unix_nano=time.time_ns())
    return await runner.run(RawEmail(blob=blob, envelope=envelope, label=mail.label), unreadable)


def _line(mail: SourceMail, once: Once, outcome: str, spans: list[ReadableSpan]) -> dict[str, Any]:
    finished = once.finished
    return {
        "file": mail.label,
        "run_id": once.identity.run_id,
        "trace_id": f"{once.identity.trace_id:032x}",
        "outcome": outcome,
        "error": None
        if finished.error is None
        else {"type": finished.error.type, "message": finished.error.message, "stage": finished.error.stage},
        "digest": None if finished.digest is None else {"title": finished.digest.title, "markdown": finished.digest.markdown},
        "deliveries": [
            {"target": item.target, "outcome": item.outcome, "error": item.error}
            for item in (finished.delivery.outcomes if finished.delivery else ())
        ],
        "spans": [SpanRecord.from_readable(span).to_json() for span in sorted(spans, key=lambda span: span.start_time or 0)],
    }
