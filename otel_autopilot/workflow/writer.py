"""Writes from many tasks, one thread, few transactions.

An fsync costs milliseconds and a run writes ten times: what waits is committed together, and each caller goes on after its
own commit. A caller that needs its write to survive a power failure says so; the others' survive ``kill -9`` all the same.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

import sqlalchemy as sa

from otel_autopilot.errors import EngineError

T = TypeVar("T")

#: Writes that share a transaction at most.
BATCH = 200


@dataclass
class _Write:
    work: Callable[[sa.Connection], Any]
    durable: bool
    done: Future[Any] = field(default_factory=Future)


class GroupWriter:
    """A thread that owns the write connection."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="autopilot-run-store", daemon=True)
        self._thread.start()

    async def write(self, work: Callable[[sa.Connection], T], *, durable: bool = False) -> T:
        """Run ``work`` in a transaction and return its result once that is committed; raises what it raises."""
        if self._closed:
            raise EngineError("the run store is closed")
        item = _Write(work, durable)
        self._queue.put(item)
        result: T = await asyncio.wrap_future(item.done)
        return result

    def close(self) -> None:
        """Commit what waits and end the thread."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        with self._engine.connect() as connection:
            while True:
                batch = self._next()
                if batch:
                    self._commit(connection, batch)
                if batch is None:
                    return

    def _next(self) -> list[_Write] | None:
        first = self._queue.get()
        if first is None:
            return None
        batch = [first]
        while len(batch) < BATCH:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                self._queue.put(None)
                break
            batch.append(item)
        return batch

    def _commit(self, connection: sa.Connection, batch: list[_Write]) -> None:
        batch = [item for item in batch if item.done.set_running_or_notify_cancel()]
        try:
            results = self._transaction(connection, batch)
        except Exception as error:  # noqa: BLE001  # handed to the caller it belongs to
            if len(batch) == 1:
                batch[0].done.set_exception(error)
                return
            for item in batch:  # one of them is at fault: each by itself, so that the others are not
                try:
                    item.done.set_result(self._transaction(connection, [item])[0])
                except Exception as own:  # noqa: BLE001
                    item.done.set_exception(own)
            return
        for item, result in zip(batch, results, strict=True):
            item.done.set_result(result)

    def _transaction(self, connection: sa.Connection, batch: list[_Write]) -> list[Any]:
        durable = any(item.durable for item in batch)
        if connection.dialect.name == "sqlite":
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        with connection.begin():
            return [item.work(connection) for item in batch]
