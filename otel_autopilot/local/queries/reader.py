"""Connections that only read the embedded store, so that no reader waits for a writer and no writer for a reader."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from otel_autopilot.errors import StoreError
from otel_autopilot.local.schema import stored_version
from otel_autopilot.local.store import TraceStore
from otel_autopilot.local.tables import TABLES, VERSION

#: Connections that wait for the next query.
MOST_IDLE = 4
#: Seconds to wait where the file is being given its log, or recovered.
BUSY_SECONDS = 5.0

_Identity = tuple[int, int]

_readers: weakref.WeakSet[Reader] = weakref.WeakSet()


def _before_fork() -> None:
    """Connections that nobody uses don't cross a fork; those in use stay with the threads that use them, which don't either."""
    for reader in list(_readers):
        reader.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork)


class Reader:
    """Lends read-only connections to the store at ``path``. Safe to use from several threads.

    A store that isn't there yet reads as an empty one. One of an older release is migrated when it is first read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._idle: list[tuple[_Identity, sqlite3.Connection]] = []
        _readers.add(self)

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection on which every statement sees the store as it was at the first; raises StoreError."""
        try:
            identity, connection = self._take()
            try:
                connection.execute("BEGIN")
                yield connection
            except BaseException:
                connection.close()
                raise
            connection.execute("ROLLBACK")
            self._give_back(identity, connection)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: the trace store can't be read: {error}") from error

    def size_bytes(self) -> int:
        """Bytes of the store with its log; 0 when there is none."""
        return sum(_size(path) for path in (self.path, self.path.with_name(self.path.name + "-wal")))

    def close(self) -> None:
        """Close the connections that nobody uses; the next query opens another."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def _take(self) -> tuple[_Identity, sqlite3.Connection]:
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return (0, 0), _empty()
        except OSError as error:
            raise StoreError(f"{self.path}: the trace store can't be read: {error}") from error
        identity = (stat.st_dev, stat.st_ino)
        while True:
            with self._lock:
                if not self._idle:
                    break
                of, connection = self._idle.pop()
            if of == identity:
                return identity, connection
            connection.close()  # the file was replaced by another
        return identity, self._open()

    def _open(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            version = stored_version(connection, str(self.path))
            if version == 0:  # another process is just making it
                connection.close()
                return _empty()
            if version < VERSION:
                connection.close()
                TraceStore.open(self.path).close()
                connection = self._connect()
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA cache_size=-32000")
        connection.execute("PRAGMA mmap_size=1000000000")
        return connection

    def _give_back(self, identity: _Identity, connection: sqlite3.Connection) -> None:
        with self._lock:
            if identity != (0, 0) and len(self._idle) < MOST_IDLE:
                self._idle.append((identity, connection))
                return
        connection.close()


def _empty() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.executescript(TABLES)
    return connection


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
