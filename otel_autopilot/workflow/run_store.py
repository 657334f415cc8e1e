"""The run store: runs, attempts and delivery intents, over SQLite or PostgreSQL.

What it says of a run is what the engine did: rows are written by the engine's own steps. It holds the indexes that lists and
counts need, and the totals that the indicators are read from.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from otel_autopilot.errors import EngineError
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.messages import Blob, Envelope, RawEmail, RecipientOutcome
from otel_autopilot.pipeline.threads import in_thread
from otel_autopilot.telemetry.pseudonyms import pseudonym
from otel_autopilot.workflow import erasure, schema
from otel_autopilot.workflow import run_statements as sql
from otel_autopilot.workflow.outcomes import FINISHED, row_of
from otel_autopilot.workflow.reader import Reader
from otel_autopilot.workflow.runs import (
    ERASED,
    Accepted,
    Attempt,
    BegunAttempt,
    Counts,
    EndedAttempt,
    Erased,
    Run,
    RunError,
    RunState,
    Work,
)
from otel_autopilot.workflow.sql_outbox import SqlOutbox
from otel_autopilot.workflow.statements import Session
from otel_autopilot.workflow.writer import GroupWriter

#: Characters of a run id that `RunStore.get` needs at least.
SHORTEST_PREFIX = 8


class RunStore:
    """Runs and what became of them. Every method is safe to call from any task of the event loop; none blocks it.

    ``outbox`` is the `Outbox` of durable runs. Methods raise EngineError when the database can't be used.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._writer = GroupWriter(engine)
        self._reader = Reader(engine)
        self.outbox = SqlOutbox(self._writer, self._reader)

    @classmethod
    async def open(cls, where: Path | str) -> RunStore:
        """Open a SQLite file or a database URL, making or migrating the tables.

        Raises SchemaError for a newer version than this release reads, EngineError when the database can't be opened.
        """
        url = f"sqlite:///{where}" if isinstance(where, Path) else where
        sqlite = url.startswith("sqlite")
        engine = sa.create_engine(url, connect_args={"timeout": 30, "check_same_thread": False} if sqlite else {})
        if sqlite:
            sa.event.listen(engine, "connect", _sqlite_settings)
        try:
            await in_thread(schema.migrate, engine)
        except sa.exc.DBAPIError as error:
            engine.dispose()
            raise EngineError(
                f"run store {engine.url.database}: expected a database that can be written, got: {error.orig}"
            ) from error
        except BaseException:
            engine.dispose()
            raise
        if isinstance(where, Path):
            await in_thread(where.chmod, 0o600)
        return cls(engine)

    @property
    def closed(self) -> bool:
        """True once `close` was called."""
        return self._reader.closed

    async def close(self) -> None:
        """Commit what waits and close the connections; a second call does nothing."""
        await in_thread(self._writer.close)
        await in_thread(self._reader.close)
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
        """Store a run durably, unless the same mail (Message-ID, body, recipients) has one: then that one is returned.

        Raises EngineError when the mail's file is gone: an erasure of the same content came between.
        """
        identity = {"content_key": content_key, "recipients_key": recipients_key, "message_id_key": message_id_key or ""}
        row = {
            "id": run_id, "state": "created", "workflow": workflow, "source": raw.envelope.source, "trace_id": trace_id,
            "root_span_id": root_span_id, "message_id_key": message_id_key,
            "sender_key": pseudonym(raw.envelope.sender) if raw.envelope.sender else None,
            "content_key": content_key, "recipients_key": recipients_key, "size_bytes": raw.blob.size_bytes,
            "received_unix_nano": raw.envelope.received_unix_nano, "raw": raw.model_dump_json(), "workflow_text": workflow_text,
            "carrier": json.dumps(carrier),
        }  # fmt: skip

        def work(session: Session) -> Accepted:
            there = session.first(sql.SAME_MAIL, **identity)
            if there is not None:
                return Accepted(there.id, created=False, conflict=bool(there.conflict))
            if not raw.blob.path.exists():
                raise EngineError(f"run {run_id}: the mail's file is gone before it could be accepted; send it again")
            conflict = message_id_key is not None and session.first(sql.SAME_MESSAGE_ID, key=message_id_key) is not None
            session.run(sql.NEW_RUN, **row, conflict=conflict)
            session.run(sql.KEEP_BLOB, run_id=run_id, sha256=raw.blob.sha256)
            session.run(sql.COUNT, workflow=workflow, event=sql.RECEIVED)
            return Accepted(run_id, created=True, conflict=conflict)

        return await self._writer.write(work, durable=True)

    async def begin_attempt(
        self,
        run_id: str,
        stage: str,
        *,
        span_id: str,
        ready_unix_nano: int,
        started_unix_nano: int,
        executor_id: str,
        after: EndedAttempt | None = None,
    ) -> BegunAttempt:
        """Store an attempt before its work starts, and how the stage before it ended.

        Attempts of the stage that are still open are lost (their process died): they are closed here and returned. A stage is
        ready again when its last attempt ended. Raises EngineError when the run isn't there, has ended or was erased.
        """

        def work(session: Session) -> BegunAttempt:
            run = session.first(sql.STATE, run_id=run_id)
            if run is None or run.state in FINISHED:
                found = "none" if run is None else run.state
                raise EngineError(f"run {run_id}: expected one under way, got {found}; {stage} was not begun")
            if after is not None:
                _end(session, run_id, after)
            before = [_attempt(row) for row in session.all(sql.STAGE_ATTEMPTS, run_id=run_id, stage=stage)]
            if open_ones := [attempt for attempt in before if attempt.ended_unix_nano is None]:
                session.run(sql.LOSE_ATTEMPTS, run_id=run_id, stage=stage, ended=started_unix_nano)
            lost = tuple(_lost(attempt, started_unix_nano) for attempt in open_ones)
            ready = max([ready_unix_nano, *(attempt.ended_unix_nano or started_unix_nano for attempt in before)])
            number = before[-1].number + 1 if before else 1
            session.run(
                sql.NEW_ATTEMPT, run_id=run_id, stage=stage, number=number, span_id=span_id, ready_unix_nano=ready,
                started_unix_nano=started_unix_nano, executor_id=executor_id,
            )  # fmt: skip
            if run.state != "running":
                session.run(sql.START_RUN, run_id=run_id, started=started_unix_nano)
            return BegunAttempt(number, lost, ready)

        return await self._writer.write(work)

    async def retry(self, run_id: str, ended: EndedAttempt) -> None:
        """Store that an attempt failed and that another will follow."""

        def work(session: Session) -> None:
            run = session.first(sql.STATE, run_id=run_id)
            if run is not None and run.state not in FINISHED:
                _end(session, run_id, ended)
                session.run(sql.SET_STATE, run_id=run_id, state="retry")

        await self._writer.write(work)

    async def finish(
        self,
        run_id: str,
        state: RunState,
        *,
        finished_unix_nano: int,
        error: RunError | None,
        deliveries: Iterable[RecipientOutcome],
        after: EndedAttempt | None = None,
    ) -> bool:
        """Store how a run and its last stage ended; False, and nothing is changed, when it had ended before.

        A run that was erased meanwhile ends as cancelled, whatever it came to, and False is returned. Nothing is told of its
        deliveries and its blobs are not kept: the sweep takes their files.
        """
        told = json.dumps([_without_address(item) for item in deliveries])
        why = json.dumps(asdict(error)) if error else None
        event = sql.event_of(row_of(state, error.stage if error else None))

        def work(session: Session) -> bool:
            if session.run(sql.FINISH, run_id=run_id, state=state, finished=finished_unix_nano, told=told, why=why) == 0:
                _finish_cancelled(session, run_id, finished_unix_nano, after)
                return False
            if after is not None:
                _end(session, run_id, after)
            session.run(sql.COUNT_OF_RUN, run_id=run_id, event=event)
            return True

        return await self._writer.write(work)

    # --- what the engine and others read ------------------------------------------------------------------------------

    async def unstarted(self) -> list[str]:
        """Runs that were accepted and never started, oldest first."""
        return [row.id for row in await self._reader.read(lambda session: session.all(sql.UNSTARTED))]

    async def erased(self, run_id: str) -> bool:
        """Whether a run was cancelled: nothing more is to be done for it but to end it."""
        run = await self._reader.read(lambda session: session.first(sql.STATE, run_id=run_id))
        return run is not None and run.state == "cancelled"

    async def unfinished(self) -> list[str]:
        """Runs that have not ended, oldest first; also those that were cancelled and that no process has ended yet."""
        return [row.id for row in await self._reader.read(lambda session: session.all(sql.UNFINISHED))]

    async def work_of(self, run_id: str) -> Work:
        """What is needed to go on with a run, or to end one that was erased; raises KeyError when there is none."""
        row = await self._reader.read(lambda session: session.first(sql.RUN, run_id=run_id))
        if row is None:
            raise KeyError(run_id)
        return Work(
            state=row.state, finished=row.finished_unix_nano is not None,
            raw=RawEmail.model_validate_json(row.raw) if row.raw is not None else _without_content(row),
            workflow_text=row.workflow_text, carrier=json.loads(row.carrier), conflict=bool(row.conflict),
        )  # fmt: skip

    async def get(self, run_id: str) -> Run | None:
        """A run with its attempts; a prefix of at least 8 characters will do where it is the only one."""

        def work(session: Session) -> Run | None:
            row = session.first(sql.RUN, run_id=run_id)
            if row is None and len(run_id) >= SHORTEST_PREFIX:
                rows = session.all(sql.RUNS_OF_PREFIX, prefix=run_id, beyond=run_id + "\x7f")
                row = rows[0] if len(rows) == 1 else None
            if row is None:
                return None
            return _run(row, tuple(map(_attempt, session.all(sql.RUN_ATTEMPTS, run_id=row.id))))

        return await self._reader.read(work)

    async def find(self, message_id_keys: Sequence[str], *, limit: int = 50) -> list[Run]:
        """Runs by the pseudonyms (under every retained key) of a Message-ID, newest first, at most ``limit`` for each key."""

        def work(session: Session) -> list[Run]:
            rows = [row for key in message_id_keys for row in session.all(sql.RUNS_OF_MESSAGE_ID, key=key, rows=limit)]
            return [_run(row, ()) for row in sorted(rows, key=lambda row: -row.number)]

        return await self._reader.read(work)

    async def list(
        self, *, state: str | None = None, workflow: str | None = None, limit: int = 50, after: int | None = None
    ) -> tuple[list[Run], int | None]:
        """Runs, newest first, without their attempts, and the cursor of the next page (None on the last)."""
        statement = sql.PAGES[state is not None, workflow is not None]
        values = {"state": state, "workflow": workflow, "after": sql.NEWEST if after is None else after, "rows": limit + 1}

        def work(session: Session) -> tuple[list[Run], int | None]:
            rows = session.all(statement, **values)
            return [_run(row, ()) for row in rows[:limit]], rows[limit - 1].number if len(rows) > limit else None

        return await self._reader.read(work)

    async def counts(self, *, late_after_seconds: float) -> Counts:
        """As `counts_now`, off the event loop."""
        return await self._reader.read(lambda session: _counts(session, late_after_seconds))

    def counts_now(self, *, late_after_seconds: float) -> Counts:
        """Totals for the indicators; blocking, for the thread that collects metrics. Cheap however many runs there are."""
        return self._reader.now(lambda session: _counts(session, late_after_seconds))

    async def ready(self) -> None:
        """Raises EngineError when the store can't be read or can't be written (disk full, read-only)."""
        await self._reader.read(lambda session: session.first(sql.VERSION))
        await self._writer.write(lambda session: session.run(sql.TOUCH))

    # --- erasure ------------------------------------------------------------------------------------------------------

    async def erase(self, key: str, keys: Sequence[str], blobs: BlobStore, forget: Callable[[Sequence[str]], object]) -> Erased:
        """Erase the mail, documents, digests and checkpoints of the runs that ``key`` names; see `erasure.erase`."""
        return await erasure.erase(self._reader, self._writer, key, keys, blobs, forget)

    async def expire(self, before_unix_nano: int, blobs: BlobStore, forget: Callable[[Sequence[str]], object]) -> Erased:
        """Erase the content of runs that were received before a moment and have ended; see `erasure.expire`."""
        return await erasure.expire(self._reader, self._writer, before_unix_nano, blobs, forget)


