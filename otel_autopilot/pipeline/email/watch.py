"""Folders and Maildirs under watch: each mail once, when it is complete."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

from watchfiles import awatch

from otel_autopilot.errors import SourceError
from otel_autopilot.pipeline.email.sources import SourceMail, is_maildir, mails_of, may_be_mail
from otel_autopilot.pipeline.threads import in_thread

#: A file whose size and time stay the same for so long, in seconds, is complete (Maildirs rename: there it is at once).
SETTLE_SECONDS = 0.2


async def watch(paths: Sequence[Path]) -> AsyncIterator[SourceMail]:
    """The mails that are there, then each new one; runs until it is closed. Raises SourceError for a path that isn't a folder."""
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it tells of each change
    for path in paths:
        if not path.is_dir():
            raise SourceError(f"{path}: expected a folder or a Maildir to watch")
    seen: set[Path] = set()
    folders = [folder for path in paths for folder in ((path / "new", path / "cur") if is_maildir(path) else (path,))]
    for mail in await _complete(_candidates(folders), seen):
        yield mail
    async for _ in awatch(*folders, recursive=False, step=50, debounce=200, yield_on_timeout=True, rust_timeout=2_000):
        for mail in await _complete(_candidates(folders), seen):
            yield mail


def _candidates(folders: Iterable[Path]) -> list[tuple[Path, bool]]:
    found = []
    for folder in folders:
        maildir = folder.name in ("new", "cur") and is_maildir(folder.parent)
        for file in sorted(folder.iterdir()):
            if file.is_file() and (not file.name.startswith(".") if maildir else may_be_mail(file)):
                found.append((file, maildir))
    return found


async def _complete(candidates: list[tuple[Path, bool]], seen: set[Path]) -> list[SourceMail]:
    seen.intersection_update({_key(path, maildir) for path, maildir in candidates})  # a name that went and came back is a new mail
    new = [(path, maildir) for path, maildir in candidates if _key(path, maildir) not in seen]
    before = {path: _state(path) for path, maildir in new if not maildir}
    if before:
        await asyncio.sleep(SETTLE_SECONDS)
    mails = []
    for path, maildir in new:
        if not maildir and (before[path] is None or _state(path) != before[path] or _is_being_written(path)):
            continue  # still being written: the next round takes it
        seen.add(_key(path, maildir))
        mails += [SourceMail(str(path), "maildir", path)] if maildir else await in_thread(mails_of, path)
    return mails


def _is_being_written(path: Path) -> bool:
    """Whether a process has the file open for writing: Linux refuses a read lease then (fcntl(2), F_SETLEASE)."""
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        with path.open("rb") as file:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:  # another's file, or a file system without leases: size and time have to do
        return error.errno == errno.EAGAIN
    return False


def _key(path: Path, maildir: bool) -> Path:
    """A Maildir file keeps its name up to the colon when it moves from new to cur."""
    return path.parent.parent / path.name.partition(":")[0] if maildir else path


def _state(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns
