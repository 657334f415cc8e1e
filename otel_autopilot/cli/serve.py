"""`serve`: gateway, pipeline and API in one process, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from otel_autopilot.telemetry.health import write_health

if TYPE_CHECKING:
    from otel_autopilot.settings import Settings
    from otel_autopilot.telemetry.setup import Telemetry

# The stable HTTP names have to be chosen before the instrumentation is loaded.
os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http")


def serve(
    *,
    deliver_to: Sequence[str] | None,
    watch: Sequence[Path] | None,
    collector: str | None,
    http_port: int | None,
    smtp_port: int | None,
    ready_file: Path | None,
) -> int:
    """Run the command; returns 0 after a drain that finished, 1 when runs were left to resume at the next start."""
    import uvloop

    from otel_autopilot import __version__, configure
    from otel_autopilot.service.metrics import prometheus_reader
    from otel_autopilot.settings import Settings, prepare_data_dir
    from otel_autopilot.telemetry.logs import setup_logging
    from otel_autopilot.workflow.engine import executor_id_of

    settings = Settings.load(
        deliver_to=tuple(deliver_to) if deliver_to else None,
        watch=tuple(watch) if watch else None,
        collector=collector,
        http_port=http_port,
        smtp_port=smtp_port,
    )
    prepare_data_dir(settings)
    settings.export_retention()
    executor_id = settings.executor_id or executor_id_of(settings.directory)
    setup_logging(level=settings.log_level, file=settings.log_file, json=settings.log_file is not None)
    telemetry: Telemetry | None = configure(
        service_name=settings.service_name,
        service_version=__version__,
        instance_id=executor_id,
        collector=settings.collector,
        protocol=settings.collector_protocol,
        data_dir=settings.data_dir,
        pseudonym_key_file=settings.pseudonym_key_file,
        metric_readers=[prometheus_reader()],
    )

    def leave() -> None:
        if telemetry is not None:
            telemetry.shutdown(5.0)
            write_health(settings.data_dir, telemetry, settings.service_name)

    try:
        return uvloop.run(_serve(settings, telemetry, executor_id, ready_file, leave))
    finally:
        leave()


async def _serve(
    settings: Settings, telemetry: Telemetry | None, executor_id: str, ready_file: Path | None, leave: Callable[[], None]
) -> int:
    from otel_autopilot.local.viewer.receiving import told
    from otel_autopilot.service.application import Application, write_ready_file

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    application = Application(settings, telemetry, executor_id=executor_id)
    await application.start()
    where = f"SMTP {settings.smtp_host}:{application.gateway.port}, API http://{settings.http_host}:{application.http.port}"
    sys.stderr.write(f"otel-autopilot serves: {where}, viewer at /view/ (Ctrl-C stops)\n{told(settings, application.receiver)}\n")
    if ready_file is not None:
        write_ready_file(ready_file, application)
    await stop.wait()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)
    sys.stderr.write("draining\n")
    if not await application.stop():
        sys.stderr.write("some runs were still under way; they resume at the next start\n")
        application.abandon()
        leave()
        os._exit(1)  # as after a crash: nothing of them may be recorded as ended
    return 0
