"""Spans by what they are and carry, one by one or in groups: for scripts and assistants."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from otel_autopilot.errors import QueryError
from otel_autopilot.local import rows
from otel_autopilot.local.model import KINDS, SpanRecord
from otel_autopilot.local.queries import parameters
from otel_autopilot.local.queries.distributions import distribution
from otel_autopilot.local.queries.parameters import Given, Many, Place, TimeRange
from otel_autopilot.local.queries.shown import cut, cut_values
from otel_autopilot.local.queries.sources import resource_within
from otel_autopilot.local.queries.trace_rows import marks
from otel_autopilot.local.queries.trace_view import span_json

#: Groups at most; spans that would make another aren't counted, and the answer says so.
MOST_GROUPS = 1_000
#: Bytes of an answer's spans at most: their attributes aren't cut, so a page ends early where they are large.
MOST_BYTES = 8_000_000
_FIRST_CHUNK, _MOST_CHUNK = 25, 200
_WHERE = re.compile(r"(?P<key>[^=!<>]+?)\s*(?:(?P<sign>!=|=|<|>)\s*(?P<value>.*))?", re.DOTALL)
_KINDS = {"UNSPECIFIED": "SPAN_KIND_UNSPECIFIED", **KINDS}
_MISSING = object()


@dataclass(frozen=True)
class Asked:
    """A condition on an attribute of the span or, where it has none by that name, of its resource."""

    key: str
    holds: Callable[[Any], bool]
    needed: bool
    """Whether a span without the attribute can't meet it."""

    @classmethod
    def of(cls, given: str) -> Asked:
        """``key=value``, ``key!=value``, ``key>number``, ``key<number``, or ``key`` for "is there"."""
        match = _WHERE.fullmatch(given.strip())
        if match is None:
            raise QueryError("where", "key=value, key!=value, key>number, key<number or key", given)
        key, sign, value = match["key"], match["sign"], match["value"]
        if sign is None:
            return cls(key, lambda _: True, needed=True)
        if sign == "=":
            return cls(key, lambda has: has is not _MISSING and written(has) == value, needed=True)
        if sign == "!=":
            return cls(key, lambda has: has is _MISSING or written(has) != value, needed=False)
        try:
            bound = float(value)
        except ValueError:
            raise QueryError("where", f"a number behind {sign}", given) from None
        return cls(
            key, (lambda has: _number(has) and has > bound) if sign == ">" else (lambda has: _number(has) and has < bound), True
        )

    def met_by(self, record: SpanRecord) -> bool:
        """Whether the span meets it."""
        has = attribute(record, self.key)
        return not self.needed if has is _MISSING else self.holds(has)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def written(value: Any) -> str:
    """A value as a person writes it: true and false, numbers as JSON has them."""
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, bool | int | float | list) else str(value)


def attribute(record: SpanRecord, key: str) -> Any:
    """An attribute of the span, else of its resource."""
    return record.attributes.get(key, record.resource.get(key, _MISSING))


@dataclass(frozen=True)
class Filters:
    """Which spans are meant."""

    range: TimeRange
    asked: tuple[Asked, ...]
    kind: str | None
    sql: str
    values: tuple[Any, ...]

    def met_by(self, record: SpanRecord) -> bool:
        """What SQLite didn't look at."""
        return (self.kind is None or record.kind == self.kind) and all(asked.met_by(record) for asked in self.asked)


