"""OTLP's messages as what the store holds, and what of them can't be kept.

What is wrong in one span, record or point refuses that one alone. Values that a later version of OTLP may add (kinds of spans,
severities, kinds of values) degrade to "unspecified" and nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_autopilot.local.model import EventRecord, LinkRecord, LogRecordRow, Scope, SpanRecord
from otel_autopilot.local.receiver.attributes import Room, any_value, attributes
from otel_autopilot.local.receiver.refusals import TooLarge

#: SQLite's largest integer, and OTLP's times are unsigned.
LATEST_UNIX_NANO = (1 << 63) - 1
HIGHEST_SEVERITY = 24

_KINDS = {number: f"SPAN_KIND_{name}" for number, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))}  # fmt: skip
_STATUS = {0: "STATUS_CODE_UNSET", 1: "STATUS_CODE_OK", 2: "STATUS_CODE_ERROR"}
_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)

Item = TypeVar("Item")


class Unfit(Exception):
    """One item can't be kept; the message says why, in words that don't depend on what came."""


@dataclass
class Decoded(Generic[Item]):
    """What a request held."""

    items: list[Item] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    """How many couldn't be kept, by reason."""


def count(request: Message, below: Iterable[Callable[[Any], Sequence[Any]]], most: int) -> int:
    """How many groups and items a request has; ``below`` gives what is inside of each, level by level.

    Raises TooLarge where it is more than ``most``, without having looked at all of them.
    """
    total, level = 0, [request]
    for inside in below:
        groups = [inside(one) for one in level]
        total += sum(map(len, groups))
        if total > most:
            raise TooLarge(f"expected at most {most} items and groups of items in one request, got more")
        level = list(chain.from_iterable(groups))
    return total


def spans(request: ExportTraceServiceRequest, room: Room) -> Decoded[SpanRecord]:
    """The spans of a request. Needs a valid trace id and span id, and times within int64. Raises TooLarge."""
    decoded: Decoded[SpanRecord] = Decoded()
    for of_resource in request.resource_spans:
        resource = attributes(of_resource.resource.attributes, room)
        for of_scope in of_resource.scope_spans:
            scope = _scope(of_scope.scope, room)
            for span in of_scope.spans:
                try:
                    decoded.items.append(_span(span, resource, scope, room))
                except Unfit as why:
                    decoded.rejected[str(why)] += 1
    return decoded


def _span(span: Span, resource: dict[str, Any], scope: Scope, room: Room) -> SpanRecord:
    trace_id, span_id, parent_id = span.trace_id, span.span_id, span.parent_span_id
    if len(trace_id) != 16 or trace_id == _NO_TRACE:
        raise Unfit("trace id")
    if len(span_id) != 8 or span_id == _NO_SPAN:
        raise Unfit("span id")
    if parent_id and len(parent_id) != 8:
        raise Unfit("parent span id")
    start, end = span.start_time_unix_nano, span.end_time_unix_nano
    if start > LATEST_UNIX_NANO or end > LATEST_UNIX_NANO:
        raise Unfit("time")
    code, message = "STATUS_CODE_UNSET", ""
    if span.HasField("status"):
        status = span.status
        code, message = _STATUS.get(status.code, code), status.message
    events, links = span.events, span.links
    if events or links:
        room.take(len(events) + len(links))
    return SpanRecord(
        trace_id.hex(), span_id.hex(), parent_id.hex() if parent_id and parent_id != _NO_SPAN else None, span.name,
        _KINDS.get(span.kind, "SPAN_KIND_UNSPECIFIED"), start, end or start, code, message, attributes(span.attributes, room),
        tuple(_event(event, room) for event in events) if events else (),
        tuple(_link(link, room) for link in links) if links else (), resource, scope,
    )  # fmt: skip


def _event(event: Span.Event, room: Room) -> EventRecord:
    if event.time_unix_nano > LATEST_UNIX_NANO:
        raise Unfit("time")
    return EventRecord(event.name, event.time_unix_nano, attributes(event.attributes, room))


def _link(link: Span.Link, room: Room) -> LinkRecord:
    if len(link.trace_id) != 16 or len(link.span_id) != 8:
        raise Unfit("link")
    return LinkRecord(link.trace_id.hex(), link.span_id.hex(), attributes(link.attributes, room))


def _scope(scope: InstrumentationScope, room: Room) -> Scope:
    return Scope(scope.name, scope.version, attributes(scope.attributes, room))


def logs(request: ExportLogsServiceRequest, room: Room) -> Decoded[LogRecordRow]:
    """The log records of a request. Ids that are none are left out: a record counts without them too.

    A record without any time has that of its receipt. Raises TooLarge.
    """
    received = time.time_ns()
    decoded: Decoded[LogRecordRow] = Decoded()
    for of_resource in request.resource_logs:
        resource = attributes(of_resource.resource.attributes, room)
        for of_scope in of_resource.scope_logs:
            scope = _scope(of_scope.scope, room)
            for record in of_scope.log_records:
                moment = record.time_unix_nano or record.observed_time_unix_nano or received
                if moment > LATEST_UNIX_NANO:
                    decoded.rejected["time"] += 1
                    continue
                severity = record.severity_number
                decoded.items.append(
                    LogRecordRow(
                        moment, severity if 0 <= severity <= HIGHEST_SEVERITY else 0, record.severity_text,
                        any_value(record.body, room), identity(record.trace_id, 16), identity(record.span_id, 8), record.event_name,
                        attributes(record.attributes, room), resource, scope,
                    )
                )  # fmt: skip
    return decoded


def identity(value: bytes, length: int) -> str | None:
    """An id as hexadecimal digits; None when it is empty, all zeros or of another length."""
    return value.hex() if len(value) == length and any(value) else None
