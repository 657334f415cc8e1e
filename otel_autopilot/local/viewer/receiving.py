"""The receiver beside the viewer, as the settings want it."""

from __future__ import annotations

from contextlib import AsyncExitStack

from otel_autopilot.local.receiver.embedded import EmbeddedReceiver
from otel_autopilot.local.receiver.limits import Limits
from otel_autopilot.local.store import TraceStore
from otel_autopilot.settings import Settings


async def receive(settings: Settings, stack: AsyncExitStack) -> EmbeddedReceiver | None:
    """Start the receiver, unless telemetry goes elsewhere; it ends with ``stack``. Raises SettingsError when a port is taken."""
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
    await receiver.start()
    stack.push_async_callback(receiver.stop)
    return receiver


def told(settings: Settings, receiver: EmbeddedReceiver | None) -> str:
    """A line for people: where telemetry is taken."""
    if receiver is None:
        return f"takes no OTLP itself: telemetry goes to {settings.collector} (--collector, or OTEL_EXPORTER_OTLP_ENDPOINT)"
    where = receiver.where()
    if where is None:
        return "another process is about to take OTLP for this store"
    shares = "" if receiver.receiving else f", by process {where['pid']}, which has the same store"
    return f"takes OTLP: gRPC {where['grpc']}, HTTP {where['http']}{shares}"
