"""How much is taken at once: bytes under way, and items a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from otel_autopilot.local.receiver.attributes import MOST_VALUES
from otel_autopilot.local.receiver.refusals import Busy

#: What a client is told to wait when others' requests have to end first, in seconds.
PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Limits:
    """What the receiver takes."""

    request_bytes: int = 16 << 20
    """Of one request, decompressed."""
    request_items: int = 200_000
    """Of one request: spans, records and points, and the groups that they come in. A few bytes unfold into one of them."""
    request_values: int = MOST_VALUES
    """Of one request: attributes, items of lists and maps, events, links, exemplars."""
    under_way_bytes: int = 64 << 20
    """Of all requests that have come in and aren't answered yet."""
    items_per_second: float | None = None
    """Spans, records and points; None: as many as come."""


class UnderWay:
    """A number of bytes that requests share while they are under way."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._bytes = 0

    def take(self, count: int) -> None:
        """Raises Busy when there is no room."""
        with self._lock:
            if self._bytes + count > self._most:
                raise Busy(f"more than {self._most} bytes are under way; try again", retry_seconds=PAUSE_SECONDS)
            self._bytes += count

    def give_back(self, count: int) -> None:
        """What was taken is free again."""
        with self._lock:
            self._bytes -= count

    @contextmanager
    def holding(self, count: int) -> Iterator[None]:
        """Take, and give back at the end."""
        self.take(count)
        try:
            yield
        finally:
            self.give_back(count)


class Unfolded:
    """A number of items that requests share from the time they are taken apart until they are stored: those take memory."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._items = 0
        self._changed = threading.Condition()

    @contextmanager
    def holding(self, count: int) -> Iterator[None]:
        """Wait for room, and give it back at the end; who asks for more than there is at all gets it when nobody else has any."""
        with self._changed:
            self._changed.wait_for(lambda: self._items == 0 or self._items + count <= self._most)
            self._items += count
        try:
            yield
        finally:
            with self._changed:
                self._items -= count
                self._changed.notify_all()


class TokenBucket:
    """Items a second, with up to one second's worth at once; a request of more is taken when the bucket is full, on credit."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = per_second
        self._then = clock()

    def take(self, count: int) -> None:
        """Raises Busy, which says when to try again."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self._per_second, self._tokens + (now - self._then) * self._per_second)
            self._then = now
            if self._tokens < min(count, self._per_second):
                wait = (min(count, self._per_second) - self._tokens) / self._per_second
                raise Busy(f"more than {self._per_second:g} items a second; try again in {wait:.1f} s", retry_seconds=wait)
            self._tokens -= count
