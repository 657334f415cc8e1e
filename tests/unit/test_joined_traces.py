"""An email of a trusted sender is part of the sender's trace: its root hangs under a span of somebody else."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from otel_autopilot.local.listing import print_list
from otel_autopilot.local.model import SpanRecord
from otel_autopilot.local.queries import Queries
from otel_autopilot.local.store import TraceStore
from otel_autopilot.local.tree import build_tree
from otel_autopilot.local.waterfall import render_waterfall
from tests.unit.query_cases import BEGAN, RANGE, SECOND, attempt, span, stored

_RUN = f"{1:032x}"
SENDER = span("send newsletter", 9, start=BEGAN - 60 * SECOND, end=BEGAN + 600 * SECOND, resource={"service.name": "shop"})
STAGES = [
    attempt("email", 2, 1, 1, BEGAN, SECOND, wait=0.0),
    attempt("delivery", 3, 1, 1, BEGAN + 2 * SECOND, SECOND, wait=1.0),
]
ROOT = span(
    "email pipeline", 1, 9, start=BEGAN, end=BEGAN + 4 * SECOND,
    attributes={"autopilot.run.id": _RUN, "autopilot.outcome": "failed", "autopilot.workflow": "w"},
)  # fmt: skip


def _row(path: Path, batches: Sequence[Sequence[SpanRecord]]) -> tuple[object, ...]:
    with closing(TraceStore.open(path)) as store:
        for batch in batches:
            store.add_spans(batch)
    with closing(sqlite3.connect(path)) as connection:
        columns = "name, service, start_unix_nano, end_unix_nano, spans, run_id, workflow, outcome, email, rooted"
        (row,) = connection.execute(f"SELECT {columns} FROM traces").fetchall()
    return tuple(row)


def test_an_email_in_its_senders_trace_has_ended_when_its_own_root_is_there_and_is_as_long_as_that(tmp_path: Path) -> None:
    queries = stored(tmp_path / "telemetry.db", [SENDER, ROOT, *STAGES])
    (trace,) = queries.traces(outcome="failed", **RANGE)["traces"]
    told = {key: trace[key] for key in ("name", "service", "start_unix_nano", "duration_ns", "outcome", "under_way", "spans")}
    assert told == {
        "name": "email pipeline", "service": "test", "start_unix_nano": BEGAN, "duration_ns": 4 * SECOND, "outcome": "failed",
        "under_way": False, "spans": 4,
    }  # fmt: skip
    assert queries.traces(outcome="under_way", **RANGE)["traces"] == []
    assert sum(map(sum, queries.heatmap(**RANGE)["counts"])) == 1
    emails = queries.breakdown(**RANGE)["emails"]
    assert (emails["count"], emails["failed"], emails["under_way"]) == (1, 1, 0)
    whole = queries.trace(trace["trace_id"])
    assert (whole["orphans"], whole["duration_ns"]) == (0, 660 * SECOND)


def test_until_then_it_is_under_way_though_the_senders_root_is_there(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    queries = stored(path, [SENDER, *STAGES])
    (trace,) = queries.traces(outcome="under_way")["traces"]
    assert (trace["name"], trace["under_way"], trace["outcome"]) == ("email pipeline", True, None)
    assert sum(map(sum, queries.heatmap()["counts"])) == 0
    assert build_tree([SENDER, *STAGES]).under_way
    console = Console(width=100, record=True, color_system=None)
    with closing(TraceStore.open(path)) as store:
        print_list(store.latest(), console)
    assert "running" in console.export_text()


def test_the_root_of_an_email_whose_sender_reports_elsewhere_is_no_orphan(tmp_path: Path) -> None:
    whole = stored(tmp_path / "telemetry.db", [ROOT, *STAGES]).trace(ROOT.trace_id)
    assert (whole["orphans"], whole["trace"]["under_way"], whole["trace"]["outcome"]) == (0, False, "failed")
    text = "\n".join(line.plain for line in render_waterfall([SENDER, ROOT, *STAGES], width=100))
    assert text.startswith("email pipeline  failed")
    assert not build_tree([ROOT, *STAGES]).orphans


def test_a_trace_of_two_emails_is_one_row_from_the_first_start_to_the_last_end_with_the_outcome_of_the_last(tmp_path: Path) -> None:
    later = span(
        "email pipeline", 7, 9, start=BEGAN + SECOND, end=BEGAN + 9 * SECOND,
        attributes={"autopilot.run.id": _RUN, "autopilot.outcome": "success"},
    )  # fmt: skip
    rows = {
        _row(tmp_path / f"{number}.db", batches)
        for number, batches in enumerate(([[ROOT], [later]], [[later], [ROOT]], [[ROOT, later]]))
    }
    ((_, _, start, end, *_, outcome, _, _),) = rows
    assert (start, end, outcome) == (BEGAN, BEGAN + 9 * SECOND, "success")


@settings(max_examples=40, deadline=None)
@given(st.permutations([SENDER, ROOT, *STAGES]), st.integers(0, 4))
def test_in_whatever_order_and_batches_the_spans_come_the_row_is_the_same(spans: list[SpanRecord], cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        row = _row(Path(folder) / "telemetry.db", [batch for batch in (spans[:cut], spans[cut:]) if batch])
    assert row == ("email pipeline", "test", BEGAN, BEGAN + 4 * SECOND, 4, _RUN, "w", "failed", 2, 2)


def test_a_store_of_version_4_tells_such_emails_anew(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    stored(path, [SENDER, ROOT, *STAGES, *(attempt("email", 2, 1, 2, BEGAN, 5) for _ in range(1))])
    with closing(sqlite3.connect(path)) as old, old:
        old.execute("UPDATE traces SET email = 1, rooted = number = 1, outcome = NULL, name = 'x', start_unix_nano = 5")
        old.execute("PRAGMA user_version=4")
    TraceStore.open(path).close()
    queries = Queries(path)
    ended, under_way = sorted(queries.traces()["traces"], key=lambda trace: trace["under_way"])
    assert (ended["outcome"], ended["start_unix_nano"], ended["duration_ns"]) == ("failed", BEGAN, 4 * SECOND)
    assert (under_way["under_way"], under_way["outcome"]) == (True, None)
