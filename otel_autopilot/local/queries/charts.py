"""The series of one metric over time, grouped, in even steps: what charts are drawn from."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from otel_autopilot.local.queries.increases import COUNT, DELTA, SUM, VALUE, Amount, Increase, Point, increases
from otel_autopilot.local.queries.parameters import TimeRange
from otel_autopilot.local.queries.quantiles import quantile
from otel_autopilot.local.values import decode

#: Series of one metric that are read at most, the newest of them: an hour of that many takes two seconds.
MOST_SERIES = 2_000
#: Points of one series in a step from which on only the last of each step is read, and those around resets.
_THIN_ABOVE = 4
#: Points around resets of one series that are read at most.
_MOST_AROUND_RESETS = 50_000
#: How much a cumulative point has counted: where that falls, counting began anew. Only one that doesn't say when it began is asked
#: for what its histogram holds, which takes ten times as long.
_COUNTED = (
    "coalesce(value, CASE WHEN start_unix_nano = 0 AND json_valid(distribution) THEN json_extract(distribution, '$.count') END)"
)
#: Where a series says something less often than once a step, what it said last holds for so many of its own intervals.
_HOLDS = 2.5

Labels = tuple[str | None, ...]


@dataclass(frozen=True)
class Steps:
    """Even steps over a range; they begin at multiples of their length, so that the same moment is in the same step next time."""

    first: int
    length: int
    count: int

    @classmethod
    def over(cls, within: TimeRange, most: int) -> Steps:
        """At most ``most`` whole steps and a part of one."""
        length = max(1, -(-within.length // most))
        first = within.first // length * length
        return cls(first, length, (within.last - first) // length + 1)

    @property
    def times(self) -> list[int]:
        """When each begins."""
        return [self.first + index * self.length for index in range(self.count)]

    @property
    def end(self) -> int:
        """When the last one ends."""
        return self.first + self.count * self.length

    def of(self, begin: int, end: int) -> range:
        """The steps that lie at least in part between two moments."""
        return range(max(0, (begin - self.first) // self.length), min(self.count, (end - 1 - self.first) // self.length + 1))

    def part(self, index: int, begin: int, end: int) -> int:
        """How much of a step lies between two moments."""
        start = self.first + index * self.length
        return max(0, min(end, start + self.length) - max(begin, start))


@dataclass(frozen=True)
class Series:
    """One series of a metric."""

    id: int
    type: str
    temporality: str
    monotonic: bool
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]

    @property
    def counts(self) -> bool:
        """Whether it counts what happens, so that a rate says something."""
        return self.type in ("histogram", "exponential_histogram", "summary") or (self.type == "sum" and self.monotonic)

    def label(self, key: str) -> str | None:
        """An attribute of the point or of its resource, as text."""
        value = self.attributes.get(key, self.resource.get(key))
        return None if value is None else value if isinstance(value, str) else json.dumps(value, default=str)


@dataclass
class Chart:
    """Some series of one metric as one line."""

    labels: Labels
    told: dict[int, Amount] = field(default_factory=dict)
    """By step: what was counted in it, or for the rest the sum of the values."""
    speaking: dict[int, int] = field(default_factory=dict)
    """By step: how many series say something about it."""
    quoted: dict[int, list[Point]] = field(default_factory=dict)
    """By step: the last point of each summary."""


@dataclass
class Charts:
    """The lines of a metric."""

    steps: Steps
    charts: dict[Labels, Chart]
    exemplars: list[tuple[Labels, dict[str, Any]]] = field(default_factory=list)
    unread: int = 0
    """How many series there were too many. A line that lacks one of them is known nowhere: a part would pass for the whole."""

    def rates(self, chart: Chart, key: str = VALUE) -> list[float | None]:
        """What was counted a second, over the whole of each step: times its length it is what was counted in it."""
        seconds = self.steps.length / 1e9
        return [
            finite(chart.told[index].get(key, 0.0) / seconds) if index in chart.told else None for index in range(self.steps.count)
        ]

    def sums(self, chart: Chart) -> list[float | None]:
        """The values of the series together."""
        return [finite(chart.told[index][VALUE]) if index in chart.told else None for index in range(self.steps.count)]

    def means(self, chart: Chart) -> list[float | None]:
        """The mean of the values: of what was recorded in a histogram, of the series of a gauge."""
        found: list[float | None] = []
        for index in range(self.steps.count):
            amount = chart.told.get(index, {})
            count = amount.get(COUNT, 0.0) if COUNT in amount else chart.speaking.get(index, 0)
            found.append(finite(amount.get(SUM, amount.get(VALUE, 0.0)) / count) if count > 0 else None)
        return found

    def quantiles(self, chart: Chart, share: float) -> list[float | None]:
        """A quantile of what was recorded in histograms."""
        return [
            finite(quantile({key: count for key, count in chart.told[index].items() if isinstance(key, tuple)}, share))
            if index in chart.told else None
            for index in range(self.steps.count)
        ]  # fmt: skip

    def quoted(self, chart: Chart, share: float) -> list[float | None]:
        """A quantile as a summary tells it; None where it tells another or several do: quantiles can't be added."""
        found: list[float | None] = []
        for index in range(self.steps.count):
            points = chart.quoted.get(index, ())
            told = (points[0].distribution or {}).get("quantiles") if len(points) == 1 else None
            pairs = (pair for pair in told if isinstance(pair, list) and len(pair) == 2) if isinstance(told, list) else ()
            values = [value for of, value in pairs if of == share and isinstance(value, int | float)]
            found.append(finite(float(values[0])) if values else None)
        return found


