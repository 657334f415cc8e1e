"""The receiver beside the viewer, as the settings want it.

Of several processes with one store one receives; when it ends, however it does, another one takes over.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack, suppress

from otel_autopilot.errors import SettingsError
from otel_autopilot.local.receiver.embedded import EmbeddedReceiver
from otel_autopilot.local.receiver.limits import Limits
from otel_autopilot.local.store import TraceStore
from otel_autopilot.settings import Settings

#: How often a process that shares another one's receiver looks whether that one has ended, in seconds.
LOOK_SECONDS = 1.0


async def receive(settings: Settings, stack: AsyncExitStack) -> EmbeddedReceiver | None:
    """Start the receiver, unless telemetry goes elsewhere; it ends with ``stack``. Raises SettingsError when a port is taken.

    Where another process receives for the same store, this one takes over when that one ends, and says so on stderr.
    """
    if settings.collector is not None:
        return None
    store = TraceStore.open(
        settings.traces_db, max_age_seconds=settings.retention_trace_days * 86_400, max_bytes=settings.retention_trace_bytes
    )
    stack.callback(store.close)
    receiver = EmbeddedReceiver(
        store, settings.data_dir, grpc_port=settings.otlp_grpc_port, http_port=settings.otlp_http_port,
        limits=Limits(items_per_second=settings.otlp_max_items_per_second),
    )  # fmt: skip
    stack.push_async_callback(receiver.stop)
    if not await receiver.start():
        ending = asyncio.Event()
        waiting = asyncio.create_task(_take_over(settings, receiver, ending), name="autopilot-receiver")
        stack.push_async_callback(_end, waiting, ending)
    return receiver


async def _take_over(settings: Settings, receiver: EmbeddedReceiver, ending: asyncio.Event) -> None:
    """Try to receive until it works. A port that is busy (whoever had it may have left a child) is said once."""
    said = False
    while not ending.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), LOOK_SECONDS)
            return
        try:
            if await receiver.start():
                sys.stderr.write(f"otel-autopilot took over: {told(settings, receiver)}\n")
                return
        except SettingsError as error:
            if not said:
                sys.stderr.write(f"otel-autopilot can't take over OTLP yet, and goes on trying: {error}\n")
            said = True


async def _end(waiting: asyncio.Task[None], ending: asyncio.Event) -> None:
    ending.set()
    await waiting


def told(settings: Settings, receiver: EmbeddedReceiver | None) -> str:
    """A line for people: where telemetry is taken."""
    if receiver is None:
        return f"takes no OTLP itself: telemetry goes to {settings.collector} (--collector, or OTEL_EXPORTER_OTLP_ENDPOINT)"
    where = receiver.where()
    if where is None:
        return "another process is about to take OTLP for this store"
    shares = "" if receiver.receiving else f", by process {where['pid']}, which has the same store"
    return f"takes OTLP: gRPC {where['grpc']}, HTTP {where['http']}{shares}"
