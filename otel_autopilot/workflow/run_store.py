"""The run store: runs, attempts and delivery intents, over SQLite or PostgreSQL.

What it says of a run is what the engine did: rows are written by the engine's own steps. It holds the indexes that lists and
counts need, and the totals that the indicators are read from.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.delivery.outbox import Known, Settled
from otel_autopilot.pipeline.messages import RawEmail, RecipientOutcome
from otel_autopilot.telemetry.pseudonyms import pseudonym
from otel_autopilot.workflow import schema
from otel_autopilot.workflow.outcomes import FINISHED, row_of
from otel_autopilot.workflow.runs import Accepted, Attempt, BegunAttempt, Counts, Erased, Run, RunError, RunState, Work
from otel_autopilot.workflow.writer import GroupWriter

T = TypeVar("T")

_RECEIVED, _DELIVERED = "received", "delivered"
_UNFINISHED = ("created", "running", "retry")


class RunStore:
    """Runs and what became of them. Every method is safe to call from any task of the event loop; none blocks it."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._writer = GroupWriter(engine)
        self.outbox = SqlOutbox(self._writer, engine)

    @classmethod
    async def open(cls, where: Path | str) -> RunStore:
        """Open a SQLite file or a database URL, making or migrating the tables; raises SchemaError for a newer version."""
        url = f"sqlite:///{where}" if isinstance(where, Path) else where
        engine = sa.create_engine(url, connect_args={"timeout": 30} if url.startswith("sqlite") else {})
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _sqlite_settings)
        try:
            await asyncio.to_thread(schema.migrate, engine)
        except BaseException:
            engine.dispose()
            raise
        if isinstance(where, Path):
            where.chmod(0o600)
        return cls(engine)

    async def close(self) -> None:
        """Commit what waits and close the connections."""
        await asyncio.to_thread(self._writer.close)
        self._engine.dispose()

    # --- what the engine writes ---------------------------------------------------------------------------------------

    async def accept(
        self,
        *,
        run_id: str,
        trace_id: str,
        root_span_id: str,
        raw: RawEmail,
        message_id_key: str | None,
        content_key: str,
        recipients_key: str,
        workflow: str,
        workflow_text: str,
        carrier: dict[str, str],
    ) -> Accepted:
        """Store a run durably, unless the same mail (Message-ID, body, recipients) has one: then that one is returned."""
        table = schema.runs

        def work(connection: sa.Connection) -> Accepted:
            same_id = table.c.message_id_key.is_(None) if message_id_key is None else table.c.message_id_key == message_id_key
            there = connection.execute(
                sa.select(table.c.id, table.c.conflict).where(
                    table.c.content_key == content_key, table.c.recipients_key == recipients_key, same_id
                )
            ).first()
            if there is not None:
                return Accepted(there.id, created=False, conflict=there.conflict)
            conflict = message_id_key is not None and (
                connection.execute(sa.select(table.c.id).where(same_id).limit(1)).first() is not None
            )
            connection.execute(
                table.insert().values(
                    id=run_id, state="created", workflow=workflow, source=raw.envelope.source, trace_id=trace_id,
                    root_span_id=root_span_id, message_id_key=message_id_key, content_key=content_key,
                    sender_key=pseudonym(raw.envelope.sender) if raw.envelope.sender else None,
                    recipients_key=recipients_key, conflict=conflict, size_bytes=raw.blob.size_bytes,
                    received_unix_nano=raw.envelope.received_unix_nano, raw=raw.model_dump_json(), workflow_text=workflow_text,
                    carrier=json.dumps(carrier),
                )
            )  # fmt: skip
            _keep_blobs(connection, run_id, [raw.blob.sha256])
            _count(connection, workflow, _RECEIVED)
            return Accepted(run_id, created=True, conflict=conflict)

        return await self._writer.write(work, durable=True)

    async def begin_attempt(
        self, run_id: str, stage: str, *, span_id: str, ready_unix_nano: int, started_unix_nano: int, executor_id: str
    ) -> BegunAttempt:
        """Store an attempt before its work starts.

        Attempts of the stage that are still open are lost (their process died): they are closed here and returned.
        """
        table = schema.attempts
        mine = sa.and_(table.c.run_id == run_id, table.c.stage == stage)

        def work(connection: sa.Connection) -> BegunAttempt:
            before = [_attempt(row) for row in connection.execute(sa.select(table).where(mine).order_by(table.c.number))]
            lost = tuple(attempt for attempt in before if attempt.ended_unix_nano is None)
            if lost:
                connection.execute(
                    table.update().where(mine, table.c.ended_unix_nano.is_(None)).values(ended_unix_nano=started_unix_nano, outcome="lost")
                )
            ready = max([ready_unix_nano, *(attempt.ended_unix_nano or started_unix_nano for attempt in before)])
            connection.execute(
                table.insert().values(
                    run_id=run_id, stage=stage, number=len(before) + 1, span_id=span_id, ready_unix_nano=ready,
                    started_unix_nano=started_unix_nano, executor_id=executor_id,
                )
            )  # fmt: skip
            if not before:
                connection.execute(schema.runs.update().where(schema.runs.c.id == run_id).values(state="running"))
            return BegunAttempt(len(before) + 1, lost, ready)

        return await self._writer.write(work)

    async def end_attempt(
        self,
        run_id: str,
        stage: str,
        number: int,
        *,
        ended_unix_nano: int,
        outcome: str,
        again: bool = False,
        blobs: Sequence[str] = (),
        sender_key: str | None = None,
    ) -> None:
        """Store that an attempt ended, which blobs it made, whether another will follow, and who the mail is from."""
        table = schema.attempts

        def work(connection: sa.Connection) -> None:
            connection.execute(
                table.update()
                .where(table.c.run_id == run_id, table.c.stage == stage, table.c.number == number)
                .values(ended_unix_nano=ended_unix_nano, outcome=outcome)
            )
            _keep_blobs(connection, run_id, blobs)
            if sender_key is not None:
                connection.execute(schema.runs.update().where(schema.runs.c.id == run_id).values(sender_key=sender_key))
            if again:
                connection.execute(schema.runs.update().where(schema.runs.c.id == run_id).values(state="retry"))

        await self._writer.write(work)

    async def finish(
        self,
        run_id: str,
        state: RunState,
        *,
        finished_unix_nano: int,
        error: RunError | None,
        deliveries: Iterable[RecipientOutcome],
    ) -> bool:
        """Store how a run ended; False, and nothing is changed, when it had ended before."""
        table = schema.runs
        told = json.dumps([item.model_dump(exclude={"recipient"}) | {"recipient": pseudonym(item.recipient) if item.recipient else ""} for item in deliveries])
        row = row_of(state)

        def work(connection: sa.Connection) -> bool:
            done = connection.execute(
                table.update()
                .where(table.c.id == run_id, table.c.state.not_in(FINISHED))
                .values(
                    state=state, finished_unix_nano=finished_unix_nano, deliveries=told,
                    error=json.dumps(asdict(error)) if error else None,
                )
            )  # fmt: skip
            if done.rowcount == 0:
                return False
            workflow = connection.execute(sa.select(table.c.workflow).where(table.c.id == run_id)).scalar_one()
            _count(connection, workflow, _DELIVERED if row.email_delivered == "good" else f"failed:{row.outcome}")
            return True

        return await self._writer.write(work)

    # --- what the engine and others read ------------------------------------------------------------------------------

    async def unstarted(self) -> list[str]:
        """Runs that were accepted and never started, oldest first."""
        table = schema.runs
        return await self._read(
            lambda connection: list(
                connection.execute(sa.select(table.c.id).where(table.c.state == "created").order_by(table.c.number)).scalars()
            )
        )

    async def work_of(self, run_id: str) -> Work:
        """What is needed to go on with a run; raises KeyError when there is none, or its mail was erased."""
        table = schema.runs
        row = await self._read(lambda connection: connection.execute(sa.select(table).where(table.c.id == run_id)).first())
        if row is None or row.raw is None:
            raise KeyError(run_id)
        return Work(
            state=row.state, finished=row.state in FINISHED, raw=RawEmail.model_validate_json(row.raw),
            workflow_text=row.workflow_text, carrier=json.loads(row.carrier), conflict=row.conflict,
        )  # fmt: skip

    async def get(self, run_id: str) -> Run | None:
        """A run with its attempts; a prefix of at least 8 characters will do where it is the only one."""
        table, tried = schema.runs, schema.attempts

        def work(connection: sa.Connection) -> Run | None:
            if len(run_id) < 8:
                return None
            rows = connection.execute(
                sa.select(table).where(table.c.id >= run_id, table.c.id < run_id + "\x7f").limit(2)
            ).all()
            if len(rows) != 1:
                rows = [row for row in rows if row.id == run_id]
            if not rows:
                return None
            attempts = connection.execute(
                sa.select(tried).where(tried.c.run_id == rows[0].id).order_by(tried.c.started_unix_nano)
            ).all()
            return _run(rows[0], tuple(_attempt(row) for row in attempts))

        return await self._read(work)

    async def page(
        self, *, state: str | None = None, workflow: str | None = None, limit: int = 50, after: int | None = None
    ) -> tuple[list[Run], int | None]:
        """Runs, newest first, and the cursor of the next page (None on the last)."""
        table = schema.runs

        def work(connection: sa.Connection) -> tuple[list[Run], int | None]:
            query = sa.select(table).order_by(table.c.number.desc()).limit(limit + 1)
            if state is not None:
                query = query.where(table.c.state == state)
            if workflow is not None:
                query = query.where(table.c.workflow == workflow)
            if after is not None:
                query = query.where(table.c.number < after)
            rows = connection.execute(query).all()
            return [_run(row, ()) for row in rows[:limit]], rows[limit - 1].number if len(rows) > limit else None

        return await self._read(work)

    def counts_now(self, *, late_after_seconds: float) -> Counts:
        """Totals for the indicators; blocking, for the thread that collects metrics. Cheap however many runs there are."""
        table = schema.runs
        now = time.time_ns()
        counts = Counts()
        with self._engine.connect() as connection:
            for workflow, event, count in connection.execute(sa.select(schema.totals)):
                kind, _, outcome = event.partition(":")
                if kind == _RECEIVED:
                    counts.received[workflow] = count
                elif kind == _DELIVERED:
                    counts.delivered[workflow] = count
                else:
                    counts.failed[workflow, outcome] = count
            unfinished = table.c.state.in_(_UNFINISHED)
            late = table.c.received_unix_nano < now - int(late_after_seconds * 1e9)
            for workflow, count in connection.execute(
                sa.select(table.c.workflow, sa.func.count()).where(unfinished, late).group_by(table.c.workflow)
            ):
                counts.overdue[workflow] = count
            oldest = connection.execute(sa.select(sa.func.min(table.c.received_unix_nano)).where(unfinished)).scalar()
        age = max(0.0, (now - oldest) / 1e9) if oldest is not None else 0.0
        return Counts(counts.received, counts.delivered, counts.failed, counts.overdue, age)

    async def ready(self) -> None:
        """Raises when the store can't be read."""
        await self._read(lambda connection: connection.execute(sa.select(schema.version_table)).first())

    # --- erasure ------------------------------------------------------------------------------------------------------

    async def erase(
        self, key: str, keys: Sequence[str], blobs: BlobStore, forget: Callable[[Sequence[str]], object]
    ) -> Erased:
        """Erase the mail, documents, digests and checkpoints of the runs that ``key`` names.

        ``key`` is a run id; ``keys`` are the pseudonyms, under every retained key, of a Message-ID or a sender's address.
        ``forget`` erases the engine's checkpoints. What stays of a run is its state and times, without content.
        """
        table = schema.runs
        wanted = sa.or_(table.c.id == key, table.c.message_id_key.in_(keys), table.c.sender_key.in_(keys))
        return await self._erase(wanted, blobs, forget)

    async def expire(self, before_unix_nano: int, blobs: BlobStore, forget: Callable[[Sequence[str]], object]) -> Erased:
        """Erase what was received before a moment and has ended."""
        table = schema.runs
        old = sa.and_(table.c.received_unix_nano < before_unix_nano, table.c.state.in_(sorted(FINISHED)), table.c.raw.is_not(None))
        return await self._erase(old, blobs, forget)

    async def _erase(
        self, wanted: sa.ColumnElement[bool], blobs: BlobStore, forget: Callable[[Sequence[str]], object]
    ) -> Erased:
        table, used = schema.runs, schema.run_blobs

        def work(connection: sa.Connection) -> tuple[list[str], list[str]]:
            ids = list(connection.execute(sa.select(table.c.id).where(wanted)).scalars())
            gone: list[str] = []
            for run_id in ids:
                mine = list(connection.execute(sa.select(used.c.sha256).where(used.c.run_id == run_id)).scalars())
                connection.execute(used.delete().where(used.c.run_id == run_id))
                still = set(connection.execute(sa.select(used.c.sha256).where(used.c.sha256.in_(mine))).scalars())
                gone += [sha256 for sha256 in mine if sha256 not in still]
                connection.execute(
                    table.update().where(table.c.id == run_id).values(
                        raw=None, deliveries=None, error=None, sender_key=None, message_id_key=None,
                        state=sa.case((table.c.state.in_(sorted(FINISHED)), table.c.state), else_="cancelled"),
                    )
                )  # fmt: skip
                connection.execute(schema.intents.delete().where(schema.intents.c.run_id == run_id))
            return ids, gone

        ids, gone = await self._writer.write(work, durable=True)
        await asyncio.to_thread(forget, ids)
        removed, size = 0, 0
        for sha256 in gone:
            path = blobs.path_of(sha256)
            bytes_there = path.stat().st_size if path.exists() else 0
            if blobs.erase(sha256):
                removed += 1
                size += bytes_there
        return Erased(len(ids), removed, size)

    async def _read(self, work: Callable[[sa.Connection], T]) -> T:
        def inside() -> T:
            with self._engine.connect() as connection:
                return work(connection)

        return await asyncio.to_thread(inside)


