"""Breakdown, heat map and comparison of ranges agree with going through all emails."""

from __future__ import annotations

import math
import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_autopilot.local.model import SpanRecord
from otel_autopilot.local.queries.comparison import changes, fewest, interval
from otel_autopilot.local.queries.distributions import distribution, nearest_rank
from otel_autopilot.local.queries.heatmap import BOUNDS
from otel_autopilot.telemetry.names import STAGES
from tests.unit.query_cases import BEGAN, MILLISECOND, RANGE, SECOND, attempt, emails, span, stored


def naive(durations: Sequence[int]) -> dict[str, Any]:
    if not durations:
        return {"count": 0, "sum_ns": 0, "mean_ns": None, "p50_ns": None, "p95_ns": None, "p99_ns": None, "max_ns": None}
    found = {
        "count": len(durations),
        "sum_ns": sum(durations),
        "mean_ns": sum(durations) // len(durations),
        "max_ns": max(durations),
    }
    for percent in (50, 95, 99):
        enough = (one for one in sorted(durations) if 100 * sum(other <= one for other in durations) >= percent * len(durations))
        found[f"p{percent}_ns"] = next(enough)
    return found


@given(st.lists(st.integers(0, 50), max_size=60))
def test_percentiles_are_the_nearest_rank(durations: list[int]) -> None:
    assert distribution(durations) == naive(durations)


