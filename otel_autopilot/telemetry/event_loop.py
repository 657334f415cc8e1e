"""How late an event loop runs: the first sign that something blocks it."""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import Callable

from opentelemetry import metrics

from otel_autopilot.telemetry import names

#: Seconds between two looks.
INTERVAL_SECONDS = 0.25
#: Bounds of the histogram's buckets, in seconds.
LAG_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

_watched: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
_meter_of_stages: metrics.Meter | None = None


def watch_loops_of_stages(meter: metrics.Meter) -> None:
    """From now on, watch each event loop that a stage is entered in and that nobody watches yet."""
    global _meter_of_stages
    _meter_of_stages = meter


def entered_stage() -> None:
    """A stage is entered: the loop that runs in this thread, if any, is watched from now on, where that was asked for."""
    if _meter_of_stages is None:
        return
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    if loop not in _watched:
        watch_event_loop(loop, _meter_of_stages)


def watch_event_loop(loop: asyncio.AbstractEventLoop | None = None, meter: metrics.Meter | None = None) -> Callable[[], None]:
    """Record ``autopilot.event_loop.lag`` for a loop (default: the running one) until it closes; the result stops it.

    Both this function and its result may be called from any thread. A pause between two runs of one loop is no lag.

    Raises RuntimeError when no loop is given and none runs.
    """
    watched = loop or asyncio.get_running_loop()
    _watched.add(watched)
    meter = meter or metrics.get_meter(names.SCOPE, schema_url=names.SEMCONV_SCHEMA_URL)
    metric = names.EVENT_LOOP_LAG
    histogram = meter.create_histogram(
        metric.name, unit=metric.unit, description=metric.brief, explicit_bucket_boundaries_advisory=LAG_BOUNDS
    )
    stopped = False

    def look(due: float, run: object) -> None:
        if not stopped:
            if run is sys.get_asyncgen_hooks().firstiter:
                histogram.record(max(0.0, watched.time() - due))
            schedule()

    def schedule() -> None:
        due = watched.time() + INTERVAL_SECONDS
        # A loop sets these hooks anew each time that it is run: nothing else tells its runs apart.
        watched.call_at(due, look, due, sys.get_asyncgen_hooks().firstiter)

    def stop() -> None:
        nonlocal stopped
        stopped = True

    watched.call_soon_threadsafe(schedule)
    return stop
