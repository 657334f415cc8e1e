"""Records as rows of the embedded store's tables, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from otel_autopilot.local.model import STATUS_ERROR, EventRecord, LinkRecord, LogRecordRow, Scope, SpanRecord
from otel_autopilot.local.roots import EMAIL_ROOT, NO_ROOT, rank
from otel_autopilot.local.values import decode, encode, text
from otel_autopilot.telemetry import names

#: The latest time that is stored, in nanoseconds since 1970: SQLite's integers end there. OTLP's go to twice that.
LATEST_UNIX_NANO = (1 << 63) - 1
#: Characters of what the list filters by and shows: names of spans, services, workflows.
MOST_LABEL = 200

#: Statements for `many_rows.insert`, which adds the values.
INSERT_SPAN = "INSERT OR IGNORE INTO spans"
INSERT_ATTEMPT = "INSERT OR IGNORE INTO attempts"
INSERT_LINK = "INSERT OR IGNORE INTO links"
INSERT_LOG = (
    "INSERT INTO logs (time_unix_nano, severity_number, severity_text, body, trace_id, span_id, event_name, scope, attributes, resource) "
    "VALUES (?,?,?,?,?,?,?,?,?,?)"
)
INSERT_TRACE = """
INSERT INTO traces (trace_id, name, service, version, start_unix_nano, end_unix_nano, spans, errors, run_id, workflow, outcome, message_id, sender, email, rooted)
"""
#: The batch brings a better root than there was: of several emails in one trace that which ended last.
_BETTER = (
    "excluded.rooted > rooted OR (excluded.rooted = rooted AND rooted AND (rooted = 1 OR excluded.end_unix_nano >= end_unix_nano))"
)
#: The length is that of the email's root as soon as it is there, until then that of the trace.
_LENGTH = "CASE WHEN excluded.rooted = 2 AND rooted < 2 THEN excluded.{column} WHEN rooted = 2 AND excluded.rooted < 2 THEN {column} ELSE {of}({column}, excluded.{column}) END"
#: Gives back the trace's id, its number and how many spans it has now.
OR_ADD_TO_TRACE = f"""
ON CONFLICT (trace_id) DO UPDATE SET
    name = CASE WHEN {_BETTER} THEN excluded.name ELSE name END,
    service = CASE WHEN {_BETTER} THEN excluded.service ELSE service END,
    version = CASE WHEN {_BETTER} THEN excluded.version ELSE version END,
    start_unix_nano = {_LENGTH.format(column="start_unix_nano", of="min")},
    end_unix_nano = {_LENGTH.format(column="end_unix_nano", of="max")},
    spans = spans + excluded.spans, errors = errors + excluded.errors,
    run_id = coalesce(excluded.run_id, run_id), workflow = coalesce(excluded.workflow, workflow),
    outcome = CASE WHEN {_BETTER} THEN excluded.outcome ELSE outcome END,
    message_id = coalesce(excluded.message_id, message_id), sender = coalesce(excluded.sender, sender),
    email = max(email, excluded.email), rooted = max(rooted, excluded.rooted)
RETURNING trace_id, number, spans
"""  # nosec B608  # made of constants above

_STAGE_NUMBERS = {stage: number for number, stage in enumerate(names.STAGES)}
_STAGE, _PIPELINE = names.STAGE.name, names.EMAIL_PIPELINE.name
_QUEUE_DURATION, _ATTEMPT, _LOST, _OUTCOME = (
    names.QUEUE_DURATION.name, names.ATTEMPT.name, names.ATTEMPT_LOST.name, names.OUTCOME.name,
)  # fmt: skip
_RUN_ID, _WORKFLOW, _MESSAGE_ID, _SENDER = (
    names.RUN_ID.name, names.WORKFLOW.name, names.EMAIL_MESSAGE_ID.name, names.EMAIL_SENDER.name,
)  # fmt: skip


def blob(value: str | None) -> bytes | None:
    """An id as it is stored."""
    return bytes.fromhex(value) if value else None


def moment(unix_nano: int) -> int:
    """A time as it is stored: from 0 to `LATEST_UNIX_NANO`."""
    return 0 if unix_nano < 0 else unix_nano if unix_nano <= LATEST_UNIX_NANO else LATEST_UNIX_NANO


def label(value: Any) -> str | None:
    """What the list filters by: text of at most 200 characters, None where it isn't there; lists and mappings don't count."""
    if isinstance(value, str):
        return text(value[:MOST_LABEL])
    return str(value)[:MOST_LABEL] if isinstance(value, bool | int | float) and value == value else None


def wait_nano(attributes: dict[str, Any]) -> int | None:
    """Queue wait before an attempt in nanoseconds; None where it isn't said."""
    seconds = attributes.get(_QUEUE_DURATION)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds != seconds:
        return None
    return round(min(max(0, seconds), 1e9) * 1e9)


def span_row(trace: int, span: SpanRecord, resource: int) -> tuple[Any, ...]:
    """The row of a span in the trace of that number."""
    start, end = span.start_unix_nano, span.end_unix_nano
    if start < 0 or end < 0 or start > LATEST_UNIX_NANO or end > LATEST_UNIX_NANO:
        start, end = moment(start), moment(end)
    scope: Any = [span.scope.name, span.scope.version] if span.scope.version else span.scope.name
    body: list[Any] = [span.attributes, span.kind, span.status_code, span.status_message, scope]
    if span.events or span.links:
        body.append([[event.name, event.time_unix_nano, event.attributes] for event in span.events])
        body.append([[link.trace_id, link.span_id, link.attributes] for link in span.links])
    parent = span.parent_span_id
    return (
        trace, bytes.fromhex(span.span_id), bytes.fromhex(parent) if parent else None, text(span.name), start, end,
        span.status_code == STATUS_ERROR, resource, encode(body),
    )  # fmt: skip


