"""The embedded trace store: one SQLite file that several processes write and read at once.

A batch is one transaction: it is there whole or not at all. The same span twice is stored once, the first wins, so whoever
isn't sure whether a span was stored may store it again. The list of traces has a table of its own, kept up in the same
transaction.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from otel_autopilot.errors import StoreError
from otel_autopilot.local.model import EventRecord, LinkRecord, LogRecordRow, Scope, SpanRecord
from otel_autopilot.local.schema import migrate
from otel_autopilot.local.summary import TraceSummary
from otel_autopilot.local.values import decode, encode, text

#: How long a writer waits for another process, in seconds.
BUSY_SECONDS = 30.0
#: Pages of 4 kB that gather in the write-ahead log: spans of one trace lie apart in the index, and a page that many of them
#: touch is written back once.
CHECKPOINT_PAGES = 8_000
#: Batches between two looks at age and size.
RETENTION_EVERY = 200
#: Traces erased in one transaction, so that nobody waits long.
RETENTION_STEP = 500

_STAGES = ("email", "ingestion", "digest", "delivery")
_INSERT_SPAN = "INSERT OR IGNORE INTO spans VALUES (?,?,?,?,?,?,?,?,?)"
_UPSERT_TRACE = """
INSERT INTO traces (trace_id, name, service, start_unix_nano, end_unix_nano, spans, errors, run_id, workflow, outcome, message_id, sender, stages, rooted)
VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)
ON CONFLICT (trace_id) DO UPDATE SET
    name = CASE WHEN excluded.rooted THEN excluded.name ELSE name END,
    start_unix_nano = min(start_unix_nano, excluded.start_unix_nano), end_unix_nano = max(end_unix_nano, excluded.end_unix_nano),
    spans = spans + excluded.spans, errors = errors + excluded.errors,
    run_id = coalesce(excluded.run_id, run_id), workflow = coalesce(excluded.workflow, workflow),
    outcome = CASE WHEN excluded.rooted THEN excluded.outcome ELSE outcome END,
    message_id = coalesce(excluded.message_id, message_id), sender = coalesce(excluded.sender, sender),
    stages = json_patch(coalesce(stages, '{}'), coalesce(excluded.stages, '{}')), rooted = max(rooted, excluded.rooted)
