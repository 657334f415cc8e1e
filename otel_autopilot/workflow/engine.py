"""The durable engine: each accepted mail is one DBOS workflow, each stage one of its checkpoints.

Accepted means stored: the mail's bytes are in a synced file and its run is in a synced row before `Engine.accept` returns.
A process that dies leaves its runs pending; the next start of the same executor id takes them up behind the last checkpoint.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, SetWorkflowID, WorkflowStatus
from dbos._serialization import Serializer
from loguru import logger
from opentelemetry.trace import Link

from otel_autopilot.errors import EngineError, EngineLocked
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.messages import RawEmail
from otel_autopilot.pipeline.threads import in_thread
from otel_autopilot.telemetry import diagnostics
from otel_autopilot.telemetry.propagation import parse_traceparent
from otel_autopilot.telemetry.run import RunIdentity
from otel_autopilot.workflow.checkpoints import forget_checkpoints
from otel_autopilot.workflow.committer import Committer
from otel_autopilot.workflow.definition import EMAIL_DIGEST, read_workflow
from otel_autopilot.workflow.intake import identity_of, keys_of, read_header
from otel_autopilot.workflow.run_store import RunStore
from otel_autopilot.workflow.runs import ERASED, Accepted, RunState, Work
from otel_autopilot.workflow.walk import Agents, Finished, Walk, Walker, current_link, emit_root

#: Version of the checkpoint format. Recovery matches it, so it changes only when old checkpoints can't be read any more.
CHECKPOINT_VERSION = "checkpoints-1"

#: Threads on which DBOS talks to SQLite. There is one writer whatever their number, and its default (an own thread for each
#: call under way) spends a third of its time on handing the interpreter's lock around: `docs/decisions/0006`.
EXECUTOR_THREADS = 2
#: Runs accepted in this process whose work is kept in memory until they start; beyond that it is read from the run store.
FRESH_RUNS = 1_000
#: After this a run whose databases could not be written begins anew, in seconds.
AGAIN_SECONDS = 30.0


class JsonSerializer(Serializer):
    """Checkpoints as JSON: readable, and nothing runs when they are read (DBOS's default is pickle)."""

    def serialize(self, data: Any) -> str:
        """JSON text; an exception becomes its type and message."""
        return json.dumps(data, default=_plain)

    def deserialize(cls, serialized_data: str) -> Any:  # named so in the base class
        """The value."""
        value = json.loads(serialized_data)
        if isinstance(value, dict) and set(value) == {"__exception__", "message"}:
            return EngineError(f"{value['__exception__']}: {value['message']}")
        return value

    def name(self) -> str:
        """Stored beside each value."""
        return "otel_autopilot_json"


def _plain(value: Any) -> Any:
    if isinstance(value, BaseException):
        return {"__exception__": type(value).__qualname__, "message": str(value)}
    raise TypeError(f"checkpoint: expected JSON values, got {type(value).__qualname__}")


_running: Engine | None = None


@DBOS.workflow(name="autopilot.run")
async def _run(run_id: str) -> str:
    """One email, from the first stage to the last delivery. Called again, with the same id, after a crash."""
    if _running is None:
        raise EngineError("the engine is not running")
    return await _running._walk(run_id)


class Engine:
    """Accepts mail and takes it through its workflow, durably.

    One engine a process, one process a data directory (`EngineLocked` otherwise).

    Arguments:
        agents: do the stages' work.
        store: the run store.
        blobs: the blob store.
        directory: data directory; holds the lock and the engine's database.
        executor_id: stable name of this process; runs are recovered by it.
        max_concurrent_runs: runs worked on at once; the others wait in the store.
        commit: makes ended spans safe; called at the end of each attempt.
    """

    def __init__(
        self,
        agents: Agents,
        store: RunStore,
        blobs: BlobStore,
        *,
        directory: Path,
        executor_id: str,
        trusted_senders: tuple[str, ...] = (),
        max_concurrent_runs: int = 50,
        stage_attempts: int = 3,
        commit: Callable[[], None] | None = None,
        database: Path | None = None,
    ) -> None:
        self.store = store
        self.draining = False
        self._blobs = blobs
        self._directory = directory
        self._database = database or directory / "engine.db"
        self._executor_id = executor_id
        self._trusted_senders = trusted_senders
        self._max_concurrent_runs = max_concurrent_runs
        self._lock: IO[str] | None = None
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        self._fresh: dict[str, Work] = {}
        self._beginning_anew: set[asyncio.Task[None]] = set()
        self._dispatchers: list[asyncio.Task[None]] = []
        self._active: set[str] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._sql: sa.Engine | None = None

        self._commit = Committer(commit)
        self._walker = Walker(agents, store, blobs, attempts=stage_attempts, executor_id=executor_id, commit=self._commit)

    async def start(self) -> None:
        """Take the lock, launch DBOS on this event loop, take up what was left; raises EngineLocked."""
        global _running
        self._take_lock()
        logging.getLogger("dbos").setLevel(logging.WARNING)
        self._sql = _sqlite_engine(self._database)
        config: DBOSConfig = {
            "name": "otel-autopilot",
            "system_database_url": f"sqlite:///{self._database}",
            "system_database_engine": self._sql,
            "application_version": CHECKPOINT_VERSION,
            "executor_id": self._executor_id,
            "serializer": JsonSerializer(),
            "enable_otlp": False,
            "log_level": "WARNING",
            "max_executor_threads": EXECUTOR_THREADS,
        }
        _running = self
        DBOS(config=config)
        DBOS.launch()
        await self._take_up()
        self._dispatchers = [
            asyncio.create_task(self._dispatch(), name=f"autopilot-dispatch-{number}")
            for number in range(self._max_concurrent_runs)
        ]

    async def accept(self, raw: RawEmail) -> Accepted:
        """Take responsibility for a stored mail and start its run.

        The same mail again (Message-ID, body and recipients) is the same run: its id comes back with ``created`` false.
        The current span, if any, is linked from the run's root. Raises EngineError while draining.
        """
        if self.draining:
            raise EngineError("shutting down: not taking mail")
        header = await in_thread(read_header, raw.blob.path)
        identity = await identity_of(raw, header, self._trusted_senders)
        keys = keys_of(raw, header)
        carrier = identity.to_carrier()
        for link in current_link():
            carrier["link"] = f"00-{link.context.trace_id:032x}-{link.context.span_id:016x}-{link.context.trace_flags:02x}"
        accepted = await self.store.accept(
            run_id=identity.run_id,
            trace_id=f"{identity.trace_id:032x}",
            root_span_id=f"{identity.root_span_id:016x}",
            raw=raw,
            message_id_key=keys.message_id,
            content_key=keys.content,
            recipients_key=keys.recipients,
            workflow=read_workflow(EMAIL_DIGEST).name,
            workflow_text=EMAIL_DIGEST,
            carrier=carrier,
        )
        if accepted.created:
            if len(self._fresh) < FRESH_RUNS:
                self._fresh[accepted.run_id] = Work("created", False, raw, EMAIL_DIGEST, carrier, accepted.conflict)
            self._enqueue(accepted.run_id)
        return accepted

    async def drain(self, timeout_seconds: float) -> bool:
        """Take no more mail and wait for the runs in flight; False when some were left (they resume at the next start)."""
        self.draining = True
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_seconds)
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """Stop DBOS and give the lock back.

        Drain first. Where runs are left in flight, end the process instead: they stay pending, as after a crash.
        """
        global _running
        self.draining = True
        tasks = [*self._dispatchers, *self._beginning_anew]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await in_thread(DBOS.destroy)
        # DBOS made its own pool the loop's default and has shut it down: others still want to write.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())
        _running = None
        if self._sql is not None:
            self._sql.dispose()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def forget(self, run_ids: Sequence[str]) -> int:
        """Erase the checkpoints of these runs; blocking. Returns how many had any."""
        return forget_checkpoints(self._database, run_ids)

    @property
    def active_runs(self) -> int:
        """Runs being worked on in this process."""
        return len(self._active)

    @property
    def waiting_runs(self) -> int:
        """Runs accepted and not yet started."""
        return self._waiting.qsize()

    def _take_lock(self) -> None:
        path = self._directory / "engine.lock"
        handle = path.open("a+")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            handle.close()
            raise EngineLocked(
                f"{self._directory}: process {holder} runs the engine on this data directory; "
                "stop it, or set AUTOPILOT_DATA_DIR to another directory"
            ) from error
        handle.truncate(0)
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        self._lock = handle

    async def _take_up(self) -> None:
        """Start what was accepted and is neither finished nor being recovered by DBOS.

        That is what never started, and what is stranded: only DBOS's database is synced at every step, so after a power failure
        it may know of an end that the run store lost; and a run whose databases could not be written has failed in DBOS alone.
        Stranded runs begin anew: what was delivered is in the outbox, and is not sent again.
        """
        pending = await DBOS.list_workflows_async(status=["PENDING", "ENQUEUED"], load_input=False, load_output=False)
        self._warn_of_other_versions(pending)
        recovered = {item.workflow_id for item in pending}
        left = [run_id for run_id in await self.store.unfinished() if run_id not in recovered]
        await in_thread(self.forget, sorted(set(left) - set(await self.store.unstarted())))
        for run_id in left:
            self._enqueue(run_id)

    @staticmethod
    def _warn_of_other_versions(pending: Sequence[WorkflowStatus]) -> None:
        others = sorted({str(item.app_version) for item in pending if item.app_version != CHECKPOINT_VERSION})
        if others:
            message = f"runs of checkpoint format {', '.join(others)} are pending; this release reads {CHECKPOINT_VERSION}"
            diagnostics.keep(message)
            logger.warning(message)

    def _enqueue(self, run_id: str) -> None:
        self._waiting.put_nowait(run_id)

    async def _begin_anew(self, run_id: str) -> None:
        while True:
            await asyncio.sleep(AGAIN_SECONDS)
            try:
                await in_thread(self.forget, [run_id])
            except sa.exc.SQLAlchemyError as error:
                logger.warning("run {} can't begin anew yet: {}", run_id, type(error).__qualname__)
            else:
                self._enqueue(run_id)
                return

    def _enter(self, run_id: str) -> None:
        self._active.add(run_id)
        self._idle.clear()

    def _leave(self, run_id: str) -> None:
        self._active.discard(run_id)
        if not self._active:
            self._idle.set()

    async def _dispatch(self) -> None:
        while True:
            run_id = await self._waiting.get()
            if self.draining:
                return  # it stays accepted in the store, and starts when the next process does
            self._enter(run_id)
            try:
                with SetWorkflowID(run_id):
                    handle = await DBOS.start_workflow_async(_run, run_id)
                await handle.get_result()
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001  # one run's fault; the dispatcher goes on with the next
                logger.opt(exception=error).error("run {} could not be finished; it begins anew in {} s", run_id, AGAIN_SECONDS)
                task = asyncio.create_task(self._begin_anew(run_id), name="autopilot-begin-anew")
                self._beginning_anew.add(task)
                task.add_done_callback(self._beginning_anew.discard)
            finally:
                self._leave(run_id)

    async def _walk(self, run_id: str) -> str:
        self._enter(run_id)
        try:
            stored = self._fresh.pop(run_id, None) or await self.store.work_of(run_id)
            if stored.finished:
                return stored.state
            walk = Walk(
                identity=RunIdentity.from_carrier(run_id, stored.raw.envelope.received_unix_nano, stored.carrier),
                raw=stored.raw,
                workflow=read_workflow(stored.workflow_text),
                conflict=stored.conflict,
                links=_link_of(stored.carrier),
            )
            finished = await self._finished(walk, stored.state)
            if finished.state == "cancelled":
                await in_thread(forget_checkpoints, self._database, [run_id], keep_pending=True)
            emit_root(walk, finished)
            await self._commit()
            await self.store.finish(
                run_id,
                finished.state,
                finished_unix_nano=finished.ended_unix_nano,
                error=finished.error,
                deliveries=finished.delivery.outcomes if finished.delivery else (),
                after=finished.last,
            )
            return finished.state
        finally:
            self._leave(run_id)

    async def _finished(self, walk: Walk, state: RunState) -> Finished:
        """How a run of this state ended, once it has: as cancelled when it was erased, before or while it went on."""
        run_id, last = walk.identity.run_id, None
        if state != "cancelled":
            try:
                finished = await self._walker.walk(walk, _checkpoint)
            except Exception:  # whatever it stumbled over that the erasure took away
                if not await self.store.erased(run_id):
                    raise
            else:
                if not await self.store.erased(run_id):
                    return finished
                last = finished.last
        return Finished("cancelled", time.time_ns(), ERASED, None, None, last)


async def _checkpoint(name: str, work: Callable[[], Any]) -> dict[str, Any]:
    result: dict[str, Any] = await DBOS.run_step_async({"name": name}, work)
    return result


def _link_of(carrier: dict[str, str]) -> tuple[Link, ...]:
    context = parse_traceparent(carrier.get("link", ""))
    return (Link(context),) if context is not None else ()


def _sqlite_engine(path: Path) -> sa.Engine:
    """SQLite in WAL mode that syncs every commit: DBOS opens its own in DELETE mode, which is slower and no safer."""
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})

    @sa.event.listens_for(engine, "connect")
    def _settings(connection: Any, _record: Any) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def executor_id_of(directory: Path) -> str:
    """The stable executor id of a data directory: made once, kept in a file."""
    path = directory / "executor-id"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        name = f"serve-{time.time_ns():x}"
        path.write_text(name + "\n")
        return name
