"""Two traces side by side, and two ranges of emails: what changed, and whether it is more than chance."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from otel_autopilot.local.queries import trace_rows
from otel_autopilot.local.queries.breakdown import emails_of, filters_of
from otel_autopilot.local.queries.distributions import PERCENTILES, nearest_rank
from otel_autopilot.local.queries.parameters import Given
from otel_autopilot.local.queries.shown import cut
from otel_autopilot.local.queries.span_tree import Placed, placed
from otel_autopilot.local.queries.trace_view import MOST_SPANS, number_of, spans_of
from otel_autopilot.local.rows import wait_nano

#: Levels and rows of a comparison of traces at most: a row holds its whole path.
MOST_LEVELS, MOST_COMPARED = 60, 5_000
#: Draws of the bootstrap.
DRAWS = 1_000
#: Values that a side needs for it: in all, and on either side of the percentile. With fewer beyond it the interval ends at the
#: largest value, and is too narrow: with 20 values against 2,000 the p99 of one and the same distribution "moved" in 75 % of trials.
FEWEST, FEWEST_BEYOND = 20, 10


@dataclass
class _Row:
    path: tuple[str, ...]
    stage: str
    sides: list[dict[str, int] | None] = field(default_factory=lambda: [None, None])
    below: dict[str, _Row] = field(default_factory=dict)


def compare_traces(connection: sqlite3.Connection, a: str, b: str) -> dict[str, Any]:
    """``GET compare/traces``. Raises NotStored."""
    top = _Row((), "")
    shown = []
    for side, (name, given) in enumerate((("a", a), ("b", b))):
        number, trace_id = number_of(connection, given, name)
        shown += trace_rows.shown(connection, [number])
        _add(top, placed(spans_of(connection, number, trace_id, MOST_SPANS)), side)
    rows: list[dict[str, Any]] = []
    left_out, stack = 0, list(reversed(top.below.values()))
    while stack:
        row = stack.pop()
        if len(rows) < MOST_COMPARED:
            rows.append(_row(row))
        else:
            left_out += 1
        stack.extend(reversed(row.below.values()))
    return {"a": shown[0], "b": shown[1], "rows": rows, "rows_left_out": left_out}


def _add(top: _Row, roots: Sequence[Placed], side: int) -> None:
    stack = [(top, node) for node in reversed(roots)]
    while stack:
        above, node = stack.pop()
        name = cut(node.span.name)
        row = above.below.get(name)
        if row is None:
            row = above.below[name] = _Row((*above.path, name), node.stage)
        into = row.sides[side]
        if into is None:
            into = row.sides[side] = dict.fromkeys(("count", "duration_ns", "self_ns", "wait_ns", "errors"), 0)
        into["count"] += 1
        into["duration_ns"] += node.end - node.start
        into["self_ns"] += node.self_nano
        into["wait_ns"] += wait_nano(node.span.attributes) or 0
        into["errors"] += node.span.failed
        if len(row.path) < MOST_LEVELS:
            stack.extend((row, child) for child in reversed(node.children))


def _row(row: _Row) -> dict[str, Any]:
    a, b = row.sides
    return {
        "path": list(row.path), "name": row.path[-1], "depth": len(row.path) - 1, "stage": row.stage, "a": a, "b": b,
        "delta_ns": None if a is None or b is None else b["duration_ns"] - a["duration_ns"],
    }  # fmt: skip


def compare_ranges(
    connection: sqlite3.Connection,
    *,
    a_from: Given = None,
    a_to: Given = None,
    a_version: str | None = None,
    a_service: str | None = None,
    a_workflow: str | None = None,
    b_from: Given = None,
    b_to: Given = None,
    b_version: str | None = None,
    b_service: str | None = None,
    b_workflow: str | None = None,
) -> dict[str, Any]:
    """``GET compare/ranges``."""
    now = time.time_ns()
    a = emails_of(connection, filters_of(a_workflow, a_service, a_version, a_from, a_to, "a_", now))
    b = emails_of(connection, filters_of(b_workflow, b_service, b_version, b_from, b_to, "b_", now))
    return {
        "a": a.to_json(),
        "b": b.to_json(),
        "stages": [
            {"stage": before.stage, "work": changes(before.work, after.work), "wait": changes(before.wait, after.wait)}
            for before, after in zip(a.stages, b.stages, strict=True) if before.count or after.count
        ],
        "emails": changes(a.durations, b.durations),
    }  # fmt: skip


def changes(a: Sequence[int], b: Sequence[int]) -> dict[str, Any]:
    """What became of each percentile: CHANGE of the contract. Both are in order."""
    return {f"p{percent}": _change(a, b, percent) for percent in PERCENTILES}


def _change(a: Sequence[int], b: Sequence[int], percent: int) -> dict[str, Any]:
    if not a or not b:
        one, other = (nearest_rank(side, percent) if side else None for side in (a, b))
        return {"a_ns": one, "b_ns": other, "delta_ns": None, "ratio": None, "certain": None}
    before, after = nearest_rank(a, percent), nearest_rank(b, percent)
    certain = None
    if min(len(a), len(b)) >= fewest(percent):
        low, high = interval(a, b, percent)
        certain = low > 0 or high < 0
    return {
        "a_ns": before,
        "b_ns": after,
        "delta_ns": after - before,
        "ratio": after / before if before else None,
        "certain": certain,
    }


def fewest(percent: int) -> int:
    """How many values each side needs for a word on whether the percentile moved."""
    return max(FEWEST, -(-100 * FEWEST_BEYOND // min(percent, 100 - percent)))


def interval(a: Sequence[int], b: Sequence[int], percent: int) -> tuple[int, int]:
    """The 95 % bootstrap interval of how much larger the percentile of ``b`` is than that of ``a``; both are in order.

    The percentile of a sample drawn with replacement is the value at the place of an order statistic of as many uniform numbers,
    and that has a beta distribution: so a draw costs the same for 100,000 values as for 20.
    """
    drawn = zip(_places(len(a), percent, 1), _places(len(b), percent, 2), strict=True)
    differences = sorted(b[in_b] - a[in_a] for in_a, in_b in drawn)
    return differences[int(DRAWS * 0.025)], differences[int(DRAWS * 0.975) - 1]


@lru_cache(maxsize=64)
def _places(count: int, percent: int, seed: int) -> tuple[int, ...]:
    """Where in the order the percentile of each draw of ``count`` values lies."""
    chance = random.Random(seed)  # noqa: S311  # nosec B311  # a simulation
    rank = max(1, -(-count * percent // 100))
    return tuple(min(count - 1, int(count * chance.betavariate(rank, count - rank + 1))) for _ in range(DRAWS))