RETURNING number
"""


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
            connection.executemany(
                "INSERT INTO logs (time_unix_nano, severity_number, severity_text, body, trace_id, span_id, attributes, resource) VALUES (?,?,?,?,?,?,?,?)",
                [
                    (log.time_unix_nano, log.severity_number, log.severity_text, text(log.body) if isinstance(log.body, str) else encode(log.body), _blob(log.trace_id), _blob(log.span_id), encode(log.attributes), self._resource(connection, log.resource))
                    for log in logs
                ],
            )  # fmt: skip

        with self._lock:
            self._transaction(write)

    def add_points(self, points: Sequence[tuple[str, str, str, int, dict[str, Any], Any, dict[str, Any]]]) -> None:
        """Store metric points: name, unit, kind, time, attributes, value, resource; raises StoreError."""

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT INTO metric_points (name, unit, kind, time_unix_nano, attributes, value, resource) VALUES (?,?,?,?,?,?,?)",
                [
                    (name, unit, kind, moment, encode(attributes), encode(value), self._resource(connection, resource))
                    for name, unit, kind, moment, attributes, value, resource in points
                ],
            )

        with self._lock:
            self._transaction(write)

    def _transaction(self, write: Any) -> None:
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
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: not stored: {error}") from error
        self._batches += 1
        if self._batches % RETENTION_EVERY == 1:
            self.retain()

    def _write_spans(self, connection: sqlite3.Connection, spans: Sequence[SpanRecord]) -> None:
        groups: dict[str, list[SpanRecord]] = {}
        for span in spans:
            groups.setdefault(span.trace_id, []).append(span)
        rows = []
        for trace_id, group in groups.items():
            number = connection.execute(_UPSERT_TRACE, _summary(trace_id, group)).fetchone()[0]
            rows += [self._row(connection, number, span) for span in group]
        before = connection.total_changes
        connection.executemany(_INSERT_SPAN, rows)
        if connection.total_changes - before != len(rows):
            # Some were there already, or twice in the batch: the traces are counted anew.
            for trace_id in groups:
                self._recount(connection, trace_id)

    def _recount(self, connection: sqlite3.Connection, trace_id: str) -> None:
        stored, key = self._spans(connection, trace_id), (_blob(trace_id),)
        number = connection.execute("SELECT number FROM traces WHERE trace_id = ?", key).fetchone()
        connection.execute("DELETE FROM traces WHERE trace_id = ?", key)
        connection.execute(_UPSERT_TRACE, _summary(trace_id, stored)).fetchone()
        connection.execute("UPDATE traces SET number = ? WHERE trace_id = ?", (*number, *key))

    def _row(self, connection: sqlite3.Connection, trace: int, span: SpanRecord) -> tuple[Any, ...]:
        body: list[Any] = [span.attributes, span.kind, span.status_code, span.status_message, span.scope.name]
        if span.events or span.links:
            body.append([[event.name, event.time_unix_nano, event.attributes] for event in span.events])
            body.append([[link.trace_id, link.span_id, link.attributes] for link in span.links])
        return (
            trace, bytes.fromhex(span.span_id), _blob(span.parent_span_id), text(span.name), span.start_unix_nano,
            span.end_unix_nano, span.failed, self._resource(connection, span.resource), encode(body),
        )  # fmt: skip

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
            spans = self._spans(connection, trace_id)
            rows = connection.execute(
                "SELECT time_unix_nano, severity_number, severity_text, body, span_id, l.attributes, r.attributes FROM logs l "
                "JOIN resources r ON r.id = l.resource WHERE trace_id = ? ORDER BY time_unix_nano",
                (_blob(trace_id),),
            ).fetchall()
        logs = [
            LogRecordRow(
                moment,
                number,
                level,
                body,
                trace_id,
                span_id.hex() if span_id else None,
                attributes=decode(attributes),
                resource=decode(resource),
            )
            for moment, number, level, body, span_id, attributes, resource in rows
        ]
        return spans, logs

    @staticmethod
    def _spans(connection: sqlite3.Connection, trace_id: str) -> list[SpanRecord]:
        rows = connection.execute(
            "SELECT t.trace_id, s.span_id, s.parent_span_id, s.name, s.start_unix_nano, s.end_unix_nano, s.error, s.resource, s.body, "
            "r.attributes FROM traces t JOIN spans s ON s.trace = t.number JOIN resources r ON r.id = s.resource "
            "WHERE t.trace_id = ? ORDER BY s.start_unix_nano",
            (_blob(trace_id),),
        )
        return [_span(row) for row in rows]

    def find(self, key: str, candidates: Sequence[str] = ()) -> list[str]:
        """Trace ids, newest first, that a run id, a trace id (or 8 or more digits of either) or a pseudonym names."""
        wanted: list[tuple[str, tuple[Any, ...]]] = []
        low = key.strip().lower()
        if len(low) >= 8 and set(low) <= set("0123456789abcdef"):
            if len(low) <= 32:
                first, last = bytes.fromhex(low.ljust(32, "0")), bytes.fromhex(low.ljust(32, "f"))
                wanted.append(("trace_id BETWEEN ? AND ?", (first, last)))
            wanted.append(("run_id BETWEEN ? AND ?", (low, low + "g")))
        wanted.append(("run_id = ?", (key,)))
        for candidate in candidates:
            wanted.append(("message_id = ?", (candidate,)))
            wanted.append(("sender = ?", (candidate,)))
        found: dict[str, int] = {}
        with self._lock:
            for where, values in wanted:
                for trace_id, start in self._own().execute(f"SELECT trace_id, start_unix_nano FROM traces WHERE {where}", values):  # noqa: S608  # nosec B608  # constants above
                    found[trace_id.hex()] = start
        return sorted(found, key=lambda trace_id: -found[trace_id])

    def latest(self, *, limit: int = 20, outcome: str | None = None, emails: bool = False) -> list[TraceSummary]:
        """The newest traces; with ``emails`` only those of emails, without server spans and whatever else is a trace of its own."""
        conditions = ["outcome = ?"] if outcome is not None else []
        conditions += ["(run_id IS NOT NULL OR outcome IS NOT NULL OR stages IS NOT NULL)"] if emails else []
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        values = (outcome, limit) if outcome is not None else (limit,)
        with self._lock:
            rows = (
                self._own()
                .execute(
                    "SELECT trace_id, name, service, start_unix_nano, end_unix_nano, spans, errors, run_id, workflow, outcome, "  # noqa: S608
                    f"stages FROM traces {where} ORDER BY start_unix_nano DESC LIMIT ?",  # nosec B608
                    values,
                )
                .fetchall()
            )
        return [TraceSummary(*(row[0].hex(), *row[1:10], json.loads(row[10] or "{}"))) for row in rows]

    def span_count(self) -> int:
        """How many spans are stored."""
        with self._lock:
            return int(self._own().execute("SELECT coalesce(sum(spans), 0) FROM traces").fetchone()[0])

    # --- retention ----------------------------------------------------------------------------------------------------

    def retain(self) -> int:
        """Erase what is too old, and the oldest while the file is too large; returns how many traces went."""
        erased = 0
        if self._max_age_seconds is not None:
            before = time.time_ns() - int(self._max_age_seconds * 1e9)
            while gone := self._erase_oldest(RETENTION_STEP, before):
                erased += gone
        while self._max_bytes is not None and (size := self._size()) > self._max_bytes:
            with self._lock:
                count = int(self._own().execute("SELECT count(*) FROM traces").fetchone()[0])
            gone = self._erase_oldest(max(1, min(RETENTION_STEP, int(count * (1 - self._max_bytes / size)))))
            if not gone:
                break
            erased += gone
        return erased

    def _size(self) -> int:
        connection = self._own()
        pages = int(connection.execute("PRAGMA page_count").fetchone()[0]) - int(
            connection.execute("PRAGMA freelist_count").fetchone()[0]
        )
        return pages * int(connection.execute("PRAGMA page_size").fetchone()[0])

    def _erase_oldest(self, most: int, before_unix_nano: int | None = None) -> int:
        with self._lock:
            connection = self._own()
            connection.execute("BEGIN IMMEDIATE")
            limit = before_unix_nano if before_unix_nano is not None else 1 << 62
            rows = connection.execute(
                "SELECT trace_id, end_unix_nano, number FROM traces WHERE start_unix_nano < ? ORDER BY start_unix_nano LIMIT ?",
                (limit, most),
            ).fetchall()
            ids = [(row[0],) for row in rows]
            connection.executemany("DELETE FROM spans WHERE trace = ?", [(row[2],) for row in rows])
            connection.executemany("DELETE FROM logs WHERE trace_id = ?", ids)
            connection.executemany("DELETE FROM traces WHERE trace_id = ?", ids)
            until = before_unix_nano if before_unix_nano is not None else max((row[1] for row in rows), default=0)
            connection.execute("DELETE FROM logs WHERE time_unix_nano < ? AND trace_id IS NULL", (until,))
            connection.execute("DELETE FROM metric_points WHERE time_unix_nano < ?", (until,))
            connection.execute("COMMIT")
            connection.execute("PRAGMA incremental_vacuum(2000)").fetchall()
            return len(ids)


def _blob(value: str | None) -> bytes | None:
    return bytes.fromhex(value) if value else None


def _span(row: tuple[Any, ...]) -> SpanRecord:
    attributes, kind, status_code, status_message, scope, *rest = decode(row[8])
    events, links = rest if rest else ((), ())
    return SpanRecord(
        trace_id=row[0].hex(), span_id=row[1].hex(), parent_span_id=row[2].hex() if row[2] else None, name=row[3], kind=kind,
        start_unix_nano=row[4], end_unix_nano=row[5], status_code=status_code, status_message=status_message,
        attributes=attributes, events=tuple(EventRecord(*event) for event in events),
        links=tuple(LinkRecord(*link) for link in links), scope=Scope(scope), resource=decode(row[9]),
    )  # fmt: skip


def _summary(trace_id: str, group: Sequence[SpanRecord]) -> tuple[Any, ...]:
    """What a batch adds to the row of a trace."""
    root = next((span for span in group if span.parent_span_id is None), None)
    first = root or min(group, key=lambda span: span.start_unix_nano)
    named = [span.attributes for span in (first, *group)]

    def value(key: str) -> Any:
        return next((attributes[key] for attributes in named if key in attributes), None)

    stages = {
        span.name: span.duration_nano / 1e9
        for span in group
        if span.name in _STAGES
        and span.attributes.get("autopilot.stage") == span.name
        and not span.attributes.get("autopilot.attempt.lost")
    }
    return (
        bytes.fromhex(trace_id), first.name, str(first.resource.get("service.name", "")),
        min(span.start_unix_nano for span in group), max(span.end_unix_nano for span in group), len(group),
        sum(span.failed for span in group), value("autopilot.run.id"), value("autopilot.workflow"),
        first.attributes.get("autopilot.outcome") if root is not None else None, value("autopilot.email.message_id"),
        value("autopilot.email.sender"), json.dumps(stages) if stages else None, int(root is not None),
    )  # fmt: skip
