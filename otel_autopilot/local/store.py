"""The embedded trace store: one SQLite file that several processes write and read at once.

A batch is one transaction: it is there whole or not at all. The same span twice is stored once, the first wins, so whoever
isn't sure whether a span was stored may store it again. The list of traces has a table of its own, kept up in the same
transaction.
"""

from __future__ import annotations

import hashlib
import math
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from otel_autopilot.errors import StoreError
from otel_autopilot.local import rows
from otel_autopilot.local.many_rows import insert
from otel_autopilot.local.model import LogRecordRow, MetricPoint, SpanRecord
from otel_autopilot.local.naming import named_by
from otel_autopilot.local.points import write_points
from otel_autopilot.local.retention import STEP, erase_oldest
from otel_autopilot.local.schema import migrate
from otel_autopilot.local.summary import TraceSummary
from otel_autopilot.local.values import encode
from otel_autopilot.telemetry import diagnostics
from otel_autopilot.telemetry.names import STAGES

#: How long a writer waits for another process, in seconds.
BUSY_SECONDS = 30.0
#: Pages of 4 kB that gather in the write-ahead log: spans of one trace lie apart in the index, and a page that many of them
#: touch is written back once.
CHECKPOINT_PAGES = 8_000
#: Batches between two looks at age and size.
RETENTION_EVERY = 200
#: How long a look may keep the batch that it follows waiting; the next one goes on.
RETENTION_SECONDS = 0.2

#: Work of each stage of a trace, lost attempts aside.
_WORKED = "SELECT stage, sum(duration_nano) FROM attempts WHERE trace = ? AND NOT lost GROUP BY stage ORDER BY stage"

_stores: weakref.WeakSet[TraceStore] = weakref.WeakSet()
_stores_lock = threading.Lock()  # held by whoever forks, until it has
_paused: list[TraceStore] = []


def _before_fork() -> None:
    """No transaction and no connection crosses a fork.

    SQLite keeps its locks per process: a child that took a connection with it, even if only to close it, would believe to hold
    locks that it doesn't, and wait for the transaction of a thread that it doesn't have.
    """
    _stores_lock.acquire()
    for store in _stores:
        store._lock.acquire()
        _paused.append(store)
        store._disconnect()


def _after_fork_in_parent() -> None:
    while _paused:
        _paused.pop()._lock.release()
    _stores_lock.release()


def _after_fork_in_child() -> None:
    while _paused:
        _paused.pop()._lock = threading.RLock()
    _stores_lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


