"""Blocking work off the event loop, on threads of our own.

Not by `asyncio.to_thread`: the durable engine makes its own, deliberately tiny pool the loop's default, and a file on a slow
disk or a slow name server must not stand in its way.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: Blocking calls at the same time in one process; they wait for a disk or a name server, not for a processor.
THREADS = 16

_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="autopilot-blocking")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What ``function`` returns or raises, called on another thread in a copy of the caller's context."""
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(_pool, functools.partial(context.run, function, *args, **kwargs))
