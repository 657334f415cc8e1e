"""Reading beside writers: no store, another's store, a replaced one; answers of one moment; hostile data as strict JSON."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from otel_autopilot.errors import StoreError
from otel_autopilot.local.model import EventRecord, LinkRecord, LogRecordRow, MetricPoint
from otel_autopilot.local.queries import Queries
from otel_autopilot.local.queries.reader import Reader
from otel_autopilot.local.store import TraceStore
from otel_autopilot.local.tables import VERSION
from tests.unit.query_cases import BEGAN, RANGE, attempt, span, stored, strict_json
from tests.unit.test_local_store import _TABLES_2


def everything(queries: Queries) -> list[dict[str, object]]:
    """Every question that needs no id."""
    return [
        queries.state(), queries.health(), queries.facets(), queries.traces(), queries.traces(kind="all", q="text"), queries.breakdown(),
        queries.heatmap(), queries.compare_ranges(), queries.metrics(), queries.logs(), queries.logs(q="x"), queries.runtime(),
        queries.spans(), queries.spans(by="name"),
    ]  # fmt: skip


def test_before_there_is_a_store_every_answer_is_empty_and_no_file_appears(tmp_path: Path) -> None:
    queries = Queries(tmp_path / "dir" / "telemetry.db")
    for answer in everything(queries):
        strict_json(answer)
    assert queries.state()["spans"] == 0
    assert queries.traces()["traces"] == queries.logs()["logs"] == queries.spans()["spans"] == []
    assert queries.breakdown()["emails"]["duration"]["p50_ns"] is None
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_appears_or_takes_anothers_place_is_read_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    queries = Queries(path)
    assert queries.traces(kind="all")["traces"] == []
    stored(path, [span("one", 1)])
    assert [row["name"] for row in queries.traces(kind="all")["traces"]] == ["one"]
    before = queries.state()["version"]
    for file in tmp_path.iterdir():
        file.unlink()
    stored(path, [span("other", 1)])
    assert [row["name"] for row in queries.traces(kind="all")["traces"]] == ["other"]
    assert queries.state()["version"] != before


def test_a_newer_store_and_a_broken_one_are_errors_and_an_older_one_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    stored(path)
    with closing(sqlite3.connect(path)) as file:
        file.execute(f"PRAGMA user_version={VERSION + 1}")
    with pytest.raises(StoreError, match="this release knows up to"):
        Queries(path).state()
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match="can't be read"):
        Queries(broken).state()
    older = tmp_path / "older.db"
    with closing(sqlite3.connect(older)) as file, file:
        file.executescript(_TABLES_2)
        file.execute("PRAGMA user_version=2")
    assert Queries(older).traces()["traces"] == []
    with closing(sqlite3.connect(older)) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_what_is_asked_is_answered_while_a_writer_is_in_the_midst_of_a_transaction(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    queries = stored(path, [span("one", 1)])
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        writer.execute("DELETE FROM traces")
        assert len(queries.traces(kind="all")["traces"]) == 1
        writer.execute("ROLLBACK")


def test_one_answer_is_of_one_moment_and_nothing_can_be_written_through_it(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    stored(path, [span("one", 1)])
    with Reader(path).snapshot() as connection:
        count = "SELECT count(*) FROM traces"
        assert connection.execute(count).fetchone() == (1,)
        stored(path, [span("two", 1, trace=2)])
        assert connection.execute(count).fetchone() == (1,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM traces")


def test_the_version_changes_with_what_another_process_stores(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    queries = stored(path)
    seen = [queries.state()["version"]]
    with closing(TraceStore.open(path)) as store:
        store.add_spans([span("one", 1)])
        seen.append(queries.state()["version"])
        store.add_logs([LogRecordRow(1)])
        seen.append(queries.state()["version"])
    assert len(set(seen)) == 3
    assert queries.state()["version"] == seen[-1]


def test_many_threads_ask_at_once(tmp_path: Path) -> None:
    queries = stored(tmp_path / "telemetry.db", [span("one", number, trace=number) for number in range(1, 50)])
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(len(queries.traces(kind="all")["traces"]))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [49] * 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_asks_on_connections_of_its_own(tmp_path: Path) -> None:
    queries = stored(tmp_path / "telemetry.db", [span("one", 1)])
    assert queries.state()["spans"] == 1
    child = os.fork()
    if child == 0:
        os._exit(0 if queries.state()["spans"] == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert queries.state()["spans"] == 1


def test_hostile_data_is_shown_cut_and_as_strict_json(tmp_path: Path) -> None:
    odd = {
        "a": float("nan"),
        "b": b"\x00",
        "c": "x" * 1_000_000,
        "\ud800": "\ud800",
        "d": {"e": [float("inf"), {"": None}]},
        "": "",
    }
    spans = [
        span("", 1, 2, start=2**64 - 1, end=0, attributes=odd, resource={"service.name": ["no", "text"], "service.version": 7}),
        span("\ud800" * 100_000, 2, 1, start=0, end=2**63, attributes=odd, events=(EventRecord("e" * 10_000, 2**64, {}),) * 200),
        span(
            "email", 3, 3, attributes={"autopilot.stage": "email", "autopilot.stage.queue.duration": 1e300, "autopilot.attempt": -1}
        ),
        span("email", 4, 99, start=10, end=5, attributes={"autopilot.stage": "email", "autopilot.stage.queue.duration": "soon"}),
        attempt("digest", 5, 3, 1, BEGAN, 2**62, wait=-5.0),
        attempt("digest", 6, 3, 1, BEGAN, 2**62, links=()),
        span("<script>", 7, None, links=(LinkRecord("0" * 32, "0" * 16, odd), LinkRecord(f"{1:032x}", f"{7:016x}", {}))),
    ]
    logs = [
        LogRecordRow(2**64 - 1, 9, "\ud800", odd, f"{1:032x}", f"{1:016x}", "\ud800", odd),
        LogRecordRow(0, body="y" * 1_000_000),
    ]
    told = [
        {"count": -1, "sum": float("nan"), "bounds": ["a", 1], "bucket_counts": [1, None, 3, 4, 5]},
        {"count": 5, "scale": 2**40, "positive": 7},
        {"count": 5, "scale": 20, "zero_count": 1, "positive": {"offset": 2**31, "bucket_counts": [1]}, "negative": {"offset": -5, "bucket_counts": [2]}},
        None,
    ]  # fmt: skip
    points = [
        MetricPoint("m", kind, BEGAN + number, 5, "s", "d" * 10_000, "AGGREGATION_TEMPORALITY_CUMULATIVE", True, value, each, ({"value": float("nan"), "trace_id": "x", "time_unix_nano": BEGAN + 1},), odd)
        for number, (each, value) in enumerate(zip(told, [None, float("inf"), 2**70, float("nan")], strict=True))
        for kind in ("histogram", "exponential_histogram", "sum", "gauge")
    ]  # fmt: skip
    queries = stored(tmp_path / "telemetry.db", spans, logs, points)
    answers = everything(queries)
    answers += [
        queries.trace(f"{1:032x}"), queries.compare_traces(f"{1:032x}", f"{1:032x}"), queries.metric_series("m", **RANGE, by=["a", "c"]),
        queries.spans(from_=0, to="2030-01-01T00:00:00Z", by=["c", "d", "\ud800"]), queries.traces(kind="all", q="\ud800"),
        queries.runtime(**RANGE), queries.heatmap(from_=0), queries.breakdown(from_=0), queries.logs(from_=0), queries.health(),
    ]  # fmt: skip
    for answer in answers:
        assert len(strict_json(answer)) < 250_000
    strict_json(queries.trace_json(f"{1:032x}"))
    strict_json(queries.span(f"{1:032x}", f"{1:016x}"))
    assert len(queries.trace(f"{1:032x}")["spans"]) == 7
