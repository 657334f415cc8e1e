"""Rates that respect restarts, quantiles of every kind of histogram, groups, exemplars; processes beside emails."""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from otel_autopilot.local.model import MetricPoint
from otel_autopilot.local.queries.charts import MOST_SERIES, Steps
from otel_autopilot.local.queries.increases import COUNT, DELTA, SUM, VALUE, Point, increases
from otel_autopilot.local.queries.parameters import TimeRange
from otel_autopilot.local.queries.quantiles import quantile
from tests.unit.query_cases import BEGAN, RANGE, SECOND, attempt, span, stored, strict_json

CUMULATIVE = "AGGREGATION_TEMPORALITY_CUMULATIVE"
MINUTE = 60 * SECOND


def counter(value: float, at: int, start: int = 0, name: str = "c", **more: Any) -> MetricPoint:
    more.setdefault("attributes", {})
    more.setdefault("resource", {"service.name": "s", "service.instance.id": "one"})
    return MetricPoint(
        name, "sum", BEGAN + at * SECOND, BEGAN + start * SECOND, "1", "", more.pop("temporality", CUMULATIVE), True, value, **more
    )


def histogram(counts: list[int], at: int, total: float = 0.0, start: int = 0, **more: Any) -> MetricPoint:
    told = {
        "count": sum(counts),
        "sum": total,
        "min": None,
        "max": None,
        "bounds": more.pop("bounds", [1.0, 2.0, 4.0]),
        "bucket_counts": counts,
    }
    return MetricPoint(
        "h", "histogram", BEGAN + at * SECOND, BEGAN + start * SECOND, "s", "how long", more.pop("temporality", CUMULATIVE),
        distribution=told, resource={"service.name": "s"}, **more,
    )  # fmt: skip


@given(st.lists(st.lists(st.integers(0, 20), min_size=1, max_size=6), min_size=1, max_size=4), st.booleans())
def test_whatever_was_counted_is_found_once_however_often_counting_began_anew(lives: list[list[int]], starts_told: bool) -> None:
    assume(starts_told or all(life[0] > 0 for life in lives))
    points, now, truth = [], 1_000, 0
    for life in lives:
        start, total = now, 0
        for counted in life:
            now += 10
            total += counted
            points.append(Point(now, start if starts_told else 0, float(total), None))
        truth += total
        now += 5
    found = list(increases(points, CUMULATIVE))
    if starts_told:
        assert sum(increase.amount[VALUE] for increase in found) == truth
    else:  # what the first point says may have been counted at any time, and a restart shows only where the value falls
        expected, before = 0.0, points[0].value or 0.0
        for point in points[1:]:
            value = point.value or 0.0
            expected, before = expected + (value - before if value >= before else value), value
        assert sum(increase.amount[VALUE] for increase in found) == expected
    assert all(increase.begin < increase.end for increase in found)
    assert all(one.end <= other.begin for one, other in pairwise(found))


@given(st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=4), min_size=1, max_size=6))
def test_delta_and_cumulative_histograms_say_the_same(recorded: list[list[int]]) -> None:
    def told(counts: list[int]) -> dict[str, Any]:
        return {"count": sum(counts), "sum": float(sum(counts)), "bounds": [1, 2, 4], "bucket_counts": counts}

    delta = [Point(20 + 10 * number, 10 + 10 * number, None, told(counts)) for number, counts in enumerate(recorded)]
    sums = [[sum(column) for column in zip(*recorded[: number + 1], strict=True)] for number in range(len(recorded))]
    cumulative = [Point(20 + 10 * number, 10, None, told(counts)) for number, counts in enumerate(sums)]
    assert list(increases(delta, DELTA)) == list(increases(cumulative, CUMULATIVE))


