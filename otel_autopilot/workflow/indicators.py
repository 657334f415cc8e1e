"""Counters that service objectives rest on, read from the run store.

The processes come and go, the store stays: received, delivered and failed are observable counters of what it holds, so they
neither start over with a process nor miss what happened in another one. Every series starts at 0, before the first mail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from otel_autopilot.telemetry import names
from otel_autopilot.workflow.definition import EMAIL_DIGEST, read_workflow
from otel_autopilot.workflow.run_store import RunStore
from otel_autopilot.workflow.runs import Counts


def observe_runs(store: RunStore, *, late_after_seconds: float) -> None:
    """Register the instruments; they are read at each collection, from the collecting thread."""
    meter = metrics.get_meter(names.SCOPE, schema_url=names.SEMCONV_SCHEMA_URL)
    workflows = (read_workflow(EMAIL_DIGEST).name,)

    def counts() -> Counts:
        return store.counts_now(late_after_seconds=late_after_seconds)

    def while_open(callback: Callable[[], list[Observation]]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        return lambda _: [] if store.closed else callback()

    def per_workflow(values: dict[str, int]) -> list[Observation]:
        return [Observation(values.get(name, 0), {names.WORKFLOW.name: name}) for name in sorted({*workflows, *values})]

    def received() -> list[Observation]:
        return per_workflow(counts().received)

    def delivered() -> list[Observation]:
        return per_workflow(counts().delivered)

    def failed() -> list[Observation]:
        found = counts().failed
        keys = {*found, *((name, outcome) for name in workflows for outcome in ("failed", "rejected"))}
        return [
            Observation(found.get((name, outcome), 0), {names.WORKFLOW.name: name, names.OUTCOME.name: outcome})
            for name, outcome in sorted(keys)
        ]

    def overdue() -> list[Observation]:
        return per_workflow(counts().overdue)

    def oldest() -> list[Observation]:
        return [Observation(counts().oldest_unfinished_seconds)]

    for metric, callback in (
        (names.EMAILS_RECEIVED, received), (names.EMAILS_DELIVERED, delivered), (names.EMAILS_FAILED, failed),
    ):  # fmt: skip
        meter.create_observable_counter(metric.name, [while_open(callback)], metric.unit, metric.brief)
    for metric, callback in ((names.EMAILS_OVERDUE, overdue), (names.OLDEST_UNFINISHED, oldest)):
        meter.create_observable_gauge(metric.name, [while_open(callback)], metric.unit, metric.brief)