@settings(max_examples=150, deadline=None)
@given(emails(), st.sampled_from([None, "a"]), st.sampled_from([None, "w"]), st.integers(0, 3_600))
def test_the_breakdown_is_what_going_through_all_emails_finds(
    given_emails: list[list[SpanRecord]], service: str | None, workflow: str | None, after: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        queries = stored(Path(folder) / "telemetry.db", [one for spans in given_emails for one in spans])
        told = queries.breakdown(service=service, workflow=workflow, from_=BEGAN // SECOND + after, to=RANGE["to"])
        queries.close()
    meant, lengths, well, outcomes = [], [], [], Counter()
    for spans in given_emails:
        root = next((one for one in spans if one.parent_span_id is None), None)
        start = min(one.start_unix_nano for one in spans)
        if (
            start < BEGAN + after * SECOND
            or service not in (None, spans[0].resource["service.name"])
            or (workflow and (root is None or root.attributes["autopilot.workflow"] != workflow))
        ):
            continue
        meant += spans
        lengths.append(max(one.end_unix_nano for one in spans) - start)
        outcomes[root.attributes["autopilot.outcome"] if root else "under_way"] += 1
        well += [lengths[-1]] if root and root.attributes["autopilot.outcome"] == "success" else []
    assert told["emails"] == {
        "count": len(lengths), "failed": outcomes["failed"], "rejected": outcomes["rejected"], "under_way": outcomes["under_way"],
        "duration": naive(well),
    }  # fmt: skip
    expected, spent = [], 0
    for stage in STAGES:
        attempts = [one for one in meant if one.name == stage]
        waits = {id(one): round(one.attributes["autopilot.stage.queue.duration"] * SECOND) for one in attempts}
        work, wait = sum(one.duration_nano for one in attempts), sum(waits.values())
        spent += work + wait
        good = [one for one in attempts if not one.failed and "autopilot.attempt.lost" not in one.attributes]
        if attempts:
            whole = sum(lengths)
            expected.append({
                "stage": stage, "attempts": len(attempts), "errors": sum(one.failed for one in attempts),
                "retries": sum(one.attributes["autopilot.attempt"] > 1 for one in attempts),
                "lost": sum("autopilot.attempt.lost" in one.attributes for one in attempts),
                "work": naive([one.duration_nano for one in good]), "wait": naive([waits[id(one)] for one in good]),
                "share": work / whole if whole else 0.0, "wait_share": wait / whole if whole else 0.0,
            })  # fmt: skip
    assert told["stages"] == expected
    assert told["other_share"] == (max(0, sum(lengths) - spent) / sum(lengths) if sum(lengths) else 0.0)


def test_shares_of_stages_that_follow_each_other_add_up_to_one(tmp_path: Path) -> None:
    spans = [
        attempt("email", 2, 1, 1, BEGAN + SECOND, 2 * SECOND, wait=1.0),
        attempt("digest", 3, 1, 1, BEGAN + 4 * SECOND, SECOND, wait=1.0),
        span("email pipeline", 1, start=BEGAN, end=BEGAN + 10 * SECOND, attributes={"autopilot.outcome": "success"}),
    ]
    told = stored(tmp_path / "telemetry.db", spans).breakdown(**RANGE)
    shares = {row["stage"]: (row["share"], row["wait_share"]) for row in told["stages"]}
    assert shares == {"email": (0.2, 0.1), "digest": (0.1, 0.1)}
    assert told["other_share"] == 0.5


@settings(max_examples=100, deadline=None)
@given(emails(), st.sampled_from([None, "email", "digest"]), st.sampled_from(["work", "wait"]), st.integers(10, 40))
def test_the_cells_of_a_heat_map_count_what_the_list_behind_them_shows(
    given_emails: list[list[SpanRecord]], stage: str | None, measure: str, columns: int
) -> None:
    asked = {"stage": stage, "measure": measure}
    with tempfile.TemporaryDirectory() as folder:
        queries = stored(Path(folder) / "telemetry.db", [one for spans in given_emails for one in spans])
        told = queries.heatmap(**asked, **RANGE, columns=columns)
        bounds, step = told["bounds_ns"], told["step_ns"]
        assert len(told["counts"]) == len(told["errors"]) == columns
        assert all(len(column) == len(bounds) for column in told["counts"])
        for column, cells in enumerate(told["counts"]):
            for row, count in enumerate(cells):
                assert told["errors"][column][row] <= count
                if not count:
                    continue
                begin = told["from_unix_nano"] + column * step
                upper = BOUNDS[BOUNDS.index(bounds[row]) + 1]
                behind = queries.traces(
                    **asked, from_=f"{begin // SECOND}.{begin % SECOND:09d}", to=f"{(begin + step) // SECOND}.{(begin + step) % SECOND:09d}",
                    min_ms=f"{bounds[row] / MILLISECOND:f}", max_ms=f"{(upper - 1) / MILLISECOND:f}",
                )["traces"]  # fmt: skip
                ended = [trace for trace in behind if stage or not trace["under_way"]]
                assert 0 < len(ended) <= count
                assert stage or len(ended) == count
        queries.close()
    attempts = [one for spans in given_emails for one in spans if one.name == stage]
    whole = [spans for spans in given_emails if any(one.parent_span_id is None for one in spans)]
    expected = len(attempts) if stage else 0 if measure == "wait" else len(whole)
    assert sum(map(sum, told["counts"])) == expected


def test_the_rows_of_a_heat_map_grow_by_the_root_of_two() -> None:
    assert BOUNDS[:4] == (0, 1_000, 1_414, 2_000)
    assert all(math.isclose(high / low, 2**0.5, rel_tol=1e-3) for low, high in pairwise(BOUNDS[1:]))


def test_a_percentile_that_moved_is_told_apart_from_chance() -> None:
    chance = random.Random(5)
    before = sorted(chance.randint(900, 1_100) for _ in range(400))
    slower = sorted(value + 200 for value in before)
    assert changes(before, slower)["p95"]["certain"] is True
    assert changes(before, slower)["p95"]["delta_ns"] == 200
    again = sorted(chance.randint(900, 1_100) for _ in range(400))
    assert changes(before, again)["p50"]["certain"] is False
    assert changes(before[:19], slower)["p50"]["certain"] is None
    assert changes([], slower)["p50"] == {
        "a_ns": None, "b_ns": nearest_rank(slower, 50), "delta_ns": None, "ratio": None, "certain": None,
    }  # fmt: skip
    assert changes([0] * 30, [0] * 30)["p50"]["ratio"] is None


@pytest.mark.parametrize(("percent", "least"), [(50, 20), (95, 200), (99, 1000)])
def test_two_samples_of_one_distribution_are_seldom_told_apart_however_small_one_side_is(percent: int, least: int) -> None:
    assert fewest(percent) == least
    chance = random.Random(percent)
    for a_size, b_size in ((least, least), (least, 5 * least), (5 * least, least), (2 * least, 2 * least)):
        alarms = 0
        for _ in range(300):
            a, b = (sorted(int(chance.expovariate(1e-6)) for _ in range(size)) for size in (a_size, b_size))
            alarms += changes(a, b)[f"p{percent}"]["certain"]
        assert alarms / 300 <= 0.08, (a_size, b_size)
    assert changes(a[: least - 1], b)[f"p{percent}"]["certain"] is None


def test_the_interval_is_that_of_a_bootstrap_drawn_by_hand() -> None:
    chance = random.Random(2)
    a, b = (sorted(int(chance.lognormvariate(8, 0.5)) for _ in range(80)) for _ in range(2))
    for percent in (50, 95):
        drawn = sorted(
            nearest_rank(sorted(chance.choices(b, k=80)), percent) - nearest_rank(sorted(chance.choices(a, k=80)), percent)
            for _ in range(4_000)
        )
        low, high = interval(a, b, percent)
        width = drawn[-101] - drawn[100]
        assert abs(low - drawn[100]) < 0.2 * width
        assert abs(high - drawn[-101]) < 0.2 * width


def test_two_ranges_are_compared_by_version(tmp_path: Path) -> None:
    spans = []
    for number in range(1, 61):
        version = {"service.name": "s", "service.version": "1" if number <= 30 else "2"}
        length = (100 if number <= 30 else 300) * MILLISECOND + number
        spans.append(attempt("digest", 2, 1, number, BEGAN + number, length, resource=version))
        spans.append(
            span(
                "email pipeline", 1, None, number, start=BEGAN + number, end=BEGAN + number + length, resource=version,
                attributes={"autopilot.outcome": "success"},
            )
        )  # fmt: skip
    queries = stored(tmp_path / "telemetry.db", spans)
    told = queries.compare_ranges(
        a_from=RANGE["from_"], a_to=RANGE["to"], a_version="1", b_from=RANGE["from_"], b_to=RANGE["to"], b_version="2"
    )
    assert [told[side]["emails"]["count"] for side in "ab"] == [30, 30]
    (stage,) = told["stages"]
    assert stage["work"]["p50"]["certain"] is told["emails"]["p50"]["certain"] is True
    assert told["emails"]["p99"]["certain"] is None
    assert 2.9 < stage["work"]["p50"]["ratio"] < 3.1


@pytest.mark.parametrize("percent", [50, 95, 99])
def test_one_value_is_every_percentile(percent: int) -> None:
    assert nearest_rank([7], percent) == 7
