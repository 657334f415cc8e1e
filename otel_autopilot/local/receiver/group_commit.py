"""Several threads' items in one transaction: who comes while one is written waits, and all who wait are written together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

#: Items of one transaction: whoever reads the same store meanwhile waits for one at most.
MOST_ITEMS = 10_000


class _Ticket:
    def __init__(self, items: list[Any]) -> None:
        self.items = items
        self.done = False
        self.error: Exception | None = None


class GroupCommit:
    """Writes lists of items with ``write``, which raises when it stored nothing of what it was given."""

    def __init__(self, write: Callable[[list[Any]], None]) -> None:
        self._write = write
        self._writing = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: list[_Ticket] = []

    def store(self, items: list[Any]) -> None:
        """Returns once these items are committed; raises what ``write`` raised when they aren't.

        More than `MOST_ITEMS` take several transactions: when a later one fails, the first are stored, and are stored already when
        they come again.
        """
        own = _Ticket(items)
        with self._lock:
            self._waiting.append(own)
        with self._writing:
            while not own.done:
                self._write_together(self._next())
        if own.error is not None:
            raise own.error

    def _next(self) -> list[_Ticket]:
        with self._lock:
            count = total = 0
            while count < len(self._waiting) and (count == 0 or total + len(self._waiting[count].items) <= MOST_ITEMS):
                total += len(self._waiting[count].items)
                count += 1
            batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    def _write_together(self, batch: list[_Ticket]) -> None:
        try:
            items = [item for ticket in batch for item in ticket.items]
            for first in range(0, len(items), MOST_ITEMS):
                self._write(items[first : first + MOST_ITEMS])
        except Exception as error:  # noqa: BLE001  # raised where it belongs, by `store`
            if len(batch) == 1:
                batch[0].error = error
            else:  # it may be one of them alone that can't be stored
                for ticket in batch:
                    self._write_together([ticket])
        finally:
            for ticket in batch:
                ticket.done = True
