"""Log records, newest first, by what they say and where they come from."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from otel_autopilot.errors import QueryError
from otel_autopilot.local import rows
from otel_autopilot.local.queries import parameters
from otel_autopilot.local.queries.matching import Text
from otel_autopilot.local.queries.parameters import Given, Place
from otel_autopilot.local.queries.shown import MOST_MESSAGE, cut, cut_values
from otel_autopilot.local.queries.sources import resource_within
from otel_autopilot.local.queries.trace_view import log_json

#: OTLP's severity numbers by name; each name has four.
SEVERITIES = {"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARN": 13, "WARNING": 13, "ERROR": 17, "FATAL": 21, "CRITICAL": 21}
_FIRST_CHUNK, _MOST_CHUNK = 500, 10_000


def logs(
    connection: sqlite3.Connection,
    *,
    q: str | None = None,
    severity: Given = None,
    service: str | None = None,
    trace_id: str | None = None,
    from_: Given = None,
    to: Given = None,
    limit: Given = None,
    cursor: str | None = None,
    budget_seconds: float = 1.0,
) -> dict[str, Any]:
    """``GET logs``. A search for text stops after ``budget_seconds`` and says how far it came."""
    within = parameters.time_range(from_, to)
    most, after = parameters.rows(limit), parameters.cursor(cursor)
    where, values = (
        ["l.time_unix_nano BETWEEN ? AND ?", "l.severity_number >= ?"],
        [within.first, within.last, severity_of(severity)],
    )
    if trace_id not in (None, ""):
        where.append("l.trace_id = ?")
        values.append(rows.blob(parameters.identifier("trace_id", trace_id or "", 32)))  # type: ignore[arg-type]
    of = parameters.text_of("service", service)
    if of is not None:
        where.append(resource_within(connection, "l.resource", of))
    wanted = parameters.text_of("q", q)
    text = None if wanted is None else Text.of(wanted)
    source = "logs l INDEXED BY logs_trace" if trace_id not in (None, "") else "logs l INDEXED BY logs_time"
    until = time.monotonic() + budget_seconds
    hits: list[tuple[Place, dict[str, Any]]] = []
    size, ended = (_FIRST_CHUNK if text else most + 1), False
    while len(hits) <= most and not ended:
        looked = _places(connection, source, where, values, after, size)
        ended = len(looked) < size
        hits += _read(connection, looked, text)
        after = looked[-1] if looked else after
        size = min(2 * size, _MOST_CHUNK)
        if text is None or time.monotonic() > until:
            break
    page = hits[:most]
    answer: dict[str, Any] = {
        "logs": [row for _, row in page], "next": str(page[-1][0]) if len(hits) > most else None, "complete": True,
        "searched_to_unix_nano": None,
    }  # fmt: skip
    if text is not None and not ended and answer["next"] is None and after is not None:
        answer |= {"next": str(after), "complete": False, "searched_to_unix_nano": after.time_unix_nano}
    return answer


def severity_of(given: Given) -> int:
    """The least severity number; 0 where none is given."""
    if given in (None, ""):
        return 0
    name = str(given).strip().upper()
    if name in SEVERITIES:
        return SEVERITIES[name]
    if not name.isascii() or not name.isdigit() or int(name[:4]) > 24:
        raise QueryError("severity", "a number from 0 to 24, or trace, debug, info, warn, error or fatal", given)
    return int(name)


def _places(
    connection: sqlite3.Connection, source: str, where: list[str], values: list[Any], after: Place | None, most: int
) -> list[Place]:
    conditions, given = list(where), list(values)
    if after is not None:
        conditions.append("l.time_unix_nano <= ? AND (l.time_unix_nano < ? OR l.id < ?)")
        given += [after.time_unix_nano, after.time_unix_nano, after.number]
    found = connection.execute(
        f"SELECT l.time_unix_nano, l.id FROM {source} WHERE {' AND '.join(conditions)} ORDER BY l.time_unix_nano DESC, l.id DESC LIMIT ?",  # noqa: S608  # nosec B608
        [*given, most],
    )
    return [Place(moment, number) for moment, number in found]


def _read(connection: sqlite3.Connection, places: list[Place], text: Text | None) -> list[tuple[Place, dict[str, Any]]]:
    """The records at these places in which the text stands."""
    found = []
    for start in range(0, len(places), 500):
        chunk = places[start : start + 500]
        condition, patterns = ("1", []) if text is None else text.condition("l.body", "l.attributes", "l.event_name")
        read = {
            row[0]: row[1:]
            for row in connection.execute(
                f"SELECT l.id, {rows.LOG_COLUMNS} FROM logs l JOIN resources r ON r.id = l.resource "  # noqa: S608
                f"WHERE l.id IN ({','.join('?' * len(chunk))}) AND {condition}",  # nosec B608
                [*(place.number for place in chunk), *patterns],
            )
        }
        for place in chunk:
            if place.number in read:
                record = rows.log_of(read[place.number])
                if text is None or text.within((record.body, record.attributes, record.event_name)):
                    row = log_json(record)
                    shown = {"body": cut(str(record.body), MOST_MESSAGE), "event_name": cut(record.event_name)}
                    cuts = {name: cut_values(row[name]) for name in ("attributes", "resource")}
                    found.append((place, row | shown | cuts))
    return found
