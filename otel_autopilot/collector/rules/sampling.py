"""Sampling: what is counted before it, what its policies are."""

from __future__ import annotations

from collections.abc import Iterator

from otel_autopilot.collector.configuration import Component, Configuration, Pipeline
from otel_autopilot.collector.findings import Problems
from otel_autopilot.collector.flow import Flow
from otel_autopilot.collector.names import COUNTING_CONNECTORS
from otel_autopilot.collector.nodes import Mapping, Mark, Node, entry, flag, items, number, text, value

#: tail_sampling's config.go of 0.158.0.
_POLICIES = frozenset(
    "always_sample latency numeric_attribute probabilistic status_code string_attribute rate_limiting span_count trace_state "
    "boolean_attribute ottl_condition bytes_limiting trace_flags".split()
)
#: Policies that hold others: where the others stand, and which of the holders may stand among them.
_HOLDERS = {
    "composite": ("composite_sub_policy", frozenset({"and"})),
    "and": ("and_sub_policy", frozenset({"not"})),
    "not": ("not_sub_policy", frozenset[str]()),
    "drop": ("drop_sub_policy", frozenset({"not"})),
}
#: Policies without settings.
_PLAIN = frozenset({"always_sample", "trace_flags"})


def sampling_before_span_metrics(config: Configuration) -> Problems:
    """Metrics counted from what a sampler kept are wrong by its rate, and the rarest errors are missing from them.

    Fine where another connector of the kind sees every span, and the second has a namespace of its own: it is there for exemplars.
    """
    flow = Flow(config)
    seeing: dict[str, bool] = {}
    counting = [each for each in config.used("connectors") if each.type in COUNTING_CONNECTORS]
    for connector in counting:
        seeing[connector.id] = any(flow.sees_every_span(pipeline) for pipeline in flow.feeding(connector.id))
    for connector in counting:
        if seeing[connector.id] or not flow.feeding(connector.id):
            continue
        other = any(seeing[each.id] for each in counting if each.type == connector.type)
        if other and (connector.type != "span_metrics" or value(connector.settings, "namespace") is not None):
            continue
        for ways in map(flow.sampled, flow.feeding(connector.id)):
            places = [(_brought_about(config, way, sampler, connector), way) for way in ways if (sampler := flow.sampler(way[-1]))]
            if places:
                mark, way = next((each for each in places if each[0].file in config.overlays), places[0])
                yield (
                    mark,
                    f"{connector.id} counts what a sampler kept in pipeline {way[-1].name}: feed it before sampling, "
                    "through a forward connector",
                )


def _brought_about(config: Configuration, way: tuple[Pipeline, ...], sampler: Component, connector: Component) -> Mark:
    """Where a sampler was put in front of a connector: where an overlay did, in the overlay; else where the sampler is named."""
    named = next(ref.mark for ref in way[-1].processors if ref.id == sampler.id)
    lists = {("service", "pipelines", each.name, role) for each in way for role in ("receivers", "exporters")}
    lists.add(("service", "pipelines", way[-1].name, "processors"))
    replaced = [change.mark for change in config.replaced if change.path in lists]
    # Of a pipeline that an overlay adds, nothing was replaced: then it is told by what it names.
    feeding = [ref.mark for ref in way[0].exporters if ref.id == connector.id]
    links = [ref.mark for each in way for ref in (*each.exporters, *each.receivers)]
    return next((mark for mark in (named, *feeding, *replaced, *links) if mark.file in config.overlays), named)


def exemplars_of_unsampled_traces(config: Configuration) -> Problems:
    """An exemplar taken before sampling points at a trace that most likely was dropped: a link that leads nowhere."""
    flow = Flow(config)
    if not any(flow.sampler(pipeline) for pipeline in config.pipelines):
        return
    for connector in config.used("connectors"):
        if connector.type != "span_metrics" or not any(map(flow.sees_every_span, flow.feeding(connector.id))):
            continue
        exemplars = entry(connector.settings, "exemplars", "enabled")
        if exemplars and flag(exemplars.value, False):
            yield exemplars.mark, f"{connector.id} takes exemplars before sampling: take them from a second span_metrics after it"


