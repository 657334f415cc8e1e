"""Spans of many runs made safe together: who asks while a flush is under way shares the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from otel_autopilot.pipeline.threads import in_thread


class Committer:
    """Calls a blocking ``flush`` in a thread, one at a time, however many wait for it; each waits for one that began after it asked."""

    def __init__(self, flush: Callable[[], None] | None) -> None:
        self._flush = flush
        self._waiting: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None

    async def __call__(self) -> None:
        """Return once a flush that began after this call has ended."""
        if self._flush is None:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(self._flush), name="autopilot-commit")
        await done

    async def _run(self, flush: Callable[[], None]) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await in_thread(flush)
            finally:
                for done in batch:
                    if not done.done():
                        done.set_result(None)
