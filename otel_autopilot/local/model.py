"""What the embedded store holds: spans, log records and metric points, as the store gives them back.

Ids are lowercase hexadecimal text, times are nanoseconds since 1970, enums are written by their OTLP names, and every value is
made of None, bool, int, float, str, bytes, list and dict alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import (
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_autopilot.local.values import plain, plain_mapping, strict

#: OTLP's names of span kinds, by the SDK's.
KINDS = {
    "INTERNAL": "SPAN_KIND_INTERNAL",
    "SERVER": "SPAN_KIND_SERVER",
    "CLIENT": "SPAN_KIND_CLIENT",
    "PRODUCER": "SPAN_KIND_PRODUCER",
    "CONSUMER": "SPAN_KIND_CONSUMER",
}
STATUS_ERROR = "STATUS_CODE_ERROR"


@dataclass(frozen=True, slots=True)
class Scope:
    """What recorded it: the name and version of a library."""

    name: str = ""
    version: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_sdk(cls, scope: InstrumentationScope | None) -> Scope:
        """The SDK's scope."""
        if scope is None:
            return cls()
        return cls(scope.name or "", scope.version or "", plain_mapping(scope.attributes))


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something that happened at one moment of a span."""

    name: str
    time_unix_nano: int
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LinkRecord:
    """Another span that a span belongs with."""

    trace_id: str
    span_id: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """One finished span."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    kind: str
    start_unix_nano: int
    end_unix_nano: int
    status_code: str = "STATUS_CODE_UNSET"
    status_message: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    events: tuple[EventRecord, ...] = ()
    links: tuple[LinkRecord, ...] = ()
    resource: dict[str, Any] = field(default_factory=dict)
    scope: Scope = field(default_factory=Scope)

    @property
    def duration_nano(self) -> int:
        """Nanoseconds from start to end; never below 0, whatever the clocks said."""
        return max(0, self.end_unix_nano - self.start_unix_nano)

    @property
    def failed(self) -> bool:
        """True when the span's status is ERROR."""
        return self.status_code == STATUS_ERROR

    @classmethod
    def from_readable(cls, span: ReadableSpan) -> SpanRecord:
        """A span as the SDK hands it to exporters. Raises ValueError when it has no span context."""
        context = span.context
        if context is None:
            raise ValueError("expected a span with a context, got one without")
        start = span.start_time or 0
        return cls(
            trace_id=f"{context.trace_id:032x}",
            span_id=f"{context.span_id:016x}",
            parent_span_id=None if span.parent is None else f"{span.parent.span_id:016x}",
            name=span.name,
            kind=KINDS.get(span.kind.name, "SPAN_KIND_UNSPECIFIED"),
            start_unix_nano=start,
            end_unix_nano=start if span.end_time is None else span.end_time,
            status_code=f"STATUS_CODE_{span.status.status_code.name}",
            status_message=span.status.description or "",
            attributes=plain_mapping(span.attributes),
            events=tuple(EventRecord(event.name, event.timestamp, plain_mapping(event.attributes)) for event in span.events),
            links=tuple(
                LinkRecord(f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}", plain_mapping(link.attributes))
                for link in span.links
            ),
            resource=resource_of(span.resource),
            scope=Scope.from_sdk(span.instrumentation_scope),
        )

    def to_json(self) -> dict[str, Any]:
        """The span as ``trace --json`` prints it: strict JSON, with OTLP's names."""
        return {
            "trace_id": self.trace_id,
            "span_id": self.span_id,
            "parent_span_id": self.parent_span_id,
            "name": strict(self.name),
            "kind": self.kind,
            "start_unix_nano": self.start_unix_nano,
            "end_unix_nano": self.end_unix_nano,
            "status": {"code": self.status_code, "message": strict(self.status_message)},
            "attributes": strict(self.attributes),
            "events": [
                {"name": strict(event.name), "time_unix_nano": event.time_unix_nano, "attributes": strict(event.attributes)}
                for event in self.events
            ],
            "links": [
                {"trace_id": link.trace_id, "span_id": link.span_id, "attributes": strict(link.attributes)} for link in self.links
            ],
            "resource": strict(self.resource),
        }


