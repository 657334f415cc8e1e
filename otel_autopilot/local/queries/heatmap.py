"""How lengths are spread over time: counts by the time at which emails began and by a logarithmic scale of lengths."""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_right
from collections import Counter
from functools import partial
from typing import Any

from otel_autopilot.local.queries import parameters
from otel_autopilot.local.queries.breakdown import filters_of
from otel_autopilot.local.queries.parameters import Given
from otel_autopilot.local.queries.trace_rows import stage_of
from otel_autopilot.telemetry.names import EMAIL_PIPELINE, STAGES

#: Lower bounds of all rows in nanoseconds: one row below a microsecond, then one to a factor of √2, up to 292 years.
BOUNDS: tuple[int, ...] = (0, *(round(1_000 * 2 ** (power / 2)) for power in range(107)))


def heatmap(
    connection: sqlite3.Connection,
    *,
    stage: str | None = None,
    measure: str | None = None,
    columns: Given = None,
    workflow: str | None = None,
    service: str | None = None,
    version: str | None = None,
    from_: Given = None,
    to: Given = None,
) -> dict[str, Any]:
    """``GET heatmap``. Rows that nothing lies in are left out below the first and above the last that something lies in."""
    filters = filters_of(workflow, service, version, from_, to)
    of = stage_of(parameters.one_of("stage", stage, (*STAGES, EMAIL_PIPELINE.name)))
    wait = parameters.one_of("measure", measure, ("work", "wait"), "work") == "wait"
    count = parameters.whole("columns", columns, usual=60, least=10, most=200)
    step = -(-filters.range.length // count)
    where, values = filters.condition()
    if of is None:
        source, length, failed = "traces INDEXED BY traces_list", "end_unix_nano - start_unix_nano", "outcome IS 'failed'"
        where += " AND rooted >= email" if not wait else " AND 0"  # an email as a whole waits for nothing
    else:
        source = "traces INDEXED BY traces_list CROSS JOIN attempts ON trace = number"
        length, failed = ("wait_nano" if wait else "duration_nano"), "error"
        where += f" AND stage = {STAGES.index(of)} AND {length} IS NOT NULL"
    # Whole columns come as one text each, which is read much faster than rows: twice the column's number, and one for a failure.
    columns_of = f"(start_unix_nano - ?) / ? * 2 + CASE WHEN {failed} THEN 1 ELSE 0 END"
    places, lengths = (
        json.loads(column)
        for column in connection.execute(
            f"SELECT json_group_array({columns_of}), json_group_array({length}) FROM {source} WHERE {where}",  # noqa: S608  # nosec B608
            [filters.range.first, step, *values],
        ).fetchone()
    )
    cells = Counter(zip(places, map(partial(bisect_right, BOUNDS), lengths), strict=True))
    rows = [row for _, row in cells]
    lowest, highest = min(rows, default=1), max(rows, default=0)
    counts = [[0] * (highest - lowest + 1) for _ in range(count)]
    failures = [[0] * (highest - lowest + 1) for _ in range(count)]
    for (place, row), number in cells.items():
        counts[place // 2][row - lowest] += number
        failures[place // 2][row - lowest] += number * (place % 2)
    return {
        "from_unix_nano": filters.range.first, "to_unix_nano": filters.range.to, "step_ns": step,
        "bounds_ns": list(BOUNDS[lowest - 1 : highest]), "counts": counts, "errors": failures,
    }  # fmt: skip
