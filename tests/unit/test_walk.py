"""The walk through a workflow: the order of its calls, and what a recovered run makes of its checkpoints."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.messages import Delivery, Digest, Email, Envelope, Ingested, Message, RawEmail
from otel_autopilot.telemetry.run import RunIdentity
from otel_autopilot.workflow.definition import EMAIL_DIGEST, read_workflow
from otel_autopilot.workflow.run_store import RunStore
from otel_autopilot.workflow.runs import Run
from otel_autopilot.workflow.walk import Walk, Walker

WORDS = "the review of the third quarter"


class Killed(BaseException):
    """Stands where the process would end."""


class Agents:
    """Each stage takes as long as it is told, and makes its message."""

    def __init__(self, **seconds: float) -> None:
        self.seconds = seconds
        self.worked: list[str] = []

    async def work(self, agent: str, run: Walk) -> Message:
        self.worked.append(agent)
        await asyncio.sleep(self.seconds.get(agent, 0.0))
        made: dict[str, Message] = {
            "email_agent": Email(subject="hello"),
            "ingestion_agent": Ingested(),
            "digest_agent": Digest(title=WORDS, markdown=f"# {WORDS}", html="", text=""),
            "delivery_agent": Delivery(),
        }
        return made[agent]


class Checkpoints:
    """What the engine keeps: results by name, in the order of the calls; a fresh walk is handed what is there."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.kept: dict[str, str] = {}

    async def __call__(self, name: str, work: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        self.calls.append(name)
        if name not in self.kept:
            self.kept[name] = json.dumps(await work())
        result: dict[str, Any] = json.loads(self.kept[name])
        return result


async def accepted(store: RunStore, blobs: BlobStore) -> Walk:
    """A stored run."""
    now = time.time_ns()
    raw = RawEmail(blob=blobs.put(b"mail"), envelope=Envelope(source="api", received_unix_nano=now, stored_unix_nano=now))
    identity = RunIdentity.new("run-1", now, None)
    await store.accept(
        run_id="run-1", trace_id=f"{identity.trace_id:032x}", root_span_id=f"{identity.root_span_id:016x}", raw=raw,
        message_id_key=None, content_key=raw.blob.sha256, recipients_key="", workflow="email-digest", workflow_text=EMAIL_DIGEST,
        carrier=identity.to_carrier(),
    )  # fmt: skip
    return Walk(identity=identity, raw=raw, workflow=read_workflow(EMAIL_DIGEST))


async def run_of(store: RunStore) -> Run:
    """The run as others see it."""
    run = await store.get("run-1")
    assert run is not None
    return run


@pytest.mark.parametrize("slow", ["email_agent", "ingestion_agent", "digest_agent", "delivery_agent"])
async def test_rule_dbos_calls_are_issued_in_the_order_of_the_file_whatever_is_slow(tmp_path: Path, slow: str) -> None:
    store, blobs = await RunStore.open(tmp_path / "runs.db"), BlobStore(tmp_path / "blobs")
    walk, checkpoints = await accepted(store, blobs), Checkpoints()
    finished = await Walker(Agents(**{slow: 0.05}), store, blobs).walk(walk, checkpoints)
    assert checkpoints.calls == [step.id for step in read_workflow(EMAIL_DIGEST).steps]
    replayed = Checkpoints()
    replayed.kept = checkpoints.kept
    agents = Agents()
    again = await Walker(agents, store, blobs).walk(Walk(walk.identity, walk.raw, walk.workflow), replayed)
    assert (replayed.calls, agents.worked, again) == (checkpoints.calls, [], finished)
    await store.close()


async def test_rule_durability_checkpoints_hold_the_hash_of_a_digest_and_its_words_live_in_a_file(tmp_path: Path) -> None:
    store, blobs = await RunStore.open(tmp_path / "runs.db"), BlobStore(tmp_path / "blobs")
    checkpoints = Checkpoints()
    finished = await Walker(Agents(), store, blobs).walk(await accepted(store, blobs), checkpoints)
    assert finished.digest is not None
    assert WORDS not in "".join(checkpoints.kept.values())
    assert WORDS in blobs.path_of(json.loads(checkpoints.kept["digest"])["blob"]).read_text()
    await store.close()


@pytest.mark.parametrize("stage", ["email", "ingestion", "digest"])
async def test_a_process_that_dies_after_a_checkpoint_leaves_an_attempt_that_ended_and_not_one_that_was_lost(
    tmp_path: Path, stage: str
) -> None:
    store, blobs = await RunStore.open(tmp_path / "runs.db"), BlobStore(tmp_path / "blobs")
    walk, checkpoints = await accepted(store, blobs), Checkpoints()

    async def until_the_stage_is_kept(name: str, work: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        if stage in checkpoints.kept:
            raise Killed
        return await checkpoints(name, work)

    with pytest.raises(Killed):
        await Walker(Agents(), store, blobs).walk(walk, until_the_stage_is_kept)
    assert (await run_of(store)).stages[-1].ended_unix_nano is None

    finished = await Walker(Agents(), store, blobs).walk(Walk(walk.identity, walk.raw, walk.workflow), checkpoints)
    assert finished.last is not None
    await store.finish(
        "run-1", finished.state, finished_unix_nano=finished.ended_unix_nano, error=None, deliveries=(), after=finished.last
    )
    run = await run_of(store)
    assert [(attempt.stage, attempt.number, attempt.outcome) for attempt in run.stages] == [
        (name, 1, "success") for name in ("email", "ingestion", "digest", "delivery")
    ]
    assert all(attempt.ended_unix_nano for attempt in run.stages)
    await store.close()