def test_exponential_histograms_whose_scale_changed_are_compared_at_the_coarser_one() -> None:
    def told(scale: int, offset: int, counts: list[int], zero: int = 0) -> dict[str, Any]:
        return {
            "count": sum(counts) + zero, "sum": 0.0, "scale": scale, "zero_count": zero,
            "positive": {"offset": offset, "bucket_counts": counts}, "negative": {"offset": 0, "bucket_counts": []},
        }  # fmt: skip

    points = [Point(10, 5, None, told(1, 0, [1, 1, 1, 1])), Point(20, 5, None, told(0, 0, [2, 3, 4], zero=1))]
    first, second = increases(points, CUMULATIVE)
    assert first.amount[1.0, 2**0.5] == 1
    assert second.amount == {COUNT: 6, SUM: 0, (0.0, 0.0): 1, (1.0, 2.0): 0, (2.0, 4.0): 1, (4.0, 8.0): 4}


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=80), st.floats(0, 1))
def test_a_quantile_lies_in_the_bucket_in_which_the_nearest_value_is(values: list[float], share: float) -> None:
    bounds = [0.1, 1.0, 5.0, 20.0, 100.0]
    edges = [-math.inf, *bounds, math.inf]
    buckets = {(low, high): float(sum(low < value <= high for value in values)) for low, high in pairwise(edges)}
    found = quantile(buckets, share)
    nearest = sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
    low, high = next((max(0.0, low), high) for low, high in buckets if low < nearest <= high)
    assert found is not None
    assert low - 1e-9 <= found <= high + 1e-9


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ({}, 0.5, None),
        ({(0.0, 1.0): 0.0}, 0.5, None),
        ({(0.0, 10.0): 4.0}, 0.5, 5.0),
        ({(0.0, 1.0): 1.0, (1.0, 2.0): 1.0}, 0.75, 1.5),
        ({(-math.inf, 2.0): 1.0}, 0.5, 1.0),
        ({(-math.inf, -2.0): 1.0}, 0.5, -2.0),
        ({(4.0, math.inf): 3.0}, 0.99, 4.0),
        ({(-math.inf, math.inf): 3.0}, 0.5, 0.0),
        ({(0.0, 0.0): 9.0, (1.0, 2.0): 1.0}, 0.5, 0.0),
        ({(0.0, 4.0): 1.0, (2.0, 4.0): 1.0}, 1.0, 4.0),
    ],
)
def test_a_quantile_of(buckets: Any, share: float, expected: float | None) -> None:
    assert quantile(buckets, share) == expected


@given(st.integers(0, 10**12), st.integers(1, 10**12), st.integers(2, 200))
def test_steps_cover_the_range_and_stay_where_they_are(first: int, length: int, most: int) -> None:
    within = TimeRange(first, first + length - 1)
    steps = Steps.over(within, most)
    assert steps.first <= within.first
    assert steps.end > within.last
    assert steps.count <= most + 1
    assert all(moment % steps.length == 0 for moment in steps.times)
    assert sum(steps.part(index, within.first, within.to) for index in range(steps.count)) == length


def test_a_counter_is_shown_as_its_rate_through_a_restart(tmp_path: Path) -> None:
    points = [counter(60 * minute, 60 * minute) for minute in range(11)]
    points += [counter(120 * minute, 660 + 60 * minute, start=600) for minute in range(1, 6)]
    queries = stored(tmp_path / "telemetry.db", points=points)
    told = queries.metric_series("c", from_="2026-11-21T10:00:00Z", to="2026-11-21T10:16:00Z", steps=16)
    assert told["step_ns"] == MINUTE
    (line,) = told["series"]
    assert line["labels"] == {}
    assert line["values"][:10] == [1.0] * 10
    assert line["values"][12:] == [2.0] * 4
    assert sum(value * 60 for value in line["values"]) == pytest.approx(600 + 600)


def test_what_was_counted_before_the_range_is_not_counted_in_it(tmp_path: Path) -> None:
    queries = stored(tmp_path / "telemetry.db", points=[counter(1_000, 0, start=-5_000), counter(1_060, 60, start=-5_000)])
    told = queries.metric_series("c", from_=(BEGAN + 30 * SECOND) / SECOND, to=(BEGAN + 60 * SECOND) / SECOND + 1, steps=2)
    rates = [value for value in told["series"][0]["values"] if value is not None]
    assert rates == [pytest.approx(1.0)] * len(rates)
    assert len(rates) >= 2


def test_a_counter_that_does_not_move_shows_no_rate_whatever_it_counted_before_the_range(tmp_path: Path) -> None:
    days_ago = -2 * 86_400
    points = [counter(1_000_000, at, start=days_ago) for at in range(-5, 3_600, 60)]
    queries = stored(tmp_path / "telemetry.db", points=points)
    (line,) = queries.metric_series("c", from_=(BEGAN + 7 * SECOND) / SECOND, to=(BEGAN + 3_600 * SECOND) / SECOND)["series"]
    assert set(line["values"]) <= {0.0, None}


