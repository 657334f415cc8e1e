"""The durable engine: one run for one mail, checkpoints, retries, locks, recovery."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from loguru import logger

from otel_autopilot.errors import DeliveryError, EngineError, EngineLocked, IngestionError
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.messages import (
    Address,
    Delivery,
    Digest,
    Email,
    Envelope,
    Ingested,
    Message,
    RawEmail,
    RecipientOutcome,
)
from otel_autopilot.telemetry import pseudonyms
from otel_autopilot.workflow.checkpoints import forget_checkpoints
from otel_autopilot.workflow.engine import CHECKPOINT_VERSION, Engine
from otel_autopilot.workflow.outcomes import FINISHED
from otel_autopilot.workflow.run_store import RunStore
from otel_autopilot.workflow.runs import Run
from otel_autopilot.workflow.walk import Walk
from tests.conftest import Spans

MAIL = b"Message-ID: <one@example.org>\r\nFrom: a@example.org\r\nSubject: hello\r\n\r\nbody\r\n"


class Agents:
    """Makes the messages without the work; a test may put something in a stage's way."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.in_the_way: dict[str, Callable[[], object]] = {}

    async def work(self, agent: str, run: Walk) -> Message:
        self.calls.append(agent)
        obstacle = self.in_the_way.get(agent)
        if obstacle is not None:
            result = obstacle()
            if asyncio.iscoroutine(result):
                await result
            if isinstance(result, Message):
                return result
        made: dict[str, Message] = {
            "email_agent": Email(subject="hello", sender=Address(address="a@example.org")),
            "ingestion_agent": Ingested(),
            "digest_agent": Digest(title="hello", markdown="# hello", html="", text=""),
            "delivery_agent": Delivery(),
        }
        return made[agent]


@asynccontextmanager
async def engine_on(directory: Path, agents: Agents, **options: object) -> AsyncIterator[Engine]:
    pseudonyms.use(pseudonyms.load_pseudonyms(directory))
    store = await RunStore.open(directory / "runs.db")
    engine = Engine(agents, store, BlobStore(directory / "blobs"), directory=directory, executor_id="test", **options)  # type: ignore[arg-type]
    try:
        await engine.start()
        try:
            yield engine
        finally:
            await engine.stop()
    finally:
        await store.close()


def raw(directory: Path, content: bytes = MAIL, recipients: tuple[str, ...] = ("b@example.org",)) -> RawEmail:
    now = time.time_ns()
    blob = BlobStore(directory / "blobs").put(content, durable=True)
    return RawEmail(
        blob=blob,
        envelope=Envelope(
            source="smtp", sender="a@example.org", recipients=recipients, received_unix_nano=now, stored_unix_nano=now
        ),
    )


async def finished(engine: Engine, run_id: str) -> Run:
    async with asyncio.timeout(30):
        while True:
            run = await engine.store.get(run_id)
            if run is not None and run.state in FINISHED:
                return run
            await asyncio.sleep(0.01)


async def test_an_accepted_mail_goes_through_its_four_stages_once(data_dir: Path, spans: Spans) -> None:
    agents = Agents()
    async with engine_on(data_dir, agents) as engine:
        accepted = await engine.accept(raw(data_dir))
        run = await finished(engine, accepted.run_id)
    assert accepted.created
    assert run.state == "success"
    assert agents.calls == ["email_agent", "ingestion_agent", "digest_agent", "delivery_agent"]
    assert [attempt.stage for attempt in run.stages] == ["email", "ingestion", "digest", "delivery"]
    root = spans.one("email pipeline")
    assert f"{root.context.trace_id:032x}" == run.trace_id
    assert [span.parent.span_id for span in spans.all if span.name in ("email", "ingestion", "digest", "delivery")] == [
        root.context.span_id
    ] * 4
    assert {f"{span.context.span_id:016x}" for span in spans.all} >= {attempt.span_id for attempt in run.stages}
    assert not any(span.parent is None and span.name != "email pipeline" for span in spans.all)


async def test_rule_the_same_mail_is_one_run_and_the_same_message_id_with_another_body_or_recipient_is_another_flagged(
    data_dir: Path, spans: Spans
) -> None:
    async with engine_on(data_dir, Agents()) as engine:
        first = await engine.accept(raw(data_dir))
        again = await engine.accept(raw(data_dir, b"Received: by another hop\r\n" + MAIL))
        other_body = await engine.accept(raw(data_dir, MAIL + b"more\r\n"))
        other_recipient = await engine.accept(raw(data_dir, recipients=("c@example.org",)))
        for run_id in {first.run_id, other_body.run_id, other_recipient.run_id}:
            await finished(engine, run_id)
    assert (again.run_id, again.created) == (first.run_id, False)
    assert other_body.created
    assert other_body.conflict
    assert other_recipient.created
    assert other_recipient.conflict
    assert not first.conflict


