"""The outbox of durable runs: intents are committed, and synced, before anything is sent."""

from __future__ import annotations

import time

import sqlalchemy as sa
from sqlalchemy import bindparam as given

from otel_autopilot.pipeline.delivery.outbox import WINDOW_NANOSECONDS, Known, Settled, over_the_rate
from otel_autopilot.telemetry.pseudonyms import pseudonym
from otel_autopilot.workflow import run_statements as sql
from otel_autopilot.workflow.reader import Reader
from otel_autopilot.workflow.runs import ERASED
from otel_autopilot.workflow.schema import intents
from otel_autopilot.workflow.statements import Session
from otel_autopilot.workflow.writer import GroupWriter

_this = sa.and_(*(intents.c[name] == given(name) for name in ("run_id", "target_key", "recipient_key")))
_KNOWN = sa.select(intents.c.outcome).where(_this)
_REASON = sa.select(intents.c.error).where(_this)
_INTEND = intents.insert().values({name: given(name) for name in ("run_id", "target_key", "recipient_key", "intended_unix_nano")})
_SETTLE = intents.update().where(_this).values(settled_unix_nano=given("now"), outcome=given("result"), error=given("why"))
_RETRACT = intents.delete().where(_this)
# Where rows are locked one by one (PostgreSQL), the state stands until the intent is committed.
_STATE = sql.STATE.with_for_update(read=True)
_SENT = sa.select(sa.func.count().label("mails")).where(
    intents.c.recipient_key == given("recipient_key"),
    intents.c.intended_unix_nano > given("since"),
    sa.or_(intents.c.outcome.is_(None), intents.c.outcome == "delivered", intents.c.outcome == "uncertain"),
)


class SqlOutbox:
    """Implements `otel_autopilot.pipeline.delivery.outbox.Outbox` over the run store's database.

    Of a run that was erased nothing more is stored, and what is new is suppressed.
    """

    def __init__(self, writer: GroupWriter, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def known(self, run_id: str, target: str, recipient: str) -> Known:
        """As `Outbox.known`."""
        key = _key(run_id, target, recipient)
        row = await self._reader.read(lambda session: session.first(_KNOWN, **key))
        return "new" if row is None else row.outcome or "uncertain"

    async def intend(self, run_id: str, target: str, recipient: str, *, hourly_limit: int | None = None) -> Known:
        """As `Outbox.intend`. Counting and storing are one transaction, and all of a process's follow one another."""
        key = _key(run_id, target, recipient)

        def work(session: Session) -> Known:
            there = session.first(_KNOWN, **key)
            if there is not None:
                known: Known = there.outcome or "uncertain"
                return known
            if _erased(session, run_id):
                return "suppressed"
            now = time.time_ns()
            session.run(_INTEND, **key, intended_unix_nano=now)
            if hourly_limit is not None:
                # With the one that was just stored.
                mails = session.first(_SENT, recipient_key=key["recipient_key"], since=now - WINDOW_NANOSECONDS).mails
                if mails > hourly_limit:
                    session.run(_SETTLE, **key, now=now, result="suppressed", why=over_the_rate(hourly_limit))
                    return "suppressed"
            return "new"

        return await self._writer.write(work, durable=True)

    async def settle(self, run_id: str, target: str, recipient: str, outcome: Settled, error: str | None) -> None:
        """As `Outbox.settle`."""
        key = _key(run_id, target, recipient)
        now = time.time_ns()

        def work(session: Session) -> None:
            if not session.run(_SETTLE, **key, now=now, result=outcome, why=error) and not _erased(session, run_id):
                session.run(_INTEND, **key, intended_unix_nano=now)
                session.run(_SETTLE, **key, now=now, result=outcome, why=error)

        await self._writer.write(work, durable=True)

    async def retract(self, run_id: str, target: str, recipient: str) -> None:
        """As `Outbox.retract`."""
        key = _key(run_id, target, recipient)
        await self._writer.write(lambda session: session.run(_RETRACT, **key), durable=True)

    async def reason(self, run_id: str, target: str, recipient: str) -> str | None:
        """As `Outbox.reason`."""
        key = _key(run_id, target, recipient)

        def work(session: Session) -> str | None:
            row = session.first(_REASON, **key)
            if row is None:
                return ERASED.message if _erased(session, run_id) else None
            error: str | None = row.error
            return error

        return await self._reader.read(work)


def _erased(session: Session, run_id: str) -> bool:
    run = session.first(_STATE, run_id=run_id)
    return run is not None and run.state == "cancelled"


def _key(run_id: str, target: str, recipient: str) -> dict[str, str]:
    return {"run_id": run_id, "target_key": pseudonym(target), "recipient_key": pseudonym(recipient) if recipient else ""}
