"""The embedded store as an exporter like any other, found by the name ``autopilot`` through the standard entry points."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_autopilot.errors import StoreError
from otel_autopilot.local.model import LogRecordRow, SpanRecord, points_of
from otel_autopilot.local.store import TraceStore

_DAY_SECONDS = 86_400.0


def default_path() -> Path:
    """``telemetry.db`` in ``$AUTOPILOT_DATA_DIR``, else in ``$XDG_DATA_HOME/otel-autopilot``."""
    named = os.environ.get("AUTOPILOT_DATA_DIR")
    if named:
        return Path(named) / "telemetry.db"
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "otel-autopilot" / "telemetry.db"


def _open(path: Path | None) -> TraceStore:
    days = float(os.environ.get("AUTOPILOT_RETENTION_TRACE_DAYS") or 14)
    size = int(os.environ.get("AUTOPILOT_RETENTION_TRACE_BYTES") or 5_000_000_000)
    return TraceStore.open(path or default_path(), max_age_seconds=days * _DAY_SECONDS, max_bytes=size)


class _Lazy:
    """Opens the store at the first export, so that a process which exports nothing makes no file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._store: TraceStore | None = None
        self.closed = False

    def store(self) -> TraceStore:
        if self._store is None:
            self._store = _open(self._path)
        return self._store

    def close(self) -> None:
        self.closed = True
        store, self._store = self._store, None
        if store is not None:
            store.close()


class StoreSpanExporter(SpanExporter):
    """Spans into the store. SUCCESS means committed."""

    def __init__(self, path: Path | None = None) -> None:
        self._lazy = _Lazy(path)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Store a batch."""
        if self._lazy.closed:
            return SpanExportResult.FAILURE
        try:
            self._lazy.store().add_spans([SpanRecord.from_readable(span) for span in spans])
        except StoreError:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close the store."""
        self._lazy.close()

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002
        """Nothing waits here."""
        return True


class StoreLogExporter(LogRecordExporter):
    """Log records into the store."""

    def __init__(self, path: Path | None = None) -> None:
        self._lazy = _Lazy(path)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Store a batch."""
        if self._lazy.closed:
            return LogRecordExportResult.FAILURE
        try:
            self._lazy.store().add_logs([LogRecordRow.from_readable(record) for record in batch])
        except StoreError:
            return LogRecordExportResult.FAILURE
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close the store."""
        self._lazy.close()

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002
        """Nothing waits here."""
        return True


class StoreMetricExporter(MetricExporter):
    """Metric points into the store."""

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        self._lazy = _Lazy(path)

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:  # noqa: ARG002
        """Store the points of one collection."""
        if self._lazy.closed:
            return MetricExportResult.FAILURE
        try:
            self._lazy.store().add_points(list(points_of(metrics_data)))
        except StoreError:
            return MetricExportResult.FAILURE
        return MetricExportResult.SUCCESS

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:  # noqa: ARG002
        """Close the store."""
        self._lazy.close()

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002
        """Nothing waits here."""
        return True
