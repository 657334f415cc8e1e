"""One trace: its spans as a tree with self time and wait, its critical path, logs and links; and one span with all that is known."""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import Any

from otel_autopilot.errors import NotStored
from otel_autopilot.local import rows
from otel_autopilot.local.facts import facts_of
from otel_autopilot.local.model import LogRecordRow, SpanRecord
from otel_autopilot.local.queries import parameters, trace_rows
from otel_autopilot.local.queries.critical_path import critical_path
from otel_autopilot.local.queries.shown import MOST_MESSAGE, cut
from otel_autopilot.local.queries.span_tree import Placed, depth_first, placed
from otel_autopilot.local.values import strict

#: What is shown of one trace at most. What is left out is counted.
MOST_SPANS, MOST_LOGS, MOST_LINKS, MOST_EVENTS = 20_000, 2_000, 500, 50
_MOST_FACTS = 120


def trace(connection: sqlite3.Connection, trace_id: str) -> dict[str, Any]:
    """``GET traces/{trace_id}``. Raises NotStored."""
    number, wanted = number_of(connection, trace_id)
    (row,) = trace_rows.shown(connection, [number])
    spans, logs = spans_of(connection, number, wanted, MOST_SPANS), logs_of(connection, wanted, MOST_LOGS)
    roots = placed(spans)
    ordered = depth_first(roots)
    start = min((node.start for node in ordered), default=0)
    written = dict(
        connection.execute(
            "SELECT lower(hex(span_id)), count(*) FROM logs WHERE trace_id = ? GROUP BY span_id", (rows.blob(wanted),)
        )
    )
    return {
        "trace": row,
        "start_unix_nano": start,
        "duration_ns": max((node.end for node in ordered), default=start) - start,
        "services": [cut(name) for name, _ in Counter(_service(span) for span in spans).most_common()],
        "orphans": sum(node.orphan for node in ordered),
        "spans": [_span(node, start, written.get(node.span.span_id, 0)) for node in ordered],
        "spans_left_out": max(0, row["spans"] - len(ordered)),
        "critical_path": [
            {"span_id": piece.span_id, "from_ns": piece.start - start, "to_ns": piece.end - start} for piece in critical_path(roots)
        ],
        "logs": [
            {
                "time_ns": log.time_unix_nano - start, "severity_number": log.severity_number, "severity_text": cut(log.severity_text),
                "body": cut(str(log.body), MOST_MESSAGE), "span_id": log.span_id,
            }
            for log in logs
        ],
        "logs_left_out": sum(written.values()) - len(logs),
        "links": _links(connection, number, wanted),
    }  # fmt: skip


def span(connection: sqlite3.Connection, trace_id: str, span_id: str) -> dict[str, Any]:
    """``GET traces/{trace_id}/spans/{span_id}``. Raises NotStored."""
    number, wanted = number_of(connection, trace_id)
    wanted_span = parameters.identifier("span_id", span_id, 16)
    row = connection.execute(
        f"SELECT {rows.SPAN_COLUMNS} FROM spans s JOIN resources r ON r.id = s.resource WHERE s.trace = ? AND s.span_id = ?",  # noqa: S608  # nosec B608
        (number, rows.blob(wanted_span)),
    ).fetchone()
    if row is None:
        raise NotStored("span_id", "the id of a stored span of this trace", span_id)
    logs = connection.execute(
        f"SELECT {rows.LOG_COLUMNS} FROM logs l JOIN resources r ON r.id = l.resource "  # noqa: S608  # nosec B608
        "WHERE l.trace_id = ? AND l.span_id = ? ORDER BY l.time_unix_nano LIMIT ?",
        (rows.blob(wanted), rows.blob(wanted_span), MOST_LOGS),
    )
    return {"span": span_json(rows.span_of(wanted, row)), "logs": [log_json(rows.log_of(log)) for log in logs]}


def trace_json(connection: sqlite3.Connection, trace_id: str) -> dict[str, Any]:
    """``GET traces/{trace_id}/json``: the whole trace, nothing cut. Raises NotStored."""
    number, wanted = number_of(connection, trace_id)
    return {
        "trace_id": wanted,
        "spans": [span_json(record) for record in spans_of(connection, number, wanted)],
        "logs": [log_json(record) for record in logs_of(connection, wanted)],
    }


