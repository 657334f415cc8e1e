"""The delivery stage: what is stored when, and what a process finds that takes up the work of one that was killed."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from otel_autopilot.errors import EngineError
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.delivery.attempt import new_breakers
from otel_autopilot.pipeline.delivery.outbox import Known, MemoryOutbox
from otel_autopilot.pipeline.delivery.stage import DeliveryFailed, DeliveryOptions, deliver
from otel_autopilot.pipeline.delivery.targets import parse_target
from otel_autopilot.pipeline.messages import Address, Delivery, Digest, Email, Envelope, RawEmail
from otel_autopilot.pipeline.workers import WorkerPool
from otel_autopilot.settings import Settings
from otel_autopilot.telemetry import pseudonyms
from otel_autopilot.telemetry.run import RunIdentity
from otel_autopilot.workflow.agents import BuiltInAgents
from otel_autopilot.workflow.definition import Workflow
from otel_autopilot.workflow.run_store import RunStore
from otel_autopilot.workflow.walk import Walk
from tests.conftest import Spans
from tests.integration.delivery_servers import breaking_server, mail_server, web_server

DIGEST = Digest(title="Budget", markdown="**words**", html="<p>words</p>", text="words\n")
BOB = "?to=bob.ray@example.org"


def options(**more: Any) -> DeliveryOptions:
    return DeliveryOptions(**{"sender": "digest@example.org", "first_wait_seconds": 0.01, "timeout_seconds": 10.0, **more})


async def send(*targets: str, outbox: Any = None, mail: Email | None = None, **more: Any) -> Delivery:
    return await deliver(
        DIGEST, mail or Email(), [parse_target(target) for target in targets], run_id="run-1", outbox=outbox or MemoryOutbox(),
        options=options(**more), sender_verified=True,
    )  # fmt: skip


def outcomes(delivery: Delivery) -> list[str]:
    return [outcome.outcome for outcome in delivery.outcomes]


# --- outcomes ---------------------------------------------------------------------------------------------------------


async def test_without_a_target_the_digest_is_just_kept() -> None:
    assert await send() == Delivery()


async def test_targets_of_every_kind_go_side_by_side_and_one_that_fails_does_not_fail_the_rest(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with mail_server() as mail, web_server() as web:
        delivery = await send(
            f"smtp://127.0.0.1:{mail.port}{BOB}", f"http://127.0.0.1:{web.port}/", str(tmp_path / "digests"),
            f"maildir:{tmp_path}/Maildir", str(tmp_path / "file" / "digests"),
        )  # fmt: skip
    assert outcomes(delivery) == ["delivered"] * 4 + ["failed"]
    assert (len(mail.taken), len(web.requests)) == (1, 1)
    assert sorted(path.name for path in (tmp_path / "digests").iterdir()) == ["run-1.json", "run-1.md"]


async def test_who_is_named_twice_gets_it_once_for_each_server(tmp_path: Path) -> None:
    async with mail_server() as one, mail_server() as other:
        delivery = await send(
            f"smtp://127.0.0.1:{one.port}?to=bob@example.org", f"smtp://127.0.0.1:{one.port}?to=BOB@example.org,eve@example.org",
            f"smtp://127.0.0.1:{other.port}?to=bob@example.org", str(tmp_path), str(tmp_path),
        )  # fmt: skip
    assert outcomes(delivery) == ["delivered"] * 4
    assert (len(one.taken), len(other.taken)) == (2, 1)


async def test_a_server_elsewhere_without_recipients_is_a_mistake_that_says_what_to_set() -> None:
    with pytest.raises(DeliveryFailed, match=r"nobody to send to: add \?to=ADDRESS to the target") as raised:
        await send("smtp://mail.example.org")
    assert raised.value.retryable is False


async def test_an_answer_to_a_mail_without_a_sender_is_suppressed_and_no_failure() -> None:
    delivery = await send("smtp://mail.example.org", reply_to_sender=True, allowed_recipients=("@example.org",))
    assert [(item.outcome, item.error) for item in delivery.outcomes] == [
        ("suppressed", "the mail names no sender who could be answered")
    ]


async def test_a_stage_that_may_be_tried_again_is_told_when_only_one_of_its_recipients_may_pass() -> None:
    outbox = MemoryOutbox()
    async with mail_server() as server:
        server.answers = {"bob@example.org": ["550 no such user"], "eve@example.org": ["450 later"]}
        target = f"smtp://127.0.0.1:{server.port}?to=bob@example.org,eve@example.org"
        with pytest.raises(DeliveryFailed) as raised:
            await send(target, outbox=outbox, attempts=1)
        assert raised.value.retryable
        again = await send(target, outbox=outbox, attempts=1)
    assert [(item.outcome, item.error) for item in again.outcomes] == [
        ("failed", "the SMTP server answered 550: no such user"), ("delivered", None),
    ]  # fmt: skip
    assert sorted(server.asked) == ["bob@example.org", "eve@example.org", "eve@example.org"], "a 5xx is never repeated"


async def test_what_the_outbox_raises_is_raised_when_all_that_was_begun_has_ended(tmp_path: Path) -> None:
    class Full(MemoryOutbox):
        async def intend(self, run_id: str, target: str, recipient: str, *, hourly_limit: int | None = None) -> Known:
            if target.endswith("broken"):
                raise EngineError("the disk is full")
            return await super().intend(run_id, target, recipient, hourly_limit=hourly_limit)

    outbox = Full()
    async with mail_server() as server:
        smtp = f"smtp://127.0.0.1:{server.port}"
        with pytest.raises(EngineError, match="the disk is full"):
            await send(str(tmp_path / "broken"), smtp + BOB, outbox=outbox)
        assert len(server.taken) == 1
        assert await outbox.intend("run-1", smtp, "bob.ray@example.org") == "delivered"


async def test_nothing_is_tried_again_between_tries_when_the_rate_was_reached_meanwhile() -> None:
    outbox = MemoryOutbox()
    mail = Email(sender=Address(address="ann@example.org"))
    async with mail_server() as server:

        class Taking(MemoryOutbox):
            async def intend(self, run_id: str, target: str, recipient: str, *, hourly_limit: int | None = None) -> Known:
                await super().intend("run-2", target, recipient)
                return await super().intend(run_id, target, recipient, hourly_limit=hourly_limit)

        outbox = Taking()
        server.answers["ann@example.org"] = ["451 later"]
        delivery = await send(
            f"smtp://127.0.0.1:{server.port}", outbox=outbox, mail=mail, reply_to_sender=True, allowed_recipients=("@example.org",),
            replies_per_recipient_per_hour=1,
        )  # fmt: skip
    assert [(item.outcome, item.attempts) for item in delivery.outcomes] == [("suppressed", 1)]
    assert server.taken == []


# --- killed -----------------------------------------------------------------------------------------------------------

_CHILD = """
import asyncio, sys
from pathlib import Path
from otel_autopilot.telemetry import pseudonyms
from otel_autopilot.workflow.run_store import RunStore
from tests.integration.test_delivery_stage import DeliveryFailed, send