class SqlOutbox:
    """The outbox of durable runs: intents are committed, and synced, before anything is sent."""

    def __init__(self, writer: GroupWriter, engine: sa.Engine) -> None:
        self._writer = writer
        self._engine = engine

    async def intend(self, run_id: str, target: str, recipient: str) -> Known:
        """As `Outbox.intend`."""
        key = _intent(run_id, target, recipient)

        def work(connection: sa.Connection) -> Known:
            table = schema.intents
            there = connection.execute(sa.select(table.c.outcome).where(_is(key))).first()
            if there is not None:
                known: Known = there.outcome or "uncertain"
                return known
            connection.execute(table.insert().values(**key, intended_unix_nano=time.time_ns()))
            return "new"

        return await self._writer.write(work, durable=True)

    async def settle(self, run_id: str, target: str, recipient: str, outcome: Settled, error: str | None) -> None:
        """As `Outbox.settle`."""
        key = _intent(run_id, target, recipient)
        values = {"settled_unix_nano": time.time_ns(), "outcome": outcome, "error": error}
        await self._writer.write(
            lambda connection: connection.execute(schema.intents.update().where(_is(key)).values(**values)), durable=True
        )

    async def retract(self, run_id: str, target: str, recipient: str) -> None:
        """As `Outbox.retract`."""
        key = _intent(run_id, target, recipient)
        await self._writer.write(lambda connection: connection.execute(schema.intents.delete().where(_is(key))), durable=True)

    async def sent_since(self, recipient: str, unix_nano: int) -> int:
        """As `Outbox.sent_since`."""
        table = schema.intents
        key = pseudonym(recipient) if recipient else ""
        query = sa.select(sa.func.count()).where(table.c.recipient_key == key, table.c.intended_unix_nano >= unix_nano)

        def work() -> int:
            with self._engine.connect() as connection:
                return int(connection.execute(query).scalar_one())

        return await asyncio.to_thread(work)


