"""The waterfall: every line fits, errors, retries, waits and lost attempts show, and nothing breaks it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from otel_autopilot.local.model import EventRecord, LogRecordRow, SpanRecord
from otel_autopilot.local.tree import STAGES, build_tree
from otel_autopilot.local.waterfall import ASCII, UNICODE, duration, render_waterfall

MS = 1_000_000
T0 = 1_700_000_000_000 * MS


def span(name: str, number: int, parent: int | None, start: float, end: float, **attributes: Any) -> SpanRecord:
    error = attributes.pop("error", "")
    events = attributes.pop("events", ())
    return SpanRecord(
        trace_id="a" * 32, span_id=f"{number:016x}", parent_span_id=None if parent is None else f"{parent:016x}", name=name,
        kind="SPAN_KIND_INTERNAL", start_unix_nano=T0 + int(start * MS), end_unix_nano=T0 + int(end * MS), events=events,
        status_code="STATUS_CODE_ERROR" if error else "STATUS_CODE_UNSET", status_message=error, attributes=attributes,
    )  # fmt: skip


def retried() -> list[SpanRecord]:
    stage = {"autopilot.attempt": 1, "autopilot.stage.queue.duration": 0.02}
    return [
        span("email pipeline", 1, None, 0, 200, **{"autopilot.outcome": "success", "autopilot.run.id": "run0123456789"}),
        span("email", 2, 1, 20, 40, **stage),
        span(
            "ingestion",
            3,
            1,
            50,
            90,
            **{"autopilot.attempt": 1, "autopilot.attempt.lost": True, "error.type": "AttemptLost"},
            error="died",
        ),
        span("ingestion", 4, 1, 100, 160, **{"autopilot.attempt": 2}),
        span("pdf.extract", 5, 4, 110, 150, **{"autopilot.document.pages": 6}),
        span("delivery", 6, 1, 170, 200, **{"autopilot.attempt": 1, "error.type": "Refused"}, error="the server answered 451"),
    ]


def text(spans: list[SpanRecord], width: int = 100, logs: tuple[LogRecordRow, ...] = ()) -> str:
    return "\n".join(line.plain for line in render_waterfall(spans, logs, width=width))


def test_attempts_waits_errors_logs_and_shares_show() -> None:
    log = LogRecordRow(T0 + 30 * MS, 13, "WARNING", "slow charset", "a" * 32, f"{2:016x}")
    shown = text(retried(), logs=(log,))
    assert "email pipeline  success  200 ms" in shown
    assert "ingestion #1 lost" in shown
    assert "ingestion #2" in shown
    assert "AttemptLost: died" in shown
    assert "Refused: the server answered 451" in shown
    assert "WARNING slow charset" in shown
    assert "·" in shown.splitlines()[5], "the wait before the email stage"
    assert "6 pages" in shown
    summary = next(line for line in shown.splitlines() if line.startswith("ingestion "))
    assert summary.split()[1:3] == ["100", "ms"]
    assert summary.split()[-2] == "2", "attempts"


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_no_line_is_wider_than_the_terminal(width: int, glyphs: Any) -> None:
    spans = [*retried(), span("x" * 300, 7, 5, 111, 112), span("邮件" * 40, 8, 5, 112, 113, error="错误" * 200)]
    lines = render_waterfall(spans, (), width=width, glyphs=glyphs)
    assert max(cell_len(line.plain) for line in lines) <= width
    if glyphs is ASCII:
        assert all(line.plain.isascii() for line in lines)


def test_orphans_and_a_missing_root_are_said() -> None:
    shown = text(retried()[1:])
    assert "hang under a parent that is not in the store" in shown
    assert "(orphan)" in shown


def test_a_run_under_way_is_called_so_and_not_broken() -> None:
    spans = [replace(item, attributes={**item.attributes, "autopilot.run.id": "5" * 32}) for item in retried()[1:]]
    shown = text([item for item in spans if item.name in STAGES])
    assert "email pipeline  running" in shown
    assert "its root span comes when the run ends" in shown
    assert "orphan" not in shown
    assert "not in the store" not in shown


def test_a_row_of_alike_spans_is_folded_and_ten_thousand_are_bounded() -> None:
    pages = [span("pdf.pages", 100 + index, 5, 110 + index / 10, 110.05 + index / 10) for index in range(36)]
    assert "pdf.pages ×36" in text([*retried(), *pages])
    many = [span(f"step {index}", 1_000 + index, 1, index / 100, index / 100 + 1) for index in range(10_000)]
    lines = render_waterfall([*retried(), *many], (), width=100)
    assert len(lines) < 450
    assert any("more spans" in line.plain for line in lines)


@pytest.mark.parametrize(("start", "end", "line"), [(0, 20, 0), (150, 199, 0), (0, 199, 1)], ids=["behind", "before", "below"])
def test_what_is_told_of_a_span_stands_where_there_is_room_for_it(start: float, end: float, line: int) -> None:
    rows = [span("email pipeline", 1, None, 0, 200), span("pdf.extract", 2, 1, start, end, **{"autopilot.document.pages": 1})]
    lines = text(rows, width=80).splitlines()
    at = next(index for index, row in enumerate(lines) if "pdf.extract" in row)
    assert "1 page" in lines[at + line]
    assert "1 pages" not in lines[at + line]


def test_the_share_of_folded_spans_is_the_time_in_which_any_of_them_ran() -> None:
    rows = [span("email pipeline", 1, None, 0, 100), *(span("pdf.pages", number + 2, 1, 0, 50) for number in range(10))]
    (row,) = [row for row in text(rows).splitlines() if "pdf.pages" in row]
    assert "500 ms" in row
    assert row.endswith(" 50%")


def test_a_digest_that_took_the_models_place_says_so() -> None:
    rows = [span("digest", 1, None, 0, 100, **{"autopilot.digest.fallback": "TimeoutError"})]
    assert "the extractive digest took the place of the model's: TimeoutError" in text(rows)


def test_self_time_is_what_no_child_covers() -> None:
    tree = build_tree([span("a", 1, None, 0, 100), span("b", 2, 1, 10, 40), span("c", 3, 1, 30, 60), span("d", 4, 1, 90, 130)])
    assert tree.roots[0].self_nano == (10 + 30) * MS


def test_events_that_are_no_exceptions_are_told_in_their_time() -> None:
    shown = text([span("a", 1, None, 0, 100, events=(EventRecord("page turned", T0 + 50 * MS, {}),))])
    assert "+50.0 ms page turned" in shown


@pytest.mark.parametrize(
    ("nanoseconds", "expected"),
    [
        (0, "0"),
        (-5, "0"),
        (12_000, "12 µs"),
        (3_400_000, "3.4 ms"),
        (150 * MS, "150 ms"),
        (1_250 * MS, "1.25 s"),
        (125_000 * MS, "2 m 05 s"),
        (3_700_000 * MS, "1 h 01 m"),
    ],
)
def test_durations_read_as_people_write_them(nanoseconds: int, expected: str) -> None:
    assert duration(nanoseconds) == expected


def test_no_spans_is_one_line() -> None:
    assert text([]) == "no spans"


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(max_size=20), st.integers(0, 12), st.integers(-1, 12), st.integers(-50, 500), st.integers(-50, 500), st.text(max_size=30)),
        min_size=1, max_size=15,
    ),
    st.integers(20, 160),
)  # fmt: skip
def test_whatever_spans_come_the_waterfall_is_drawn(rows: list[tuple[str, int, int, int, int, str]], width: int) -> None:
    spans = [
        span(name, number, None if parent < 0 else parent, start, end, error=error)
        for name, number, parent, start, end, error in rows
    ]
    lines = render_waterfall(spans, (), width=width)
    assert max(cell_len(line.plain) for line in lines) <= max(60, width)
