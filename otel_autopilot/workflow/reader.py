"""Reads off the event loop, on a few threads that keep their connection and their compiled statements."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import sqlalchemy as sa

from otel_autopilot.errors import EngineError
from otel_autopilot.workflow.statements import Session, Statement

T = TypeVar("T")

#: Reads at the same time. SQLite's readers hold the interpreter's lock for most of their time: more would not be faster.
THREADS = 2


class Reader:
    """A small pool of threads with a read connection each."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="autopilot-run-store-read")
        self._mine = threading.local()
        self._connections: list[Any] = []
        self._compiled: dict[Statement, Any] = {}
        self.closed = False

    async def read(self, work: Callable[[Session], T]) -> T:
        """Run ``work`` on a reading thread; raises what it raises, and EngineError when the database can't be read."""
        if self.closed:
            raise EngineError("the run store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._on_thread, work)

    def now(self, work: Callable[[Session], T]) -> T:
        """Run ``work`` on the calling thread, blocking, over a connection that is given back."""
        if self.closed:
            raise EngineError("the run store is closed")
        connection = self._engine.raw_connection()
        try:
            return self._guarded(work, Session(connection, self._engine.dialect, self._compiled))
        finally:
            connection.close()

    def _on_thread(self, work: Callable[[Session], T]) -> T:
        if not hasattr(self._mine, "session"):
            connection = self._engine.raw_connection()
            self._connections.append(connection)
            self._mine.connection = connection
            self._mine.session = Session(connection, self._engine.dialect, self._compiled)
        try:
            return self._guarded(work, self._mine.session)
        finally:
            if self._engine.dialect.name != "sqlite":
                self._mine.connection.rollback()  # a reader must not keep a snapshot open

    def _guarded(self, work: Callable[[Session], T], session: Session) -> T:
        driver: Any = self._engine.dialect.dbapi
        try:
            return work(session)
        except driver.Error as error:
            said = str(error) if self._engine.dialect.name == "sqlite" else type(error).__qualname__
            raise EngineError(f"run store {self._engine.url.database}: expected to read it, got: {said}") from error

    def close(self) -> None:
        """Wait for the reads under way and close the connections."""
        self.closed = True
        self._pool.shutdown()
        for connection in self._connections:
            connection.close()
        self._connections.clear()
