"""A tap in the export path: keeps what was exported of a trace, for the process that wants to show it at once."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult


class Tap:
    """Spans and log records by trace id, until they are taken. Stands behind the redaction."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: defaultdict[int, list[ReadableSpan]] = defaultdict(list)
        self._logs: defaultdict[int, list[ReadableLogRecord]] = defaultdict(list)
        self.spans = _TapSpans(self)
        self.logs = _TapLogs(self)

    def take(self, trace_id: int) -> tuple[list[ReadableSpan], list[ReadableLogRecord]]:
        """What was exported of this trace so far; it is forgotten here."""
        with self._lock:
            return self._spans.pop(trace_id, []), self._logs.pop(trace_id, [])


class _TapSpans(SpanExporter):
    def __init__(self, tap: Tap) -> None:
        self._tap = tap

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with self._tap._lock:
            for span in spans:
                if span.context is not None:
                    self._tap._spans[span.context.trace_id].append(span)
        return SpanExportResult.SUCCESS


class _TapLogs(LogRecordExporter):
    def __init__(self, tap: Tap) -> None:
        self._tap = tap

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        with self._tap._lock:
            for record in batch:
                if record.log_record.trace_id:
                    self._tap._logs[record.log_record.trace_id].append(record)
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing to close."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002
        """Nothing waits here."""
        return True
