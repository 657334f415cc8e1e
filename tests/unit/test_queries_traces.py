"""The list of traces agrees with going through all of them, page by page, and every filter of it is answered by an index."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_autopilot.local.model import LogRecordRow, SpanRecord
from otel_autopilot.local.queries import Queries, trace_rows
from otel_autopilot.local.queries.parameters import Place, TimeRange
from otel_autopilot.local.queries.reader import Reader
from otel_autopilot.telemetry import pseudonyms
from tests.unit.query_cases import BEGAN, MILLISECOND, SECOND, attempt, emails, span, stored


def pages(queries: Queries, **asked: Any) -> Iterator[dict[str, Any]]:
    """The rows of every page."""
    cursor = None
    while True:
        answer = queries.traces(cursor=cursor, **asked)
        yield from answer["traces"]
        cursor = answer["next"]
        if cursor is None:
            return


FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "stage": st.sampled_from(["email", "digest", "email pipeline"]),
        "outcome": st.sampled_from(["success", "failed", "rejected", "under_way"]),
        "service": st.sampled_from(["a", "b"]),
        "workflow": st.sampled_from(["w", "x"]),
        "version": st.sampled_from(["1", "2"]),
        "min_ms": st.integers(0, 20_000),
        "max_ms": st.integers(0, 20_000),
        "errors": st.booleans(),
        "measure": st.sampled_from(["work", "wait"]),
        "from_": st.integers(BEGAN // SECOND - 60, BEGAN // SECOND + 3_600),
        "limit": st.integers(1, 4),
    },
)


def meets(spans: Sequence[SpanRecord], asked: dict[str, Any]) -> bool:
    """Whether an email is meant, as the contract says it."""
    root = next((one for one in spans if one.parent_span_id is None), None)
    start, end = min(one.start_unix_nano for one in spans), max(one.end_unix_nano for one in spans)
    stage = asked.get("stage", "email pipeline")
    outcome, least, most = asked.get("outcome"), asked.get("min_ms", 0) * MILLISECOND, asked.get("max_ms", 10**12) * MILLISECOND
    if stage == "email pipeline":
        fits = (
            least <= end - start <= most
            and (not asked.get("errors") or any(one.failed for one in spans))
            and (outcome in (None, "under_way") or (root is not None and root.attributes["autopilot.outcome"] == outcome))
        )
    else:
        wait = asked.get("measure") == "wait"
        fits = any(
            least <= (round(one.attributes["autopilot.stage.queue.duration"] * SECOND) if wait else one.duration_nano) <= most
            and (not asked.get("errors") or one.failed)
            and outcome in (None, "under_way", one.attributes["autopilot.outcome"])
            for one in spans if one.name == stage
        )  # fmt: skip
    workflow = root.attributes["autopilot.workflow"] if root else None
    return (
        fits
        and (outcome != "under_way" or root is None)
        and asked.get("service") in (None, spans[0].resource["service.name"])
        and asked.get("version") in (None, spans[0].resource["service.version"])
        and asked.get("workflow") in (None, workflow)
        and start >= asked.get("from_", 0) * SECOND
    )


@settings(max_examples=150, deadline=None)
@given(emails(), FILTERS)
def test_the_list_is_what_going_through_all_emails_finds_newest_first(
    given_emails: list[list[SpanRecord]], asked: dict[str, Any]
) -> None:
    expected = sorted(
        (spans for spans in given_emails if meets(spans, asked)), key=lambda spans: -min(one.start_unix_nano for one in spans)
    )
    with tempfile.TemporaryDirectory() as folder:
        queries = stored(Path(folder) / "telemetry.db", [one for spans in given_emails for one in spans])
        rows = list(pages(queries, **asked))
        queries.close()
    assert [row["start_unix_nano"] for row in rows] == [min(one.start_unix_nano for one in spans) for spans in expected]
    by_id = {spans[0].trace_id: spans for spans in expected}
    assert {row["trace_id"] for row in rows} == set(by_id)
    for row in rows:
        spans = by_id[row["trace_id"]]
        assert row["spans"] == len(spans)
        assert row["errors"] == sum(one.failed for one in spans)
        assert row["under_way"] == all(one.parent_span_id for one in spans)
        for stage, told in row["stages"].items():
            attempts = [one for one in spans if one.name == stage]
            assert told["attempts"] == len(attempts)
            assert told["errors"] == sum(one.failed for one in attempts)
            assert told["lost"] == sum("autopilot.attempt.lost" in one.attributes for one in attempts)
            assert told["work_ns"] == sum(one.duration_nano for one in attempts if "autopilot.attempt.lost" not in one.attributes)
            assert told["wait_ns"] == sum(round(one.attributes["autopilot.stage.queue.duration"] * SECOND) for one in attempts)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"emails": False},
        {"service": "s"},
        {"workflow": "w"},
        {"version": "1"},
        {"outcome": "failed"},
        {"outcome": "under_way"},
        {"errors": True},
        {"least_nano": 1},
        {"most_nano": 1},
        {"service": "s", "workflow": "w", "outcome": "failed", "errors": True, "least_nano": 1},
        {"stage": "digest", "least_nano": 1},
        {"stage": "digest", "errors": True, "outcome": "failed"},
    ],
)
def test_every_filter_is_answered_by_an_index_that_is_in_the_order_of_the_list(tmp_path: Path, asked: dict[str, Any]) -> None:
    stored(tmp_path / "telemetry.db")
    statements: list[str] = []
    with Reader(tmp_path / "telemetry.db").snapshot() as connection:
        connection.set_trace_callback(statements.append)
        trace_rows.picked(connection, trace_rows.Filters(TimeRange(1, 2), **asked), Place(2, 5), 50)
        connection.set_trace_callback(None)
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statements[-1]}")]
    assert plan[0].startswith("SEARCH traces USING COVERING INDEX traces_list (start_unix_nano>? AND start_unix_nano<?)")
    assert plan[1:] in ([], ["CORRELATED SCALAR SUBQUERY 1", "SEARCH a USING PRIMARY KEY (trace=?)"])


def test_one_is_found_by_ids_their_beginnings_run_message_sender_and_their_pseudonyms(tmp_path: Path) -> None:
    mine, sender = pseudonyms.candidates("<one@example.org>")[0], pseudonyms.candidates("ada@example.org")[0]
    attributes = {
        "autopilot.run.id": "feedc0ffee" + "0" * 22, "autopilot.email.message_id": mine, "autopilot.email.sender": sender, "autopilot.outcome": "success",
    }  # fmt: skip
    wanted = span("email pipeline", 1, trace=0xABCDEF << 100, attributes=attributes)
    queries = stored(tmp_path / "telemetry.db", [wanted, *(span("other", 1, trace=number) for number in range(1, 9))])
    for key, by in (
        (wanted.trace_id, "trace_id"),
        (f" {wanted.trace_id[:8].upper()} ", "trace_id"),
        ("feedc0ffee", "run_id"),
        ("one@example.org", "pseudonym"),
        ("<One@Example.org>", "pseudonym"),
        ("ada@example.org", "pseudonym"),
        (mine, "pseudonym"),
    ):
        answer = queries.traces(q=key)
        assert ([row["trace_id"] for row in answer["traces"]], answer["matched"]) == ([wanted.trace_id], by), key
    assert queries.traces(q=wanted.trace_id, outcome="failed")["traces"] == []
    assert queries.traces(q="ffffffff")["traces"] == []


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("SPLINE", 1),
        ("reticul", 1),
        ("größe", 2),
        ("GRÖSSE", 2),
        ("100%", 3),
        ("100_", None),
        ('quote"d', 4),
        ("back\\slash", 5),
        ("timed out", 6),
        ("written in a log", 7),
        ("inside", 8),
        ("SPAN_KIND_INTERNAL", None),
        ("STATUS_CODE", None),
        ("; DROP TABLE spans", None),
    ],
)
def test_text_is_found_in_names_status_attributes_and_logs_whatever_its_case_and_nowhere_else(
    tmp_path: Path, key: str, found: int | None
) -> None:
    spans = [
        span("reticulating spline", 1, trace=1),
        span("b", 1, trace=2, attributes={"Größe": "GRÖSSE"}),
        span("c", 1, trace=3, attributes={"share": "100%"}),
        span("d", 1, trace=4, attributes={"text": 'quote"d'}),
        span("e", 1, trace=5, attributes={"text": "back\\slash"}),
        span("f", 1, trace=6, status_message="Timed out"),
        span("g", 1, trace=7),
        span("h", 1, trace=8, attributes={"list": ["x", "inside", 100]}),
    ]
    queries = stored(tmp_path / "telemetry.db", spans, [LogRecordRow(BEGAN, body="written in a log", trace_id=f"{7:032x}")])
    answer = queries.traces(kind="all", q=key)
    assert [int(row["trace_id"], 16) for row in answer["traces"]] == ([] if found is None else [found])
    assert answer["complete"]


@pytest.mark.parametrize("key", ["alice@example.org", " <Alice@Example.ORG> ", "20261121.7@mx.example.org"])
def test_an_address_inside_a_log_or_an_attribute_is_found_by_the_pseudonym_that_stands_for_it(tmp_path: Path, key: str) -> None:
    stands = f"[email:{pseudonyms.pseudonym(key)}]"
    spans = [
        span("email pipeline", 1, trace=1, attributes={"autopilot.outcome": "success", "smtp.reply": f"550 {stands} unknown"}),
        span("email pipeline", 1, trace=2, start=BEGAN + 2, attributes={"autopilot.outcome": "success"}),
        span(
            "email pipeline", 1, trace=3, attributes={"autopilot.outcome": "success", "to": pseudonyms.pseudonym("b@example.org")}
        ),
    ]
    logs = [LogRecordRow(BEGAN, body=f"refused by {stands}", trace_id=f"{2:032x}"), LogRecordRow(BEGAN, body="at example.org")]
    queries = stored(tmp_path / "telemetry.db", spans, logs)
    answer = queries.traces(q=key)
    assert [int(row["trace_id"], 16) for row in answer["traces"]] == [2, 1]
    assert answer["matched"] == "text"
    assert [row["body"] for row in queries.logs(q=key)["logs"]] == [f"refused by {stands}"]
    assert queries.traces(q="x " + key.strip())["traces"] == []


def test_a_search_that_runs_out_of_time_says_how_far_it_came_and_goes_on_from_there(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    stored(path, [span("needle" if number == 3 else "hay", 1, trace=number, start=BEGAN + number) for number in range(1, 200)])
    hasty = Queries(path, budget_seconds=0)
    answer = hasty.traces(kind="all", q="needle")
    assert (answer["traces"], answer["complete"], answer["matched"]) == ([], False, "text")
    assert BEGAN < answer["searched_to_unix_nano"] < BEGAN + 199
    found, asked = [], 1
    while answer["next"]:
        answer = hasty.traces(kind="all", q="needle", cursor=answer["next"])
        found += answer["traces"]
        asked += 1
    assert [int(row["trace_id"], 16) for row in found] == [3]
    assert answer["complete"]
    assert 1 < asked < 100


def test_pages_neither_repeat_nor_miss_traces_that_began_at_the_same_time_or_come_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    queries = stored(path, [span("s", 1, trace=number, start=BEGAN) for number in range(1, 12)])
    seen = []
    for number, row in enumerate(pages(queries, kind="all", limit=3)):
        seen.append(int(row["trace_id"], 16))
        stored(path, [span("s", 1, trace=1_000 + number, start=BEGAN + 1)])
    assert seen == list(range(11, 0, -1))


def test_an_email_is_under_way_until_its_root_comes(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    queries = stored(path, [attempt("email", 2, 1, 5, BEGAN, SECOND)])
    (row,) = queries.traces()["traces"]
    assert (row["under_way"], row["outcome"], row["name"]) == (True, None, "email pipeline")
    stored(path, [span("email pipeline", 1, trace=5, start=BEGAN - 5, attributes={"autopilot.outcome": "success"})])
    (row,) = queries.traces()["traces"]
    assert (row["under_way"], row["outcome"], row["name"], row["start_unix_nano"]) == (
        False,
        "success",
        "email pipeline",
        BEGAN - 5,
    )
    assert queries.facets()["outcomes"] == ["success"]