def _end(session: Session, run_id: str, ended: EndedAttempt) -> None:
    session.run(
        sql.END_ATTEMPT, run_id=run_id, stage=ended.stage, number=ended.number, ended=ended.ended_unix_nano, outcome=ended.outcome
    )  # fmt: skip
    session.many(sql.KEEP_BLOB, [{"run_id": run_id, "sha256": sha256} for sha256 in dict.fromkeys(ended.blobs)])
    if ended.sender_key is not None:
        session.run(sql.SET_SENDER, run_id=run_id, sender_key=ended.sender_key)


def _finish_cancelled(session: Session, run_id: str, finished_unix_nano: int, after: EndedAttempt | None) -> None:
    why = json.dumps(asdict(ERASED))
    if session.run(sql.FINISH_CANCELLED, run_id=run_id, finished=finished_unix_nano, why=why) == 0:
        return
    if after is not None:
        _end(session, run_id, replace(after, blobs=(), sender_key=None))
    session.run(sql.CLOSE_ATTEMPTS, run_id=run_id, ended=finished_unix_nano)
    session.run(sql.COUNT_OF_RUN, run_id=run_id, event=sql.event_of(row_of("cancelled")))


def _without_content(row: Any) -> RawEmail:
    """What is left of an erased mail: where it came from, when, and its size."""
    received = row.received_unix_nano
    return RawEmail(
        blob=Blob(path=Path(), sha256="", size_bytes=row.size_bytes),
        envelope=Envelope(source=row.source, received_unix_nano=received, stored_unix_nano=received),
    )


