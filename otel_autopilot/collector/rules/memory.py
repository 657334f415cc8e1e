"""The memory limiter: what comes in over the network must not be able to fill the process."""

from __future__ import annotations

from otel_autopilot.collector.configuration import Configuration
from otel_autopilot.collector.findings import Problems
from otel_autopilot.collector.flow import Flow
from otel_autopilot.collector.names import NETWORK_RECEIVERS
from otel_autopilot.collector.nodes import number, seconds, value


def memory_limiter_missing(config: Configuration) -> Problems:
    """A pipeline that others push into grows without bound when its exporters are slow.

    Pipelines fed by connectors only are bounded by what feeds them; so is a loopback hop by the queue in front of it.
    """
    flow = Flow(config)
    for pipeline in config.pipelines:
        pushed = [
            ref.id
            for ref in pipeline.receivers
            if (receiver := config.receiver(ref)) is not None
            and receiver.kind == "receivers"
            and receiver.type in NETWORK_RECEIVERS
            and ref.id not in flow.hops
        ]
        named = any(ref.id.partition("/")[0] == "memory_limiter" for ref in pipeline.processors)
        if pushed and not named and pipeline.known:
            yield (
                pipeline.mark,
                f"pipeline {pipeline.name} takes what {', '.join(pushed)} receives and has no memory_limiter: add one, first",
            )


def memory_limiter_first(config: Configuration) -> Problems:
    """Refusing costs least before anything was done, and only what is refused before it was held is retried by the sender."""
    for pipeline in config.pipelines:
        for index, (ref, component) in enumerate(config.processors(pipeline)):
            if component.type == "memory_limiter" and index > 0:
                before = config.processors(pipeline)[0][0].id
                yield ref.mark, f"{ref.id} comes after {before} in pipeline {pipeline.name}: put it first"


def memory_limiter_unusable(config: Configuration) -> Problems:
    """Without an interval or a limit nothing is limited; the Collector refuses to start, some versions silently didn't."""
    for component in config.used("processors"):
        if component.type != "memory_limiter":
            continue
        if seconds(value(component.settings, "check_interval"), 0) == 0:
            yield component.mark, f"{component.id} has no check_interval: set check_interval: 1s"
        limits = [number(value(component.settings, key), 0) for key in ("limit_mib", "limit_percentage")]
        if limits == [0, 0]:
            yield component.mark, f"{component.id} has no limit: set limit_percentage (with GOMEMLIMIT) or limit_mib"
