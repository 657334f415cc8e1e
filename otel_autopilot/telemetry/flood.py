"""A limit on floods: one source line that logs thousands of times a second must not fill the disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: Source lines that are watched at the same time.
_MOST_LINES = 4096


class FloodLimit:
    """Lets so many records of one source line through in each second, and counts the others."""

    def __init__(self, per_line_per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = per_line_per_second
        self._clock = clock
        self._lock = threading.Lock()
        self._lines: dict[tuple[str, int], list[float]] = {}  # second's end, records in it
        self._suppressed: dict[tuple[str, int], int] = {}
        self._told: dict[tuple[str, int], int] = {}

    def passes(self, file: str, line: int) -> bool:
        """True when a record of this line may be written now."""
        now = self._clock()
        with self._lock:
            second = self._lines.get((file, line))
            if second is None or now >= second[0]:
                if len(self._lines) >= _MOST_LINES:
                    self._lines = {key: value for key, value in self._lines.items() if now < value[0]}
                self._lines[file, line] = [now + 1.0, 1.0]
                if count := self._suppressed.pop((file, line), 0):  # of the second that has ended, also when the flood goes on
                    self._told[file, line] = self._told.get((file, line), 0) + count
                return True
            second[1] += 1
            if second[1] <= self._limit:
                return True
            self._suppressed[file, line] = self._suppressed.get((file, line), 0) + 1
            return False

    def suppressed(self, *, all_of_them: bool = False) -> list[tuple[str, int, int]]:
        """File, line and number of records suppressed in seconds that are over; each is told once."""
        if not self._suppressed and not self._told:
            return []
        now = self._clock()
        with self._lock:
            over, self._told = self._told, {}
            for key in [key for key in self._suppressed if all_of_them or now >= self._lines.get(key, [0.0])[0]]:
                over[key] = over.get(key, 0) + self._suppressed.pop(key)
            return [(*key, count) for key, count in over.items()]