async def test_a_stage_that_may_pass_is_tried_again_and_each_attempt_is_a_span(data_dir: Path, spans: Spans) -> None:
    agents = Agents()
    failures = iter([True, True, False])

    def refuse() -> None:
        if next(failures):
            error = DeliveryError("not now")
            error.retryable = True
            raise error

    agents.in_the_way["delivery_agent"] = refuse
    async with engine_on(data_dir, agents) as engine:
        engine._walker._backoff_seconds = 0.01
        run = await finished(engine, (await engine.accept(raw(data_dir))).run_id)
    assert run.state == "success"
    assert [span.attributes["autopilot.attempt"] for span in spans.named("delivery")] == [1, 2, 3]
    assert [attempt.outcome for attempt in run.stages if attempt.stage == "delivery"] == ["failed", "failed", "success"]


async def test_a_stage_that_fails_for_good_fails_its_run_alone_with_the_error_on_the_span(data_dir: Path, spans: Spans) -> None:
    agents = Agents()
    bad = iter([True, False])

    def fail() -> None:
        if next(bad):
            raise IngestionError("the PDF can't be read")

    agents.in_the_way["ingestion_agent"] = fail
    async with engine_on(data_dir, agents, max_concurrent_runs=1) as engine:
        one = await finished(engine, (await engine.accept(raw(data_dir))).run_id)
        two = await finished(engine, (await engine.accept(raw(data_dir, MAIL + b"2"))).run_id)
    assert (one.state, two.state) == ("failed", "success")
    assert one.error is not None
    assert (one.error.stage, one.error.message) == ("ingestion", "the PDF can't be read")
    failed = next(span for span in spans.named("email pipeline") if f"{span.context.trace_id:032x}" == one.trace_id)
    assert failed.attributes["error.type"] == "IngestionError"
    assert failed.attributes["autopilot.outcome"] == "failed"


async def test_a_fault_of_ours_fails_the_run_and_quotes_nothing(data_dir: Path, spans: Spans) -> None:
    agents = Agents()

    def bug() -> None:
        raise ZeroDivisionError("secret content of a mail")

    agents.in_the_way["digest_agent"] = bug
    async with engine_on(data_dir, agents) as engine:
        run = await finished(engine, (await engine.accept(raw(data_dir))).run_id)
    assert run.error is not None
    assert run.error.message == "unexpected ZeroDivisionError in digest"


@pytest.mark.parametrize(
    ("outcomes", "state"), [(("delivered", "failed"), "partial_success"), (("delivered", "uncertain"), "uncertain")]
)
async def test_rule_partial_success_and_uncertain_are_states_of_their_own(
    data_dir: Path, spans: Spans, outcomes: tuple[str, ...], state: str
) -> None:
    agents = Agents()
    agents.in_the_way["delivery_agent"] = lambda: Delivery(
        outcomes=tuple(RecipientOutcome(target="t", outcome=outcome) for outcome in outcomes)  # type: ignore[arg-type]
    )
    async with engine_on(data_dir, agents) as engine:
        run = await finished(engine, (await engine.accept(raw(data_dir))).run_id)
    assert run.state == state
    delivery = spans.one("delivery")
    assert delivery.attributes["autopilot.outcome"] == run.stages[-1].outcome == "failed"
    assert delivery.status.description == f"1 of 2 deliveries {outcomes[1]}"


async def test_rule_a_second_process_on_the_same_data_is_refused_with_the_holders_pid(data_dir: Path, spans: Spans) -> None:
    async with engine_on(data_dir, Agents()):
        store = await RunStore.open(data_dir / "runs.db")
        second = Engine(Agents(), store, BlobStore(data_dir / "blobs"), directory=data_dir, executor_id="other")
        with pytest.raises(EngineLocked, match=r"process \d+ runs the engine"):
            await second.start()
        await store.close()