async def main():
    base, target, attempts, wait, stages = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
    pseudonyms.use(pseudonyms.load_pseudonyms(base))
    store = await RunStore.open(base / "runs.db")
    for _ in range(stages):
        try:
            await send(target, outbox=store.outbox, attempts=attempts, first_wait_seconds=wait)
        except DeliveryFailed:
            pass
    await store.close()

asyncio.run(main())
"""


@pytest.fixture
async def store(data_dir: Path) -> AsyncIterator[RunStore]:
    pseudonyms.use(pseudonyms.load_pseudonyms(data_dir))
    store = await RunStore.open(data_dir / "runs.db")
    yield store
    await store.close()


async def killed(
    data_dir: Path, target: str, when: Callable[[], bool], *, attempts: int = 4, wait: float = 0.01, stages: int = 1
) -> None:
    """Deliver in a process of its own, and end that by kill -9 once ``when`` holds."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CHILD, str(data_dir), target, str(attempts), str(wait), str(stages)
    )
    async with asyncio.timeout(60):
        while not when():
            assert child.returncode is None, "it ended by itself"
            await asyncio.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    assert await child.wait() == -signal.SIGKILL


def intents(data_dir: Path) -> list[Any]:
    connection = sqlite3.connect(data_dir / "runs.db")
    try:
        return connection.execute("SELECT outcome FROM delivery_intents").fetchall()
    finally:
        connection.close()


