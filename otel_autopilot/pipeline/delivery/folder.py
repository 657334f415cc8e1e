"""Digests as files: a folder of Markdown and JSON, or a Maildir. Whole or not at all, and the same name again is the same file."""

from __future__ import annotations

import errno
import os
import re
import socket
from pathlib import Path

import psutil
from loguru import logger

from otel_autopilot.pipeline.delivery.attempt import Refused
from otel_autopilot.pipeline.delivery.compose import compose
from otel_autopilot.pipeline.delivery.manners import Recipient
from otel_autopilot.pipeline.delivery.options import DeliveryOptions
from otel_autopilot.pipeline.messages import Digest, Email

#: How far the start of a process and the time of a file, by different clocks of one machine, may be apart, in seconds.
CLOCK_SECONDS = 1.0
#: What won't pass by itself: somebody has to change the folder or its mode.
_FOR_GOOD = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOTDIR,
        errno.ENOENT,  # the folder was to be made with its parents: there is no making it
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.EINVAL,
        errno.EFBIG,
    }
)


def written(path: Path, kind: str, run_id: str) -> bool:
    """Whether the digest of a run is there: its name follows from the run, so a crash leaves no doubt. Blocking.

    In a Maildir, also where a reader has moved it: below ``cur``, with flags behind a colon.
    """
    if kind == "folder":
        return (path / f"{run_id}.md").exists()
    name = _maildir_name(run_id)
    seen = path / "cur"
    return (path / "new" / name).exists() or (seen.is_dir() and any(file.name.partition(":")[0] == name for file in seen.iterdir()))


def write_folder(path: Path, digest: Digest, run_id: str) -> None:
    """Write ``RUN.json`` and then ``RUN.md``; raises Refused when the folder can't be written. Blocking."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, content in ((f"{run_id}.json", digest.model_dump_json(indent=1) + "\n"), (f"{run_id}.md", digest.markdown)):
            _write(path / f".{name}.{os.getpid()}", path / name, content.encode("utf-8", "replace"))
    except OSError as error:
        raise _refused(error) from None


def write_maildir(path: Path, digest: Digest, original: Email, run_id: str, options: DeliveryOptions) -> None:
    """Write a message into ``new`` by way of ``tmp`` (https://cr.yp.to/proto/maildir.html); raises Refused. Blocking."""
    recipient = Recipient(options.recipients[0] if options.recipients else options.sender, is_reply=False)
    mail = compose(digest, original, recipient, run_id=run_id, options=options)
    content = mail.as_bytes(policy=mail.policy.clone(linesep="\n"))
    name = _maildir_name(run_id)
    try:
        for folder in ("tmp", "new", "cur"):
            (path / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(path / "tmp" / name, path / "new" / name, content)
    except OSError as error:
        raise _refused(error) from None


def _maildir_name(run_id: str) -> str:
    return f"{run_id}.autopilot.{socket.gethostname().replace('/', '_').replace(':', '_')}"


def remove_left_drafts(path: Path, run_id: str) -> None:
    """Remove drafts of a run that killed processes left in a folder: they hold parts of its digest. Blocking.

    Looks through the whole folder, so it is for runs that are taken up again. (In a Maildir the next draft has the same name.)
    """
    draft_of_run = re.compile(rf"\.{re.escape(run_id)}\.(?:json|md)\.([0-9]+)")
    try:
        for draft in path.iterdir() if path.is_dir() else ():
            named = draft_of_run.fullmatch(draft.name)
            if named is not None and not _being_written(draft, int(named[1])):
                draft.unlink(missing_ok=True)
    except OSError as error:  # whether the digest can be written is for the writing to find out
        logger.warning("drafts of an earlier process can't be removed: {}", _reason(error))


def _being_written(draft: Path, pid: int) -> bool:
    """Whether the process that a draft is named by may still be at it. One that began later only has the same id."""
    try:
        return psutil.Process(pid).create_time() <= draft.stat().st_mtime + CLOCK_SECONDS
    except (psutil.NoSuchProcess, FileNotFoundError):
        return False


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _write(draft: Path, target: Path, content: bytes) -> None:
    """Write a draft, rename it, and make both last: the file's content, then its name."""
    try:
        with open(draft, "wb", opener=_for_its_owner) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _refused(error: OSError) -> Refused:
    return Refused(f"the digest can't be written: {_reason(error)}", retryable=error.errno not in _FOR_GOOD, host=True)


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else type(error).__name__
