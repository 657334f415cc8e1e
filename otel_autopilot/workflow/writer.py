"""Writes from many tasks, one thread, few transactions.

An fsync costs milliseconds and a run writes ten times: what waits is committed together, and each caller goes on after its
own commit. A caller that needs its write to survive a power failure says so; the others' survive ``kill -9`` all the same.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from otel_autopilot.errors import EngineError
from otel_autopilot.workflow.statements import Session

T = TypeVar("T")

#: Writes that share a transaction at most.
BATCH = 200


@dataclass
class _Write:
    work: Callable[[Session], Any]
    durable: bool
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


class GroupWriter:
    """A thread that owns the write connection."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._sqlite = engine.dialect.name == "sqlite"
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="autopilot-run-store", daemon=True)
        self._thread.start()

    async def write(self, work: Callable[[Session], T], *, durable: bool = False) -> T:
        """Run ``work`` in a transaction and return its result once that is committed.

        ``work`` may be run twice (a transaction shared with a faulty one is repeated) and must have no other effects.
        Raises what it raises, and EngineError when the database can't be written or the store is closed.
        """
        loop = asyncio.get_running_loop()
        item = _Write(work, durable, loop, loop.create_future())
        with self._closing:
            if self._closed:
                raise EngineError("the run store is closed")
            self._queue.put(item)
        result: T = await item.done
        return result

    def close(self) -> None:
        """Commit what waits and end the thread; a second call does nothing."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        session: Session | None = None
        connection: Any = None
        ending = False
        while not ending:
            batch, ending = self._next()
            if not batch:
                continue
            try:
                if session is None:
                    connection = self._engine.raw_connection()
                    if self._sqlite:
                        connection.driver_connection.isolation_level = None  # transactions are begun and ended here
                    session = Session(connection, self._engine.dialect)
                self._commit(connection, session, batch)
            except Exception as error:  # noqa: BLE001  # no connection: handed to every caller
                for item in batch:
                    item.error = self._explained(error)
            _resolve(batch)
        if connection is not None:
            if self._sqlite:
                connection.driver_connection.isolation_level = "IMMEDIATE"
            connection.close()

    def _next(self) -> tuple[list[_Write], bool]:
        """What waits, at least one item; and whether the store is being closed."""
        batch: list[_Write] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) == BATCH:
                return batch, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _commit(self, connection: Any, session: Session, batch: list[_Write]) -> None:
        try:
            self._transaction(connection, session, batch)
        except Exception:  # noqa: BLE001  # each by itself: one is at fault, or another process came between
            for item in batch:
                try:
                    self._transaction(connection, session, [item])
                except Exception as error:  # noqa: BLE001  # handed to the caller it belongs to
                    item.error = self._explained(error)

    def _transaction(self, connection: Any, session: Session, batch: list[_Write]) -> None:
        if self._sqlite:
            session.command(f"PRAGMA synchronous={'FULL' if any(item.durable for item in batch) else 'NORMAL'}")
            session.command("BEGIN IMMEDIATE")
        try:
            for item in batch:
                item.result = item.work(session)
        except BaseException:
            connection.rollback()
            raise
        connection.commit()

    def _explained(self, error: Exception) -> Exception:
        """A driver's error as one of ours. The text of SQLite's errors names tables and columns, never values."""
        driver: Any = self._engine.dialect.dbapi
        if not isinstance(error, (driver.Error, sa.exc.SQLAlchemyError)):
            return error
        said = str(error) if self._sqlite else type(error).__qualname__
        explained = EngineError(f"run store {self._engine.url.database}: expected to write it, got: {said}")
        explained.__cause__ = error
        return explained


def _resolve(batch: list[_Write]) -> None:
    """Wake the callers: one wake-up for each event loop, not for each write."""
    for loop in {item.loop for item in batch}:
        mine = [item for item in batch if item.loop is loop]
        try:
            loop.call_soon_threadsafe(_tell, mine)
        except RuntimeError:  # that loop is closed: nobody waits any more
            continue


def _tell(batch: list[_Write]) -> None:
    for item in batch:
        if item.done.done():
            continue
        if item.error is not None:
            item.done.set_exception(item.error)
        else:
            item.done.set_result(item.result)
