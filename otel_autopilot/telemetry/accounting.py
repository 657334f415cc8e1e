"""How much telemetry was exported and how much was lost, per signal."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_autopilot.telemetry import diagnostics


@dataclass
class Count:
    """Items of one signal: what was made for an exporter, what that took, and what was dropped by reason."""

    produced: int = 0
    exported: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def waiting(self) -> int:
        """Items made and neither exported nor dropped yet."""
        with self._lock:
            return max(0, self.produced - self.exported - sum(self.dropped.values()))

    def produce(self, items: int) -> None:
        """Count items as made."""
        with self._lock:
            self.produced += items

    def to_json(self) -> dict[str, Any]:
        """The counts by name, as the health file and the viewer have them."""
        waiting = self.waiting
        return {"produced": self.produced, "exported": self.exported, "waiting": waiting, "dropped": dict(self.dropped)}

    def add(self, items: int, reason: str | None) -> None:
        """Count items as exported (no reason) or dropped."""
        with self._lock:
            if reason is None:
                self.exported += items
            else:
                self.dropped[reason] = self.dropped.get(reason, 0) + items


class CountingSpanExporter(SpanExporter):
    """Counts what ``inner`` does with each batch. An exception of ``inner`` counts as dropped and goes no further."""

    def __init__(self, inner: SpanExporter, count: Count) -> None:
        self._inner = inner
        self._count = count

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export and count."""
        try:
            result = self._inner.export(spans)
        except Exception as error:  # noqa: BLE001  # whatever an exporter raises must not reach the application
            diagnostics.keep(f"spans not exported: {type(error).__qualname__}: {error}")
            result = SpanExportResult.FAILURE
        self._count.add(len(spans), None if result is SpanExportResult.SUCCESS else "export_failed")
        return result

    def shutdown(self) -> None:
        """Shut ``inner`` down."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush ``inner``."""
        return self._inner.force_flush(timeout_millis)


class CountingLogExporter(LogRecordExporter):
    """The same for log records."""

    def __init__(self, inner: LogRecordExporter, count: Count) -> None:
        self._inner = inner
        self._count = count

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Export and count."""
        try:
            result = self._inner.export(batch)
        except Exception as error:  # noqa: BLE001  # whatever an exporter raises must not reach the application
            diagnostics.keep(f"logs not exported: {type(error).__qualname__}: {error}")
            result = LogRecordExportResult.FAILURE
        self._count.add(len(batch), None if result is LogRecordExportResult.SUCCESS else "export_failed")
        return result

    def shutdown(self) -> None:
        """Shut ``inner`` down."""
        self._inner.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush ``inner``."""
        return self._inner.force_flush(timeout_millis)


class CountingMetricExporter(MetricExporter):
    """The same for metric points."""

    def __init__(self, inner: MetricExporter, count: Count) -> None:
        super().__init__(inner._preferred_temporality, inner._preferred_aggregation)
        self._inner = inner
        self._count = count

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Export and count data points."""
        points = sum(
            len(metric.data.data_points)
            for resource in metrics_data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        )
        self._count.produce(points)
        try:
            result = self._inner.export(metrics_data, timeout_millis, **kwargs)
        except Exception as error:  # noqa: BLE001  # whatever an exporter raises must not reach the application
            diagnostics.keep(f"metrics not exported: {type(error).__qualname__}: {error}")
            result = MetricExportResult.FAILURE
        self._count.add(points, None if result is MetricExportResult.SUCCESS else "export_failed")
        return result

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Shut ``inner`` down."""
        self._inner.shutdown(timeout_millis, **kwargs)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Flush ``inner``."""
        return self._inner.force_flush(timeout_millis)
