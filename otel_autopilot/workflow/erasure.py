"""Erasing what is kept of mails: by name (a person's right) and by age (retention).

A file that several runs use goes with the last of them. Files are removed inside the transaction that drops their last
reference: `RunStore.accept` looks for its file inside a transaction of its own, so a mail can't be accepted on a file that is
being erased.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.threads import in_thread
from otel_autopilot.workflow import run_statements as sql
from otel_autopilot.workflow.reader import Reader
from otel_autopilot.workflow.runs import Erased
from otel_autopilot.workflow.statements import Session
from otel_autopilot.workflow.writer import GroupWriter

#: Erases the engine's checkpoints of some runs; returns how many there were.
Forget = Callable[[Sequence[str]], object]

#: Runs erased in one transaction.
CHUNK = 100
#: A file that no run refers to is left alone for this long: an attempt under way may be about to. In seconds.
UNCLAIMED_SECONDS = 86_400.0
_BLOB_NAME = re.compile(r"[0-9a-f]{64}")


def wipe(database: Path, *, wait_seconds: float = 20.0) -> bool:
    """Write a database's log into it and cut the log to nothing, so that no erased content stays there.

    Returns False when somebody read or wrote without a pause for that long.
    """
    if not database.exists():
        return True
    connection = sqlite3.connect(database, timeout=wait_seconds)
    try:
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy
    finally:
        connection.close()


async def erase(reader: Reader, writer: GroupWriter, key: str, keys: Sequence[str], blobs: BlobStore, forget: Forget) -> Erased:
    """Erase runs by id (``key``) or by the pseudonyms, under every retained key, of a Message-ID or a sender's address.

    Runs that have not ended are cancelled: from then on the outbox refuses to send anything of theirs, and the process that works
    on them, or the next that starts, ends them with their root span. Mail, parts, documents, digests, delivery intents,
    pseudonyms and the engine's checkpoints go; what stays is the run's id, state and times. What was delivered is out of reach.
    """

    def named(session: Session) -> list[str]:
        found = [row.id for row in session.all(sql.RUN, run_id=key)]
        return list(dict.fromkeys([*found, *(row.id for name in keys for row in session.all(sql.RUNS_OF_PERSON, key=name))]))

    ids = await reader.read(named)
    total = Erased()
    for chunk in _chunks(ids):
        total = _sum(total, await _erase(writer, chunk, blobs, forget, person=True))
    return total


async def expire(reader: Reader, writer: GroupWriter, before_unix_nano: int, blobs: BlobStore, forget: Forget) -> Erased:
    """Erase the content of runs that were received before a moment and have ended, and files that belong to no run.

    Pseudonyms stay, so that the same mail again is still known.
    """
    total = Erased()
    while True:
        rows = await reader.read(lambda session: session.all(sql.EXPIRED, before=before_unix_nano, rows=CHUNK))
        if not rows:
            break
        total = _sum(total, await _erase(writer, [row.id for row in rows], blobs, forget, person=False))
    return _sum(total, await sweep(writer, blobs, UNCLAIMED_SECONDS))


async def sweep(writer: GroupWriter, blobs: BlobStore, older_than_seconds: float) -> Erased:
    """Remove files of the blob store that no run refers to: what attempts that died, or mails refused, left behind."""
    before = time.time() - older_than_seconds
    old = await in_thread(lambda: list(_old_files(blobs.root, before)))
    total = Erased()
    for chunk in _chunks(old):

        def work(session: Session, names: Sequence[str] = chunk) -> Erased:
            unused = [name for name in names if session.first(sql.BLOB_USED, sha256=name) is None]
            return _remove(blobs, [name for name in unused if _modified(blobs.path_of(name)) < before])

        total = _sum(total, await writer.write(work))
    return total


async def _erase(writer: GroupWriter, ids: Sequence[str], blobs: BlobStore, forget: Forget, *, person: bool) -> Erased:
    def cancel(session: Session) -> int:
        """Intents are stored in transactions like this one: those that it sees may be sent, and none after it."""
        under_way = [run_id for run_id in ids if session.run(sql.CANCEL, run_id=run_id)]
        return sum(session.first(sql.SENDING, run_id=run_id).deliveries for run_id in under_way)

    def work(session: Session) -> Erased:
        candidates: list[str] = []
        for run_id in ids:
            candidates += [row.sha256 for row in session.all(sql.BLOBS_OF_RUN, run_id=run_id)]
            session.run(sql.DROP_BLOBS, run_id=run_id)
            session.run(sql.DROP_INTENTS, run_id=run_id)
            session.run(sql.DROP_CONTENT, run_id=run_id)
            if person:
                session.run(sql.DROP_TRACES_OF_PERSON, run_id=run_id)
        return _remove(blobs, [name for name in dict.fromkeys(candidates) if session.first(sql.BLOB_USED, sha256=name) is None])

    # Our rows go last: an erasure that is interrupted finds its runs again.
    sending = await writer.write(cancel, durable=True)
    forgotten = await in_thread(forget, ids)
    removed = await writer.write(work, durable=True)
    checkpoints = forgotten if isinstance(forgotten, int) else 0
    return Erased(len(ids), removed.blobs, removed.size_bytes, checkpoints, sending)


def _remove(blobs: BlobStore, names: Iterable[str]) -> Erased:
    count, size = 0, 0
    for name in names:
        path = blobs.path_of(name)
        length = path.stat().st_size if path.exists() else 0
        if blobs.erase(name):
            count += 1
            size += length
    return Erased(blobs=count, size_bytes=size)


def _old_files(root: Path, before: float) -> Iterable[str]:
    """Names of blobs older than ``before``; half-written files of that age are removed on the way."""
    for left in root.glob(".new-*"):
        if _modified(left) < before:
            left.unlink(missing_ok=True)
    for path in root.glob("[0-9a-f][0-9a-f]/*"):
        if _BLOB_NAME.fullmatch(path.name) and _modified(path) < before:
            yield path.name


def _modified(path: Path) -> float:
    """When a file was last written; the end of time when it is gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _chunks(names: Sequence[str]) -> Iterable[Sequence[str]]:
    return (names[start : start + CHUNK] for start in range(0, len(names), CHUNK))


def _sum(one: Erased, other: Erased) -> Erased:
    return Erased(
        one.runs + other.runs, one.blobs + other.blobs, one.size_bytes + other.size_bytes, one.checkpoints + other.checkpoints,
        one.sending + other.sending,
    )  # fmt: skip
