"""The contract of an outbox, held by the one in memory and the one in the run store's database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from otel_autopilot.pipeline.delivery.outbox import WINDOW_NANOSECONDS, MemoryOutbox, Outbox
from otel_autopilot.workflow.run_store import RunStore

ANN = "ann@example.org"


@pytest.fixture(params=["memory", "sql"])
async def outbox(request: pytest.FixtureRequest, data_dir: Path) -> AsyncIterator[Outbox]:
    if request.param == "memory":
        yield MemoryOutbox()
        return
    store = await RunStore.open(data_dir / "runs.db")
    yield store.outbox
    await store.close()


async def test_an_intent_that_is_found_again_is_uncertain(outbox: Outbox) -> None:
    assert await outbox.known("run-1", "smtp://a", ANN) == "new"
    assert await outbox.intend("run-1", "smtp://a", ANN) == "new"
    assert await outbox.known("run-1", "smtp://a", ANN) == "uncertain"
    assert await outbox.intend("run-1", "smtp://a", ANN) == "uncertain"
    assert await outbox.intend("run-1", "smtp://a", " <Ann@Example.ORG>") == "uncertain", "it is the same address"
    assert await outbox.intend("run-1", "smtp://a", "") == "new", "as of a webhook"


@pytest.mark.parametrize("outcome", ["delivered", "failed", "suppressed", "uncertain"])
async def test_a_result_is_found_again_with_its_reason(outbox: Outbox, outcome: str) -> None:
    await outbox.intend("run-1", "smtp://a", ANN)
    assert await outbox.reason("run-1", "smtp://a", ANN) is None
    await outbox.settle("run-1", "smtp://a", ANN, outcome, "because")  # type: ignore[arg-type]
    assert await outbox.intend("run-1", "smtp://a", ANN) == outcome
    assert await outbox.reason("run-1", "smtp://a", ANN) == "because"
    assert await outbox.reason("run-2", "smtp://a", ANN) is None


async def test_what_was_taken_back_was_never_intended(outbox: Outbox) -> None:
    await outbox.intend("run-1", "smtp://a", ANN, hourly_limit=1)
    await outbox.retract("run-1", "smtp://a", ANN)
    await outbox.retract("run-1", "smtp://a", ANN)
    assert await outbox.intend("run-1", "smtp://a", ANN, hourly_limit=1) == "new"


async def test_rule_mail_manners_the_rate_per_recipient_holds_in_a_burst(outbox: Outbox) -> None:
    known = await asyncio.gather(*(outbox.intend(f"run-{number}", "smtp://a", ANN, hourly_limit=5) for number in range(40)))
    assert sorted(known) == ["new"] * 5 + ["suppressed"] * 35
    assert await outbox.intend("run-x", "smtp://b", ANN.upper(), hourly_limit=5) == "suppressed", "at every target together"
    assert await outbox.intend("run-x", "smtp://a", "bob@example.org", hourly_limit=5) == "new"
    assert await outbox.intend("run-x", "smtp://a", ANN) == "new", "without a limit there is none"


async def test_one_too_many_stays_suppressed_and_says_why(outbox: Outbox) -> None:
    await outbox.intend("run-1", "smtp://a", ANN, hourly_limit=1)
    assert await outbox.intend("run-2", "smtp://a", ANN, hourly_limit=1) == "suppressed"
    await outbox.retract("run-1", "smtp://a", ANN)
    assert await outbox.intend("run-2", "smtp://a", ANN, hourly_limit=1) == "suppressed"
    assert await outbox.reason("run-2", "smtp://a", ANN) == "more than 1 mails to this recipient within an hour"


async def test_what_was_not_sent_does_not_count_towards_the_rate(outbox: Outbox) -> None:
    """Or a steady stream above the rate would keep everything from its recipient for good."""
    for number, outcome in enumerate(("failed", "suppressed", "delivered", "uncertain")):
        await outbox.intend(f"run-{number}", "smtp://a", ANN)
        await outbox.settle(f"run-{number}", "smtp://a", ANN, outcome, None)  # type: ignore[arg-type]
    for number in range(10, 15):
        assert await outbox.intend(f"run-{number}", "smtp://a", ANN, hourly_limit=2) == "suppressed"
    assert await outbox.intend("run-20", "smtp://a", ANN, hourly_limit=3) == "new", "delivered and uncertain are two"


async def test_the_window_of_the_rate_slides(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    start = time.time_ns()
    now = [start]
    monkeypatch.setattr(time, "time_ns", lambda: now[0])
    answers = []
    for number, minute in enumerate((0, 30, 59, 61, 62, 91)):
        now[0] = start + minute * WINDOW_NANOSECONDS // 60
        answers.append(await outbox.intend(f"run-{number}", "smtp://a", ANN, hourly_limit=2))
    assert answers == ["new", "new", "suppressed", "new", "suppressed", "new"]


async def test_the_rate_holds_between_processes_that_share_the_database(data_dir: Path) -> None:
    """Two connections stand for two processes: what keeps them apart is the database's own lock."""
    stores = [await RunStore.open(data_dir / "runs.db") for _ in range(2)]
    known = await asyncio.gather(
        *(stores[number % 2].outbox.intend(f"run-{number}", "smtp://a", ANN, hourly_limit=5) for number in range(40))
    )
    assert sorted(known) == ["new"] * 5 + ["suppressed"] * 35
    for store in stores:
        await store.close()
