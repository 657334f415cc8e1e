"""The order of processors."""

from __future__ import annotations

import re

from otel_autopilot.collector.configuration import Component, Configuration
from otel_autopilot.collector.findings import Problems
from otel_autopilot.collector.names import SAMPLERS
from otel_autopilot.collector.nodes import mappings, scalars, text, value

_CONTEXT = frozenset({"k8s_attributes", "resource_detection"})
_CHANGES = frozenset({"transform", "redaction", "attributes", "resource", "metrics_transform"})
#: These hand data on from a goroutine of their own: the connection that it came by is not known any more.
_FORGET_CONNECTION = frozenset({"tail_sampling", "groupbytrace", "group_by_trace", "batch"})
#: Attributes that a context processor may have set, and that a filter behind it may ask for.
_CONTEXT_KEYS = {
    "k8s_attributes": re.compile(r"\b(k8s|container|service)\."),
    "resource_detection": re.compile(r"\b(host|cloud|os|k8s|container|process|deployment|service)\."),
}
_QUOTED_KEY = re.compile(r"""\[["']([^"'\]]+)["']\]""")


def processor_order(config: Configuration) -> Problems:
    """Each processor should see what it needs and nothing that is thrown away later.

    After memory_limiter: what drops (filter), what adds context (k8s_attributes, resource_detection), what changes (transform,
    redaction, attributes, resource), batch. A sampler may stand before or after what changes. A filter that asks for an
    attribute that an earlier processor sets stands where it must; so does k8s_attributes behind a transform that sets k8s.*.
    """
    for pipeline in config.pipelines:
        chain = config.processors(pipeline)
        for index, (ref, component) in enumerate(chain):
            for _, earlier in chain[:index]:
                problem = _wrong(component, earlier)
                if problem:
                    yield ref.mark, f"{component.id} comes after {earlier.id} in pipeline {pipeline.name}: {problem}"
                    break


def _wrong(component: Component, earlier: Component) -> str | None:
    """Why a processor must not stand behind an earlier one, if it mustn't."""
    if earlier.type == "batch" and component.type in SAMPLERS | {"filter"}:
        return "what it drops was batched for nothing, and batches leave half empty: batch last, in the exporter"
    if earlier.type in _FORGET_CONNECTION and _needs_connection(component):
        return "the connection that it looks at is not known any more"
    if component.type == "filter" and earlier.type in _CONTEXT | _CHANGES and not _asks_for(component, earlier):
        return "what it drops was worked on for nothing"
    if component.type in _CONTEXT and earlier.type in _CHANGES and not _mentions(earlier, r"\bk8s\."):
        return f"{earlier.type} doesn't see the attributes that it adds"
    return None


def _needs_connection(component: Component) -> bool:
    return component.type == "k8s_attributes" or (
        component.type in ("attributes", "resource") and any(key == "from_context" for key in _keys(component))
    )


def _keys(component: Component) -> set[str]:
    return {key for _, mapping in mappings(component.settings) for key in mapping.entries}


def _asks_for(component: Component, earlier: Component) -> bool:
    """Whether a filter's conditions name an attribute that the earlier processor may have set."""
    conditions = [scalar.text for scalar in scalars(component.settings)]
    if earlier.type in _CONTEXT:
        return any(_CONTEXT_KEYS[earlier.type].search(condition) for condition in conditions)
    keys = {key for condition in conditions for key in _QUOTED_KEY.findall(condition)}
    return any(_mentions(earlier, re.escape(key)) for key in keys)


def _mentions(component: Component, pattern: str) -> bool:
    return any(re.search(pattern, scalar.text) for scalar in scalars(component.settings))


def batch_processor(config: Configuration) -> Problems:
    """The batch processor says yes before anything is stored and holds data in memory: a crash loses it, nobody resends it.

    The exporter's queue batches what it has stored.
    """
    for component in config.used("processors"):
        if component.type == "batch":
            size = text(value(component.settings, "send_batch_size"))
            advice = f" with min_size: {size}" if size else ""
            yield (
                component.mark,
                f"{component.id} acknowledges data before it is stored: use the exporter's sending_queue.batch{advice}",
            )