async def killed_in(stage: str, directory: Path) -> str:
    """A process accepts a mail, is killed while the stage's agent works, and leaves the run to others; returns its id."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("engine_process.py")), str(directory), stage],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        run_id = (await asyncio.to_thread(process.stdout.readline)).strip()
        assert (await asyncio.to_thread(process.stdout.readline)).strip() == "working"
    finally:
        process.kill()
        process.communicate()
    return run_id


@pytest.mark.parametrize("stage", ["email_agent", "ingestion_agent", "digest_agent", "delivery_agent"])
async def test_rule_a_run_killed_in_a_stage_resumes_there_and_the_lost_attempt_shows(
    data_dir: Path, spans: Spans, stage: str
) -> None:
    order = ["email_agent", "ingestion_agent", "digest_agent", "delivery_agent"]
    run_id = await killed_in(stage, data_dir)
    after = Agents()
    async with engine_on(data_dir, after) as engine:
        run = await finished(engine, run_id)
    assert run.state == "success"
    assert after.calls == order[order.index(stage) :], "stages with a checkpoint are not done again"
    name = stage.removesuffix("_agent")
    assert [(attempt.number, attempt.outcome) for attempt in run.stages if attempt.stage == name] == [(1, "lost"), (2, "success")]
    lost, done = sorted(spans.named(name), key=lambda span: span.attributes["autopilot.attempt"])
    assert lost.attributes["autopilot.attempt.lost"] is True
    assert f"{lost.context.span_id:016x}" == next(attempt.span_id for attempt in run.stages if attempt.outcome == "lost")
    assert "autopilot.attempt.lost" not in done.attributes
    root = spans.one("email pipeline")
    assert lost.parent.span_id == done.parent.span_id == root.context.span_id
    assert f"{root.context.span_id:016x}" == run.root_span_id


async def test_rule_an_upgrade_with_runs_pending_recovers_them_for_the_version_is_that_of_the_checkpoints(
    data_dir: Path, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await killed_in("ingestion_agent", data_dir)
    # A release whose source differs: its built-in workflow has another text. The run keeps the one that it began with.
    monkeypatch.setattr("otel_autopilot.workflow.engine.EMAIL_DIGEST", "workflow: {name: changed, version: 9}\nsteps: []\n")
    async with engine_on(data_dir, Agents()) as engine:
        run = await finished(engine, run_id)
    assert run.state == "success"
    assert run.workflow == "email-digest"
    assert CHECKPOINT_VERSION == "checkpoints-1"


async def test_while_draining_no_mail_is_taken_and_what_waits_starts_with_the_next_process(data_dir: Path, spans: Spans) -> None:
    agents, begun, go = Agents(), asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        begun.set()
        await go.wait()

    agents.in_the_way["email_agent"] = wait
    async with engine_on(data_dir, agents, max_concurrent_runs=1) as engine:
        first = await engine.accept(raw(data_dir))
        await asyncio.wait_for(begun.wait(), 20)
        second = await engine.accept(raw(data_dir, MAIL + b"2"))
        draining = asyncio.create_task(engine.drain(20))
        await asyncio.sleep(0)
        with pytest.raises(EngineError, match="shutting down"):
            await engine.accept(raw(data_dir, MAIL + b"3"))
        go.set()
        assert await draining
        assert (await finished(engine, first.run_id)).state == "success"
        waiting = await engine.store.get(second.run_id)
        assert waiting is not None
        assert waiting.state == "created"
    async with engine_on(data_dir, Agents()) as engine:
        assert (await finished(engine, second.run_id)).state == "success"


async def test_a_run_whose_end_the_run_store_lost_is_taken_up_again_at_the_next_start(data_dir: Path, spans: Spans) -> None:
    """As after a power failure: only the engine's own database is synced at each step."""
    async with engine_on(data_dir, Agents()) as engine:
        run_id = (await engine.accept(raw(data_dir))).run_id
        assert (await finished(engine, run_id)).state == "success"
    with closing(sqlite3.connect(data_dir / "runs.db")) as database, database:
        database.execute("UPDATE runs SET state = 'running', finished_unix_nano = NULL")
    spans.clear()
    async with engine_on(data_dir, Agents()) as engine:
        assert (await finished(engine, run_id)).state == "success"
    assert spans.one("email pipeline").attributes["autopilot.run.id"] == run_id


async def test_a_run_that_began_and_that_the_engine_lost_is_taken_up_again_at_the_next_start(data_dir: Path, spans: Spans) -> None:
    async with engine_on(data_dir, Agents()) as engine:
        run_id = (await engine.accept(raw(data_dir))).run_id
        await finished(engine, run_id)
        engine.forget([run_id])
    with closing(sqlite3.connect(data_dir / "runs.db")) as database, database:
        database.execute("UPDATE runs SET state = 'running', finished_unix_nano = NULL")
    agents = Agents()
    async with engine_on(data_dir, agents) as engine:
        assert (await finished(engine, run_id)).state == "success"
    assert len(agents.calls) == 4


