"""Span and trace ids that were promised before the span exists.

The root span of an email is emitted by whichever process finishes the run, an attempt's span id is stored before its work
starts: both need a span to be given an id that was chosen earlier. The SDK takes an id generator; this one hands out what
the current context promises, and random ids otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator

_promised: ContextVar[tuple[int | None, int] | None] = ContextVar("autopilot_promised_ids", default=None)


class PromisedIds(IdGenerator):
    """An id generator that keeps promises made by `promise`, and asks ``inner`` otherwise."""

    def __init__(self, inner: IdGenerator | None = None) -> None:
        self._inner = inner or RandomIdGenerator()

    def generate_span_id(self) -> int:
        """The promised span id, once, or a new one."""
        ids = _promised.get()
        if ids is None:
            return self._inner.generate_span_id()
        _promised.set(None)
        return ids[1]

    def generate_trace_id(self) -> int:
        """The promised trace id or a new one."""
        ids = _promised.get()
        return self._inner.generate_trace_id() if ids is None or ids[0] is None else ids[0]

    def is_trace_id_random(self) -> bool:
        """Promised ids come from the same generator, so they are as random as it is."""
        return self._inner.is_trace_id_random()


@contextmanager
def promise(span_id: int, trace_id: int | None = None) -> Iterator[None]:
    """The next span started in this block gets these ids (the trace id only where it has no parent)."""
    token = _promised.set((trace_id, span_id))
    try:
        yield
    finally:
        _promised.reset(token)