class TraceStore:
    """Spans, logs and metric points in a SQLite file. Safe to use from several threads and processes.

    Arguments:
        path: the file; made with mode 0600 in a directory of mode 0700.
        max_age_seconds: what is older is erased, a little at a time, as new data comes in; None: kept.
        max_bytes: above this size the oldest traces are erased; None: no limit.
    """

    def __init__(self, path: Path, *, max_age_seconds: float | None = None, max_bytes: int | None = None) -> None:
        self.path = path
        self._max_age_seconds = max_age_seconds
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        self._batches = 0
        self._behind = False
        self._resources: dict[tuple[str, int], tuple[dict[str, Any], int]] = {}
        self._connection: sqlite3.Connection | None = self._connect()
        self._closed = False
        with _stores_lock:
            _stores.add(self)

    @classmethod
    def open(cls, path: Path, *, max_age_seconds: float | None = None, max_bytes: int | None = None) -> TraceStore:
        """Open or make the store; raises StoreError when it can't be used."""
        return cls(path, max_age_seconds=max_age_seconds, max_bytes=max_bytes)

    def _connect(self) -> sqlite3.Connection:
        until = time.monotonic() + BUSY_SECONDS
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self.path.exists():
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            while True:
                connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
                try:
                    self._prepare(connection)
                except BaseException as error:
                    connection.close()
                    # SQLite doesn't wait where waiting could be a deadlock: another process is giving the file its log.
                    if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                        raise
                    time.sleep(0.01)
                else:
                    return connection
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self.path}: the trace store can't be opened: {error}") from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        connection.execute("PRAGMA cache_size=-16000")
        migrate(connection, str(self.path))

    def _own(self) -> sqlite3.Connection:
        """The connection, made anew after a fork."""
        if self._closed:
            raise StoreError(f"{self.path}: the trace store is closed")
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Close the file."""
        with _stores_lock:
            _stores.discard(self)
        with self._lock:
            self._closed = True
            self._disconnect()

    # --- writing ------------------------------------------------------------------------------------------------------

    def add_spans(self, spans: Sequence[SpanRecord]) -> None:
        """Store a batch of spans; raises StoreError, and stores none of them, when it can't."""
        with self._lock:
            self._transaction(lambda connection: self._write_spans(connection, spans))

    def add_logs(self, logs: Sequence[LogRecordRow]) -> None:
        """Store a batch of log records; raises StoreError."""

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(rows.INSERT_LOG, [rows.log_row(log, self._resource(connection, log.resource)) for log in logs])
            connection.execute("UPDATE totals SET changes = changes + 1, logs = logs + ?", (len(logs),))

        with self._lock:
            self._transaction(write)

    def add_points(self, points: Sequence[MetricPoint]) -> None:
        """Store metric points; the same point of a series twice is stored once. Raises StoreError."""

        def write(connection: sqlite3.Connection) -> None:
            new = write_points(connection, points, lambda attributes: self._resource(connection, attributes))
            connection.execute("UPDATE totals SET changes = changes + 1, points = points + ?", (new,))

        with self._lock:
            self._transaction(write)

    def _transaction(self, write: Callable[[sqlite3.Connection], None]) -> None:
        connection = self._own()
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                write(connection)
                connection.execute("COMMIT")
            except BaseException:
                self._resources.clear()
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except (sqlite3.Error, OverflowError) as error:
            raise StoreError(f"{self.path}: not stored: {error}") from error
        self._batches += 1
        if self._batches % RETENTION_EVERY == 1 or self._behind:
            try:
                self.retain(RETENTION_SECONDS)
            except StoreError as error:  # what was to be stored is; the next look tries again
                diagnostics.keep(str(error))

    def _write_spans(self, connection: sqlite3.Connection, spans: Sequence[SpanRecord]) -> None:
        groups: dict[str, list[SpanRecord]] = {}
        for span in spans:
            groups.setdefault(span.trace_id, []).append(span)
        stored, attempts = [], []
        links: list[tuple[Any, ...]] = []
        summaries = [rows.summary(trace_id, group) for trace_id, group in groups.items()]
        traces = {
            key: (trace, count) for key, trace, count in insert(connection, rows.INSERT_TRACE, summaries, rows.OR_ADD_TO_TRACE)
        }
        new = 0
        for summary, group in zip(summaries, groups.values(), strict=True):
            trace, count = traces[summary[0]]
            new += count == len(group)
            for span in group:
                row = rows.span_row(trace, span, self._resource(connection, span.resource))
                stored.append(row)
                if span.name in STAGES and (attempt := rows.attempt_row(row, span.attributes)):
                    attempts.append(attempt)
                if span.links:
                    links += rows.link_rows(trace, row[1], [(link.trace_id, link.span_id) for link in span.links])
        before = connection.total_changes
        insert(connection, rows.INSERT_SPAN, stored)
        inserted = connection.total_changes - before
        if inserted == len(stored):
            insert(connection, rows.INSERT_ATTEMPT, attempts)
            insert(connection, rows.INSERT_LINK, links)
        else:
            # Some were there already, or twice in the batch: what is known of the traces is told anew from what is stored.
            for trace_id in groups:
                self._retell(connection, trace_id)
        connection.execute("UPDATE totals SET changes = changes + 1, traces = traces + ?, spans = spans + ?", (new, inserted))

    def _retell(self, connection: sqlite3.Connection, trace_id: str) -> None:
        spans, key = self._spans(connection, trace_id), rows.blob(trace_id)
        (trace,) = connection.execute("SELECT number FROM traces WHERE trace_id = ?", (key,)).fetchone()
        for table, column in (("traces", "number"), ("attempts", "trace"), ("links", "trace")):
            connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (trace,))  # noqa: S608  # nosec B608  # names above
        insert(connection, rows.INSERT_TRACE, [rows.summary(trace_id, spans)], rows.OR_ADD_TO_TRACE)
        connection.execute("UPDATE traces SET number = ? WHERE trace_id = ?", (trace, key))
        stored = [(rows.span_row(trace, span, 0), span) for span in spans]
        attempts = [rows.attempt_row(row, span.attributes) for row, span in stored]
        insert(connection, rows.INSERT_ATTEMPT, [attempt for attempt in attempts if attempt is not None])
        links = [rows.link_rows(trace, row[1], [(link.trace_id, link.span_id) for link in span.links]) for row, span in stored]
        insert(connection, rows.INSERT_LINK, [link for of_span in links for link in of_span])

    def _resource(self, connection: sqlite3.Connection, attributes: dict[str, Any]) -> int:
        fast = str(attributes.get("service.instance.id")), len(attributes)
        known = self._resources.get(fast)
        if known is not None and known[0] == attributes:
            return known[1]
        text = encode(attributes)
        key = hashlib.sha256(text.encode()).hexdigest()
        connection.execute("INSERT OR IGNORE INTO resources (hash, attributes) VALUES (?, ?)", (key, text))
        number = int(connection.execute("SELECT id FROM resources WHERE hash = ?", (key,)).fetchone()[0])
        if len(self._resources) > 10_000:
            self._resources.clear()
        self._resources[fast] = (attributes, number)
        return number

    # --- reading ------------------------------------------------------------------------------------------------------

    def trace(self, trace_id: str) -> tuple[list[SpanRecord], list[LogRecordRow]]:
        """The spans of a trace by start, and its log records by time."""
        with self._lock:
            connection = self._own()
            found = connection.execute(
                f"SELECT {rows.LOG_COLUMNS} FROM logs l JOIN resources r ON r.id = l.resource WHERE trace_id = ? ORDER BY time_unix_nano",  # noqa: S608  # nosec B608  # columns by name
                (rows.blob(trace_id),),
            ).fetchall()
            return self._spans(connection, trace_id), [rows.log_of(row) for row in found]

    @staticmethod
    def _spans(connection: sqlite3.Connection, trace_id: str) -> list[SpanRecord]:
        found = connection.execute(
            f"SELECT {rows.SPAN_COLUMNS} FROM traces t JOIN spans s ON s.trace = t.number JOIN resources r ON r.id = s.resource "  # noqa: S608  # nosec B608  # columns by name
            "WHERE t.trace_id = ? ORDER BY s.start_unix_nano",
            (rows.blob(trace_id),),
        )
        return [rows.span_of(trace_id, row) for row in found]

    def find(self, key: str, candidates: Sequence[str] = ()) -> list[str]:
        """Trace ids, newest first, that a run id, a trace id (or 8 or more digits of either) or a pseudonym names."""
        found: dict[str, int] = {}
        with self._lock:
            for condition in named_by(key, candidates):
                for trace_id, start in self._own().execute(
                    f"SELECT trace_id, start_unix_nano FROM traces WHERE {condition.where}",  # noqa: S608  # nosec B608  # constants
                    condition.values,
                ):
                    found[trace_id.hex()] = start
        return sorted(found, key=lambda trace_id: -found[trace_id])

    def latest(self, *, limit: int = 20, outcome: str | None = None, emails: bool = False) -> list[TraceSummary]:
        """The newest traces; with ``emails`` only those of emails, without server spans and whatever else is a trace of its own."""
        where = "email >= ? AND (? IS NULL OR outcome = ?)"
        with self._lock:
            connection = self._own()
            found: list[tuple[Any, ...]] = connection.execute(
                "SELECT number, lower(hex(trace_id)), name, service, start_unix_nano, end_unix_nano, spans, errors, run_id, workflow, outcome, rooted < email "  # noqa: S608
                f"FROM traces WHERE {where} ORDER BY start_unix_nano DESC, number DESC LIMIT ?",  # nosec B608
                (int(emails), outcome, outcome, limit),
            ).fetchall()
            worked = [dict(connection.execute(_WORKED, (row[0],)).fetchall()) for row in found]
        return [
            replace(
                TraceSummary(*row[1:-1]),
                under_way=bool(row[-1]),
                stages={STAGES[stage]: nano / 1e9 for stage, nano in work.items()},
            )
            for row, work in zip(found, worked, strict=True)
        ]

    def span_count(self) -> int:
        """How many spans are stored."""
        with self._lock:
            return int(self._own().execute("SELECT spans FROM totals").fetchone()[0])

    # --- retention ----------------------------------------------------------------------------------------------------

    def retain(self, budget_seconds: float = math.inf) -> int:
        """Erase what is too old, and the oldest while the file is too large; returns how many traces, log records and points went.

        Stops after a step when that took ``budget_seconds``; the next batch that is stored goes on.
        """
        until = time.monotonic() + budget_seconds
        erased, self._behind = 0, False
        for step in (self._erase_old, self._erase_excess):
            while gone := step():
                erased += gone
                if time.monotonic() > until:
                    self._behind = True
                    return erased
        return erased

    def _erase_old(self) -> int:
        if self._max_age_seconds is None:
            return 0
        return self._erase_oldest(STEP, time.time_ns() - int(self._max_age_seconds * 1e9))

    def _erase_excess(self) -> int:
        if self._max_bytes is None or (size := self._size()) <= self._max_bytes:
            return 0
        with self._lock:
            count = int(self._own().execute("SELECT traces FROM totals").fetchone()[0])
        return self._erase_oldest(max(1, min(STEP, int(count * (1 - self._max_bytes / size)))))

    def _size(self) -> int:
        connection = self._own()
        pages = int(connection.execute("PRAGMA page_count").fetchone()[0]) - int(
            connection.execute("PRAGMA freelist_count").fetchone()[0]
        )
        return pages * int(connection.execute("PRAGMA page_size").fetchone()[0])

    def _erase_oldest(self, most: int, before_unix_nano: int | None = None) -> int:
        with self._lock:
            connection = self._own()
            try:
                connection.execute("BEGIN IMMEDIATE")
                erased = erase_oldest(connection, most, before_unix_nano)
                connection.execute("COMMIT")
                connection.execute("PRAGMA incremental_vacuum(2000)").fetchall()
            except sqlite3.Error as error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise StoreError(f"{self.path}: nothing could be erased: {error}") from error
            return erased