async def erased_by_another_process(directory: Path, run_id: str) -> int:
    """What the command `erase` does; how many deliveries were past their intent."""
    store = await RunStore.open(directory / "runs.db")
    try:
        erased = await store.erase(
            run_id, [], BlobStore(directory / "blobs"),
            lambda ids: forget_checkpoints(directory / "engine.db", ids, keep_pending=True),
        )  # fmt: skip
    finally:
        await store.close()
    assert erased.runs == 1
    return erased.sending


def steps_kept(directory: Path) -> int:
    with closing(sqlite3.connect(directory / "engine.db")) as database:
        count: int = database.execute("SELECT count(*) FROM operation_outputs").fetchone()[0]
        return count


@pytest.mark.parametrize("stage", ["email_agent", "delivery_agent"])
@pytest.mark.parametrize("stumbles", [False, True], ids=["goes on", "stumbles over a missing file"])
async def test_a_run_that_is_erased_while_a_stage_works_sends_nothing_more_and_ends_as_cancelled_with_its_root(
    data_dir: Path, spans: Spans, caplog: pytest.LogCaptureFixture, stage: str, stumbles: bool
) -> None:
    agents, begun, go = Agents(), asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        begun.set()
        await go.wait()
        if stumbles:
            raise FileNotFoundError("the mail's file")

    agents.in_the_way[stage] = wait
    said: list[str] = []
    sink = logger.add(lambda message: said.append(str(message)), level="ERROR")
    try:
        async with engine_on(data_dir, agents) as engine:
            run_id = (await engine.accept(raw(data_dir))).run_id
            await asyncio.wait_for(begun.wait(), 20)
            assert await erased_by_another_process(data_dir, run_id) == 0
            assert await engine.store.outbox.intend(run_id, "smtp://a", "b@example.org") == "suppressed"
            go.set()
            async with asyncio.timeout(30):
                while await engine.store.unfinished() or engine.active_runs:
                    await asyncio.sleep(0.01)
            run = await engine.store.get(run_id)
            assert not engine._beginning_anew
    finally:
        logger.remove(sink)
    assert run is not None
    assert (run.state, run.outcome, run.deliveries) == ("cancelled", "failed", ())
    assert run.error is not None
    assert run.error.message == "the run was erased while it was under way"
    assert agents.calls[-1] == stage, "nothing was begun after it"
    root = spans.one("email pipeline")
    assert f"{root.context.span_id:016x}" == run.root_span_id
    assert (root.attributes["autopilot.outcome"], root.attributes["error.type"]) == ("failed", "Cancelled")
    assert {f"{span.context.span_id:016x}" for span in spans.all} >= {attempt.span_id for attempt in run.stages}
    assert steps_kept(data_dir) == 0
    assert said == []
    assert [record for record in caplog.records if record.name == "dbos"] == []


async def test_a_run_that_is_erased_after_its_process_died_is_ended_by_the_next(data_dir: Path, spans: Spans) -> None:
    run_id = await killed_in("delivery_agent", data_dir)
    await erased_by_another_process(data_dir, run_id)
    assert steps_kept(data_dir) == 0
    agents = Agents()
    async with engine_on(data_dir, agents) as engine:
        async with asyncio.timeout(30):
            while await engine.store.unfinished() or engine.active_runs:
                await asyncio.sleep(0.01)
        run = await engine.store.get(run_id)
    assert agents.calls == []
    assert run is not None
    assert run.state == "cancelled"
    assert f"{spans.one('email pipeline').context.span_id:016x}" == run.root_span_id


async def test_a_run_that_could_not_be_written_begins_anew(data_dir: Path, spans: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_autopilot.workflow.engine.AGAIN_SECONDS", 0.05)
    async with engine_on(data_dir, Agents()) as engine:
        finish, failed = engine.store.finish, asyncio.Event()

        async def full(*given: object, **named: object) -> bool:
            monkeypatch.setattr(engine.store, "finish", finish)
            failed.set()
            raise EngineError("disk full")

        monkeypatch.setattr(engine.store, "finish", full)
        run_id = (await engine.accept(raw(data_dir))).run_id
        run = await finished(engine, run_id)
    assert failed.is_set()
    assert run.state == "success"
