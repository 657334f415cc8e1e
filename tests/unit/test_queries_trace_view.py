"""One trace: the tree of any spans, time that is a span's own, the critical path, links both ways."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_autopilot.local.model import EventRecord, LinkRecord, LogRecordRow, SpanRecord
from otel_autopilot.local.queries.critical_path import critical_path
from otel_autopilot.local.queries.span_tree import depth_first, placed
from tests.unit.query_cases import BEGAN, MILLISECOND, SECOND, attempt, span, stored, strict_json

#: Spans of any shape: parents that aren't there, that are the span itself or its descendant, ends before starts.
TANGLES = st.lists(
    st.tuples(st.integers(1, 12), st.none() | st.integers(1, 15), st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=25
).map(lambda rows: [span("s", number, parent, start=start, end=end) for number, parent, start, end in rows])


@given(TANGLES)
def test_every_span_has_one_place_below_its_parent_or_at_the_top(spans: list[SpanRecord]) -> None:
    ordered = depth_first(placed(spans))
    first = {one.span_id: one for one in reversed(spans)}
    assert sorted(node.span.span_id for node in ordered) == sorted(first)
    assert all(first[node.span.span_id] == node.span for node in ordered)
    for node in ordered:
        for child in node.children:
            assert (child.span.parent_span_id, child.depth, child.orphan) == (node.span.span_id, node.depth + 1, False)
        assert [child.start for child in node.children] == sorted(child.start for child in node.children)
        assert node.orphan == (node.depth == 0 and node.span.parent_span_id is not None)


@given(TANGLES)
def test_own_time_is_what_no_child_covers(spans: list[SpanRecord]) -> None:
    for node in depth_first(placed(spans)):
        own = set(range(node.start, node.end))
        for child in node.children:
            own -= set(range(child.start, child.end))
        assert node.self_nano == len(own)


@given(TANGLES)
def test_the_pieces_of_the_critical_path_are_in_order_and_each_lies_in_its_span(spans: list[SpanRecord]) -> None:
    roots = placed(spans)
    by_id = {node.span.span_id: node for node in depth_first(roots)}
    reached = min(node.start for node in roots)
    for piece in critical_path(roots):
        node = by_id[piece.span_id]
        assert max(reached, node.start) <= piece.start < piece.end <= node.end
        reached = piece.end
    assert reached <= max(node.end for node in by_id.values())


@given(TANGLES)
def test_the_critical_path_leaves_out_nothing_between_start_and_end_of_a_single_root(spans: list[SpanRecord]) -> None:
    for root in placed(spans):
        pieces = critical_path([root])
        inside = sum(max(0, min(piece.end, root.end) - piece.start) for piece in pieces)
        assert inside == root.end - root.start


@given(TANGLES)
def test_the_critical_path_ends_with_the_trace(spans: list[SpanRecord]) -> None:
    for root in placed(spans):
        end = max([root.end, *(node.end for node in depth_first([root]) if node.end > node.start)])
        pieces = critical_path([root])
        assert (pieces[-1].end if pieces else root.start) == end


def path_of(*spans: SpanRecord) -> list[tuple[int, int, int]]:
    return [(int(piece.span_id, 16), piece.start, piece.end) for piece in critical_path(placed(spans))]


def bar(number: int, parent: int | None, start: int, end: int) -> SpanRecord:
    return span("s", number, parent, start=start, end=end)


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([bar(1, None, 0, 10)], [(1, 0, 10)]),
        # one after the other, with a gap that is the parent's own
        ([bar(1, None, 0, 10), bar(2, 1, 1, 4), bar(3, 1, 5, 9)], [(1, 0, 1), (2, 1, 4), (1, 4, 5), (3, 5, 9), (1, 9, 10)]),
        # side by side: the one that ended last is what was waited for
        ([bar(1, None, 0, 10), bar(2, 1, 0, 8), bar(3, 1, 0, 9)], [(3, 0, 9), (1, 9, 10)]),
        # of those that ended last, the one that took longest
        ([bar(1, None, 0, 10), bar(2, 1, 5, 10), bar(3, 1, 0, 10)], [(3, 0, 10)]),
        # the innermost one counts
        ([bar(1, None, 0, 10), bar(2, 1, 2, 8), bar(3, 2, 3, 6)], [(1, 0, 2), (2, 2, 3), (3, 3, 6), (2, 6, 8), (1, 8, 10)]),
        # a child that outlasts its parent, or began before it, counts while the parent ran
        ([bar(1, None, 0, 20), bar(2, 1, 5, 10), bar(3, 2, 0, 15)], [(1, 0, 5), (3, 5, 10), (1, 10, 20)]),
        # but what outlasts the root is what the end of the trace waited for
        ([bar(1, None, 5, 10), bar(2, 1, 0, 20)], [(2, 5, 20)]),
        ([bar(1, None, 0, 10), bar(2, 1, 5, 50)], [(1, 0, 5), (2, 5, 50)]),
        ([bar(1, None, 0, 10), bar(2, 1, 2, 4), bar(3, 2, 3, 50)], [(1, 0, 2), (2, 2, 3), (3, 3, 50)]),
        # a task that the root started and nobody waited for, with a task of its own
        ([bar(1, None, 0, 10), bar(2, 1, 5, 30), bar(3, 2, 20, 50)], [(1, 0, 5), (2, 5, 20), (3, 20, 50)]),
        # nobody ran between the end of the root and the task
        ([bar(1, None, 0, 10), bar(2, 1, 20, 50)], [(1, 0, 10), (2, 20, 50)]),
        # two roots, and nobody's time between them
        ([bar(1, None, 0, 3), bar(2, 99, 5, 9)], [(1, 0, 3), (2, 5, 9)]),
        ([bar(1, None, 5, 5)], []),
        ([], []),
    ],
)
def test_the_critical_path_of(spans: list[SpanRecord], expected: list[tuple[int, int, int]]) -> None:
    assert path_of(*spans) == expected


def test_a_trace_ten_thousand_deep_is_shown_whole(tmp_path: Path) -> None:
    spans = [
        span("s", number, number - 1 or None, start=BEGAN + number, end=BEGAN + 100_000 - number) for number in range(1, 10_001)
    ]
    queries = stored(tmp_path / "telemetry.db", spans)
    shown = queries.trace(f"{1:032x}")
    assert [one["depth"] for one in shown["spans"]] == list(range(10_000))
    assert len(shown["critical_path"]) == 19_999
    assert strict_json(queries.compare_traces(f"{1:032x}", f"{1:032x}"))


def test_a_trace_is_shown_with_waits_attempts_logs_events_and_facts(tmp_path: Path) -> None:
    root = span(
        "email pipeline", 1, start=BEGAN, end=BEGAN + SECOND, kind="SPAN_KIND_CONSUMER", attributes={"autopilot.outcome": "success"}
    )
    lost = attempt("digest", 2, 1, 1, BEGAN + 100, 50, wait=0.25, lost=True, error=True)
    inner = span(
        "digest.summarize", 3, 2, start=BEGAN + 110, end=BEGAN + 120, resource={"service.name": "other"},
        attributes={"autopilot.digest.method": "extractive", "autopilot.digest.key_points": 5},
        events=(EventRecord("cut", BEGAN + 115, {}),),
    )  # fmt: skip
    orphan = span("late", 4, 77, start=BEGAN + 10, end=BEGAN + 5)
    logs = [
        LogRecordRow(BEGAN + 112, 9, "INFO", "read", root.trace_id, inner.span_id),
        LogRecordRow(BEGAN + 1, 13, "WARN", "x", root.trace_id),
    ]
    queries = stored(tmp_path / "telemetry.db", [orphan, inner, lost, root], logs)
    shown = queries.trace(root.trace_id)
    assert (shown["start_unix_nano"], shown["duration_ns"], shown["orphans"], shown["services"]) == (
        BEGAN,
        SECOND,
        1,
        ["test", "other"],
    )
    assert [(one["name"], one["depth"], one["children"], one["stage"], one["orphan"]) for one in shown["spans"]] == [
        ("email pipeline", 0, 1, "", False), ("digest", 1, 1, "digest", False), ("digest.summarize", 2, 0, "digest", False), ("late", 0, 0, "", True),
    ]  # fmt: skip
    one = shown["spans"][1]
    assert (one["start_ns"], one["duration_ns"], one["self_ns"], one["wait_ns"]) == (100, 50, 40, 250 * MILLISECOND)
    assert (one["error"], one["lost"], one["attempt"]) == (True, True, 1)
    inside = shown["spans"][2]
    assert (inside["facts"], inside["logs"], inside["events"]) == ("extractive, 5 points", 1, [{"name": "cut", "time_ns": 115}])
    assert [(log["time_ns"], log["span_id"], log["body"]) for log in shown["logs"]] == [
        (1, None, "x"),
        (112, inner.span_id, "read"),
    ]
    assert shown["spans"][3]["duration_ns"] == 0
    whole = queries.span(root.trace_id.upper(), inner.span_id)
    assert whole["span"]["attributes"]["autopilot.digest.key_points"] == 5
    assert [log["body"] for log in whole["logs"]] == ["read"]
    assert [len(queries.trace_json(root.trace_id)[kind]) for kind in ("spans", "logs")] == [4, 2]


def test_links_are_followed_both_ways_also_where_the_other_trace_is_not_there(tmp_path: Path) -> None:
    mail, gone = span("email pipeline", 1, trace=1), f"{9:032x}"
    digest = span(
        "digest pipeline", 5, trace=2, links=(LinkRecord(mail.trace_id, mail.span_id, {}), LinkRecord(gone, f"{9:016x}", {}))
    )
    queries = stored(tmp_path / "telemetry.db", [mail, digest])
    out = queries.trace(digest.trace_id)["links"]["out"]
    known = [(link["span_id"], link["trace_id"], link["target_span_id"], (link["trace"] or {}).get("name")) for link in out]
    assert sorted(known, key=lambda link: link[1]) == [
        (digest.span_id, mail.trace_id, mail.span_id, "email pipeline"),
        (digest.span_id, gone, f"{9:016x}", None),
    ]
    (back,) = queries.trace(mail.trace_id)["links"]["in"]
    assert (back["trace_id"], back["span_id"], back["target_span_id"]) == (digest.trace_id, digest.span_id, mail.span_id)
    assert back["trace"]["name"] == "digest pipeline"


def test_two_traces_are_compared_by_path(tmp_path: Path) -> None:
    def email(trace: int, inner: int, length: int, more: list[Any]) -> list[SpanRecord]:
        root = span("email pipeline", 1, trace=trace, start=BEGAN, end=BEGAN + 1_000)
        work = [span("work", 10 + number, 2, trace, start=BEGAN + 10, end=BEGAN + 10 + length) for number in range(inner)]
        return [
            root,
            span("digest", 2, 1, trace, start=BEGAN + 5, end=BEGAN + 105),
            *work,
            *(replace(one, trace_id=root.trace_id) for one in more),
        ]

    queries = stored(
        tmp_path / "telemetry.db",
        email(1, 2, 30, []) + email(2, 1, 90, [span("delivery", 50, 1, start=BEGAN + 200, end=BEGAN + 210)]),
    )
    compared = queries.compare_traces(f"{1:032x}", f"{2:032x}")
    assert [(row["path"], row["depth"], row["delta_ns"]) for row in compared["rows"]] == [
        (["email pipeline"], 0, 0),
        (["email pipeline", "digest"], 1, 0),
        (["email pipeline", "digest", "work"], 2, 30),
        (["email pipeline", "delivery"], 1, None),
    ]
    assert compared["rows"][2]["a"] == {"count": 2, "duration_ns": 60, "self_ns": 60, "wait_ns": 0, "errors": 0}
    assert compared["rows"][3]["a"] is None
    assert (compared["a"]["trace_id"], compared["b"]["trace_id"]) == (f"{1:032x}", f"{2:032x}")