def unknown_policy(config: Configuration) -> Problems:
    """`validate` accepts any type; the processor fails when it starts. A type may be an extension's."""
    extensions = set(config.components["extensions"])
    for processor in _tail_sampling(config):
        for policy, allowed in _policies(processor):
            type_ = text(value(policy, "type"))
            found = entry(policy, "type")
            if found is None:
                yield policy.mark, f"{_called(policy)} of {processor.id} has no type: set one, such as status_code"
            elif type_ is not None and type_ not in _POLICIES | allowed | extensions:
                if type_ in _HOLDERS:
                    yield (
                        found.mark,
                        f"{_called(policy)} of {processor.id} can't be of type {type_} inside another: take it out of there",
                    )
                else:
                    known = ", ".join(sorted(_POLICIES | allowed))
                    yield found.mark, f"{processor.id} knows no policy of type {type_}, and would not start: use one of {known}"


def policy_names(config: Configuration) -> Problems:
    """A policy is told apart by its name, in metrics as in decisions: a second of the same name keeps the Collector from starting."""
    for processor in _tail_sampling(config):
        seen: set[str] = set()
        for policy in items(value(processor.settings, "policies")):
            name = value(policy, "name")
            known = text(name)
            if name is None or known == "":
                yield policy.mark, f"a policy of {processor.id} has no name: give it one of its own"
            elif known in seen:
                yield name.mark, f"{processor.id} has two policies called {known}, and would not start: give each a name of its own"
            if known:
                seen.add(known)


def policy_settings_missing(config: Configuration) -> Problems:
    """Settings under another name than the type's are not read: a latency policy without `latency` keeps everything."""
    for processor in _tail_sampling(config):
        for policy, allowed in _policies(processor):
            type_ = text(value(policy, "type"))
            if type_ in (_POLICIES - _PLAIN) | allowed and value(policy, type_) is None:
                yield policy.mark, f"{_called(policy)} of {processor.id} is of type {type_}: put its settings under `{type_}:`"


def tail_sampling_keeps_all(config: Configuration) -> Problems:
    """Holding every trace in memory in order to keep every trace only adds a way of losing them."""
    for processor in _tail_sampling(config):
        policies = items(value(processor.settings, "policies"))
        for policy in policies:
            everything = text(value(policy, "type")) == "always_sample" or (
                (number(value(policy, "probabilistic", "sampling_percentage"), 0) or 0) >= 100
                and text(value(policy, "type")) == "probabilistic"
            )
            dropping = any(text(value(other, "type")) in ("drop", "not") for other in policies)
            if everything and not dropping:
                yield (
                    policy.mark,
                    f"{_called(policy)} keeps every trace, and {processor.id} holds them in memory for nothing: "
                    "take the policy away, or the processor",
                )
                break


def _tail_sampling(config: Configuration) -> Iterator[Component]:
    return (each for each in config.used("processors") if each.type == "tail_sampling")


def _called(policy: Node) -> str:
    name = text(value(policy, "name"))
    return f"the policy {name}" if name else "a policy"


def _policies(processor: Component) -> Iterator[tuple[Mapping, frozenset[str]]]:
    """Every policy at any depth, with the holders that may stand at its place."""
    waiting: list[tuple[Node, frozenset[str]]] = [
        (each, frozenset(_HOLDERS)) for each in items(value(processor.settings, "policies"))
    ]
    while waiting:
        node, allowed = waiting.pop(0)
        if not isinstance(node, Mapping):
            continue
        yield node, allowed
        for holder, (key, inner) in _HOLDERS.items():
            held = value(node, holder, key)
            if held is not None and text(value(node, "type")) == holder:
                waiting += [(each, inner) for each in ((held,) if isinstance(held, Mapping) else items(held))]
