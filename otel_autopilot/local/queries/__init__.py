"""What the viewer, ``otel-autopilot query`` and the MCP server ask of the embedded store: ``docs/viewer-api.md`` is the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from otel_autopilot.local.queries import (
    breakdown,
    comparison,
    health,
    heatmap,
    logs,
    metrics,
    runtime,
    sources,
    spans,
    trace_view,
    traces,
)
from otel_autopilot.local.queries.reader import Reader

__all__ = ["Queries"]


class Queries:
    """Each question as a method that returns strict JSON. Parameters are text, as a URL has them, or plain values.

    Every answer is of one moment. Safe to use from several threads; a process that serves many requests keeps one for all.
    Methods raise QueryError for a parameter that can't be taken (NotStored for an id that isn't there), and StoreError for a store
    that can't be read. Where there is no store yet, the answers are empty. ``from`` is called ``from_``.

    Arguments:
        path: the store's file.
        budget_seconds: how long a search for text may take before its answer says how far it came.
    """

    def __init__(self, path: Path, *, budget_seconds: float = 1.0) -> None:
        self._reader = Reader(path)
        self._budget_seconds = budget_seconds

    def close(self) -> None:
        """Close what is open; another question opens it again."""
        self._reader.close()

    def state(self) -> dict[str, Any]:
        """What changes whenever something was stored. ``jaeger_url`` and ``receiver`` are for who serves it to fill in."""
        with self._reader.snapshot() as connection:
            return health.state(connection, self._reader.path, self._reader.size_bytes())

    def health(self) -> dict[str, Any]:
        """The stored part: services, and how much there is."""
        with self._reader.snapshot() as connection:
            return health.health(connection, self._reader.path, self._reader.size_bytes())

    def facets(self) -> dict[str, Any]:
        """What one can filter by."""
        with self._reader.snapshot() as connection:
            return sources.facets(connection)

    def traces(self, **asked: Any) -> dict[str, Any]:
        """The list of traces: parameters of `queries.traces.traces`."""
        with self._reader.snapshot() as connection:
            return traces.traces(connection, budget_seconds=self._budget_seconds, **asked)

    def trace(self, trace_id: str) -> dict[str, Any]:
        """One trace as a waterfall."""
        with self._reader.snapshot() as connection:
            return trace_view.trace(connection, trace_id)

    def span(self, trace_id: str, span_id: str) -> dict[str, Any]:
        """One span with all that is known of it."""
        with self._reader.snapshot() as connection:
            return trace_view.span(connection, trace_id, span_id)

    def trace_json(self, trace_id: str) -> dict[str, Any]:
        """One trace, to copy."""
        with self._reader.snapshot() as connection:
            return trace_view.trace_json(connection, trace_id)

    def breakdown(self, **asked: Any) -> dict[str, Any]:
        """Where the time went: parameters of `queries.breakdown.breakdown`."""
        with self._reader.snapshot() as connection:
            return breakdown.breakdown(connection, **asked)

    def heatmap(self, **asked: Any) -> dict[str, Any]:
        """How lengths are spread over time: parameters of `queries.heatmap.heatmap`."""
        with self._reader.snapshot() as connection:
            return heatmap.heatmap(connection, **asked)

    def compare_traces(self, a: str, b: str) -> dict[str, Any]:
        """Two traces side by side."""
        with self._reader.snapshot() as connection:
            return comparison.compare_traces(connection, a, b)

    def compare_ranges(self, **asked: Any) -> dict[str, Any]:
        """Two ranges of emails: parameters of `queries.comparison.compare_ranges`."""
        with self._reader.snapshot() as connection:
            return comparison.compare_ranges(connection, **asked)

    def metrics(self) -> dict[str, Any]:
        """Which metrics there are."""
        with self._reader.snapshot() as connection:
            return metrics.metrics(connection)

    def metric_series(self, name: str, **asked: Any) -> dict[str, Any]:
        """One metric over time: parameters of `queries.metrics.metric_series`."""
        with self._reader.snapshot() as connection:
            return metrics.metric_series(connection, name, **asked)

    def logs(self, **asked: Any) -> dict[str, Any]:
        """Log records: parameters of `queries.logs.logs`."""
        with self._reader.snapshot() as connection:
            return logs.logs(connection, budget_seconds=self._budget_seconds, **asked)

    def runtime(self, **asked: Any) -> dict[str, Any]:
        """Processes beside emails: parameters of `queries.runtime.runtime`."""
        with self._reader.snapshot() as connection:
            return runtime.runtime(connection, **asked)

    def spans(self, **asked: Any) -> dict[str, Any]:
        """Spans one by one or in groups: parameters of `queries.spans.spans`."""
        with self._reader.snapshot() as connection:
            return spans.spans(connection, budget_seconds=self._budget_seconds, **asked)
