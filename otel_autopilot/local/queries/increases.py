"""What was counted between the points of a series, whatever their temporality and however often its process began anew.

An amount is a dictionary: `VALUE` of a sum; `COUNT`, `SUM` and each bucket, by its bounds, of a histogram (a summary is one without buckets). The `SUM` of one that
tells none is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

#: Keys of an amount beside the bounds of buckets.
VALUE, COUNT, SUM = "value", "count", "sum"
Bounds = tuple[float, float]
Amount = dict[Any, float]

DELTA = "AGGREGATION_TEMPORALITY_DELTA"
#: Scales and places of exponential buckets that a double can tell apart; what is beyond is taken for garbage.
_MOST_SCALE, _MOST_PLACE, _MOST_BUCKETS = 20, 1 << 31, 100_000


@dataclass(frozen=True)
class Point:
    """One point as it is stored."""

    time: int
    start: int
    value: float | None
    distribution: dict[str, Any] | None
    exemplars: str | None = None


@dataclass(frozen=True)
class Increase:
    """What was counted from ``begin`` to ``end``, in nanoseconds since 1970; ``begin`` is before ``end``."""

    begin: int
    end: int
    amount: Amount
    least: float = -math.inf
    most: float = math.inf
    """Between these lies all that was recorded."""

    def bounded(self) -> Amount:
        """The amount with no bucket wider than what was recorded."""
        if self.least == -math.inf and self.most == math.inf:
            return self.amount
        bounded: Amount = {}
        for key, count in self.amount.items():
            bucket = key
            if isinstance(key, tuple):
                low, high = max(key[0], self.least), min(key[1], self.most)
                bucket = (low, high) if low <= high else key
            bounded[bucket] = bounded.get(bucket, 0.0) + count
        return bounded


def increases(points: Sequence[Point], temporality: str, counted_from: int = 0) -> Iterator[Increase]:
    """The increases of a monotonic sum, histogram or summary whose points are in order of time.

    Cumulative: a later start, or less than before, means that counting began anew, and all that the point says is new. The first
    point counts from its start; one that doesn't say when that was, or was counting before ``counted_from``, is only what the next
    is compared with. Delta: a point counts from its start, or from the point before.
    """
    before: Point | None = None
    for point in points:
        if point.value is None and point.distribution is None:
            continue
        if temporality == DELTA:
            begin = point.start or (before.time if before else 0)
            yield _between(begin, point.time, _amount(point), point)
        elif before is None:
            if 0 < point.start < point.time and point.start >= counted_from:
                yield _between(point.start, point.time, _amount(point), point)
        else:
            amount, last = _comparable(point, before)
            anew = point.start > before.start > 0 or any(amount.get(key, 0.0) < had for key, had in last.items() if key != SUM)
            if anew:
                yield _between(max(before.time, point.start), point.time, amount, point)
            else:
                since = {key: has - last.get(key, 0.0) for key, has in amount.items()}
                yield _between(before.time, point.time, since, point)
        before = point


def _between(begin: int, end: int, amount: Amount, point: Point) -> Increase:
    told = point.distribution or {}
    least, most = _finite_or(told.get("min"), -math.inf), _finite_or(told.get("max"), math.inf)
    return Increase(begin if 0 < begin < end else end - 1, end, amount, least, most)


def _comparable(point: Point, before: Point) -> tuple[Amount, Amount]:
    """The amounts of two points, exponential buckets at the coarser scale of the two."""
    scales = [_scale(one.distribution) for one in (point, before)]
    coarser = min((scale for scale in scales if scale is not None), default=None)
    return _amount(point, coarser), _amount(before, coarser)


def _amount(point: Point, scale: int | None = None) -> Amount:
    told = point.distribution
    if told is None:
        return {VALUE: float(point.value or 0)}
    amount: Amount = {COUNT: number(told.get("count")), SUM: _finite_or(told.get("sum"), math.nan)}
    own = _scale(told)
    if own is not None:
        _add_exponential(amount, told, own, own if scale is None else min(own, scale))
        return amount
    bounds = [number(bound) for bound in _list(told.get("bounds"))]
    edges = [-math.inf, *bounds, math.inf]
    for index, count in enumerate(_list(told.get("bucket_counts"))[: len(edges) - 1]):
        bucket = (edges[index], edges[index + 1])
        amount[bucket] = amount.get(bucket, 0.0) + number(count)
    return amount


def _scale(told: dict[str, Any] | None) -> int | None:
    scale = None if told is None else told.get("scale")
    return scale if type(scale) is int and abs(scale) <= _MOST_SCALE else None


def _add_exponential(amount: Amount, told: dict[str, Any], own: int, scale: int) -> None:
    zero = number(told.get("zero_count"))
    if zero:
        amount[0.0, 0.0] = zero
    for side, sign in (("positive", 1), ("negative", -1)):
        buckets = told.get(side)
        if not isinstance(buckets, dict):
            continue
        offset = buckets.get("offset") or 0
        if type(offset) is not int or abs(offset) > _MOST_PLACE:
            continue
        for index, count in enumerate(_list(buckets.get("bucket_counts"))[:_MOST_BUCKETS]):
            if not count:
                continue
            place = (offset + index) >> (own - scale)
            low, high = _edge(place, scale), _edge(place + 1, scale)
            bucket = (low, high) if sign > 0 else (-high, -low)
            amount[bucket] = amount.get(bucket, 0.0) + number(count)


def _edge(place: int, scale: int) -> float:
    """``2 ** (2 ** -scale * place)``."""
    power = math.ldexp(place, -scale)
    return math.inf if power > 1023 else 0.0 if power < -1074 else 2.0**power


def number(value: Any) -> float:
    """The value as a finite number, 0 where it is none."""
    return _finite_or(value, 0.0)


def _finite_or(value: Any, otherwise: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return otherwise
    try:
        found = float(value)
    except OverflowError:
        return otherwise
    return found if math.isfinite(found) else otherwise


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
