"""Traces as rows of a list: what they are filtered by, and what a list says of each."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from otel_autopilot.local.naming import Condition
from otel_autopilot.local.queries.parameters import Place, TimeRange
from otel_autopilot.local.values import text
from otel_autopilot.telemetry.names import EMAIL_PIPELINE, STAGES

T = TypeVar("T")

#: An email whose root span is still to come, as a filter by outcome has it.
UNDER_WAY = "under_way"


@dataclass(frozen=True)
class Filters:
    """Which traces are meant. With ``stage``, outcome, errors and length are about its attempts; ``measure`` says which length."""

    range: TimeRange
    emails: bool = True
    stage: str | None = None
    outcome: str | None = None
    service: str | None = None
    workflow: str | None = None
    version: str | None = None
    least_nano: int | None = None
    most_nano: int | None = None
    errors: bool = False
    measure: str = "work"

    def condition(self) -> tuple[str, list[Any]]:
        """What ``traces_list`` answers alone, but for a stage."""
        asked = _Conditions()
        asked.add("start_unix_nano BETWEEN ? AND ?", self.range.first, self.range.last)
        if self.emails:
            asked.add("email")
        for column, value in (("service", self.service), ("workflow", self.workflow), ("version", self.version)):
            if value is not None:
                asked.add(f"{column} = ?", value)
        if self.outcome == UNDER_WAY:
            asked.add("rooted < email")
        if self.stage is None:
            self._lengths(asked, "end_unix_nano - start_unix_nano")
            if self.errors:
                asked.add("errors > 0")
            if self.outcome not in (None, UNDER_WAY):
                asked.add("outcome = ?", self.outcome)
            return asked.text(), asked.values
        of = _Conditions()
        of.add("a.trace = traces.number AND a.stage = ?", STAGES.index(self.stage))
        self._lengths(of, "a.duration_nano" if self.measure == "work" else "a.wait_nano")
        if self.errors:
            of.add("a.error")
        if self.outcome not in (None, UNDER_WAY):
            of.add("a.outcome = ?", self.outcome)
        asked.add(f"EXISTS (SELECT 1 FROM attempts a WHERE {of.text()})", *of.values)  # noqa: S608  # nosec B608  # columns by name
        return asked.text(), asked.values

    def _lengths(self, conditions: _Conditions, expression: str) -> None:
        if self.least_nano is not None:
            conditions.add(f"{expression} >= ?", self.least_nano)
        if self.most_nano is not None:
            conditions.add(f"{expression} <= ?", self.most_nano)


@dataclass
class _Conditions:
    parts: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, part: str, *values: Any) -> None:
        self.parts.append(part)
        self.values += values

    def text(self) -> str:
        return " AND ".join(self.parts)


def stage_of(given: str | None) -> str | None:
    """The stage, None for the whole email."""
    return None if given in (None, "", EMAIL_PIPELINE.name) else given


def picked(
    connection: sqlite3.Connection,
    filters: Filters,
    after: Place | None,
    most: int,
    named: Condition | None = None,
) -> list[Place]:
    """Up to ``most`` traces that the filters let through, newest first, behind ``after``; ``named`` is what they go by as well."""
    where, values = filters.condition()
    if after is not None:
        where += " AND start_unix_nano <= ? AND (start_unix_nano < ? OR number < ?)"
        values += [after.time_unix_nano, after.time_unix_nano, after.number]
    source = "traces INDEXED BY traces_list"
    if named is not None:
        source, where, values = f"traces INDEXED BY {named.index}", f"{named.where} AND {where}", [*named.values, *values]
    found = connection.execute(
        f"SELECT start_unix_nano, number FROM {source} WHERE {where} ORDER BY start_unix_nano DESC, number DESC LIMIT ?",  # noqa: S608  # nosec B608  # columns by name
        [*values, most],
    )
    return [Place(start, number) for start, number in found]


_ROW = (
    "SELECT number, lower(hex(trace_id)), name, service, version, start_unix_nano, end_unix_nano, spans, errors, run_id, workflow, "
    "outcome, email, rooted FROM traces WHERE "
)
_STAGES_OF = (
    "SELECT trace, stage, total(CASE WHEN lost THEN 0 ELSE duration_nano END), total(wait_nano), count(*), sum(error), sum(lost) "
    "FROM attempts WHERE trace IN ({marks}) GROUP BY trace, stage ORDER BY stage"
)


def shown(connection: sqlite3.Connection, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """What a list says of these traces, in this order."""
    by_number = {
        row[0]: row for chunk in chunks(numbers) for row in connection.execute(_ROW + f"number IN ({marks(chunk)})", chunk)
    }
    return _told(connection, [by_number[number] for number in numbers if number in by_number])


def shown_by_id(connection: sqlite3.Connection, trace_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The same by trace id; those that aren't stored are left out."""
    ids = [bytes.fromhex(trace_id) for trace_id in dict.fromkeys(trace_ids) if trace_id]
    rows = [row for chunk in chunks(ids) for row in connection.execute(_ROW + f"trace_id IN ({marks(chunk)})", chunk)]
    return {row["trace_id"]: row for row in _told(connection, rows)}


def _told(connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    stages: defaultdict[int, dict[str, dict[str, int]]] = defaultdict(dict)
    for chunk in chunks([row[0] for row in rows]):
        for trace, stage, work, wait, attempts, errors, lost in connection.execute(_STAGES_OF.format(marks=marks(chunk)), chunk):
            stages[trace][STAGES[stage]] = {
                "work_ns": int(work), "wait_ns": int(wait), "attempts": attempts, "errors": errors, "lost": lost,
            }  # fmt: skip
    return [
        {
            "trace_id": trace_id, "name": EMAIL_PIPELINE.name if rooted < email else text(name), "service": service, "version": version, "start_unix_nano": start,
            "duration_ns": max(0, end - start), "spans": spans, "errors": errors, "run_id": run_id, "workflow": workflow,
            "outcome": outcome, "under_way": rooted < email, "stages": stages[number],
        }
        for number, trace_id, name, service, version, start, end, spans, errors, run_id, workflow, outcome, email, rooted in rows
    ]  # fmt: skip


def marks(values: Sequence[object]) -> str:
    """As many question marks."""
    return ",".join("?" * len(values))


def chunks(values: Sequence[T]) -> Iterable[Sequence[T]]:
    """The values in pieces that one statement takes."""
    return (values[start : start + 500] for start in range(0, len(values), 500))
