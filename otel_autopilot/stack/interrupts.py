"""Ctrl-C and SIGTERM while processes are started: noticed for certain, and never between a start and its record."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Turns SIGINT and SIGTERM into KeyboardInterrupt within `watched`.

    An exception that a signal raises is lost where Python can't pass it on, such as in a finaliser; so it is remembered, and `check`
    raises it again.
    """

    def __init__(self) -> None:
        self._pending = False
        self._waiting = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch for signals; outside the main thread, which alone gets them, do nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._come) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def wait(self) -> Iterator[None]:
        """They take effect afterwards: what was started meanwhile is on record by then, and can be stopped."""
        self._waiting = True
        try:
            yield
        finally:
            self._waiting = False
        self.check()

    def check(self) -> None:
        """Raise KeyboardInterrupt when a signal came, once."""
        if self._pending:
            self._pending = False
            raise KeyboardInterrupt

    def _come(self, _number: int, _frame: FrameType | None) -> None:
        self._pending = True
        if not self._waiting:
            raise KeyboardInterrupt