@pytest.mark.parametrize(("start", "counts"), [(-86_400, False), (1_720, True), (100, True)])
def test_the_first_point_of_a_series_counts_only_where_it_began_in_the_range_or_shortly_before(
    tmp_path: Path, start: int, counts: bool
) -> None:
    points = [counter(500, at, start=start) for at in (1_830, 1_890, 1_950)]
    queries = stored(tmp_path / "telemetry.db", points=points)
    for first in (50, 1_750):
        (line,) = queries.metric_series("c", from_=BEGAN // SECOND + first, to=BEGAN // SECOND + 2_000, steps=50)["series"]
        shortly = start > 1_000 or first < start
        assert any(value for value in line["values"]) is (counts and shortly)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 500)), min_size=1, max_size=12), st.integers(0, 2_000), st.integers(2, 60),
    st.booleans(),
)  # fmt: skip
def test_rates_times_the_length_of_a_step_come_to_what_was_counted(
    lived: list[tuple[int, int]], began: int, steps: int, delta: bool
) -> None:
    points, at, total = [], began, 0
    for seconds, counted in lived:
        total += counted
        told = {"temporality": DELTA} if delta else {}
        points.append(counter(counted if delta else total, at + seconds, start=at if delta else began, **told))
        points.append(histogram([0, counted if delta else total, 0, 0], at + seconds, start=at if delta else began, **told))
        at += seconds
    with tempfile.TemporaryDirectory() as folder:
        queries = stored(Path(folder) / "telemetry.db", points=points)
        for name, rates in (("c", "values"), ("h", "rate")):
            told = queries.metric_series(name, from_=BEGAN // SECOND, to=BEGAN // SECOND + 3_000, steps=steps)
            (line,) = told["series"]
            assert sum(value or 0.0 for value in line[rates]) * told["step_ns"] / SECOND == pytest.approx(total)
        queries.close()


def test_series_are_grouped_filtered_and_the_largest_shown(tmp_path: Path) -> None:
    points = [
        counter(number * at, at, attributes={"stage": f"s{number}", "side": "left" if number % 2 else "right"})
        for number in range(1, 31) for at in (60, 120)
    ]  # fmt: skip
    queries = stored(tmp_path / "telemetry.db", points=points)
    told = queries.metric_series("c", **RANGE, by="stage")
    assert told["attributes"] == ["side", "stage", "service.name", "service.instance.id"]
    assert [line["labels"] for line in told["series"]] == [{"stage": f"s{number}"} for number in range(30, 10, -1)]
    assert told["series_left_out"] == 10
    both = queries.metric_series("c", **RANGE, by=["side", "service.name"], where=["side=left"])
    (line,) = both["series"]
    assert line["labels"] == {"side": "left", "service.name": "s"}
    assert max(value for value in line["values"] if value is not None) == pytest.approx(sum(range(1, 31, 2)))
    assert queries.metric_series("c", **RANGE, where="side=up")["series"] == []


def test_a_total_is_that_of_all_series_or_it_is_not_told(tmp_path: Path) -> None:
    def of(count: int) -> list[MetricPoint]:
        return [counter(60, 60, attributes={"n": n}) for n in range(count)]

    asked = {"name": "c", "from_": RANGE["from_"], "to": "2026-11-21T10:02:00Z", "steps": 2}
    told = stored(tmp_path / "some.db", points=of(600)).metric_series(**asked)
    assert (told["series"][0]["values"], told["series_left_out"]) == ([pytest.approx(600.0), None], 0)
    queries = stored(tmp_path / "many.db", points=of(MOST_SERIES + 2))
    told = queries.metric_series(**asked)
    assert (told["series"][0]["values"], told["series_left_out"]) == ([None, None], 2)
    told = queries.metric_series(**asked, by="n")
    assert told["series"][0]["values"] == [pytest.approx(1.0), None]
    assert told["series_left_out"] == MOST_SERIES + 2 - 20


def test_a_histogram_is_shown_as_rate_mean_and_quantiles(tmp_path: Path) -> None:
    exemplar = {"value": 3.5, "time_unix_nano": BEGAN + 50 * SECOND, "trace_id": "a" * 32, "span_id": "b" * 16}
    smaller = exemplar | {"value": 0.5, "trace_id": "c" * 32}
    points = [
        histogram([2, 2, 0, 0], 60, total=4.0, exemplars=(smaller, exemplar)),
        histogram([2, 2, 0, 6], 120, total=64.0),
        histogram([0, 0, 0, 0], 60, attributes={"stage": "x"}, temporality=DELTA),
        histogram([0, 60, 0, 0], 120, total=90.0, attributes={"stage": "x"}, temporality=DELTA, start=60),
    ]
    told = stored(tmp_path / "telemetry.db", points=points).metric_series(
        "h", from_=RANGE["from_"], to="2026-11-21T10:02:00Z", steps=2
    )
    (line,) = told["series"]
    assert line["rate"] == [pytest.approx(4 / 60), pytest.approx(66 / 60)]
    assert line["values"] == [1.0, pytest.approx(150 / 66)]
    assert line["p50"] == [1.0, pytest.approx(1.55)]
    assert line["p99"] == [pytest.approx(1.98), 4.0]
    assert (told["type"], told["unit"], told["description"]) == ("histogram", "s", "how long")
    assert [(one["trace_id"], one["value"]) for one in told["exemplars"]] == [("a" * 32, 3.5)]


@pytest.mark.parametrize("temporality", [CUMULATIVE, DELTA])
def test_a_histogram_without_a_sum_has_no_mean_and_its_open_buckets_end_at_what_was_recorded(
    tmp_path: Path, temporality: str
) -> None:
    one = histogram([0, 5], 60, bounds=[10.0], temporality=temporality)
    told = (one.distribution or {}) | {"sum": None, "min": 900.0, "max": 1_100.0}
    queries = stored(tmp_path / "telemetry.db", points=[replace(one, distribution=told)])
    (line,) = queries.metric_series("h", from_=RANGE["from_"], to="2026-11-21T10:02:00Z", steps=2)["series"]
    assert line["values"] == [None, None]
    assert line["rate"] == [pytest.approx(5 / 60), None]
    assert (line["p50"][0], line["p99"][0]) == (pytest.approx(1_000), pytest.approx(1_098))


def test_a_summary_is_shown_as_rate_mean_and_the_quantiles_that_it_tells(tmp_path: Path) -> None:
    def summary(count: int, total: float, at: int, quantiles: list[list[Any]], instance: str = "one") -> MetricPoint:
        told = {"count": count, "sum": total, "min": None, "max": None, "quantiles": quantiles}
        return MetricPoint(
            "s", "summary", BEGAN + at * SECOND, BEGAN, distribution=told, resource={"service.instance.id": instance}
        )

    points = [
        summary(60, 120.0, 60, [[0.5, 1.5], [0.99, 7.0]]), summary(90, 240.0, 120, [[0.5, 4.0], [0.95, math.nan], ["x"]]),
        summary(60, 60.0, 60, [[0.5, 9.0]], "two"),
    ]  # fmt: skip
    queries = stored(tmp_path / "telemetry.db", points=points)
    asked = {"from_": RANGE["from_"], "to": BEGAN // SECOND + 121, "steps": 3}
    by_instance = queries.metric_series("s", **asked, by="service.instance.id")
    line = next(line for line in by_instance["series"] if line["labels"] == {"service.instance.id": "one"})
    told = by_instance["step_ns"] / SECOND
    assert sum(value or 0.0 for value in line["rate"]) * told == pytest.approx(90)
    assert line["values"][0] == pytest.approx(2.0)
    assert line["values"][-1] == pytest.approx(4.0)
    assert [value for value in line["p50"] if value is not None] == [1.5, 4.0]
    assert [value for value in line["p99"] if value is not None] == [7.0]
    assert set(line["p95"]) == {None}
    (both,) = queries.metric_series("s", **asked)["series"]
    assert [value for value in both["p50"] if value is not None] == [4.0]
    assert sum(value or 0.0 for value in both["rate"]) * told == pytest.approx(150)


def test_a_gauge_has_its_last_value_of_each_step_which_holds_between_its_points(tmp_path: Path) -> None:
    def gauge(value: float, at: int, **more: Any) -> MetricPoint:
        return MetricPoint("g", more.pop("kind", "gauge"), BEGAN + at * SECOND, value=value, **more)

    points = [gauge(1, 0), gauge(2, 10), gauge(5, 20), gauge(6, 70), gauge(7, 130), gauge(9, 500)]
    queries = stored(tmp_path / "telemetry.db", points=points)
    told = queries.metric_series("g", from_=RANGE["from_"], to="2026-11-21T10:10:00Z", steps=20)
    values = told["series"][0]["values"]
    assert values[:6] == [5, 5, 6, 6, 7, 7]
    assert (values[15], values[16]) == (None, 9)
    usage = [
        gauge(value, at, kind="sum", temporality=CUMULATIVE, resource={"service.instance.id": str(value)})
        for value in (3, 4)
        for at in (0, 30)
    ]
    summed = stored(tmp_path / "other.db", points=usage).metric_series(
        "g", from_=RANGE["from_"], to="2026-11-21T10:01:00Z", steps=2
    )
    assert summed["series"][0]["values"] == [7, 7]


def test_a_long_range_reads_the_last_point_of_each_step_and_comes_to_the_same(tmp_path: Path) -> None:
    points = [counter(at, at, attributes={}) for at in range(1_200)] + [
        counter(5 * at, 1_200 + at, start=1_200) for at in range(1, 1_200)
    ]
    queries = stored(tmp_path / "telemetry.db", points=points)
    coarse = queries.metric_series("c", from_=RANGE["from_"], to="2026-11-21T10:40:00Z", steps=4)["series"][0]["values"]
    assert coarse == [pytest.approx(1.0, rel=0.01)] * 2 + [pytest.approx(5.0, rel=0.01)] * 2


@pytest.mark.parametrize("started", [False, True])
def test_resets_inside_a_step_are_found_where_no_point_says_when_it_began_counting(tmp_path: Path, started: bool) -> None:
    points = []
    for at in range(1, 3_600):
        more = {"start": 1 if started else -BEGAN // SECOND}
        points += [counter(3 * (at % 50), at, **more), histogram([0, 3 * (at % 50), 0, 0], at, **more)]
    queries = stored(tmp_path / "telemetry.db", points=points)
    within = {"from_": RANGE["from_"], "to": "2026-11-21T11:00:00Z", "steps": 4}
    (line,) = queries.metric_series("c", **within)["series"]
    assert line["values"] == [pytest.approx(2.94, rel=0.01)] * 4
    if not started:
        (line,) = queries.metric_series("h", **within)["series"]
        assert line["rate"] == [pytest.approx(2.94, rel=0.01)] * 4


def test_the_catalogue_names_what_was_received(tmp_path: Path) -> None:
    queries = stored(
        tmp_path / "telemetry.db", points=[counter(1, 0), counter(2, 9, resource={"service.name": "t"}), histogram([1, 0, 0, 0], 5)]
    )
    assert queries.metrics()["metrics"] == [
        {"name": "c", "type": "sum", "unit": "1", "description": "", "series": 2, "services": ["s", "t"], "last_unix_nano": BEGAN + 9 * SECOND},
        {"name": "h", "type": "histogram", "unit": "s", "description": "how long", "series": 1, "services": ["s"], "last_unix_nano": BEGAN + 5 * SECOND},
    ]  # fmt: skip


def test_processes_are_shown_beside_the_emails_of_their_time(tmp_path: Path) -> None:
    resource = {"service.name": "s", "service.instance.id": "one", "process.pid": 42}
    points = [
        counter(seconds * share, seconds, name="process.cpu.time", attributes={"cpu.mode": mode}, resource=resource)
        for seconds in (60, 120) for mode, share in (("user", 0.5), ("system", 0.25))
    ]  # fmt: skip
    points += [
        counter(600 * at, at, name="process.disk.io", attributes={"disk.io.direction": "read"}, resource=resource)
        for at in (60, 120)
    ]
    points += [
        MetricPoint("process.memory.usage", "sum", BEGAN + 60 * SECOND, temporality=CUMULATIVE, value=1e6, resource=resource)
    ]
    emails = [attempt("email", 2, 1, trace, BEGAN + 70 * SECOND, 5) for trace in (1, 2)]
    emails.append(span("email pipeline", 1, trace=1, start=BEGAN + 70 * SECOND, attributes={"autopilot.outcome": "failed"}))
    told = stored(tmp_path / "telemetry.db", emails, points=points).runtime(
        from_=RANGE["from_"], to="2026-11-21T10:02:00Z", steps=2
    )
    assert told["emails"] == {"started": [0, 2], "failed": [0, 1]}
    (process,) = told["processes"]
    assert (process["service"], process["instance"], process["pid"]) == ("s", "one", 42)
    assert process["cpu"] == [pytest.approx(0.75)] * 2
    assert process["io_read_bytes"] == [pytest.approx(600)] * 2
    assert process["io_write_bytes"] == process["threads"] == process["loop_lag_p99_s"] == [None, None]
    assert process["memory_bytes"] == [None, 1e6]
    assert strict_json(told)