async def test_rule_durability_killed_between_data_and_the_reply_the_mail_is_uncertain_and_not_sent_again(
    data_dir: Path, store: RunStore
) -> None:
    async with breaking_server("end", stall=True) as server:
        target = f"smtp://127.0.0.1:{server.port}{BOB}"
        await killed(data_dir, target, lambda: len(server.contents) == 1)
        for _ in range(2):
            (outcome,) = (await send(target, outbox=store.outbox)).outcomes
            assert (outcome.outcome, outcome.error) == (
                "uncertain", "an earlier process died while it sent this; it is not sent again by itself",
            )  # fmt: skip
        assert (server.conversations, len(server.contents)) == (1, 1)
        server.release.set()


async def test_rule_durability_the_intent_is_stored_before_data(data_dir: Path, store: RunStore) -> None:
    """Killed when the server has seen DATA, it is there."""
    async with breaking_server("DATA", stall=True) as server:
        target = f"smtp://127.0.0.1:{server.port}{BOB}"
        await killed(data_dir, target, lambda: server.reached)
        assert intents(data_dir) == [(None,)]
        assert outcomes(await send(target, outbox=store.outbox)) == ["uncertain"]
        server.release.set()


@pytest.mark.parametrize("point", ["banner", "EHLO", "MAIL", "RCPT"])
async def test_killed_before_data_nothing_was_sent_and_the_mail_is_sent(data_dir: Path, store: RunStore, point: str) -> None:
    async with breaking_server(point, stall=True, times=1) as server:
        target = f"smtp://127.0.0.1:{server.port}{BOB}"
        await killed(data_dir, target, lambda: server.reached)
        assert intents(data_dir) == []
        assert outcomes(await send(target, outbox=store.outbox)) == ["delivered"]
        server.release.set()


@pytest.mark.parametrize("by_the_stage", [False, True], ids=["a retried try", "a retried stage"])
async def test_rule_durability_killed_in_a_retry_after_a_refusal_the_mail_is_uncertain_too(
    data_dir: Path, store: RunStore, by_the_stage: bool
) -> None:
    async with breaking_server("end", stall=True, refusals=1) as server:
        target = f"smtp://127.0.0.1:{server.port}{BOB}"
        await killed(data_dir, target, lambda: len(server.contents) == 1, attempts=1 if by_the_stage else 4, stages=2)
        assert server.conversations == 2
        assert outcomes(await send(target, outbox=store.outbox)) == ["uncertain"]
        assert len(server.contents) == 1
        server.release.set()


async def test_killed_while_it_waits_for_the_next_try_nothing_was_sent_and_the_mail_is_sent(
    data_dir: Path, store: RunStore
) -> None:
    async with mail_server() as server:
        server.answers["bob.ray@example.org"] = ["451 greylisted"]
        target = f"smtp://127.0.0.1:{server.port}{BOB}"
        await killed(data_dir, target, lambda: server.quits == 1 and intents(data_dir) == [], wait=30.0)
        assert outcomes(await send(target, outbox=store.outbox)) == ["delivered"]
    assert len(server.taken) == 1


async def test_killed_after_a_refusal_for_good_it_is_not_asked_again_and_the_reason_is_still_known(
    data_dir: Path, store: RunStore
) -> None:
    async with mail_server() as server:
        server.answers["bob.ray@example.org"] = ["550 5.1.1 no such user"] * 3
        target = f"smtp://127.0.0.1:{server.port}{BOB}"
        for _ in range(2):
            with pytest.raises(DeliveryFailed, match=r"the SMTP server answered 550: 5\.1\.1 no such user$"):
                await send(target, outbox=store.outbox)
    assert len(server.asked) == 1


async def test_a_webhook_that_was_killed_in_between_is_uncertain(data_dir: Path, store: RunStore) -> None:
    async with web_server() as web:
        web.answers = [("stall", {})]
        target = f"http://127.0.0.1:{web.port}/hook"
        await killed(data_dir, target, lambda: len(web.requests) == 1)
        assert outcomes(await send(target, outbox=store.outbox)) == ["uncertain"]
        assert len(web.requests) == 1
        web.release.set()