@dataclass(frozen=True, slots=True)
class LogRecordRow:
    """One log record."""

    time_unix_nano: int
    severity_number: int = 0
    """OTLP's number: 1 to 24, 9 is INFO, 13 WARN, 17 ERROR; 0 when none was given."""
    severity_text: str = ""
    body: Any = None
    trace_id: str | None = None
    span_id: str | None = None
    event_name: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    resource: dict[str, Any] = field(default_factory=dict)
    scope: Scope = field(default_factory=Scope)

    @classmethod
    def from_readable(cls, record: ReadableLogRecord) -> LogRecordRow:
        """A log record as the SDK hands it to exporters."""
        inner = record.log_record
        return cls(
            time_unix_nano=inner.timestamp or inner.observed_timestamp or 0,
            severity_number=0 if inner.severity_number is None else inner.severity_number.value,
            severity_text=inner.severity_text or "",
            body=plain(inner.body),
            trace_id=f"{inner.trace_id:032x}" if inner.trace_id else None,
            span_id=f"{inner.span_id:016x}" if inner.span_id else None,
            event_name=inner.event_name or "",
            attributes=plain_mapping(inner.attributes),
            resource=resource_of(record.resource),
            scope=Scope.from_sdk(record.instrumentation_scope),
        )

    def to_json(self) -> dict[str, Any]:
        """The record as strict JSON."""
        return {
            "time_unix_nano": self.time_unix_nano,
            "severity_number": self.severity_number,
            "severity_text": strict(self.severity_text),
            "body": strict(self.body),
            "trace_id": self.trace_id,
            "span_id": self.span_id,
            "event_name": strict(self.event_name),
            "attributes": strict(self.attributes),
            "resource": strict(self.resource),
        }


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One data point of one series of a metric."""

    name: str
    type: str
    """gauge, sum, histogram or exponential_histogram."""
    time_unix_nano: int
    start_unix_nano: int = 0
    unit: str = ""
    description: str = ""
    temporality: str = ""
    """AGGREGATION_TEMPORALITY_DELTA or AGGREGATION_TEMPORALITY_CUMULATIVE; empty for a gauge."""
    monotonic: bool = False
    value: int | float | None = None
    """Of a gauge or sum."""
    distribution: dict[str, Any] | None = None
    """Of a histogram: count, sum, min, max, and bounds and bucket_counts or OTLP's exponential buckets."""
    exemplars: tuple[dict[str, Any], ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    resource: dict[str, Any] = field(default_factory=dict)
    scope: Scope = field(default_factory=Scope)


def points_of(data: MetricsData) -> Iterator[MetricPoint]:
    """The points of what the SDK hands to metric exporters."""
    for of_resource in data.resource_metrics:
        resource = resource_of(of_resource.resource)
        for of_scope in of_resource.scope_metrics:
            scope = Scope.from_sdk(of_scope.scope)
            for metric in of_scope.metrics:
                yield from _points(metric, resource, scope)


def _points(metric: Metric, resource: dict[str, Any], scope: Scope) -> Iterator[MetricPoint]:
    data = metric.data
    kind = {Sum: "sum", Histogram: "histogram", ExponentialHistogram: "exponential_histogram"}.get(type(data), "gauge")
    temporality = getattr(data, "aggregation_temporality", None)
    for point in data.data_points:
        value, distribution = _measured(point)
        yield MetricPoint(
            name=metric.name,
            type=kind,
            time_unix_nano=point.time_unix_nano,
            start_unix_nano=point.start_time_unix_nano or 0,
            unit=metric.unit or "",
            description=metric.description or "",
            temporality="" if temporality is None else f"AGGREGATION_TEMPORALITY_{temporality.name}",
            monotonic=bool(getattr(data, "is_monotonic", False)),
            value=value,
            distribution=distribution,
            exemplars=tuple(
                {
                    "value": plain(exemplar.value),
                    "time_unix_nano": exemplar.time_unix_nano,
                    "trace_id": f"{exemplar.trace_id:032x}" if exemplar.trace_id else None,
                    "span_id": f"{exemplar.span_id:016x}" if exemplar.span_id else None,
                    "attributes": plain_mapping(exemplar.filtered_attributes),
                }
                for exemplar in point.exemplars
            ),
            attributes=plain_mapping(point.attributes),
            resource=resource,
            scope=scope,
        )


def _measured(
    point: NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint,
) -> tuple[int | float | None, dict[str, Any] | None]:
    if isinstance(point, NumberDataPoint):
        return point.value, None
    found: dict[str, Any] = {"count": point.count, "sum": point.sum, "min": point.min, "max": point.max}
    if isinstance(point, HistogramDataPoint):
        return None, {**found, "bounds": list(point.explicit_bounds), "bucket_counts": list(point.bucket_counts)}
    sides = {
        side: {"offset": buckets.offset, "bucket_counts": list(buckets.bucket_counts)}
        for side, buckets in (("positive", point.positive), ("negative", point.negative))
    }
    return None, {**found, "scale": point.scale, "zero_count": point.zero_count, **sides}


def resource_of(resource: Resource | None) -> dict[str, Any]:
    """Attributes of the SDK's resource."""
    return {} if resource is None else plain_mapping(resource.attributes)