def attempt_row(span_row: Sequence[Any], attributes: dict[str, Any]) -> tuple[Any, ...] | None:
    """The row of an attempt, out of that of its span; None for a span that is none, whatever its name."""
    trace, span_id, _, name, start, end, error, *_ = span_row
    stage = _STAGE_NUMBERS.get(name)
    if stage is None or attributes.get(_STAGE) != name:
        return None
    number = attributes.get(_ATTEMPT)
    return (
        trace, span_id, stage, end - start if end > start else 0, wait_nano(attributes),
        number if type(number) is int and 0 <= number < 1 << 31 else 0, error, attributes.get(_LOST) is True,
        label(attributes.get(_OUTCOME)),
    )  # fmt: skip


def link_rows(trace: int, span_id: bytes, targets: Iterable[tuple[str, str]]) -> Iterator[tuple[Any, ...]]:
    """The rows of a span's links."""
    for target_trace, target_span in targets:
        yield trace, span_id, blob(target_trace) or b"", blob(target_span) or b""


#: The columns that `span_of` takes, of ``spans s JOIN resources r``, behind the trace's id.
SPAN_COLUMNS = "s.span_id, s.parent_span_id, s.name, s.start_unix_nano, s.end_unix_nano, s.body, r.attributes"


def span_of(trace_id: str, row: Sequence[Any]) -> SpanRecord:
    """A span out of `SPAN_COLUMNS`."""
    span_id, parent, name, start, end, body, resource = row
    attributes, kind, status_code, status_message, scope, *rest = decode(body)
    events, linked = rest if rest else ((), ())
    return SpanRecord(
        trace_id=trace_id, span_id=span_id.hex(), parent_span_id=parent.hex() if parent else None, name=name, kind=kind,
        start_unix_nano=start, end_unix_nano=end, status_code=status_code, status_message=status_message,
        attributes=attributes, events=tuple(EventRecord(*event) for event in events),
        links=tuple(LinkRecord(*link) for link in linked), scope=Scope(scope) if isinstance(scope, str) else Scope(*scope),
        resource=decode(resource),
    )  # fmt: skip


def log_row(log: LogRecordRow, resource: int) -> tuple[Any, ...]:
    """The row of a log record."""
    return (
        moment(log.time_unix_nano), log.severity_number, text(log.severity_text),
        text(log.body) if isinstance(log.body, str) else encode(log.body), blob(log.trace_id), blob(log.span_id),
        text(log.event_name), encode([log.scope.name, log.scope.version]) if log.scope.name else None, encode(log.attributes), resource,
    )  # fmt: skip


#: The columns that `log_of` takes, of ``logs l JOIN resources r``.
LOG_COLUMNS = "l.time_unix_nano, l.severity_number, l.severity_text, l.body, l.trace_id, l.span_id, l.event_name, l.scope, l.attributes, r.attributes"


def log_of(row: Sequence[Any]) -> LogRecordRow:
    """A log record out of `LOG_COLUMNS`."""
    time_unix_nano, number, level, body, trace_id, span_id, event_name, scope, attributes, resource = row
    return LogRecordRow(
        time_unix_nano, number, level, body, trace_id.hex() if trace_id else None, span_id.hex() if span_id else None, event_name,
        decode(attributes), decode(resource), Scope(*decode(scope)) if scope else Scope(),
    )  # fmt: skip


def summary(trace_id: str, group: Sequence[SpanRecord]) -> tuple[Any, ...]:
    """What a batch adds to the row of a trace, for `INSERT_TRACE`.

    ``email`` is 0 for what is no email, 2 for one whose root was promised (its attempts tell their run), 1 for others; ``rooted``
    is the root's rank. So an email is under way while ``rooted < email``.
    """
    root: SpanRecord | None = None
    best, begun, ended = NO_ROOT, LATEST_UNIX_NANO, 0
    first = group[0]
    start, end, errors, email = first.start_unix_nano, 0, 0, 0
    for span in group:
        if span.start_unix_nano < start:
            start, first = span.start_unix_nano, span
        if span.end_unix_nano > end:
            end = span.end_unix_nano
        if span.status_code == STATUS_ERROR:
            errors += 1
        if span.parent_span_id is None or span.name == _PIPELINE:
            found = rank(span)
            if found > best or (found == best == EMAIL_ROOT and root is not None and span.end_unix_nano > root.end_unix_nano):
                root, best = span, found
            if found == EMAIL_ROOT:
                begun, ended = min(begun, span.start_unix_nano), max(ended, span.end_unix_nano)
        if email < 2 and span.name in _STAGE_NUMBERS and span.attributes.get(_STAGE) == span.name:
            email = 2 if _RUN_ID in span.attributes else 1
    if best == EMAIL_ROOT:
        start, end = begun, ended
    top = root or first
    run_id = workflow = message_id = sender = None
    for span in (top, *group):
        attributes = span.attributes
        if attributes:
            run_id = run_id or attributes.get(_RUN_ID)
            workflow = workflow or attributes.get(_WORKFLOW)
            message_id = message_id or attributes.get(_MESSAGE_ID)
            sender = sender or attributes.get(_SENDER)
    outcome = label(root.attributes.get(_OUTCOME)) if root is not None else None
    run_id, start = label(run_id), moment(start)
    return (
        bytes.fromhex(trace_id), text(top.name[:MOST_LABEL]), label(top.resource.get("service.name")) or "",
        label(top.resource.get("service.version")) or "", start, max(start, moment(end)), len(group), errors, run_id,
        label(workflow), outcome, label(message_id), label(sender), email or int(run_id is not None or outcome is not None),
        best,
    )  # fmt: skip
