"""One process receives for one data directory; who comes second finds out where, and reads the same store.

``receiver.json`` in the directory is locked by the process that receives, and says on which ports. The system takes the lock back
from a process that dies, so that a file that is left behind means nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import weakref
from pathlib import Path
from typing import TypedDict

from otel_autopilot.errors import SettingsError

FILE = "receiver.json"
#: A look at the lock takes it for a moment: how often, and after what pause in seconds, to try before it counts as taken.
_TRIES, _PAUSE_SECONDS = 5, 0.02
#: How long a holder may take to say its ports, in seconds.
_PUBLISH_SECONDS = 5.0


class Holder(TypedDict):
    """The process that receives, and its addresses, such as ``127.0.0.1:4317``."""

    grpc: str
    http: str
    pid: int


class ReceiverLease:
    """Held until `release`, or until the process ends."""

    def __init__(self, handle: int) -> None:
        self._handle: int | None = handle
        _held.add(self)

    @classmethod
    def take(cls, data_dir: Path) -> ReceiverLease | None:
        """The lease of a data directory; None when another process, or another lease of this one, has it."""
        path = data_dir / FILE
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SettingsError(f"AUTOPILOT_DATA_DIR: {path} can't be written: {error.strerror}") from error
        for _ in range(_TRIES):
            if _lock(handle, fcntl.LOCK_EX):
                os.ftruncate(handle, 0)
                return cls(handle)
            time.sleep(_PAUSE_SECONDS)
        os.close(handle)
        return None

    def publish(self, grpc: str, http: str) -> None:
        """Say where this process receives."""
        if self._handle is not None:
            content: Holder = {"grpc": grpc, "http": http, "pid": os.getpid()}
            os.pwrite(self._handle, json.dumps(content).encode(), 0)

    def release(self) -> None:
        """Let others receive; a second call does nothing."""
        handle, self._handle = self._handle, None
        _held.discard(self)
        if handle is not None:
            os.ftruncate(handle, 0)
            os.close(handle)

    def leave_to_parent(self) -> None:
        """In a forked child: the lock belongs to the parent, and would outlive it with the child's handle."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


def holder(data_dir: Path) -> Holder | None:
    """Who receives for a data directory, or None."""
    until = time.monotonic() + _PUBLISH_SECONDS
    while True:
        try:
            handle = os.open(data_dir / FILE, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            if _lock(handle, fcntl.LOCK_SH):
                return None
            with contextlib.suppress(ValueError):
                found: Holder = json.loads(os.pread(handle, 4096, 0))
                return found
        finally:
            os.close(handle)
        if time.monotonic() > until:
            return None
        time.sleep(_PAUSE_SECONDS)


def _lock(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


_held: weakref.WeakSet[ReceiverLease] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for lease in list(_held):
        lease.leave_to_parent()
    _held.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
