"""A receiver on free ports, in a thread with an event loop of its own, and what a test asks of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from otel_autopilot.local.receiver.embedded import EmbeddedReceiver
from otel_autopilot.local.receiver.limits import Limits
from otel_autopilot.local.store import TraceStore


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Return once the condition is true; fails after ``seconds``."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it didn't happen"
        time.sleep(0.01)


class Receiving:
    """A receiver that runs, and its store."""

    def __init__(self, embedded: EmbeddedReceiver, store: TraceStore) -> None:
        self.embedded = embedded
        self.store = store
        where = embedded.where()
        assert where is not None
        self.grpc = where["grpc"]
        self.http = f"http://{where['http']}"

    @property
    def counts(self) -> dict[str, dict[str, Any]]:
        """What became of what was received."""
        return self.embedded.receiver.counts()

    def written(self) -> bytes:
        """Every byte of the store's files."""
        return b"".join(path.read_bytes() for path in self.store.path.parent.glob(f"{self.store.path.name}*"))


@contextmanager
def receiving(data_dir: Path, **limits: Any) -> Iterator[Receiving]:
    """Start one, and stop it at the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    store = TraceStore.open(data_dir / "telemetry.db")
    embedded = EmbeddedReceiver(store, data_dir, grpc_port=0, http_port=0, limits=Limits(**limits))
    try:
        assert asyncio.run_coroutine_threadsafe(embedded.start(), loop).result(60)
        yield Receiving(embedded, store)
    finally:
        asyncio.run_coroutine_threadsafe(embedded.stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()
        store.close()