def finite(value: float | None) -> float | None:
    """The value, None where JSON has no number for it."""
    return value if value is not None and math.isfinite(value) else None


def series_named(connection: sqlite3.Connection, name: str) -> list[Series]:
    """The series of a metric, the newest first."""
    found = connection.execute(
        "SELECT s.id, s.type, s.temporality, s.monotonic, s.attributes, r.attributes FROM series s JOIN resources r ON r.id = s.resource "
        "WHERE s.name = ? ORDER BY s.id DESC",
        (name,),
    )
    return [
        Series(number, kind, temporality, bool(monotonic), decode(attributes), decode(resource))
        for number, kind, temporality, monotonic, attributes, resource in found
    ]


def charts(connection: sqlite3.Connection, series: Iterable[Series], by: Sequence[str], steps: Steps, within: TimeRange) -> Charts:
    """The series as lines, one for each set of values of the keys ``by``."""
    found = Charts(steps, {})
    partial: set[Labels] = set()
    for number, one in enumerate(series):
        labels = tuple(one.label(key) for key in by)
        if number >= MOST_SERIES:
            found.unread += 1
            partial.add(labels)
            continue
        points = _points(connection, one, steps, within)
        if not points:
            continue
        chart = found.charts.setdefault(labels, Chart(labels))
        if one.counts:
            for increase in increases(points, one.temporality, _counted_from(points, steps, within)):
                _spread(steps, chart, increase)
            if one.type == "summary":
                last = {(point.time - steps.first) // steps.length: point for point in points if point.time >= within.first}
                for index, point in last.items():
                    chart.quoted.setdefault(index, []).append(point)
        elif one.temporality == DELTA:
            for point in points:
                for index in steps.of(point.time, point.time + 1):
                    _add(chart, index, {VALUE: float(point.value or 0)}, 1.0)
        else:
            _hold(chart, points, steps)
        for point in points:
            if point.exemplars:
                found.exemplars += [(labels, exemplar) for exemplar in decode(point.exemplars) if isinstance(exemplar, dict)]
    found.charts |= {labels: Chart(labels) for labels in partial & found.charts.keys()}
    return found


def speaking_within(connection: sqlite3.Connection, series: Iterable[Series], within: TimeRange) -> Iterator[Series]:
    """Those of the series that have a point in the range."""
    for one in series:
        has = "SELECT 1 FROM points WHERE series = ? AND time_unix_nano BETWEEN ? AND ? LIMIT 1"
        if connection.execute(has, (one.id, within.first, within.last)).fetchone():
            yield one


def _points(connection: sqlite3.Connection, series: Series, steps: Steps, within: TimeRange) -> list[Point]:
    columns = "time_unix_nano, start_unix_nano, value, distribution, exemplars"
    where, values = "series = ? AND time_unix_nano BETWEEN ? AND ?", [series.id, within.first, within.last]
    (count,) = connection.execute(f"SELECT count(*) FROM points WHERE {where}", values).fetchone()  # noqa: S608  # nosec B608
    if not count:
        return []
    thinned = where
    if count > _THIN_ABOVE * steps.count and series.temporality != DELTA:
        last = f"SELECT max(time_unix_nano) FROM points WHERE {where} GROUP BY time_unix_nano / ?, start_unix_nano"  # noqa: S608  # nosec B608
        thinned, values = f"series = ? AND time_unix_nano IN ({last})", [series.id, *values, steps.length]
        if series.counts:
            thinned = f"series = ? AND time_unix_nano IN ({last} UNION ALL {_around_resets(where)})"
            values += [*values[1:4], _MOST_AROUND_RESETS]
    found = connection.execute(f"SELECT {columns} FROM points WHERE {thinned} ORDER BY time_unix_nano", values).fetchall()  # noqa: S608  # nosec B608
    if series.counts:  # what was counted in the first and the last step is known by the points around them
        beside = f"SELECT {columns} FROM points WHERE series = ? AND time_unix_nano"  # noqa: S608  # nosec B608
        before = connection.execute(f"{beside} < ? ORDER BY time_unix_nano DESC LIMIT 1", (series.id, within.first)).fetchall()
        after = connection.execute(f"{beside} > ? ORDER BY time_unix_nano LIMIT 1", (series.id, within.last)).fetchall()
        found = before + found + after
    return [Point(time, start, value, decode(distribution), exemplars) for time, start, value, distribution, exemplars in found]


def _around_resets(where: str) -> str:
    """The times of the points before and after each fall of what a series counted, and of the first: up to as many as are asked for."""
    return (
        f"SELECT at FROM (SELECT at FROM (SELECT time_unix_nano AS at, {_COUNTED} AS counted, lag({_COUNTED}) OVER times AS before, "  # noqa: S608
        f"lead({_COUNTED}) OVER times AS after FROM points WHERE {where} WINDOW times AS (ORDER BY time_unix_nano)) "  # nosec B608
        "WHERE before IS NULL OR counted < before OR after < counted LIMIT ?)"
    )


def _counted_from(points: Sequence[Point], steps: Steps, within: TimeRange) -> int:
    """From when on a series may have begun so that its first point tells what was counted in the range.

    What was counted over a long time before nobody listened is no history of that time. The point before the range is only what
    the next is compared with.
    """
    first = points[0].time
    if first < within.first:
        return first
    gaps = sorted(later.time - earlier.time for earlier, later in pairwise(points))
    return min(within.first, first - 2 * max(steps.length, gaps[len(gaps) // 2] if gaps else 0))


def _spread(steps: Steps, chart: Chart, increase: Increase) -> None:
    """What was counted between two points, evenly over the steps between them."""
    begin, end = increase.begin, increase.end
    amount = increase.bounded()
    for index in steps.of(begin, end):
        _add(chart, index, amount, steps.part(index, begin, end) / (end - begin))


def _add(chart: Chart, index: int, amount: Amount, share: float) -> None:
    into = chart.told.setdefault(index, {})
    for key, value in amount.items():
        if value or key in (VALUE, COUNT, SUM):
            into[key] = into.get(key, 0.0) + value * share


def _hold(chart: Chart, points: Sequence[Point], steps: Steps) -> None:
    """The last value of each step; between points that come less often than steps the one before holds on for a while."""
    said = [point for point in points if point.value is not None]
    gaps = sorted(later.time - earlier.time for earlier, later in pairwise(said))
    holds = int(_HOLDS * gaps[len(gaps) // 2]) if gaps else 0
    last: dict[int, float] = {}
    for index, point in enumerate(said):
        until = point.time + 1
        if index + 1 < len(said):
            until = max(until, min(said[index + 1].time, point.time + holds))
        for step in steps.of(point.time, until):
            last[step] = float(point.value or 0)
    for step, value in last.items():
        _add(chart, step, {VALUE: value}, 1.0)
        chart.speaking[step] = chart.speaking.get(step, 0) + 1