def number_of(connection: sqlite3.Connection, trace_id: str, parameter: str = "trace_id") -> tuple[int, str]:
    """The number of a trace and its id as it is stored; raises NotStored."""
    wanted = parameters.identifier(parameter, trace_id, 32)
    row = connection.execute("SELECT number FROM traces WHERE trace_id = ?", (rows.blob(wanted),)).fetchone()
    if row is None:
        raise NotStored(parameter, "the id of a stored trace", trace_id)
    return int(row[0]), wanted


def spans_of(connection: sqlite3.Connection, number: int, trace_id: str, most: int = -1) -> list[SpanRecord]:
    """The spans of a trace by start, the first ``most`` of them."""
    found = connection.execute(
        f"SELECT {rows.SPAN_COLUMNS} FROM spans s JOIN resources r ON r.id = s.resource WHERE s.trace = ? "  # noqa: S608  # nosec B608
        "ORDER BY s.start_unix_nano LIMIT ?",
        (number, most),
    )
    return [rows.span_of(trace_id, row) for row in found]


def logs_of(connection: sqlite3.Connection, trace_id: str, most: int = -1) -> list[LogRecordRow]:
    """The log records of a trace by time, the first ``most`` of them."""
    found = connection.execute(
        f"SELECT {rows.LOG_COLUMNS} FROM logs l JOIN resources r ON r.id = l.resource WHERE l.trace_id = ? "  # noqa: S608  # nosec B608
        "ORDER BY l.time_unix_nano LIMIT ?",
        (rows.blob(trace_id), most),
    )
    return [rows.log_of(row) for row in found]


def span_json(record: SpanRecord) -> dict[str, Any]:
    """A span as ``trace --json`` has it, and what recorded it."""
    return record.to_json() | {"scope": {"name": strict(record.scope.name), "version": strict(record.scope.version)}}


def log_json(record: LogRecordRow) -> dict[str, Any]:
    """A log record, LOG in the contract."""
    shown = record.to_json() | {"service": strict(str(record.resource.get("service.name", "")))}
    shown["time_unix_nano"] = record.time_unix_nano
    return shown


def _service(record: SpanRecord) -> str:
    return str(record.resource.get("service.name", ""))


def _span(node: Placed, start: int, logs: int) -> dict[str, Any]:
    record = node.span
    attempt = record.attributes.get("autopilot.attempt")
    return {
        "span_id": record.span_id, "parent_span_id": record.parent_span_id, "depth": node.depth, "children": len(node.children),
        "name": cut(record.name), "kind": record.kind, "service": cut(_service(record)), "scope": cut(record.scope.name),
        "stage": node.stage, "start_ns": node.start - start, "duration_ns": node.end - node.start, "self_ns": node.self_nano,
        "wait_ns": rows.wait_nano(record.attributes) or 0, "error": record.failed,
        "status_message": cut(record.status_message, MOST_MESSAGE), "attempt": attempt if type(attempt) is int else 0,
        "lost": record.attributes.get("autopilot.attempt.lost") is True, "orphan": node.orphan,
        "facts": cut(facts_of(record.attributes), _MOST_FACTS),
        "events": [{"name": cut(event.name), "time_ns": event.time_unix_nano - start} for event in record.events[:MOST_EVENTS]],
        "events_left_out": max(0, len(record.events) - MOST_EVENTS), "logs": logs,
    }  # fmt: skip


def _links(connection: sqlite3.Connection, number: int, trace_id: str) -> dict[str, Any]:
    out = connection.execute(
        "SELECT lower(hex(span_id)), lower(hex(target_trace)), lower(hex(target_span)) FROM links WHERE trace = ? LIMIT ?",
        (number, MOST_LINKS),
    ).fetchall()
    back = connection.execute(
        "SELECT lower(hex(t.trace_id)), lower(hex(l.span_id)), lower(hex(l.target_span)) FROM links l JOIN traces t ON t.number = l.trace "
        "WHERE l.target_trace = ? ORDER BY t.start_unix_nano DESC LIMIT ?",
        (rows.blob(trace_id), MOST_LINKS),
    ).fetchall()
    known = trace_rows.shown_by_id(connection, [*(row[1] for row in out), *(row[0] for row in back)])
    return {
        "out": [{"span_id": span, "trace_id": to, "target_span_id": target, "trace": known.get(to)} for span, to, target in out],
        "in": [{"trace_id": of, "span_id": span, "target_span_id": target, "trace": known.get(of)} for of, span, target in back],
    }
