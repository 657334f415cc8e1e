"""What queries are asked with: times, numbers and cursors, and errors that name the parameter."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_autopilot.errors import AutopilotError, NotStored, QueryError
from otel_autopilot.local.queries import Queries, parameters
from otel_autopilot.local.queries.parameters import Place
from tests.unit.query_cases import SECOND

NOW = 1_795_255_200 * SECOND


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("15m", NOW - 900 * SECOND),
        ("1h30m", NOW - 5_400 * SECOND),
        ("1.5d", NOW - 129_600 * SECOND),
        ("250ms", NOW - SECOND // 4),
        ("now", NOW),
        (1_795_255_200.5, NOW + SECOND // 2),
        ("1795255200.123456789", NOW + 123_456_789),
        ("2026-11-21T10:00:00Z", NOW),
        ("2026-11-21t11:00:00.25+01:00", NOW + SECOND // 4),
        ("99999w", 0),
    ],
)
def test_a_time_is_a_moment_unix_seconds_or_a_duration_back_from_now(given: Any, expected: int) -> None:
    assert parameters.unix_nano("from", given, NOW) == expected


@pytest.mark.parametrize(
    "given",
    ["yesterday", "15", "-5", "15x", "2026-11-21", "2026-11-21T10:00:00", "1e40", "nan", True, "1795255200123", "9" * 5_000],
)
def test_what_is_no_time_is_an_error_that_names_the_parameter_and_says_what_was_expected(given: Any) -> None:
    if given == "15":  # 15 seconds after 1970 is a time, though hardly what was meant
        assert parameters.unix_nano("from", given, NOW) == 15 * SECOND
        return
    with pytest.raises(QueryError, match=r"^b_from: expected a time such as 2026.*, got ") as caught:
        parameters.unix_nano("b_from", given, NOW)
    assert caught.value.parameter == "b_from"
    assert len(str(caught.value)) < 300


@given(st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_a_moment_reads_the_same_as_rfc_3339_and_as_seconds(moment: datetime) -> None:
    whole = parameters.unix_nano("to", moment.isoformat(), NOW)
    seconds, nano = divmod(whole, SECOND)
    assert parameters.unix_nano("to", f"{seconds}.{nano:09d}", NOW) == whole
    assert abs(whole / SECOND - moment.timestamp()) < 1e-3


def test_a_range_is_open_unless_it_is_said_where_it_ends() -> None:
    assert parameters.time_range(None, None, now=NOW) == parameters.TimeRange(0, 2**63 - 1)
    assert parameters.time_range(None, None, back="1h", now=NOW) == parameters.TimeRange(NOW - 3_600 * SECOND, NOW - 1)
    assert parameters.time_range("1h", "30m", now=NOW).to == NOW - 1_800 * SECOND
    with pytest.raises(QueryError, match="from: expected a time before to"):
        parameters.time_range("30m", "1h", now=NOW)


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_a_cursor_comes_back_as_it_was_given(moment: int, number: int) -> None:
    place = Place(moment, number)
    assert parameters.cursor(str(place)) == place


@pytest.mark.parametrize(
    ("question", "asked", "named"),
    [
        ("traces", {"limit": 0}, "limit"),
        ("traces", {"limit": "many"}, "limit"),
        ("traces", {"limit": True}, "limit"),
        ("traces", {"cursor": "x"}, "cursor"),
        ("traces", {"cursor": "ffffffffffffffff.1"}, "cursor"),
        ("traces", {"kind": "mails"}, "kind"),
        ("traces", {"stage": "smtp"}, "stage"),
        ("traces", {"min_ms": "-1"}, "min_ms"),
        ("traces", {"max_ms": "nan"}, "max_ms"),
        ("traces", {"errors": "yes"}, "errors"),
        ("traces", {"q": "x" * 501}, "q"),
        ("heatmap", {"columns": 5}, "columns"),
        ("heatmap", {"measure": "time"}, "measure"),
        ("compare_ranges", {"b_from": "x"}, "b_from"),
        ("logs", {"severity": "loud"}, "severity"),
        ("logs", {"trace_id": "12"}, "trace_id"),
        ("spans", {"kind": "x"}, "kind"),
        ("spans", {"where": "a>b"}, "where"),
        ("spans", {"where": "=b"}, "where"),
        ("spans", {"cursor": "1.1-x"}, "cursor"),
        ("runtime", {"steps": 1}, "steps"),
    ],
)
def test_every_question_names_the_parameter_that_it_cannot_take(tmp_path: Path, question: str, asked: Any, named: str) -> None:
    with pytest.raises(QueryError, match=f"^{named}: expected ") as caught:
        getattr(Queries(tmp_path / "telemetry.db"), question)(**asked)
    assert caught.value.parameter == named
    assert isinstance(caught.value, AutopilotError)


def test_what_is_not_there_is_an_error_of_its_own(tmp_path: Path) -> None:
    queries = Queries(tmp_path / "telemetry.db")
    for ask in (
        lambda: queries.trace("a" * 32),
        lambda: queries.span("a" * 32, "b" * 16),
        lambda: queries.trace_json("a" * 32),
        lambda: queries.compare_traces("a" * 32, "b" * 32),
        lambda: queries.metric_series("no.such"),
    ):
        with pytest.raises(NotStored):
            ask()
