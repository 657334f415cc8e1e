"""Children of multiprocessing leave by `os._exit`, which runs no `atexit`: what they emitted is exported by a finalizer."""

from __future__ import annotations

from typing import Protocol

#: After every finalizer of the application and of the standard library, which may emit spans of their own.
_LAST = -1000


class Leaver(Protocol):
    """Something with a last thing to do."""

    def leave(self) -> object:
        """Do it, in bounded time."""


def leave_with(leaver: Leaver) -> None:
    """Call ``leave()`` as this process ends, when it is a child of multiprocessing, and as each child that it forks ends.

    A main process ends by `atexit`, which is the caller's. ``leaver`` is held weakly for the children to come.
    """
    from multiprocessing import parent_process, util  # here: an application that configures nothing must not pay for it

    # A child clears all finalizers before it runs, and calls these hooks right after.
    util.register_after_fork(leaver, _finalize)
    if parent_process() is not None:
        _finalize(leaver)


def _finalize(leaver: Leaver) -> None:
    from multiprocessing import util

    util.Finalize(None, leaver.leave, exitpriority=_LAST)
