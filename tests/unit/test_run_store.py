"""The run store, over real files."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import sqlite

from otel_autopilot.errors import EngineError, SchemaError
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.messages import Envelope, RawEmail, RecipientOutcome
from otel_autopilot.telemetry import pseudonyms
from otel_autopilot.telemetry.pseudonyms import pseudonym
from otel_autopilot.workflow import erasure, schema
from otel_autopilot.workflow import run_statements as sql
from otel_autopilot.workflow.run_store import RunStore
from otel_autopilot.workflow.runs import Accepted, BegunAttempt, EndedAttempt, RunError


class Bench:
    """A store, blobs beside it, and short ways to use them."""

    def __init__(self, store: RunStore, blobs: BlobStore, path: Path) -> None:
        self.store = store
        self.blobs = blobs
        self.path = path
        self.forgotten: list[str] = []

    async def accept(
        self, run_id: str, *, body: bytes = b"mail", sender: str | None = None, received: int = 1, **keys: Any
    ) -> Accepted:
        """Accept a mail of this body; ``keys`` are those of `RunStore.accept`."""
        raw = RawEmail(
            blob=self.blobs.put(body),
            envelope=Envelope(source="api", sender=sender, received_unix_nano=received, stored_unix_nano=received),
        )
        named = {"message_id_key": f"m-{run_id}", "content_key": raw.blob.sha256, "recipients_key": "", "workflow": "email-digest"}
        return await self.store.accept(
            run_id=run_id, trace_id="a" * 32, root_span_id="b" * 16, raw=raw, workflow_text="", carrier={}, **(named | keys)
        )

    async def begin(
        self, run_id: str, stage: str = "email", *, ready: int = 10, started: int = 20, after: EndedAttempt | None = None
    ) -> BegunAttempt:
        """Begin an attempt."""
        return await self.store.begin_attempt(
            run_id, stage, span_id="c" * 16, ready_unix_nano=ready, started_unix_nano=started, executor_id="e1", after=after
        )

    async def finish(self, run_id: str, state: Any = "success", **more: Any) -> bool:
        """Finish a run."""
        given = {"finished_unix_nano": 50, "error": None, "deliveries": ()} | more
        return await self.store.finish(run_id, state, **given)

    def forget(self, ids: Any) -> int:
        """Stands where the engine erases its checkpoints."""
        self.forgotten += ids
        return len(ids)

    def sql(self, query: str) -> list[Any]:
        """What another connection sees."""
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()


@pytest.fixture
async def bench(data_dir: Path) -> AsyncIterator[Bench]:
    pseudonyms.use(pseudonyms.load_pseudonyms(data_dir))
    store = await RunStore.open(data_dir / "runs.db")
    yield Bench(store, BlobStore(data_dir / "blobs"), data_dir / "runs.db")
    await store.close()


# --- acceptance -------------------------------------------------------------------------------------------------------


async def test_the_same_mail_again_is_the_first_run(bench: Bench) -> None:
    first = await bench.accept("run-1", message_id_key="m")
    again = await bench.accept("run-2", message_id_key="m")
    assert (first.run_id, first.created) == ("run-1", True)
    assert (again.run_id, again.created, again.conflict) == ("run-1", False, False)


async def test_the_same_mail_without_a_message_id_is_the_first_run_too(bench: Bench) -> None:
    await bench.accept("run-1", message_id_key=None)
    assert (await bench.accept("run-2", message_id_key=None)).run_id == "run-1"


@pytest.mark.parametrize("other", [{"body": b"other"}, {"recipients_key": "r"}])
async def test_the_same_message_id_with_another_body_or_recipients_is_another_run_flagged(
    bench: Bench, other: dict[str, Any]
) -> None:
    await bench.accept("run-1", message_id_key="m")
    accepted = await bench.accept("run-2", message_id_key="m", **other)
    assert (accepted.run_id, accepted.created, accepted.conflict) == ("run-2", True, True)
    run = await bench.store.get("run-2")
    assert run is not None
    assert run.conflict


async def test_many_at_once_with_the_same_mail_are_one_run(bench: Bench) -> None:
    accepted = await asyncio.gather(*(bench.accept(f"run-{number}", message_id_key="m") for number in range(100)))
    assert len({item.run_id for item in accepted}) == 1
    assert sum(item.created for item in accepted) == 1


async def test_two_processes_with_the_same_mail_are_one_run(bench: Bench) -> None:
    other = await RunStore.open(bench.path)
    theirs = Bench(other, bench.blobs, bench.path)
    try:
        pairs = [
            await asyncio.gather(bench.accept(f"a-{n}", message_id_key=f"{n}"), theirs.accept(f"b-{n}", message_id_key=f"{n}"))
            for n in range(50)
        ]
    finally:
        await other.close()
    assert all(mine.run_id == his.run_id and mine.created != his.created for mine, his in pairs)


async def test_no_address_is_stored_outside_the_raw_column(bench: Bench) -> None:
    await bench.accept("run-1", sender="ann@example.org")
    delivered = RecipientOutcome(target="smtp://mail:25", recipient="bob@example.org", outcome="delivered")
    await bench.finish("run-1", deliveries=[delivered])
    (row,) = bench.sql("SELECT id, state, message_id_key, sender_key, carrier, error, deliveries FROM runs")
    assert "example.org" not in str(row)
    run = await bench.store.get("run-1")
    assert run is not None
    assert run.deliveries[0].recipient == pseudonym("bob@example.org")


async def test_a_mail_whose_file_is_gone_is_not_accepted(bench: Bench) -> None:
    blob = bench.blobs.put(b"gone")
    bench.blobs.erase(blob.sha256)
    raw = RawEmail(blob=blob, envelope=Envelope(source="api", received_unix_nano=1, stored_unix_nano=1))
    with pytest.raises(EngineError, match="file is gone"):
        await bench.store.accept(
            run_id="r", trace_id="a" * 32, root_span_id="b" * 16, raw=raw, message_id_key=None, content_key="c", recipients_key="",
            workflow="w", workflow_text="", carrier={},
        )  # fmt: skip


# --- durability -------------------------------------------------------------------------------------------------------


async def test_rule_durability_acceptance_and_delivery_intents_are_synced_and_attempts_are_not(bench: Bench) -> None:
    modes: list[tuple[str, int]] = []

    async def look(name: str, durable: bool) -> None:
        read = schema.sa.text("PRAGMA synchronous")
        await bench.store._writer.write(
            lambda session: modes.append((name, session._cursor.execute(str(read)).fetchone()[0])), durable=durable
        )

    await look("durable", True)
    await look("not", False)
    assert modes == [("durable", 2), ("not", 1)]
    assert bench.sql("PRAGMA journal_mode") == [("wal",)]


_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from otel_autopilot.telemetry import pseudonyms
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.workflow.run_store import RunStore
from tests.unit.test_run_store import Bench

async def main():
    base = Path(sys.argv[1])
    pseudonyms.use(pseudonyms.load_pseudonyms(base))
    bench = Bench(await RunStore.open(base / "runs.db"), BlobStore(base / "blobs"), base / "runs.db")
    await bench.accept("run-1")
    await bench.begin("run-1")
    await bench.store.outbox.intend("run-1", "smtp://mail", "ann@example.org")
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_what_was_answered_before_kill_9_is_there_afterwards(data_dir: Path) -> None:
    killed = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", _KILLED, str(data_dir)], check=False)
    assert killed.returncode == -signal.SIGKILL
    pseudonyms.use(pseudonyms.load_pseudonyms(data_dir))
    bench = Bench(await RunStore.open(data_dir / "runs.db"), BlobStore(data_dir / "blobs"), data_dir / "runs.db")
    try:
        assert await bench.store.unfinished() == ["run-1"]
        begun = await bench.begin("run-1", started=100)
        assert (begun.number, [attempt.outcome for attempt in begun.lost], begun.ready_unix_nano) == (2, ["lost"], 100)
        assert await bench.store.outbox.intend("run-1", "smtp://mail", "ann@example.org") == "uncertain"
    finally:
        await bench.store.close()


async def test_one_faulty_write_does_not_harm_those_it_shares_a_transaction_with(bench: Bench) -> None:
    await bench.accept("run-1")
    results = await asyncio.gather(
        bench.accept("run-2"), bench.begin("nobody"), bench.accept("run-3"), bench.begin("run-1"), return_exceptions=True
    )
    assert isinstance(results[1], EngineError)
    assert "expected one under way, got none" in str(results[1])
    assert [run.id for run in (await bench.store.list())[0]] == ["run-3", "run-2", "run-1"]


async def test_a_write_waits_for_another_process_without_holding_up_the_event_loop(bench: Bench) -> None:
    holder = sqlite3.connect(bench.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(bench.accept("run-1"))
    done, _ = await asyncio.wait([waiting], timeout=0.2)
    assert not done, "it waits for the lock, and the loop goes on"
    holder.execute("ROLLBACK")
    holder.close()
    assert (await waiting).created


async def test_a_closed_store_says_so(bench: Bench) -> None:
    await bench.store.close()
    await bench.store.close()
    with pytest.raises(EngineError, match="closed"):
        await bench.accept("run-1")
    with pytest.raises(EngineError, match="closed"):
        await bench.store.list()


# --- attempts and ends ------------------------------------------------------------------------------------------------


async def test_an_attempt_that_never_ended_is_lost_when_the_next_begins(bench: Bench) -> None:
    await bench.accept("run-1")
    assert (await bench.begin("run-1", ready=10, started=20)).number == 1
    begun = await bench.begin("run-1", ready=10, started=40)
    assert begun.number == 2
    assert [(lost.number, lost.outcome, lost.ended_unix_nano) for lost in begun.lost] == [(1, "lost", 40)]
    run = await bench.store.get("run-1")
    assert run is not None
    assert [(stage.number, stage.outcome) for stage in run.stages] == [(1, "lost"), (2, None)]


async def test_a_second_attempt_is_ready_when_the_first_ended(bench: Bench) -> None:
    await bench.accept("run-1")
    await bench.begin("run-1", ready=10)
    await bench.store.retry("run-1", EndedAttempt("email", 1, 30, "failed"))
    state = await bench.store.get("run-1")
    assert state is not None
    assert state.state == "retry"
    begun = await bench.begin("run-1", ready=10, started=60)
    assert (begun.number, begun.lost, begun.ready_unix_nano) == (2, (), 30)
    run = await bench.store.get("run-1")
    assert run is not None
    assert (run.state, run.started_unix_nano) == ("running", 20)


async def test_how_a_stage_ended_is_stored_with_what_comes_next_and_may_be_told_twice(bench: Bench) -> None:
    await bench.accept("run-1")
    await bench.begin("run-1")
    ended = EndedAttempt("email", 1, 30, "success", blobs=(bench.blobs.put(b"attachment").sha256,))
    await bench.begin("run-1", "ingestion", ready=30, after=ended)
    begun = await bench.begin("run-1", "ingestion", ready=30, started=40, after=ended)  # as after a crash
    assert [lost.stage for lost in begun.lost] == ["ingestion"]
    await bench.finish("run-1", after=EndedAttempt("ingestion", 2, 60, "success"))
    run = await bench.store.get("run-1")
    assert run is not None
    assert [(stage.stage, stage.number, stage.ended_unix_nano, stage.outcome) for stage in run.stages] == [
        ("email", 1, 30, "success"),
        ("ingestion", 1, 40, "lost"),
        ("ingestion", 2, 60, "success"),
    ]
    assert bench.sql("SELECT count(*) FROM run_blobs") == [(2,)]


async def test_a_run_ends_once(bench: Bench) -> None:
    await bench.accept("run-1")
    assert await bench.finish("run-1", "failed", error=RunError("PdfTruncated", "it ends early", "ingestion"))
    assert not await bench.finish("run-1", "success")
    run = await bench.store.get("run-1")
    assert run is not None
    assert (run.state, run.outcome, run.error) == ("failed", "failed", RunError("PdfTruncated", "it ends early", "ingestion"))
    with pytest.raises(EngineError, match="got failed"):
        await bench.begin("run-1")


async def test_unstarted_and_unfinished_runs_are_listed_oldest_first(bench: Bench) -> None:
    for number in (1, 2, 3):
        await bench.accept(f"run-{number}", received=number)
    await bench.begin("run-1")
    await bench.finish("run-3")
    assert await bench.store.unstarted() == ["run-2"]
    assert await bench.store.unfinished() == ["run-1", "run-2"]
    work = await bench.store.work_of("run-2")
    assert (work.state, work.finished, work.raw.blob.read_bytes()) == ("created", False, b"mail")
    with pytest.raises(KeyError):
        await bench.store.work_of("nobody")


async def test_a_prefix_finds_the_only_run_and_no_other(bench: Bench) -> None:
    for run_id in ("0123456789a", "0123456789b", "0123456777"):
        await bench.accept(run_id)
    found = await bench.store.get("01234567777"[:10])
    assert found is not None
    assert found.id == "0123456777"
    assert await bench.store.get("0123456789") is None
    assert await bench.store.get("0123") is None


async def test_runs_are_found_by_every_pseudonym_of_a_message_id(bench: Bench) -> None:
    await bench.accept("run-1", message_id_key="old")
    await bench.accept("run-2", message_id_key="new")
    assert [run.id for run in await bench.store.find(["old", "new", "none"])] == ["run-2", "run-1"]


# --- indicators -------------------------------------------------------------------------------------------------------


async def test_rule_outcomes_counts_follow_the_table_of_outcomes(bench: Bench) -> None:
    now = time.time_ns()
    for number, state in enumerate(("success", "partial_success", "uncertain", "failed", "rejected", "cancelled")):
        await bench.accept(f"run-{number}", received=now)
        await bench.finish(f"run-{number}", state)
    counts = await bench.store.counts(late_after_seconds=60)
    assert counts.received == {"email-digest": 6}
    assert counts.delivered == {"email-digest": 1}
    assert counts.failed == {("email-digest", "failed"): 4, ("email-digest", "rejected"): 1}
    assert (counts.overdue, counts.oldest_unfinished_seconds) == ({}, 0.0)


async def test_rule_indicators_a_dead_pipeline_shows_unfinished_runs_past_their_limit_and_the_age_of_the_oldest(
    bench: Bench,
) -> None:
    await bench.accept("run-1", received=time.time_ns() - 100 * 10**9)
    await bench.accept("run-2", received=time.time_ns())
    counts = await asyncio.to_thread(bench.store.counts_now, late_after_seconds=60)
    assert counts.overdue == {"email-digest": 1}
    assert 100 <= counts.oldest_unfinished_seconds < 200


async def test_no_query_walks_through_the_finished_runs(bench: Bench) -> None:
    queries = (
        sql.OLDEST_UNFINISHED, sql.OVERDUE, sql.UNFINISHED, sql.UNSTARTED, sql.EXPIRED, sql.SAME_MAIL, sql.SAME_MESSAGE_ID,
        sql.RUNS_OF_MESSAGE_ID, sql.RUNS_OF_PERSON, sql.RUNS_OF_PREFIX, sql.RUN, *sql.PAGES.values(),
    )  # fmt: skip
    connection = sqlite3.connect(bench.path)
    for query in queries:
        compiled = query.compile(dialect=sqlite.dialect())
        names = compiled.positiontup or ()
        plan = " ".join(str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {compiled}", [None] * len(names)))
        assert "SEARCH runs" in plan or "runs_unfinished" in plan, (str(query), plan)
    connection.close()


# --- the outbox -------------------------------------------------------------------------------------------------------


async def test_an_intent_without_a_result_is_uncertain_and_one_taken_back_is_new(bench: Bench) -> None:
    outbox = bench.store.outbox
    assert await outbox.intend("run-1", "smtp://a", "ann@example.org") == "new"
    assert await outbox.intend("run-1", "smtp://a", "ann@example.org") == "uncertain"
    assert await outbox.intend("run-1", "smtp://a", "bob@example.org") == "new"
    assert await outbox.intend("run-1", "smtp://b", "ann@example.org") == "new"
    assert await outbox.intend("run-2", "smtp://a", "ann@example.org") == "new"
    await outbox.settle("run-1", "smtp://a", "ann@example.org", "delivered", None)
    assert await outbox.intend("run-1", "smtp://a", "ann@example.org") == "delivered"
    await outbox.retract("run-1", "smtp://a", "bob@example.org")
    assert await outbox.intend("run-1", "smtp://a", "bob@example.org") == "new"
    assert "example.org" not in str(bench.sql("SELECT * FROM delivery_intents"))


# --- erasure ----------------------------------------------------------------------------------------------------------


async def test_rule_retention_erasing_a_run_takes_its_files_and_leaves_those_that_others_use(bench: Bench) -> None:
    shared, mine = bench.blobs.put(b"shared"), bench.blobs.put(b"mine")
    await bench.accept("run-1", body=b"one", sender="ann@example.org")
    await bench.accept("run-2", body=b"two")
    for run_id, blobs in (("run-1", (shared.sha256, mine.sha256)), ("run-2", (shared.sha256,))):
        await bench.begin(run_id)
        await bench.begin(run_id, "ingestion", after=EndedAttempt("email", 1, 30, "success", blobs=blobs))
    await bench.finish("run-1")
    await bench.store.outbox.intend("run-1", "smtp://a", "bob@example.org")
    erased = await bench.store.erase("run-1", [], bench.blobs, bench.forget)
    assert (erased.runs, erased.blobs, erased.size_bytes, erased.checkpoints) == (1, 2, 7, 1)
    assert bench.forgotten == ["run-1"]
    assert shared.path.exists()
    assert not mine.path.exists()
    assert bench.sql("SELECT raw, sender_key, message_id_key, content_key FROM runs WHERE id = 'run-1'") == [
        (None, None, None, "run-1")
    ]
    assert bench.sql("SELECT count(*) FROM delivery_intents") == [(0,)]
    await bench.store.erase("run-2", [], bench.blobs, bench.forget)
    assert not shared.path.exists()


async def test_a_sender_is_erased_by_the_address_of_the_envelope_and_of_the_header(bench: Bench) -> None:
    await bench.accept("run-1", body=b"1", sender="ann@example.org")
    await bench.accept("run-2", body=b"2", sender="bounce@lists.example.org")
    await bench.begin("run-2")
    await bench.finish("run-2", after=EndedAttempt("email", 1, 30, "success", sender_key=pseudonym("Ann@example.org")))
    await bench.accept("run-3", body=b"3", sender="bob@example.org")
    erased = await bench.store.erase("ann@example.org", pseudonyms.candidates("ann@example.org"), bench.blobs, bench.forget)
    assert sorted(bench.forgotten) == ["run-1", "run-2"]
    assert erased.runs == 2


async def test_erasing_a_run_under_way_cancels_it_and_once_it_has_ended_counts_it_as_failed(bench: Bench) -> None:
    await bench.accept("run-1")
    await bench.begin("run-1")
    late = bench.blobs.put(b"made while it was erased")
    await bench.store.erase("run-1", [], bench.blobs, bench.forget)
    ended = EndedAttempt("email", 1, 30, "success", blobs=(late.sha256,))
    await bench.store.retry("run-1", ended)
    assert await bench.store.erased("run-1")
    assert await bench.store.unfinished() == ["run-1"], "somebody has to emit its root"
    told = RecipientOutcome(target="t", recipient="bob@example.org", outcome="delivered")
    for _ in range(2):
        assert not await bench.finish("run-1", after=ended, deliveries=(told,))
    run = await bench.store.get("run-1")
    assert run is not None
    assert (run.state, run.outcome, run.finished_unix_nano, run.deliveries) == ("cancelled", "failed", 50, ())
    assert run.error is not None
    assert run.error.type == "Cancelled"
    assert [attempt.outcome for attempt in run.stages] == ["success"]
    with pytest.raises(EngineError, match="got cancelled"):
        await bench.begin("run-1", "ingestion", after=ended)
    assert bench.sql("SELECT count(*) FROM run_blobs") == [(0,)]
    assert (await bench.store.counts(late_after_seconds=1)).failed == {("email-digest", "failed"): 1}


async def test_of_an_erased_run_nothing_more_may_be_sent_and_the_erasure_tells_of_what_was_being_sent(bench: Bench) -> None:
    await bench.accept("run-1")
    outbox = bench.store.outbox
    for name in ("sent", "sending"):
        assert await outbox.intend("run-1", "smtp://a", f"{name}@example.org") == "new"
    await outbox.settle("run-1", "smtp://a", "sent@example.org", "delivered", None)
    erased = await bench.store.erase("run-1", [], bench.blobs, bench.forget)
    assert erased.sending == 1
    assert await outbox.intend("run-1", "smtp://a", "later@example.org") == "suppressed"
    assert await outbox.reason("run-1", "smtp://a", "later@example.org") == "the run was erased while it was under way"
    await outbox.settle("run-1", "smtp://a", "sending@example.org", "delivered", None)
    assert bench.sql("SELECT count(*) FROM delivery_intents") == [(0,)]


async def test_a_run_that_was_erased_can_still_be_ended_and_by_then_holds_nothing_of_the_mail(bench: Bench) -> None:
    await bench.accept("run-1", body=b"12345", sender="ann@example.org")
    await bench.store.erase("run-1", [], bench.blobs, bench.forget)
    work = await bench.store.work_of("run-1")
    assert (work.state, work.finished, work.raw.envelope.sender, work.raw.blob.size_bytes) == ("cancelled", False, None, 5)
    await bench.finish("run-1", "cancelled")
    assert (await bench.store.work_of("run-1")).finished


async def test_the_same_mail_after_an_erasure_is_a_new_run(bench: Bench) -> None:
    await bench.accept("run-1", message_id_key="m")
    await bench.store.erase("run-1", [], bench.blobs, bench.forget)
    assert (await bench.accept("run-2", message_id_key="m")).created


async def test_what_nobody_goes_by_erases_nothing(bench: Bench) -> None:
    await bench.accept("run-1")
    assert (await bench.store.erase("nobody", ["nobody"], bench.blobs, bench.forget)).runs == 0


async def test_rule_retention_erases_old_content_of_ended_runs_and_still_knows_the_mail(bench: Bench) -> None:
    for number in range(250):
        await bench.accept(f"old-{number}", body=b"%d" % number, received=5)
        await bench.finish(f"old-{number}")
    await bench.accept("under-way", body=b"under way", received=5)
    await bench.accept("young", body=b"young", received=500)
    await bench.finish("young")
    erased = await bench.store.expire(100, bench.blobs, bench.forget)
    assert (erased.runs, erased.blobs) == (250, 250)
    assert (await bench.store.work_of("young")).raw.blob.path.exists()
    assert (await bench.store.work_of("under-way")).raw.blob.path.exists()
    assert (await bench.accept("again", body=b"7", message_id_key="m-old-7")).run_id == "old-7"
    assert (await bench.store.expire(100, bench.blobs, bench.forget)).runs == 0


async def test_a_sweep_removes_files_that_no_run_uses_once_they_are_old(bench: Bench) -> None:
    await bench.accept("run-1", body=b"used")
    young, old = bench.blobs.put(b"young orphan"), bench.blobs.put(b"old orphan")
    used = bench.blobs.put(b"used")
    half = bench.blobs.root / ".new-half"
    half.write_bytes(b"half")
    past = time.time() - 2 * erasure.UNCLAIMED_SECONDS
    for path in (old.path, used.path, half):
        os.utime(path, (past, past))
    swept = await bench.store.expire(0, bench.blobs, bench.forget)
    assert (swept.runs, swept.blobs) == (0, 1)
    assert [path.exists() for path in (young.path, old.path, used.path, half)] == [True, False, True, False]


# --- versions ---------------------------------------------------------------------------------------------------------

#: The tables of version 1, as that release made them.
VERSION_1 = """
CREATE TABLE autopilot_schema (version INTEGER NOT NULL);
INSERT INTO autopilot_schema VALUES (1);
CREATE TABLE runs (
    number INTEGER NOT NULL PRIMARY KEY, id VARCHAR(64) NOT NULL UNIQUE, state VARCHAR(20) NOT NULL,
    workflow VARCHAR(200) NOT NULL, source VARCHAR(20) NOT NULL, trace_id VARCHAR(32) NOT NULL,
    root_span_id VARCHAR(16) NOT NULL, message_id_key VARCHAR(64), content_key VARCHAR(64) NOT NULL,
    recipients_key VARCHAR(64) NOT NULL, conflict BOOLEAN NOT NULL, size_bytes BIGINT NOT NULL,
    received_unix_nano BIGINT NOT NULL, finished_unix_nano BIGINT, raw TEXT, workflow_text TEXT NOT NULL,
    carrier TEXT NOT NULL, error TEXT, deliveries TEXT);