def _without_address(item: RecipientOutcome) -> dict[str, Any]:
    return item.model_dump() | {"recipient": pseudonym(item.recipient) if item.recipient else ""}


def _attempt(row: Any) -> Attempt:
    return Attempt(
        row.stage, row.number, row.span_id, row.ready_unix_nano, row.started_unix_nano, row.ended_unix_nano, row.outcome,
        row.executor_id,
    )  # fmt: skip


def _lost(attempt: Attempt, ended_unix_nano: int) -> Attempt:
    return Attempt(
        attempt.stage, attempt.number, attempt.span_id, attempt.ready_unix_nano, attempt.started_unix_nano, ended_unix_nano, "lost",
        attempt.executor_id,
    )  # fmt: skip


def _run(row: Any, attempts: tuple[Attempt, ...]) -> Run:
    error = RunError(**json.loads(row.error)) if row.error else None
    return Run(
        id=row.id, state=row.state, outcome=row_of(row.state, error.stage if error else None).outcome, workflow=row.workflow,
        source=row.source, trace_id=row.trace_id, root_span_id=row.root_span_id, size_bytes=row.size_bytes,
        received_unix_nano=row.received_unix_nano, started_unix_nano=row.started_unix_nano,
        finished_unix_nano=row.finished_unix_nano, message_id=row.message_id_key, conflict=bool(row.conflict), error=error,
        stages=attempts,
        deliveries=tuple(RecipientOutcome(**item) for item in json.loads(row.deliveries)) if row.deliveries else (),
    )  # fmt: skip


def _counts(session: Session, late_after_seconds: float) -> Counts:
    now = time.time_ns()
    received, delivered, failed = {}, {}, {}
    for workflow, event, count in session.all(sql.TOTALS):
        kind, _, outcome = event.partition(":")
        if kind == sql.RECEIVED:
            received[workflow] = count
        elif kind == sql.DELIVERED:
            delivered[workflow] = count
        else:
            failed[workflow, outcome] = count
    overdue = {row.workflow: row.runs for row in session.all(sql.OVERDUE, before=now - int(late_after_seconds * 1e9))}
    oldest = session.first(sql.OLDEST_UNFINISHED).received
    return Counts(received, delivered, failed, overdue, max(0.0, (now - oldest) / 1e9) if oldest is not None else 0.0)


def _sqlite_settings(connection: Any, _record: Any) -> None:
    connection.isolation_level = "IMMEDIATE"
    for pragma in ("journal_mode=WAL", "busy_timeout=30000", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")