def spans(
    connection: sqlite3.Connection,
    *,
    name: str | None = None,
    service: str | None = None,
    kind: str | None = None,
    where: Many = None,
    errors: Given = None,
    min_ms: Given = None,
    max_ms: Given = None,
    from_: Given = None,
    to: Given = None,
    by: Many = None,
    limit: Given = None,
    cursor: str | None = None,
    budget_seconds: float = 1.0,
) -> dict[str, Any]:
    """``GET spans``: of the newest trace first, and inside a trace the newest first. Stops after ``budget_seconds``."""
    filters = _filters(connection, name, service, kind, where, errors, min_ms, max_ms, parameters.time_range(from_, to, back="1h"))
    until = time.monotonic() + budget_seconds
    keys = parameters.many("by", by)
    if keys:
        return _grouped(connection, filters, keys, until)
    most, after, offset = parameters.rows(limit), *_cursor(cursor)
    found: list[dict[str, Any]] = []
    size, ended, used = _FIRST_CHUNK, False, 0
    while not ended:
        places = _traces(connection, filters.range, after, size, again=offset is not None)
        ended = len(places) < size
        for place in places:
            after, skip, offset = place, offset or 0, None
            for number, record in enumerate(_of_trace(connection, filters, place)):
                if number < skip:
                    continue
                if len(found) == most or used > MOST_BYTES:
                    return _page(found, f"{place}-{number}", complete=True)
                shown = span_json(record)
                used += len(str(shown))
                found.append(shown)
            if time.monotonic() > until:
                return _page(found, str(place), complete=False, searched_to=place.time_unix_nano)
        size = min(2 * size, _MOST_CHUNK)
    return _page(found, None, complete=True)


def _page(found: list[dict[str, Any]], following: str | None, *, complete: bool, searched_to: int | None = None) -> dict[str, Any]:
    return {"spans": found, "next": following, "complete": complete, "searched_to_unix_nano": searched_to}


def _cursor(given: str | None) -> tuple[Place | None, int | None]:
    """A trace, and how many of its spans were shown already; None: all that there are."""
    text, dash, number = str(given or "").partition("-")
    if dash and (not number.isascii() or not number.isdigit() or len(number) > 9):
        raise QueryError("cursor", "what an earlier answer gave as next", given)
    return parameters.cursor(text), int(number) if dash else None


def _filters(
    connection: sqlite3.Connection, name: str | None, service: str | None, kind: str | None, where: Many, errors: Given,
    min_ms: Given, max_ms: Given, within: TimeRange,
) -> Filters:  # fmt: skip
    parts, values = ["s.start_unix_nano BETWEEN ? AND ?"], [within.first, within.last]
    wanted_name = parameters.text_of("name", name)
    least, most = parameters.milliseconds("min_ms", min_ms), parameters.milliseconds("max_ms", max_ms)
    for condition, value in (
        ("s.name = ?", wanted_name),
        ("max(0, s.end_unix_nano - s.start_unix_nano) >= ?", least),
        ("max(0, s.end_unix_nano - s.start_unix_nano) <= ?", most),
    ):
        if value is not None:
            parts.append(condition)
            values.append(value)  # type: ignore[arg-type]
    if parameters.switch("errors", errors):
        parts.append("s.error")
    of = parameters.text_of("service", service)
    if of is not None:
        parts.append(resource_within(connection, "s.resource", of))
    asked = tuple(Asked.of(one) for one in parameters.many("where", where))
    for one in asked:
        if one.needed:  # the key stands in the text of the span or of its resource
            parts.append("(instr(s.body, ?) OR instr(r.attributes, ?))")
            values += [json.dumps(one.key)] * 2  # type: ignore[list-item]
    wanted_kind = None if kind in (None, "") else str(kind).upper().removeprefix("SPAN_KIND_")
    if wanted_kind is not None and wanted_kind not in _KINDS:
        raise QueryError("kind", f"one of {', '.join(name.lower() for name in _KINDS)}", kind)
    return Filters(within, asked, None if wanted_kind is None else _KINDS[wanted_kind], " AND ".join(parts), tuple(values))


def _traces(
    connection: sqlite3.Connection, within: TimeRange, after: Place | None, most: int, *, again: bool = False
) -> list[Place]:
    """The next traces that something of the range may be in, newest first; with ``again`` the one at ``after`` too."""
    where, values = "start_unix_nano <= ? AND end_unix_nano >= ?", [within.last, within.first]
    if after is not None:
        where += f" AND start_unix_nano <= ? AND (start_unix_nano < ? OR number {'<=' if again else '<'} ?)"
        values += [after.time_unix_nano, after.time_unix_nano, after.number]
    found = connection.execute(
        f"SELECT start_unix_nano, number FROM traces INDEXED BY traces_list WHERE {where} "  # noqa: S608  # nosec B608
        "ORDER BY start_unix_nano DESC, number DESC LIMIT ?",
        [*values, most],
    )
    return [Place(start, number) for start, number in found]


