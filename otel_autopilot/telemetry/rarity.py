"""Which emails are of a seldom kind: sampling downstream keeps their traces, and can't find out by itself."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Hashable

#: How many of the latest a kind is compared with.
WINDOW = 1_000
#: A kind is rare while it makes up less than this share of them.
SHARE = 0.01


class Rarity:
    """Remembers the kinds of the latest `WINDOW` things, and no more, whatever is shown to it."""

    def __init__(self, window: int = WINDOW, share: float = SHARE) -> None:
        self._latest: deque[Hashable] = deque(maxlen=window)
        self._counts: Counter[Hashable] = Counter()
        self._most = max(1, int(window * share))
        self._lock = threading.Lock()

    def is_rare(self, kind: Hashable) -> bool:
        """Count one of ``kind``; True when it is among the first few, or among few, of the latest.

        Few is the share of the whole window also while it fills: so a process that has just begun keeps some of every kind.
        """
        with self._lock:
            if len(self._latest) == self._latest.maxlen:
                oldest = self._latest[0]
                self._counts[oldest] -= 1
                if not self._counts[oldest]:
                    del self._counts[oldest]
            self._latest.append(kind)
            self._counts[kind] += 1
            return self._counts[kind] <= self._most
