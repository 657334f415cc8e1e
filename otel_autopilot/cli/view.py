"""`view`: the viewer by itself, and the receiver for OTLP, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import webbrowser
from contextlib import AsyncExitStack
from pathlib import Path

from otel_autopilot.local.receiver.embedded import EmbeddedReceiver
from otel_autopilot.local.viewer.app import create_viewer
from otel_autopilot.local.viewer.receiving import receive, told
from otel_autopilot.local.viewer.reporting import report
from otel_autopilot.local.viewer.source import Source
from otel_autopilot.settings import Settings, prepare_data_dir
from otel_autopilot.telemetry import pseudonyms
from otel_autopilot.web.server import HttpServer


def view(
    *,
    port: int | None,
    grpc_port: int | None,
    http_port: int | None,
    jaeger: str | None,
    open_browser: bool,
    ready_file: Path | None,
) -> int:
    """Run the command; returns 0 after it was stopped."""
    settings = Settings.load(view_port=port, otlp_grpc_port=grpc_port, otlp_http_port=http_port, jaeger_url=jaeger)
    prepare_data_dir(settings)
    pseudonyms.use(pseudonyms.load_pseudonyms(settings.data_dir, settings.pseudonym_key_file))
    return asyncio.run(_view(settings, open_browser, ready_file))


async def _view(settings: Settings, open_browser: bool, ready_file: Path | None) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        receiver = await receive(settings, stack)
        await report(settings, receiver, stack)
        source = stack.enter_context(Source(settings, receiver))
        server = HttpServer(create_viewer(settings, source), settings.http_host, settings.view_port, setting="AUTOPILOT_VIEW_PORT")
        await server.start()
        stack.push_async_callback(server.stop)
        host = f"[{settings.http_host}]" if ":" in settings.http_host else settings.http_host
        address = f"http://{host}:{server.port}/view/"
        sys.stderr.write(
            f"otel-autopilot shows what is in {settings.traces_db}: {address} (Ctrl-C stops)\n{told(settings, receiver)}\n"
        )
        if ready_file is not None:
            _write_ready_file(ready_file, server.port, receiver)
        if open_browser:
            webbrowser.open(address)
        await stop.wait()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    return 0


def _write_ready_file(path: Path, port: int, receiver: EmbeddedReceiver | None) -> None:
    where = receiver.where() if receiver is not None else None
    beside = path.with_name(path.name + ".new")
    beside.write_text(json.dumps({"pid": os.getpid(), "view_port": port, "receiver": where}))
    beside.replace(path)