def _of_trace(connection: sqlite3.Connection, filters: Filters, place: Place) -> list[SpanRecord]:
    (trace_id,) = connection.execute("SELECT trace_id FROM traces WHERE number = ?", (place.number,)).fetchone()
    found = connection.execute(
        f"SELECT {rows.SPAN_COLUMNS} FROM spans s JOIN resources r ON r.id = s.resource WHERE s.trace = ? AND {filters.sql} "  # noqa: S608  # nosec B608
        "ORDER BY s.start_unix_nano DESC, s.span_id DESC",
        [place.number, *filters.values],
    )
    return [record for record in (rows.span_of(trace_id.hex(), row) for row in found) if filters.met_by(record)]


def _grouped(connection: sqlite3.Connection, filters: Filters, keys: Sequence[str], until: float) -> dict[str, Any]:
    """Counts and durations by the values of the keys."""
    plain = filters.kind is None and not filters.asked and set(keys) <= {"name", "service"}
    groups: dict[tuple[Any, ...], tuple[list[int], list[int]]] = {}
    after: Place | None = None
    size, ended, complete = _FIRST_CHUNK, False, True
    while not ended:
        places = _traces(connection, filters.range, after, size)
        ended = len(places) < size
        for group, duration, error in _looked_at(connection, filters, keys, places, plain=plain):
            into = groups.get(group)
            if into is None:
                if len(groups) == MOST_GROUPS:
                    complete = False
                    continue
                into = groups[group] = ([], [])
            into[0].append(duration)
            if error:
                into[1].append(1)
        after = places[-1] if places else after
        size = min(2 * size, _MOST_CHUNK)
        if not ended and time.monotonic() > until:
            break
    told = sorted(groups.items(), key=lambda item: (-len(item[1][0]), str(item[0])))
    return {
        "groups": [
            {
                "by": dict(zip(keys, group, strict=True)), "count": len(durations), "errors": len(errors),
                "duration": distribution(durations),
            }
            for group, (durations, errors) in told
        ],
        "complete": complete and ended,
        "searched_to_unix_nano": None if ended or after is None else after.time_unix_nano,
    }  # fmt: skip


def _looked_at(
    connection: sqlite3.Connection, filters: Filters, keys: Sequence[str], places: Sequence[Place], *, plain: bool
) -> list[tuple[tuple[Any, ...], int, bool]]:
    numbers = [place.number for place in places]
    where = f"s.trace IN ({marks(numbers)}) AND {filters.sql}"
    if plain:  # no span need be read whole
        services = {
            number: cut(str(json.loads(attributes).get("service.name", "")))
            for number, attributes in connection.execute("SELECT id, attributes FROM resources")
        } if "service" in keys else {}  # fmt: skip
        found = connection.execute(
            f"SELECT s.name, s.resource, max(0, s.end_unix_nano - s.start_unix_nano), s.error FROM spans s WHERE {where}",  # noqa: S608  # nosec B608
            [*numbers, *filters.values],
        )
        return [
            (tuple(cut(name) if key == "name" else services[resource] for key in keys), duration, bool(error))
            for name, resource, duration, error in found
        ]
    read = connection.execute(
        f"SELECT {rows.SPAN_COLUMNS} FROM spans s JOIN resources r ON r.id = s.resource WHERE {where}",  # noqa: S608  # nosec B608
        [*numbers, *filters.values],
    )
    records = (rows.span_of("", row) for row in read)
    return [
        (tuple(_group(record, key) for key in keys), record.duration_nano, record.failed)
        for record in records if filters.met_by(record)
    ]  # fmt: skip


def _group(record: SpanRecord, key: str) -> Any:
    if key == "name":
        return cut(record.name)
    value = attribute(record, "service.name" if key == "service" else key)
    if value is _MISSING:
        return None
    shown = cut_values(value)
    return shown if isinstance(shown, str | int | float | bool) else cut(written(shown))
