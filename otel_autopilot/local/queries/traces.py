"""The list of traces, and the search in it: by what a person knows of a trace, or by text that stands in it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import Any

from otel_autopilot.local.naming import named_by
from otel_autopilot.local.queries import parameters, trace_rows
from otel_autopilot.local.queries.matching import Text
from otel_autopilot.local.queries.parameters import Given, Place
from otel_autopilot.local.queries.trace_rows import Filters, chunks, marks, picked
from otel_autopilot.local.values import decode
from otel_autopilot.telemetry import pseudonyms
from otel_autopilot.telemetry.names import EMAIL_PIPELINE, STAGES

#: How many traces are looked through at a time; the first look is short, so that one large trace doesn't take all the time.
_FIRST_CHUNK, _MOST_CHUNK = 25, 400


def traces(
    connection: sqlite3.Connection,
    *,
    kind: str | None = None,
    q: str | None = None,
    stage: str | None = None,
    outcome: str | None = None,
    service: str | None = None,
    workflow: str | None = None,
    version: str | None = None,
    min_ms: Given = None,
    max_ms: Given = None,
    errors: Given = None,
    measure: str | None = None,
    from_: Given = None,
    to: Given = None,
    limit: Given = None,
    cursor: str | None = None,
    budget_seconds: float = 1.0,
) -> dict[str, Any]:
    """``GET traces``. A search for text stops after ``budget_seconds`` and says how far it came."""
    filters = Filters(
        range=parameters.time_range(from_, to),
        emails=parameters.one_of("kind", kind, ("emails", "all"), "emails") == "emails",
        stage=trace_rows.stage_of(parameters.one_of("stage", stage, (*STAGES, EMAIL_PIPELINE.name))),
        outcome=parameters.text_of("outcome", outcome),
        service=parameters.text_of("service", service),
        workflow=parameters.text_of("workflow", workflow),
        version=parameters.text_of("version", version),
        least_nano=parameters.milliseconds("min_ms", min_ms),
        most_nano=parameters.milliseconds("max_ms", max_ms),
        errors=parameters.switch("errors", errors),
        measure=parameters.one_of("measure", measure, ("work", "wait"), "work") or "work",
    )
    rows, after = parameters.rows(limit), parameters.cursor(cursor)
    wanted = parameters.text_of("q", q)
    if wanted is None:
        found = picked(connection, filters, after, rows + 1)
        return _answer(connection, found, rows, matched=None)
    for by, found in _named(connection, wanted, filters, after, rows + 1):
        return _answer(connection, found, rows, matched=by)
    return _searched(connection, Text.of(wanted), filters, after, rows, time.monotonic() + budget_seconds)


def _named(
    connection: sqlite3.Connection, wanted: str, filters: Filters, after: Place | None, most: int
) -> Sequence[tuple[str, list[Place]]]:
    """What goes by that name, by the first kind of name that anything goes by, whatever the filters leave of it."""
    found: dict[str, set[Place]] = {}
    for condition in named_by(wanted, (wanted, *pseudonyms.candidates(wanted))):
        some = connection.execute(f"SELECT 1 FROM traces WHERE {condition.where} LIMIT 1", condition.values).fetchone()  # noqa: S608  # nosec B608
        if some is not None:
            places = picked(connection, filters, after, most, condition)
            found.setdefault(condition.by, set()).update(places)
    newest = [(by, sorted(places, key=lambda place: (-place.time_unix_nano, -place.number))[:most]) for by, places in found.items()]
    return newest[:1]


def _answer(connection: sqlite3.Connection, found: Sequence[Place], rows: int, *, matched: str | None) -> dict[str, Any]:
    page = found[:rows]
    return {
        "traces": trace_rows.shown(connection, [place.number for place in page]),
        "next": str(page[-1]) if len(found) > rows else None,
        "complete": True,
        "searched_to_unix_nano": None,
        "matched": matched,
    }


def _searched(
    connection: sqlite3.Connection, wanted: Text, filters: Filters, after: Place | None, rows: int, until: float
) -> dict[str, Any]:
    hits: list[Place] = []
    size, ended = _FIRST_CHUNK, False
    while len(hits) <= rows and not ended:
        looked = picked(connection, filters, after, size)
        ended = len(looked) < size
        if looked:
            matching = _matching(connection, wanted, [place.number for place in looked])
            hits += [place for place in looked if place.number in matching]
            after = looked[-1]
        size = min(2 * size, _MOST_CHUNK)
        if time.monotonic() > until:
            break
    answer = _answer(connection, hits, rows, matched="text")
    if not ended and answer["next"] is None:
        answer |= {"next": str(after), "complete": False, "searched_to_unix_nano": after.time_unix_nano if after else None}
    return answer


def _matching(connection: sqlite3.Connection, wanted: Text, numbers: Sequence[int]) -> set[int]:
    """Those of the traces in whose spans or log records the text stands."""
    found: set[int] = set()
    like, patterns = wanted.condition("name", "body")
    for chunk in chunks(numbers):
        for trace, name, body in connection.execute(
            f"SELECT trace, name, body FROM spans WHERE trace IN ({marks(chunk)}) AND {like}",  # noqa: S608  # nosec B608
            [*chunk, *patterns],
        ):
            if trace not in found:
                attributes, _, _, message, *_ = decode(body)
                if wanted.within((name, message, attributes)):
                    found.add(trace)
        like_logs, patterns_of_logs = wanted.condition("l.body", "l.attributes", "l.event_name")
        for trace, body, attributes, event_name in connection.execute(
            "SELECT t.number, l.body, l.attributes, l.event_name FROM traces t JOIN logs l ON l.trace_id = t.trace_id "  # noqa: S608
            f"WHERE t.number IN ({marks(chunk)}) AND {like_logs}",  # nosec B608
            [*chunk, *patterns_of_logs],
        ):
            if trace not in found and wanted.within((body, event_name, decode(attributes))):
                found.add(trace)
    return found
