"""Spans and log records, one by one and in groups, page by page."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_autopilot.local.model import LogRecordRow, SpanRecord
from otel_autopilot.local.queries import Queries
from tests.unit.query_cases import BEGAN, MILLISECOND, RANGE, SECOND, span, stored

SPANS = st.lists(
    st.tuples(
        st.integers(1, 5),
        st.sampled_from(["smtp send", "other"]),
        st.integers(-20, 60),
        st.integers(0, 90),
        st.fixed_dictionaries({}, optional={"code": st.sampled_from([250, 451, 550, True, "451"]), "to": st.sampled_from(["x", "y"])}),
        st.booleans(),
        st.sampled_from(["a", "b"]),
    ),
    max_size=30,
).map(
    lambda rows: [
        span(
            name, number + 1, 99, trace, start=BEGAN + start * SECOND, end=BEGAN + start * SECOND + length * MILLISECOND, attributes=attributes,
            status_code="STATUS_CODE_ERROR" if error else "STATUS_CODE_OK", resource={"service.name": service},
        )
        for number, (trace, name, start, length, attributes, error, service) in enumerate(rows)
    ]
)  # fmt: skip

CONDITIONS = {
    "code=451": lambda has: has in (451, "451") and has is not True,
    "code!=451": lambda has: has is None or has is True or has not in (451, "451"),
    "code>300": lambda has: type(has) is int and has > 300,
    "code<300": lambda has: type(has) is int and has < 300,
    "code": lambda has: has is not None,
    "code=true": lambda has: has is True,
}


@settings(max_examples=100, deadline=None)
@given(
    SPANS,
    st.none() | st.sampled_from(sorted(CONDITIONS)),
    st.fixed_dictionaries(
        {}, optional={"name": st.just("smtp send"), "service": st.just("a"), "errors": st.booleans(), "min_ms": st.integers(0, 90), "max_ms": st.integers(0, 90)}
    ),
    st.integers(1, 7),
)  # fmt: skip
def test_spans_are_what_going_through_all_of_them_finds_page_by_page_and_in_groups(
    spans: list[SpanRecord], where: str | None, asked: dict[str, Any], limit: int
) -> None:
    expected = [
        one for one in spans
        if one.start_unix_nano >= BEGAN
        and (where is None or CONDITIONS[where](one.attributes.get("code")))
        and asked.get("name") in (None, one.name)
        and asked.get("service") in (None, one.resource["service.name"])
        and (not asked.get("errors") or one.failed)
        and asked.get("min_ms", 0) * MILLISECOND <= one.duration_nano <= asked.get("max_ms", 10**9) * MILLISECOND
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        queries = stored(Path(folder) / "telemetry.db", spans)
        asked |= RANGE | {"where": where}
        found, cursor = [], None
        while True:
            answer = queries.spans(**asked, limit=limit, cursor=cursor)
            found += [(one["trace_id"], one["span_id"]) for one in answer["spans"]]
            assert answer["complete"]
            cursor = answer["next"]
            if cursor is None:
                break
        for by in ("name", "code"):
            groups = queries.spans(**asked, by=[by, "service"])["groups"]
            counts = Counter(
                (one.name if by == "name" else one.attributes.get("code"), one.resource["service.name"]) for one in expected
            )
            assert {(type(row["by"][by]), row["by"][by], row["by"]["service"]): row["count"] for row in groups} == {
                (type(key), key, service): count for (key, service), count in counts.items()
            }
            assert sum(row["errors"] for row in groups) == sum(one.failed for one in expected)
            assert sum(row["duration"]["sum_ns"] for row in groups) == sum(one.duration_nano for one in expected)
        queries.close()
    assert len(found) == len(set(found))
    assert sorted(found) == sorted((one.trace_id, one.span_id) for one in expected)


def test_a_condition_looks_at_the_resource_where_the_span_says_nothing(tmp_path: Path) -> None:
    resource = {"service.name": "s", "host.name": "here"}
    queries = stored(
        tmp_path / "telemetry.db",
        [span("a", 1, resource=resource), span("b", 2, attributes={"host.name": "there"}, resource=resource)],
    )
    for where, names in (("host.name=here", ["a"]), ("host.name=there", ["b"]), ("host.name", ["b", "a"])):
        assert [one["name"] for one in queries.spans(**RANGE, where=where)["spans"]] == names
    assert [row["by"] for row in queries.spans(**RANGE, by="host.name")["groups"]] == [
        {"host.name": "here"},
        {"host.name": "there"},
    ]


def test_spans_of_a_trace_that_began_before_the_range_are_found(tmp_path: Path) -> None:
    long = [span("root", 1, start=BEGAN - 7_200 * SECOND, end=BEGAN + SECOND), span("late", 2, 1, start=BEGAN + 5)]
    queries = stored(tmp_path / "telemetry.db", long)
    assert [one["name"] for one in queries.spans(**RANGE)["spans"]] == ["late"]


def test_spans_that_take_too_long_to_look_through_come_with_how_far_it_went(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    stored(path, [span("s", 1, trace=number, start=BEGAN + number) for number in range(1, 40)])
    hasty = Queries(path, budget_seconds=0)
    found, cursor, answers = 0, None, 0
    while answers == 0 or cursor:
        answer = hasty.spans(**RANGE, cursor=cursor)
        found, cursor, answers = found + len(answer["spans"]), answer["next"], answers + 1
    assert found == 39
    assert answers > 10
    groups = hasty.spans(**RANGE, by="name")
    assert (groups["complete"], groups["groups"][0]["count"]) == (False, 25)
    assert groups["searched_to_unix_nano"] == BEGAN + 15


def records(texts: list[str]) -> list[LogRecordRow]:
    return [
        LogRecordRow(
            BEGAN + number // 3, 9 + 4 * (number % 3), "INFO", text, f"{1 + number % 2:032x}", f"{1:016x}", "event",
            {"number": number}, {"service.name": "a" if number % 2 else "b"},
        )
        for number, text in enumerate(texts)
    ]  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.sampled_from(["read 3 pages", "Größe", "100%", "refused"]), max_size=25),
    st.fixed_dictionaries(
        {}, optional={"q": st.sampled_from(["PAGES", "größe", "%", "event", "nothing"]), "severity": st.sampled_from(["warn", 17, "INFO"]), "service": st.just("a"), "trace_id": st.just(f"{1:032x}")}
    ),
    st.integers(1, 6),
)  # fmt: skip
def test_logs_are_what_going_through_all_of_them_finds_newest_first(texts: list[str], asked: dict[str, Any], limit: int) -> None:
    given = records(texts)
    least = {"warn": 13, 17: 17, "INFO": 9, None: 0}[asked.get("severity")]
    wanted = asked.get("q", "").casefold()
    expected = [
        log.attributes["number"] for log in reversed(given)
        if log.severity_number >= least
        and (not wanted or wanted in log.body.casefold() or wanted in log.event_name)
        and asked.get("service") in (None, log.resource["service.name"])
        and asked.get("trace_id") in (None, log.trace_id)
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        queries = stored(Path(folder) / "telemetry.db", logs=given)
        found, cursor = [], None
        while True:
            answer = queries.logs(**asked, limit=limit, cursor=cursor)
            found += [log["attributes"]["number"] for log in answer["logs"]]
            cursor = answer["next"]
            if cursor is None:
                break
        queries.close()
    assert found == expected


def test_a_log_record_is_shown_with_where_it_comes_from(tmp_path: Path) -> None:
    with closing(stored(tmp_path / "telemetry.db", logs=records(["read 3 pages"]))) as queries:
        assert queries.logs()["logs"] == [
            {
                "time_unix_nano": BEGAN, "severity_number": 9, "severity_text": "INFO", "body": "read 3 pages", "event_name": "event",
                "trace_id": f"{1:032x}", "span_id": f"{1:016x}", "service": "b", "attributes": {"number": 0}, "resource": {"service.name": "b"},
            }
        ]  # fmt: skip
        assert queries.health()["store"]["logs"] == 1


@pytest.mark.parametrize(("budget", "complete"), [(0, False), (60, True)])
def test_a_search_in_logs_that_runs_out_of_time_says_so(tmp_path: Path, budget: float, complete: bool) -> None:
    path = tmp_path / "telemetry.db"
    stored(path, logs=[LogRecordRow(BEGAN + number, body="needle" if number == 0 else "hay") for number in range(1_200)])
    answer = Queries(path, budget_seconds=budget).logs(q="needle")
    assert (len(answer["logs"]), answer["complete"]) == (1 if complete else 0, complete)
    assert (answer["searched_to_unix_nano"] is None) == complete
