"""The one choke point: whatever leaves the process passes one of these exporters.

Each wraps an exporter and hands on copies without personal data: names, attributes of every type, events, links, status, trace
state, resource, scope, log bodies, metric attributes and exemplars. What needs no change is handed on as it is. A value that
can't be looked through is replaced whole, so nothing here ever raises because of what was recorded.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import Metric, MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, TraceState

from otel_autopilot.telemetry.known_values import KnownValues, learn
from otel_autopilot.telemetry.redactor import SAFE_TEXTS, RedactionRules, Redactor

__all__ = [
    "RedactingLogExporter",
    "RedactingMetricExporter",
    "RedactingSpanExporter",
    "RedactionRules",
    "Redactor",
    "learn",
]

#: Resources and scopes that are remembered; a process has a few.
_MOST_REMEMBERED = 256


def _items(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The dictionary inside the SDK's mapping, which takes a lock for every look at it."""
    inner = getattr(attributes, "_dict", None)
    return inner if isinstance(inner, dict) else attributes


class _Cleaner:
    """Copies of the SDK's objects without personal data; the same object when there is nothing to change."""

    def __init__(self, rules: RedactionRules | None) -> None:
        self.redactor = Redactor(rules)
        self._resources: dict[int, tuple[Resource, Resource]] = {}
        self._scopes: dict[int, tuple[InstrumentationScope, InstrumentationScope]] = {}

    def attributes(self, attributes: Mapping[str, Any] | None, known: KnownValues | None) -> Mapping[str, Any] | None:
        if not attributes:
            return attributes
        cleaned = self.redactor.attributes(_items(attributes), known)
        if cleaned is None:
            return attributes
        bounded = BoundedAttributes(attributes=cleaned, immutable=True)
        bounded.dropped = getattr(attributes, "dropped", 0)
        return bounded

    def resource(self, resource: Resource) -> Resource:
        remembered = self._resources.get(id(resource))
        if remembered is not None and remembered[0] is resource:
            return remembered[1]
        cleaned = self.redactor.attributes(resource.attributes)
        new = resource if cleaned is None else Resource(cleaned, resource.schema_url)
        if len(self._resources) >= _MOST_REMEMBERED:
            self._resources.clear()
        self._resources[id(resource)] = (resource, new)
        return new

    def scope(self, scope: InstrumentationScope | None) -> InstrumentationScope | None:
        if scope is None:
            return None
        remembered = self._scopes.get(id(scope))
        if remembered is not None and remembered[0] is scope:
            return remembered[1]
        name = self.redactor.text(scope.name or "")
        version = self.redactor.text(scope.version) if scope.version else scope.version
        attributes = self.attributes(scope.attributes, None)
        same = name == scope.name and version == scope.version and attributes is scope.attributes
        new = scope if same else InstrumentationScope(name, version, scope.schema_url, attributes)
        if len(self._scopes) >= _MOST_REMEMBERED:
            self._scopes.clear()
        self._scopes[id(scope)] = (scope, new)
        return new

    def context(self, context: SpanContext, known: KnownValues | None) -> SpanContext:
        """The same ids; an entry of the trace state with anything personal in it is left out: its syntax has no room for more."""
        if not context.trace_state:
            return context
        kept = [
            (key, value)
            for key, value in context.trace_state.items()
            if self.redactor.text(key, known) == key and self.redactor.text(value, known) == value
        ]
        if len(kept) == len(context.trace_state):
            return context
        return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags, TraceState(kept))

    def event(self, event: Event, known: KnownValues | None) -> Event:
        name = self.redactor.text(event.name, known)
        attributes = self.attributes(event.attributes, known)
        return event if name == event.name and attributes is event.attributes else Event(name, attributes, event.timestamp)

    def link(self, link: Link, known: KnownValues | None) -> Link:
        context = self.context(link.context, known)
        attributes = self.attributes(link.attributes, known)
        return link if context is link.context and attributes is link.attributes else Link(context, attributes)

    def status(self, status: Status, known: KnownValues | None) -> Status:
        if not status.description:
            return status
        description = self.redactor.text(status.description, known)
        return status if description == status.description else Status(status.status_code, description)

    def span(self, span: ReadableSpan) -> ReadableSpan:
        known: KnownValues | None = getattr(span, "_autopilot_known", None)
        name = span._name
        if name not in SAFE_TEXTS:
            name = self.redactor.text(name, known)
        attributes = self.attributes(span._attributes, known) if span._attributes else span._attributes
        events: Sequence[Event] = span._events
        if events:
            new_events = [self.event(event, known) for event in events]
            if any(new is not old for new, old in zip(new_events, events, strict=True)):
                events = new_events
        links: Sequence[Link] = span._links
        if links:
            new_links = [self.link(link, known) for link in links]
            if any(new is not old for new, old in zip(new_links, links, strict=True)):
                links = new_links
        status = span._status
        if status.description:
            status = self.status(status, known)
        context, parent = span._context, span._parent
        if context is not None and context.trace_state:
            context = self.context(context, known)
        if parent is not None and parent.trace_state:
            parent = self.context(parent, known)
        resource = self.resource(span._resource)
        scope = self.scope(span._instrumentation_scope)
        if (
            name is span._name
            and attributes is span._attributes
            and events is span._events
            and links is span._links
            and status is span._status
            and context is span._context
            and parent is span._parent
            and resource is span._resource
            and scope is span._instrumentation_scope
        ):
            return span
        return _CleanSpan(span, name, context, parent, resource, attributes, events, links, status, scope)

    def log(self, record: ReadableLogRecord) -> ReadableLogRecord:
        inner = record.log_record
        known: KnownValues | None = getattr(inner, "_autopilot_known", None)
        new = copy.copy(inner)
        new.body = self.redactor.value(inner.body, known)
        new.attributes = self.attributes(inner.attributes, known)
        new.event_name = self.redactor.text(inner.event_name, known) if inner.event_name else inner.event_name
        new.severity_text = self.redactor.text(inner.severity_text, known) if inner.severity_text else inner.severity_text
        new.exception = None  # its type, message and stack trace are in the attributes, clean
        return replace(
            record,
            log_record=new,
            resource=self.resource(record.resource),
            instrumentation_scope=self.scope(record.instrumentation_scope),
        )

    def metric(self, metric: Metric) -> Metric:
        points: Any = [self.point(point) for point in metric.data.data_points]
        texts = [self.redactor.text(text or "") for text in (metric.name, metric.description, metric.unit)]
        same = texts == [metric.name or "", metric.description or "", metric.unit or ""]
        if same and all(new is old for new, old in zip(points, metric.data.data_points, strict=True)):
            return metric
        return Metric(texts[0], texts[1], texts[2], replace(metric.data, data_points=points))

    def point(self, point: Any) -> Any:
        attributes = self.attributes(point.attributes, None)
        exemplars = [
            replace(one, filtered_attributes=dict(new)) if new is not None else one
            for one in point.exemplars
            for new in (self.redactor.attributes(one.filtered_attributes) if one.filtered_attributes else None,)
        ]
        if attributes is not point.attributes:
            point = replace(point, attributes=dict(attributes or {}))
        if any(new is not old for new, old in zip(exemplars, point.exemplars, strict=True)):
            point = replace(point, exemplars=exemplars)
        return point


