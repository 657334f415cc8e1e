"""Inner spans wait until the span that they hang under has ended.

A process may be killed at any moment. If a child span were exported before the attempt it belongs to, and the process died
before that attempt's span ended, the child would be an orphan. So the spans below an attempt (or below a whole run that
lives in one process) are held in memory and handed on when their holder ends: everything of it is exported, or nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from otel_autopilot.telemetry import known_values

#: Where the hold lives in the OpenTelemetry context.
HOLD = otel_context.create_key("autopilot-hold")


class Hold:
    """Spans that ended and wait; once released, later ones pass straight through."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[ReadableSpan] | None = []

    def keep(self, span: ReadableSpan) -> bool:
        """Keep a span; False once released."""
        with self._lock:
            if self._waiting is None:
                return False
            self._waiting.append(span)
            return True

    def release(self) -> list[ReadableSpan]:
        """What was kept, parents before their children; from now on nothing is kept."""
        with self._lock:
            waiting, self._waiting = self._waiting or [], None
            return waiting[::-1]


_installed: HoldingSpanProcessor | None = None


def install(processor: HoldingSpanProcessor | None) -> None:
    """Make this the processor that `holding` hands on to; None takes it away."""
    global _installed
    _installed = processor


@contextmanager
def holding() -> Iterator[None]:
    """Spans started in this block's context wait until it is left. An outer hold wins: the whole waits for it."""
    processor = _installed
    if processor is None or otel_context.get_value(HOLD) is not None:
        yield
        return
    hold = Hold()
    token = otel_context.attach(otel_context.set_value(HOLD, hold))
    try:
        yield
    finally:
        otel_context.detach(token)
        processor.hand_on(hold.release())


class HoldingSpanProcessor(SpanProcessor):
    """Stands before the other span processors: holds spans, and ties the mail's known values to each for the redaction.

    Arguments:
        produced: counts each span that ended, once for each processor that exports.
    """

    def __init__(self, produced: Callable[[int], None] = lambda _: None) -> None:
        self._produced = produced
        self._exporting = 0
        self._after: tuple[SpanProcessor, ...] = ()
        self._open: dict[tuple[int, int], tuple[Hold | None, known_values.KnownValues | None]] = {}

    def add(self, processor: SpanProcessor, *, exports: bool = False) -> None:
        """Hand spans on to this processor too."""
        self._after = (*self._after, processor)
        self._exporting += exports

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Remember under what the span was started."""
        for processor in self._after:
            processor.on_start(span, parent_context)
        hold = otel_context.get_value(HOLD, parent_context)
        known = known_values.current(parent_context)
        if hold is not None or known is not None:
            ids = span.get_span_context()
            self._open[ids.trace_id, ids.span_id] = (hold if isinstance(hold, Hold) else None, known)

    def on_end(self, span: ReadableSpan) -> None:
        """Hold the span, or hand it on."""
        ids = span.get_span_context()
        if ids is None:
            return
        if self._exporting and ids.trace_flags.sampled:
            self._produced(self._exporting)
        hold, known = self._open.pop((ids.trace_id, ids.span_id), (None, None))
        if known is not None:
            span._autopilot_known = known  # type: ignore[attr-defined]  # read by the redaction in the export thread
        if hold is None or not hold.keep(span):
            self.hand_on([span])

    def hand_on(self, spans: list[ReadableSpan]) -> None:
        """Give spans to the processors behind."""
        for span in spans:
            for processor in self._after:
                processor.on_end(span)

    def shutdown(self) -> None:
        """Shut the processors behind down."""
        for processor in self._after:
            processor.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the processors behind."""
        return not [processor for processor in self._after if not processor.force_flush(timeout_millis)]