CREATE INDEX runs_identity ON runs (content_key, recipients_key, message_id_key);
CREATE INDEX runs_message_id ON runs (message_id_key);
CREATE INDEX runs_state ON runs (state, number);
CREATE INDEX runs_workflow ON runs (workflow, number);
CREATE TABLE attempts (
    run_id VARCHAR(64) NOT NULL, stage VARCHAR(100) NOT NULL, number INTEGER NOT NULL, span_id VARCHAR(16) NOT NULL,
    ready_unix_nano BIGINT NOT NULL, started_unix_nano BIGINT NOT NULL, ended_unix_nano BIGINT, outcome VARCHAR(20),
    executor_id VARCHAR(200) NOT NULL, PRIMARY KEY (run_id, stage, number));
CREATE TABLE delivery_intents (
    run_id VARCHAR(64) NOT NULL, target_key VARCHAR(64) NOT NULL, recipient_key VARCHAR(64) NOT NULL,
    intended_unix_nano BIGINT NOT NULL, settled_unix_nano BIGINT, outcome VARCHAR(20), error TEXT,
    PRIMARY KEY (run_id, target_key, recipient_key));
CREATE INDEX intents_recipient ON delivery_intents (recipient_key, intended_unix_nano);
CREATE TABLE run_blobs (run_id VARCHAR(64) NOT NULL, sha256 VARCHAR(64) NOT NULL, PRIMARY KEY (run_id, sha256));
CREATE INDEX run_blobs_sha256 ON run_blobs (sha256);
CREATE TABLE totals (workflow VARCHAR(200) NOT NULL, event VARCHAR(30) NOT NULL, count BIGINT NOT NULL,
    PRIMARY KEY (workflow, event));
