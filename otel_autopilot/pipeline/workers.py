"""Warm child processes for work that can hurt: large MIME, hostile PDFs, summaries of thousands of pages.

One piece of work at a time in each child, with limits on its time and memory; a child that breaks is replaced, and only the
work that broke it fails. The parent never runs such work itself and passes file paths, not megabytes.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import ctypes
import os
import pickle  # nosec B403  # of our own objects, between our own processes
import resource
import signal
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, TypeVar

from loguru import logger
from pebble import ProcessExpired, ProcessPool

from otel_autopilot.errors import WorkCrashed, WorkLimit, WorkTimeout
from otel_autopilot.pipeline import children
from otel_autopilot.pipeline.threads import in_thread

T = TypeVar("T")

#: How often a piece of work is begun, when it is the pool that breaks and not the work that breaks it.
_BEGINNINGS = 4
#: How often work that waits looks whether its pool still works, in seconds.
_LOOK_SECONDS = 1.0
#: prctl option: the signal a process gets when its parent dies (linux/prctl.h).
_PR_SET_PDEATHSIG = 1
#: What the fork server imports once, so that a replacement for a broken child starts warm.
_PRELOAD = (
    "otel_autopilot.pipeline.workers",
    "otel_autopilot.pipeline.email.parse",
    "otel_autopilot.pipeline.ingestion.html",
    "otel_autopilot.pipeline.ingestion.pdf",
    "otel_autopilot.pipeline.digest.compose",
)


class WorkerPool:
    """A pool of warm child processes.

    Arguments:
        processes: how many, and so how many pieces of work run at once; the rest wait in order.
        memory_bytes: address space that a piece of work may add to what the child has when it starts.
        timeout_seconds: limit of a piece of work, from its start, unless `run` is given another.

    Children are started from a fork server (never a fork of this process and its threads), ignore Ctrl-C, which is the
    parent's to handle, write nothing to the terminal, and die with the parent.
    """

    def __init__(self, *, processes: int, memory_bytes: int, timeout_seconds: float) -> None:
        self._processes = processes
        self._memory_bytes = memory_bytes
        self._timeout_seconds = timeout_seconds
        self._closed = False
        self._ending: set[asyncio.Task[None]] = set()
        self._pool = self._new_pool()

    async def start(self) -> None:
        """Start the children and wait until they answer."""
        await asyncio.gather(*(self.run(os.getpid, timeout_seconds=60.0) for _ in range(self._processes)))

    async def run(self, function: Callable[..., T], *args: Any, timeout_seconds: float | None = None, **kwargs: Any) -> T:
        """Run a module-level function in a child and return what it returns.

        Its exception is raised here. Raises WorkTimeout past the limit in seconds, WorkLimit past the memory limit,
        WorkCrashed when the child died. Cancelling the call ends the work.
        """
        limit = timeout_seconds if timeout_seconds is not None else self._timeout_seconds
        try:
            return await self._result(_call, (function, args, kwargs), limit)
        except BrokenProcessPool as error:
            raise WorkCrashed(f"{_name(function)}: no child process can be started") from error
        except concurrent.futures.TimeoutError as error:
            raise WorkTimeout(f"{_name(function)}: stopped after its limit of {limit:g} s") from error
        except ProcessExpired as error:
            limits = f"its memory limit was {self._memory_bytes // 1_000_000:,} MB"
            raise WorkCrashed(f"{_name(function)}: its process died ({_how(error.exitcode)}); {limits}") from None
        except MemoryError:
            raise WorkLimit(f"{_name(function)}: stopped at its memory limit of {self._memory_bytes // 1_000_000:,} MB") from None

    async def _result(self, function: Callable[..., T], args: tuple[object, ...], limit: float) -> T:
        """Run it, and again in a new pool where the pool broke: a child that dies while it has no work takes pebble's pool along."""
        for beginning in range(_BEGINNINGS):
            pool = self._pool
            try:
                return await self._done(pool, function, args, limit)
            except BrokenProcessPool:
                if self._closed or beginning == _BEGINNINGS - 1:
                    raise
                self._replace(pool)
        raise AssertionError("unreachable: the last beginning returns or raises")

    async def _done(self, pool: ProcessPool, function: Callable[..., T], args: tuple[object, ...], limit: float) -> T:
        try:
            future = asyncio.wrap_future(pool.schedule(function, args=args, timeout=limit))
        except RuntimeError as error:
            raise BrokenProcessPool("the pool takes no work") from error
        was_active = True
        try:
            while not (await asyncio.wait((future,), timeout=_LOOK_SECONDS))[0]:
                if not was_active:
                    raise BrokenProcessPool("the pool has ended")
                was_active = pool.active
        except asyncio.CancelledError:
            future.cancel()
            raise
        return future.result()

    def _new_pool(self) -> ProcessPool:
        context = children.forkserver()
        context.set_forkserver_preload(list(_PRELOAD))
        return ProcessPool(max_workers=self._processes, initializer=_settle, initargs=(self._memory_bytes,), context=context)

    def _replace(self, broken: ProcessPool) -> None:
        if self._pool is not broken:
            return
        logger.warning("the worker processes broke down; new ones are started")
        self._pool = self._new_pool()
        ending = asyncio.create_task(in_thread(_end, broken))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Stop the children; work under way is ended."""
        self._closed = True
        await asyncio.gather(in_thread(_end, self._pool), *self._ending, return_exceptions=True)

    def stop(self) -> None:
        """As `close`, blocking: on the thread of the event loop nobody there learns that work was ended."""
        self._closed = True
        _end(self._pool)

    async def __aenter__(self) -> WorkerPool:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        await self.close()


def _end(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


def _name(function: Callable[..., object]) -> str:
    return getattr(function, "__name__", type(function).__name__).strip("_")


def _how(exit_code: int | None) -> str:
    if exit_code is None:
        return "no exit code"
    if exit_code < 0:
        try:
            return signal.Signals(-exit_code).name
        except ValueError:
            return f"signal {-exit_code}"
    return f"exit code {exit_code}"


def _settle(memory_bytes: int) -> None:
    """Runs once in each child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(ctypes, "CDLL") and os.name == "posix":
        libc = ctypes.CDLL(None, use_errno=True)
        if hasattr(libc, "prctl"):
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    os.close(sink)
    limit = _address_space_bytes() + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _address_space_bytes() -> int:
    import psutil

    return int(psutil.Process().memory_info().vms)


def _call(function: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]) -> T:
    try:
        return function(*args, **kwargs)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301  # nosec B301  # our own exception, to see that it survives the way back
        except Exception:  # noqa: BLE001  # whatever keeps it from being pickled: its name has to do
            raise WorkCrashed(f"{_name(function)}: {type(error).__qualname__}") from None
        raise