@pytest.mark.parametrize("kind", ["", "maildir:"])
async def test_of_a_file_the_next_process_sees_whether_it_was_written(
    tmp_path: Path, data_dir: Path, store: RunStore, kind: str
) -> None:
    target = f"{kind}{tmp_path}/digests"
    key = parse_target(target).key
    assert await store.outbox.intend("run-1", key, "") == "new"
    assert outcomes(await send(target, outbox=store.outbox)) == ["delivered"], "it wasn't, and is now"
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "digests").rglob("*")}
    await store.outbox.retract("run-1", key, "")
    await store.outbox.intend("run-1", key, "")
    (outcome,) = (await send(target, outbox=store.outbox)).outcomes
    assert (outcome.outcome, outcome.attempts) == ("delivered", 0)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "digests").rglob("*")} == before
    assert intents(data_dir) == [("delivered",)]


# --- as the agents call it --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authenticated", "sender", "outcome"),
    [(True, "ann@example.org", "delivered"), (False, "ann@example.org", "suppressed"), (True, "eve@example.org", "suppressed")],
    ids=["by its sender", "by From alone", "by somebody else"],
)
async def test_rule_mail_manners_only_a_sender_whom_smtp_auth_vouches_for_is_answered(
    tmp_path: Path, authenticated: bool, sender: str, outcome: str
) -> None:
    blobs = BlobStore(tmp_path)
    raw = RawEmail(
        blob=blobs.put(b"From: ann@example.org\r\nSubject: x\r\n\r\nwords\r\n"),
        envelope=Envelope(source="smtp", sender=sender, authenticated=authenticated, received_unix_nano=1, stored_unix_nano=2),
    )
    async with mail_server() as server:
        agents = BuiltInAgents(
            Settings.load(reply_to_sender=True, allowed_recipients=("@example.org",)), pool=cast(WorkerPool, None), blobs=blobs,
            outbox=MemoryOutbox(), targets=[parse_target(f"smtp://127.0.0.1:{server.port}")],
        )  # fmt: skip
        walk = Walk(RunIdentity.new("run-1", 1), raw, cast(Workflow, None))
        walk.made = {"email_agent": Email(sender=Address(address="ann@example.org")), "digest_agent": DIGEST}
        delivery = await agents.work("delivery_agent", walk)
    assert isinstance(delivery, Delivery)
    assert outcomes(delivery) == [outcome]
    assert [taken.recipients for taken in server.taken] == ([["ann@example.org"]] if outcome == "delivered" else [])


# --- personal data ----------------------------------------------------------------------------------------------------


async def test_rule_personal_data_no_address_and_no_secret_is_in_an_error_a_span_a_log_or_the_store(
    spans: Spans, data_dir: Path, store: RunStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    mail = Email(message_id="<id-7@example.org>", subject="Payroll", sender=Address(name="Ann Lee", address="ann.lee@example.org"))
    said = []
    async with mail_server() as refusing, breaking_server("end") as broken, web_server() as web:
        for name in ("ann.lee", "bob.ray"):
            refusing.answers[f"{name}@example.org"] = [f"550 <{name}@example.org> {name.title()} unknown"] * 9
        web.answers = [(500, {})]
        for port in (refusing.port, broken.port):
            for query in ("", BOB):
                try:
                    delivery = await send(
                        f"smtp://127.0.0.1:{port}{query}", mail=mail, outbox=store.outbox, attempts=1, reply_to_sender=True,
                        allowed_recipients=("@example.org",), breakers=new_breakers(),
                    )  # fmt: skip
                    said += [f"{item.target} {item.error}" for item in delivery.outcomes]
                except DeliveryFailed as error:
                    said.append(str(error))
        with pytest.raises(DeliveryFailed) as raised:
            await send(f"http://127.0.0.1:{web.port}/hook?token=s3cret", outbox=store.outbox, attempts=1)
        said.append(str(raised.value))
    await store.close()
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("mail.log")]  # the test's own server
    stored = b"".join(path.read_bytes() for path in data_dir.glob("runs.db*")).decode("latin-1")
    shown = " ".join([*said, *ours, *(span.to_json() for span in spans.all), stored]).lower()
    assert len(said) >= 5
    assert [word for word in ("ann.lee", "bob.ray", "ann lee", "payroll", "id-7", "s3cret") if word in shown] == []