INSERT INTO totals VALUES ('email-digest', 'received', 3);
INSERT INTO attempts VALUES ('run-1', 'email', 1, 'cccccccccccccccc', 10, 20, NULL, NULL, 'e1');
"""


def old_file(path: Path, blobs: BlobStore) -> None:
    """A store of version 1 with a run under way and one mail that two processes took at the same time."""
    raw = RawEmail(blob=blobs.put(b"mail"), envelope=Envelope(source="smtp", received_unix_nano=1, stored_unix_nano=2))
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1)
    for run_id, key in (("run-1", None), ("run-2", "m"), ("run-3", "m")):
        connection.execute(
            "INSERT INTO runs (id, state, workflow, source, trace_id, root_span_id, message_id_key, content_key, recipients_key,"
            " conflict, size_bytes, received_unix_nano, raw, workflow_text, carrier)"
            " VALUES (?, 'running', 'email-digest', 'smtp', ?, ?, ?, 'c', '', 0, 4, 1, ?, '', '{}')",
            (run_id, "a" * 32, "b" * 16, key, raw.model_dump_json()),
        )
    connection.commit()
    connection.close()


async def test_rule_schemas_a_store_of_version_1_is_migrated_with_its_runs_pending(data_dir: Path) -> None:
    pseudonyms.use(pseudonyms.load_pseudonyms(data_dir))
    blobs = BlobStore(data_dir / "blobs")
    old_file(data_dir / "runs.db", blobs)
    bench = Bench(await RunStore.open(data_dir / "runs.db"), blobs, data_dir / "runs.db")
    try:
        assert bench.sql("SELECT version FROM autopilot_schema") == [(schema.VERSION,)]
        assert await bench.store.unfinished() == ["run-1", "run-2", "run-3"]
        run = await bench.store.get("run-1")
        assert run is not None
        assert (run.started_unix_nano, run.stages[0].span_id) == (20, "c" * 16)
        assert [lost.number for lost in (await bench.begin("run-1")).lost] == [1]
        assert (await bench.accept("run-4", message_id_key="m", content_key="c")).run_id == "run-2"
        assert (await bench.store.erase("run-1", [], blobs, bench.forget)).runs == 1
        assert (await bench.store.counts(late_after_seconds=1)).received == {"email-digest": 3}
    finally:
        await bench.store.close()


async def test_a_migrated_store_has_the_tables_and_indexes_of_a_new_one(data_dir: Path, bench: Bench) -> None:
    other = data_dir / "old.db"
    old_file(other, bench.blobs)
    await (await RunStore.open(other)).close()

    def shape(path: Path) -> dict[str, set[str]]:
        connection = sqlite3.connect(path)
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")]
        tables = {name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")} for name in names}
        connection.close()
        return tables

    assert shape(other) == shape(bench.path)


async def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(data_dir: Path) -> None:
    path = data_dir / "runs.db"
    await (await RunStore.open(path)).close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE autopilot_schema SET version = 99")
    connection.commit()
    connection.close()
    with pytest.raises(SchemaError, match=r"version is 99, this release reads up to 2; use a newer release"):
        await RunStore.open(path)


async def test_a_file_that_is_no_database_is_an_engine_error_that_names_it(data_dir: Path) -> None:
    path = data_dir / "runs.db"
    path.write_text("not a database, and long enough to be read as one " * 20)
    with pytest.raises(EngineError, match=r"runs\.db: expected a database"):
        await RunStore.open(path)


async def test_the_file_is_its_owners_alone(bench: Bench) -> None:
    assert bench.path.stat().st_mode & 0o777 == 0o600