class _CleanSpan(ReadableSpan):
    """A copy of a span that counts what the original dropped."""

    def __init__(
        self,
        span: ReadableSpan,
        name: str,
        context: SpanContext | None,
        parent: SpanContext | None,
        resource: Resource,
        attributes: Mapping[str, Any] | None,
        events: Sequence[Event],
        links: Sequence[Link],
        status: Status,
        scope: InstrumentationScope | None,
    ) -> None:
        super().__init__(
            name, context, parent, resource, attributes, events, links, span.kind,
            status=status, start_time=span.start_time, end_time=span.end_time, instrumentation_scope=scope,
        )  # fmt: skip
        self._dropped = (span.dropped_attributes, span.dropped_events, span.dropped_links)

    @property
    def dropped_attributes(self) -> int:
        return self._dropped[0]

    @property
    def dropped_events(self) -> int:
        return self._dropped[1]

    @property
    def dropped_links(self) -> int:
        return self._dropped[2]


class RedactingSpanExporter(SpanExporter):
    """Hands spans without personal data on to ``inner``."""

    def __init__(self, inner: SpanExporter, rules: RedactionRules | None = None) -> None:
        self._inner = inner
        self._cleaner = _Cleaner(rules)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export clean copies; the result is that of ``inner``."""
        return self._inner.export([self._cleaner.span(span) for span in spans])

    def shutdown(self) -> None:
        """Shut ``inner`` down."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush ``inner``."""
        return self._inner.force_flush(timeout_millis)


class RedactingLogExporter(LogRecordExporter):
    """Hands log records without personal data on to ``inner``."""

    def __init__(self, inner: LogRecordExporter, rules: RedactionRules | None = None) -> None:
        self._inner = inner
        self._cleaner = _Cleaner(rules)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Export clean copies; the result is that of ``inner``."""
        return self._inner.export([self._cleaner.log(record) for record in batch])

    def shutdown(self) -> None:
        """Shut ``inner`` down."""
        self._inner.shutdown()  # type: ignore[no-untyped-call]  # the SDK leaves it without types

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush ``inner``, where it can be."""
        flush = getattr(self._inner, "force_flush", None)
        return True if flush is None else bool(flush(timeout_millis))


class RedactingMetricExporter(MetricExporter):
    """Hands metrics without personal data on to ``inner``, whose temporality and aggregation it keeps."""

    def __init__(self, inner: MetricExporter, rules: RedactionRules | None = None) -> None:
        super().__init__(inner._preferred_temporality, inner._preferred_aggregation)
        self._inner = inner
        self._cleaner = _Cleaner(rules)

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Export a clean copy; the result is that of ``inner``."""
        cleaner = self._cleaner
        clean = MetricsData([
            replace(
                of_resource,
                resource=cleaner.resource(of_resource.resource),
                scope_metrics=[
                    replace(
                        of_scope, scope=cleaner.scope(of_scope.scope) or of_scope.scope,
                        metrics=[cleaner.metric(metric) for metric in of_scope.metrics],
                    )
                    for of_scope in of_resource.scope_metrics
                ],
            )
            for of_resource in metrics_data.resource_metrics
        ])  # fmt: skip
        return self._inner.export(clean, timeout_millis, **kwargs)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Flush ``inner``."""
        return self._inner.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Shut ``inner`` down."""
        self._inner.shutdown(timeout_millis, **kwargs)