def _intent(run_id: str, target: str, recipient: str) -> dict[str, str]:
    return {"run_id": run_id, "target_key": pseudonym(target), "recipient_key": pseudonym(recipient) if recipient else ""}


def _is(key: dict[str, str]) -> sa.ColumnElement[bool]:
    return sa.and_(*(schema.intents.c[name] == value for name, value in key.items()))


def _keep_blobs(connection: sa.Connection, run_id: str, blobs: Iterable[str]) -> None:
    table = schema.run_blobs
    wanted = set(blobs)
    if not wanted:
        return
    there = set(
        connection.execute(sa.select(table.c.sha256).where(table.c.run_id == run_id, table.c.sha256.in_(wanted))).scalars()
    )
    new = [{"run_id": run_id, "sha256": sha256} for sha256 in sorted(wanted - there)]
    if new:
        connection.execute(table.insert(), new)


def _count(connection: sa.Connection, workflow: str, event: str) -> None:
    table = schema.totals
    mine = sa.and_(table.c.workflow == workflow, table.c.event == event)
    if connection.execute(table.update().where(mine).values(count=table.c.count + 1)).rowcount == 0:
        connection.execute(table.insert().values(workflow=workflow, event=event, count=1))


def _attempt(row: Any) -> Attempt:
    return Attempt(
        row.stage, row.number, row.span_id, row.ready_unix_nano, row.started_unix_nano, row.ended_unix_nano, row.outcome, row.executor_id
    )


def _run(row: Any, attempts: tuple[Attempt, ...]) -> Run:
    return Run(
        id=row.id, state=row.state, workflow=row.workflow, source=row.source, trace_id=row.trace_id, size_bytes=row.size_bytes,
        received_unix_nano=row.received_unix_nano, finished_unix_nano=row.finished_unix_nano, message_id=row.message_id_key,
        conflict=row.conflict, error=RunError(**json.loads(row.error)) if row.error else None, stages=attempts,
        deliveries=tuple(RecipientOutcome(**item) for item in json.loads(row.deliveries or "[]")),
    )  # fmt: skip


def _sqlite_settings(connection: Any, _record: Any) -> None:
    connection.isolation_level = "IMMEDIATE"
    for pragma in ("journal_mode=WAL", "busy_timeout=30000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
