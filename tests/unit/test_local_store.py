"""The embedded store: batches whole or not at all, the first wins, found by what a person knows, erased by age and size."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_autopilot.errors import StoreError
from otel_autopilot.local.model import EventRecord, LinkRecord, LogRecordRow, MetricPoint, Scope, SpanRecord
from otel_autopilot.local.schema import VERSION
from otel_autopilot.local.store import TraceStore
from otel_autopilot.telemetry.diagnostics import warnings

RUN = "0123456789abcdef0123456789abcdef"


def span(name: str, number: int, parent: int | None = None, trace: int = 1, **more: Any) -> SpanRecord:
    return SpanRecord(
        trace_id=f"{trace:032x}", span_id=f"{number:016x}", parent_span_id=None if parent is None else f"{parent:016x}", name=name,
        kind="SPAN_KIND_INTERNAL", start_unix_nano=more.pop("start", 1_000_000 * number), end_unix_nano=more.pop("end", 1_000_000 * number + 500),
        resource={"service.name": "test"}, **more,
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> TraceStore:
    return TraceStore.open(tmp_path / "dir" / "telemetry.db")


def test_a_trace_comes_back_as_it_was_stored(store: TraceStore) -> None:
    root = span(
        "email pipeline",
        1,
        attributes={"autopilot.run.id": RUN, "n": 1.5, "list": [1, 2]},
        status_code="STATUS_CODE_ERROR",
        status_message="no",
        scope=Scope("library", "1.0"),
    )
    child = span("email", 2, 1, events=(EventRecord("exception", 5, {"a": "b"}),), links=(LinkRecord("a" * 32, "b" * 16, {}),))
    store.add_spans([child, root])
    log = LogRecordRow(7, 9, "INFO", "hello", root.trace_id, root.span_id, "mail.read", {"x": 1}, {"y": 2}, Scope("logger", "2"))
    store.add_logs([log])
    spans, logs = store.trace(root.trace_id)
    assert spans == [root, child]
    assert logs == [log]


def test_the_same_span_twice_is_stored_once_and_the_first_wins(store: TraceStore) -> None:
    store.add_spans([span("first", 1)])
    store.add_spans([span("second", 1), span("other", 2, 1)])
    spans, _ = store.trace(f"{1:032x}")
    assert [item.name for item in spans] == ["first", "other"]
    (row,) = store.latest()
    assert (row.name, row.spans) == ("first", 2)


def test_a_trace_is_found_by_run_id_trace_id_their_beginnings_and_pseudonyms(store: TraceStore) -> None:
    attributes = {
        "autopilot.run.id": RUN,
        "autopilot.email.message_id": "p1_aa",
        "autopilot.email.sender": "p1_bb",
        "autopilot.outcome": "success",
    }
    store.add_spans([span("email pipeline", 1, trace=0xABCDEF << 100, attributes=attributes)])
    trace_id = f"{0xABCDEF << 100:032x}"
    for key, candidates in (
        (RUN, ()),
        (RUN[:8], ()),
        (trace_id, ()),
        (trace_id[:9], ()),
        ("x", ("p1_aa",)),
        ("x", ("p0_zz", "p1_bb")),
    ):
        assert store.find(key, candidates) == [trace_id], key
    assert store.find("ffffffff") == store.find("short") == store.find("'; DROP TABLE spans; --") == []
    assert [row.run_id for row in store.latest(outcome="success")] == [RUN]
    assert store.latest(outcome="failed") == []


def test_spans_that_come_in_several_batches_make_one_row_in_the_list(store: TraceStore) -> None:
    attributes = {"autopilot.run.id": RUN}
    store.add_spans([span("email", 2, 1, start=10, end=1_000_000_010, attributes=attributes | {"autopilot.stage": "email"})])
    (row,) = store.latest()
    assert (row.outcome, row.run_id) == (None, RUN)
    store.add_spans([span("digest", 3, 1, start=20, end=500_000_020, attributes=attributes | {"autopilot.stage": "digest"})])
    store.add_spans([span("email", 4, 1, start=30, end=40, attributes=attributes)])  # somebody else's span of that name
    store.add_spans(
        [
            span(
                "email pipeline",
                1,
                start=5,
                end=2_000_000_000,
                attributes={"autopilot.outcome": "failed"},
                status_code="STATUS_CODE_ERROR",
            )
        ]
    )
    (row,) = store.latest()
    assert (row.name, row.outcome, row.spans, row.errors, row.start_unix_nano) == ("email pipeline", "failed", 4, 1, 5)
    assert row.stages == {"email": 1.0, "digest": 0.5}


#: The tables of version 2; version 1 had no index by sender.
_TABLES_2 = """
CREATE TABLE resources (id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, attributes TEXT NOT NULL);
CREATE TABLE spans (
    trace_id BLOB NOT NULL, span_id BLOB NOT NULL, parent_span_id BLOB, name TEXT NOT NULL, start_unix_nano INTEGER NOT NULL,
    end_unix_nano INTEGER NOT NULL, error INTEGER NOT NULL, resource INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE UNIQUE INDEX spans_id ON spans (trace_id, span_id);
CREATE TABLE traces (
    trace_id BLOB PRIMARY KEY, name TEXT NOT NULL, service TEXT NOT NULL, start_unix_nano INTEGER NOT NULL,
    end_unix_nano INTEGER NOT NULL, spans INTEGER NOT NULL, errors INTEGER NOT NULL, run_id TEXT, workflow TEXT, outcome TEXT,
    message_id TEXT, sender TEXT, stages TEXT, rooted INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX traces_start ON traces (start_unix_nano DESC);
CREATE INDEX traces_run ON traces (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX traces_message ON traces (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX traces_sender ON traces (sender) WHERE sender IS NOT NULL;
CREATE INDEX traces_outcome ON traces (outcome, start_unix_nano DESC);
CREATE TABLE logs (
    id INTEGER PRIMARY KEY, time_unix_nano INTEGER NOT NULL, severity_number INTEGER NOT NULL, severity_text TEXT NOT NULL,
    body TEXT NOT NULL, trace_id BLOB, span_id BLOB, attributes TEXT NOT NULL, resource INTEGER NOT NULL
);
CREATE INDEX logs_trace ON logs (trace_id) WHERE trace_id IS NOT NULL;
CREATE INDEX logs_time ON logs (time_unix_nano);
CREATE TABLE metric_points (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, unit TEXT NOT NULL, kind TEXT NOT NULL, time_unix_nano INTEGER NOT NULL,
    attributes TEXT NOT NULL, value TEXT NOT NULL, resource INTEGER NOT NULL
);
CREATE INDEX metric_points_name ON metric_points (name, time_unix_nano);
CREATE INDEX metric_points_time ON metric_points (time_unix_nano);
"""


#: What of the tables of version 3 was not as in version 2.
_TABLES_3 = """
DROP TABLE spans;
DROP TABLE traces;
CREATE TABLE traces (
    number INTEGER PRIMARY KEY, trace_id BLOB NOT NULL UNIQUE, name TEXT NOT NULL, service TEXT NOT NULL, start_unix_nano INTEGER NOT NULL,
    end_unix_nano INTEGER NOT NULL, spans INTEGER NOT NULL, errors INTEGER NOT NULL, run_id TEXT, workflow TEXT, outcome TEXT,
    message_id TEXT, sender TEXT, stages TEXT, rooted INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE spans (
    trace INTEGER NOT NULL, span_id BLOB NOT NULL, parent_span_id BLOB, name TEXT NOT NULL, start_unix_nano INTEGER NOT NULL,
    end_unix_nano INTEGER NOT NULL, error INTEGER NOT NULL, resource INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (trace, span_id)
) WITHOUT ROWID;
CREATE INDEX traces_start ON traces (start_unix_nano DESC);
CREATE INDEX traces_run ON traces (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX traces_message ON traces (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX traces_sender ON traces (sender) WHERE sender IS NOT NULL;
CREATE INDEX traces_outcome ON traces (outcome, start_unix_nano DESC);
"""


def test_version_3_migrates_with_its_attempts_links_logs_and_counts(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as old, old:
        old.executescript(_TABLES_2 + _TABLES_3)
        old.execute("""INSERT INTO resources VALUES (1, 'h', '{"service.name":"s","service.version":"1.2","odd":NaN}')""")
        stage = '[{"autopilot.stage":"%s","autopilot.attempt":2,"autopilot.stage.queue.duration":1.5,"x":NaN},"SPAN_KIND_INTERNAL","STATUS_CODE_ERROR","",""%s]'
        linked = ',[],[["' + "ab" * 16 + '","' + "cd" * 8 + '",{}]]'
        for span_id, name, body in (
            (b"r" * 8, "email pipeline", '[{},"SPAN_KIND_CONSUMER","STATUS_CODE_UNSET","","a]"]'),
            (b"e" * 8, "email", stage % ("email", linked)),
            (b"d" * 8, "digest", stage % ("email", "")),  # somebody else's span of that name
        ):
            parent = None if name == "email pipeline" else b"r" * 8
            old.execute("INSERT INTO spans VALUES (7,?,?,?,?,?,1,1,?)", (span_id, parent, name, -5, 100, body))
        old.execute(
            "INSERT INTO traces VALUES (7,?,'email pipeline','s',-5,100,3,2,'run','w','failed',NULL,'p1_x','{}',1)", (b"t" * 16,)
        )
        old.execute("INSERT INTO logs VALUES (1, 50, 9, 'INFO', 'hello', ?, ?, '{}', 1)", (b"t" * 16, b"e" * 8))
        old.execute("INSERT INTO metric_points VALUES (1, 'm', 's', 'Sum', 5, '{}', '{}', 1)")
        old.execute("PRAGMA user_version=3")
    store = TraceStore.open(path)
    spans, logs = store.trace((b"t" * 16).hex())
    assert ([item.start_unix_nano for item in spans], [(log.body, log.event_name) for log in logs]) == ([0, 0, 0], [("hello", "")])
    assert store.latest()[0].stages == {"email": 1e-7}
    store.close()
    with closing(sqlite3.connect(path)) as migrated, closing(sqlite3.connect(tmp_path / "new.db")) as new:
        assert migrated.execute("SELECT * FROM attempts").fetchall() == [(7, b"e" * 8, 0, 100, 1_500_000_000, 2, 1, 0, None)]
        assert migrated.execute("SELECT * FROM links").fetchall() == [(7, b"e" * 8, b"\xab" * 16, b"\xcd" * 8)]
        assert migrated.execute("SELECT version, email, start_unix_nano FROM traces").fetchall() == [("1.2", 1, 0)]
        assert migrated.execute("SELECT traces, spans, logs, points FROM totals").fetchall() == [(1, 3, 1, 0)]
        TraceStore.open(tmp_path / "new.db").close()
        tables = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
        assert migrated.execute(tables).fetchall() == new.execute(tables).fetchall()


@pytest.mark.parametrize("version", [1, 2])
def test_rule_the_store_has_a_version_and_migrates_an_older_one(tmp_path: Path, version: int) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as old, old:
        old.executescript(_TABLES_2)
        if version == 1:
            old.execute("DROP INDEX traces_sender")
        old.execute("INSERT INTO resources VALUES (1, 'h', '{\"service.name\":\"s\"}')")
        body = '[{"autopilot.run.id":"r"},"SPAN_KIND_INTERNAL","STATUS_CODE_UNSET","",""]'
        for number in (2, 1):  # the newer one first: the numbers follow the time
            ids = bytes([number]) * 16
            old.execute(
                "INSERT INTO spans VALUES (?,?,NULL,'email pipeline',?,?,0,1,?)", (ids, bytes([number]) * 8, number, 9, body)
            )
            old.execute("INSERT INTO spans VALUES (?,?,?,'email',?,?,0,1,?)", (ids, b"c" * 8, bytes([number]) * 8, number, 9, body))
            old.execute(
                "INSERT INTO traces VALUES (?,'email pipeline','s',?,9,2,0,?,NULL,'success',NULL,'p1_x',NULL,1)",
                (ids, number, f"run-{number}"),
            )
        old.execute(f"PRAGMA user_version={version}")
    store = TraceStore.open(path)
    assert [row.run_id for row in store.latest()] == ["run-2", "run-1"]
    assert store.find("x", ("p1_x",)) == ["02" * 16, "01" * 16]
    spans, _ = store.trace("01" * 16)
    assert [(item.name, item.parent_span_id) for item in spans] == [("email pipeline", None), ("email", "01" * 8)]
    assert spans[0].resource == {"service.name": "s"}
    store.add_spans([replace(spans[1], span_id="dd" * 8), *spans])
    assert (store.span_count(), [row.spans for row in store.latest()]) == (5, [2, 3])
    store.close()
    with closing(sqlite3.connect(path)) as migrated, closing(sqlite3.connect(tmp_path / "new.db")) as new:
        TraceStore.open(tmp_path / "new.db").close()
        assert migrated.execute("PRAGMA user_version").fetchone() == (VERSION,)
        tables = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
        assert migrated.execute(tables).fetchall() == new.execute(tables).fetchall()


def test_a_newer_version_and_a_file_that_is_no_database_are_errors_that_say_so(tmp_path: Path) -> None:
    newer = tmp_path / "newer.db"
    TraceStore.open(newer).close()
    with sqlite3.connect(newer) as file:
        file.execute(f"PRAGMA user_version={VERSION + 1}")
    with pytest.raises(StoreError, match=f"its version is {VERSION + 1}, this release knows up to {VERSION}"):
        TraceStore.open(newer)
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match="can't be opened"):
        TraceStore.open(broken)


def test_what_is_too_old_and_what_is_too_much_is_erased_oldest_first(tmp_path: Path) -> None:
    now = time.time_ns()
    store = TraceStore.open(tmp_path / "age.db", max_age_seconds=60)
    store.add_spans(
        [span("old", 1, trace=1, start=now - 120 * 10**9, end=now - 119 * 10**9), span("new", 2, trace=2, start=now, end=now)]
    )
    store.retain()
    assert [row.name for row in store.latest()] == ["new"]
    small = TraceStore.open(tmp_path / "size.db", max_bytes=300_000)
    for number in range(1, 3_000, 100):
        small.add_spans(
            [
                span("s", index, trace=index, start=now + index, end=now + index, attributes={"text": "x" * 300})
                for index in range(number, number + 100)
            ]
        )
    small.retain()
    rows = small.latest(limit=10_000)
    assert 0 < len(rows) < 3_000
    assert rows[0].start_unix_nano == now + 3_000


def attempt(number: int, parent: int = 1, **more: Any) -> SpanRecord:
    attributes = {"autopilot.stage": "email", "autopilot.attempt": 1, "autopilot.stage.queue.duration": 0.25}
    return span("email", number, parent, attributes=attributes, **more)


def tables(path: Path) -> dict[str, int]:
    names = ("traces", "spans", "attempts", "links", "logs", "points", "series")
    with closing(sqlite3.connect(path)) as file:
        counted = {name: file.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}
        totals = file.execute("SELECT traces, spans, logs, points FROM totals").fetchone()
    assert totals == tuple(counted[name] for name in ("traces", "spans", "logs", "points"))
    return counted


def point(series: int = 1, moment: int = 10, value: float = 1.0) -> MetricPoint:
    return MetricPoint("m", "sum", moment, 5, "s", "", "AGGREGATION_TEMPORALITY_CUMULATIVE", True, value, attributes={"n": series})


def test_what_is_sent_again_doubles_nothing(store: TraceStore) -> None:
    first = [span("email pipeline", 1), attempt(2, links=(LinkRecord("a" * 32, "b" * 16, {}),) * 2)]
    points = [point(1), point(2), point(1, 11), point(1, 11)]
    store.add_spans(first)
    store.add_points(points)
    store.add_spans([*first, attempt(3), attempt(3)])
    store.add_spans([replace(first[1], name="digest", start_unix_nano=0, links=())])
    store.add_points([*points, point(1, 12)])
    assert tables(store.path) == {"traces": 1, "spans": 3, "attempts": 2, "links": 1, "logs": 0, "points": 4, "series": 2}
    assert store.span_count() == 3


def test_erasing_reaches_every_table(tmp_path: Path) -> None:
    now = time.time_ns()
    store = TraceStore.open(tmp_path / "age.db", max_age_seconds=60)
    for age in (120, 0):
        moment = now - age * 10**9
        spans = [attempt(1, trace=age + 1, start=moment, end=moment + 5, links=(LinkRecord("a" * 32, "b" * 16, {}),))]
        store.add_spans(spans)
        store.add_logs([LogRecordRow(moment, trace_id=trace_id) for trace_id in (spans[0].trace_id, None, "c" * 32)])
        store.add_points([point(age, moment)])
    store.retain()
    one = {"traces": 1, "spans": 1, "attempts": 1, "links": 1, "logs": 3, "points": 1, "series": 1}
    assert tables(store.path) == one
    store.add_points([point(120, now)])  # its series went with its points
    assert tables(store.path) == one | {"points": 2, "series": 2}


def test_a_store_of_logs_and_points_alone_is_kept_below_its_size_too(tmp_path: Path) -> None:
    store = TraceStore.open(tmp_path / "size.db", max_bytes=300_000)
    for number in range(1_000, 3_000, 100):
        store.add_logs([LogRecordRow(moment, body="x" * 300) for moment in range(number, number + 100)])
        store.add_points([point(1, moment) for moment in range(number, number + 100)])
    store.retain()
    left = tables(store.path)
    assert 0 < left["logs"] < 2_000
    assert 0 < left["points"] < 2_000


def test_times_numbers_and_names_beyond_what_sqlite_holds_are_stored_all_the_same(store: TraceStore) -> None:
    odd = {"autopilot.run.id": [1], "autopilot.workflow": "\ud800", "autopilot.outcome": {}, "autopilot.stage": "email"}
    store.add_spans(
        [
            span("\ud800" * 1_000, 1, start=2**64 - 1, end=-5, attributes=odd),
            attempt(2, start=2**63, end=2**64),
            span("email", 3, 1, attributes=odd | {"autopilot.attempt": 2**70, "autopilot.stage.queue.duration": float("nan")}),
        ]
    )
    store.add_logs([LogRecordRow(2**64 - 1, event_name="\ud800"), LogRecordRow(-1)])
    values = [2**70, float("nan"), float("inf")]
    store.add_points([replace(point(1, 2**64 - number), value=value) for number, value in enumerate([*values, -1])])
    store.add_points([replace(point(2), value=value, name=str(value)) for value in values])
    assert tables(store.path) == {"traces": 1, "spans": 3, "attempts": 2, "links": 0, "logs": 2, "points": 4, "series": 4}
    assert len(store.latest()[0].name) == 200
    assert len(store.trace(f"{1:032x}")[0]) == 3


def test_the_count_of_changes_moves_with_whatever_any_process_stores(store: TraceStore) -> None:
    def changes() -> tuple[str, int]:
        with closing(sqlite3.connect(store.path)) as file:
            return file.execute("SELECT epoch, changes FROM totals").fetchone()

    seen = [changes()]
    for store_it in (
        lambda: store.add_spans([span("a", 1)]),
        lambda: store.add_logs([LogRecordRow(1)]),
        lambda: store.add_points([point()]),
    ):
        store_it()
        seen.append(changes())
    assert len(set(seen)) == 4
    assert len({epoch for epoch, _ in seen}) == 1


def test_a_batch_that_cannot_be_written_raises_and_stores_nothing(tmp_path: Path) -> None:
    store = TraceStore.open(tmp_path / "telemetry.db")
    store.add_spans([span("kept", 1)])
    store._connection.execute("PRAGMA query_only=ON")
    with pytest.raises(StoreError, match="not stored"):
        store.add_spans([span("lost", 2)])
    store._connection.execute("PRAGMA query_only=OFF")
    assert store.span_count() == 1


def test_what_cannot_be_erased_keeps_nothing_from_being_stored(tmp_path: Path) -> None:
    store = TraceStore.open(tmp_path / "telemetry.db", max_age_seconds=60)
    connection = store._connection
    assert connection is not None
    connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_DELETE else sqlite3.SQLITE_OK)
    for number in (1, 2):
        store.add_spans([span("old", number, start=1, end=2)])
    assert (store.span_count(), "nothing could be erased" in warnings()[-1]) == (2, True)
    connection.set_authorizer(None)
    assert store.retain() == 1
    store.close()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=30), attributes=st.dictionaries(st.text(max_size=10), VALUES, max_size=4))
def test_whatever_an_attribute_holds_it_is_stored_or_refused_with_our_error(
    tmp_path: Path, name: str, attributes: dict[str, Any]
) -> None:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

    number = abs(hash((name, str(attributes)))) % (1 << 60) + 1
    readable = ReadableSpan(name, context=SpanContext(number, number, False), attributes=attributes, start_time=1, end_time=2)
    record = SpanRecord.from_readable(readable)
    store = TraceStore.open(tmp_path / "telemetry.db")
    try:
        store.add_spans([record])
    except StoreError:
        return
    spans, _ = store.trace(record.trace_id)
    assert len(spans) == 1
    spans[0].to_json()
    store.close()


WRITER = """
import sys, os
from contextlib import closing
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from otel_autopilot.local.store import TraceStore
from tests.unit.test_local_store import span
store = TraceStore.open(Path(sys.argv[1]))
base = int(sys.argv[3])
for batch in range(100_000):
    first = base + batch * 50
    store.add_spans([span("w", first + index, trace=first) for index in range(1, 51)])
    if batch == 5:
        print("writing", flush=True)
    if len(sys.argv) > 4 and batch == int(sys.argv[4]):
        break
"""


def test_two_processes_write_at_once_and_one_killed_leaves_only_whole_batches(tmp_path: Path) -> None:
    path, root = tmp_path / "telemetry.db", str(Path(__file__).parents[2])
    command = [sys.executable, "-c", WRITER, str(path), root]
    killed = subprocess.Popen([*command, "0"], stdout=subprocess.PIPE, text=True)
    other = subprocess.Popen([*command, str(10**9), "40"], stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    assert killed.stdout.readline() == "writing\n"
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    other.communicate(timeout=100)
    assert other.returncode == 0
    with sqlite3.connect(path) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        counts = [count for (count,) in store.execute("SELECT count(*) FROM spans GROUP BY trace")]
        assert set(counts) == {50}
        assert store.execute("SELECT count(*) FROM traces WHERE spans = 50").fetchone() == (len(counts),)


def test_a_batch_does_not_wait_until_all_that_is_old_is_erased_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otel_autopilot.local.store.RETENTION_SECONDS", 0.0)
    now = time.time_ns()
    old = TraceStore.open(tmp_path / "t.db")
    old.add_spans([span("old", 1, trace=number, start=1_000 + number) for number in range(1, 1_201)])
    old.close()
    store = TraceStore.open(tmp_path / "t.db", max_age_seconds=60)
    left = []
    for number in range(4):
        store.add_spans([span("new", 1, trace=10_000 + number, start=now, end=now)])
        left.append(store.span_count())
    assert left == [1_201 - 500, 1_202 - 1_000, 3, 4]


OPENING = """
import sys
from pathlib import Path
from otel_autopilot.local.store import TraceStore
sys.stdin.readline()
for number in range(40):
    TraceStore.open(Path(sys.argv[1]) / f"{number}.db").close()
    print(number, flush=True)
    sys.stdin.readline()
"""


def test_processes_that_make_the_same_store_at_the_same_moment_all_open_it(tmp_path: Path) -> None:
    pipe = subprocess.PIPE
    openers = [
        subprocess.Popen([sys.executable, "-c", OPENING, str(tmp_path)], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        for _ in range(4)
    ]
    for _ in range(40):
        for opener in openers:
            assert opener.stdin is not None
            opener.stdin.write("\n")
            opener.stdin.flush()
        for opener in openers:
            assert opener.stdout is not None
            opener.stdout.readline()
    assert [opener.communicate("\n") for opener in openers] == [("", "")] * 4


def test_a_forked_child_has_a_connection_of_its_own(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nsys.path.insert(0, sys.argv[2])\nfrom otel_autopilot.local.store import TraceStore\n"
        "from tests.unit.test_local_store import span\nstore = TraceStore.open(Path(sys.argv[1]))\nstore.add_spans([span('parent', 1)])\n"
        "pid = os.fork()\nstore.add_spans([span('child' if pid == 0 else 'parent', 3 if pid == 0 else 2)])\n"
        "os._exit(0) if pid == 0 else os.waitpid(pid, 0)\nprint(store.span_count())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "t.db"), str(Path(__file__).parents[2])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "3", done.stderr


def test_children_forked_in_the_midst_of_a_transaction_write_too(tmp_path: Path) -> None:
    code = """
    import os, sys, threading
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    from otel_autopilot.local.store import TraceStore
    from tests.unit.test_local_store import span
    store, written, enough = TraceStore.open(Path(sys.argv[1])), [], threading.Event()
    def write():
        while not enough.is_set():
            store.add_spans([span("parent", 1000 + len(written))])
            written.append(1)
    def fork(first):
        for number in range(first, first + 10):
            child = os.fork()
            if child == 0:
                store.add_spans([span("child", number)])
                os._exit(0)
            children.append(child)
    children = []
    threads = [threading.Thread(target=write), *(threading.Thread(target=fork, args=(first,)) for first in (100, 200))]
    for thread in threads:
        thread.start()
    for thread in threads[1:]:
        thread.join()
    enough.set()
    threads[0].join()
    print({os.waitpid(child, 0)[1] for child in children}, store.span_count() - len(written))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "t.db"), str(Path(__file__).parents[2])],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "{0} 20", done.stderr


def test_a_closed_store_says_so(store: TraceStore) -> None:
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.add_spans([span("late", 1)])


def test_files_are_only_their_owners(store: TraceStore) -> None:
    assert oct(store.path.stat().st_mode & 0o777) == "0o600"
    assert oct(store.path.parent.stat().st_mode & 0o777) == "0o700"
