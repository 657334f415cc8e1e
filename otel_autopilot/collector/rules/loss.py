"""Ways of losing data, or parts of the configuration, that nobody notices."""

from __future__ import annotations

from otel_autopilot.collector.configuration import Component, Configuration
from otel_autopilot.collector.findings import Problems
from otel_autopilot.collector.flow import Flow
from otel_autopilot.collector.merging import Replaced
from otel_autopilot.collector.names import COUNTING_CONNECTORS
from otel_autopilot.collector.nodes import Mapping, Node, Scalar, entries, items, text, value

_DIRECT = frozenset({"otlp", "jaeger", "zipkin"})
_REDACTION_LISTS = ("blocked_values", "blocked_key_patterns", "allowed_keys", "ignored_keys", "allowed_values")


def accepted_before_stored(config: Configuration) -> Problems:
    """tail_sampling says yes to the sender and holds spans in memory; span_metrics counts what an exporter then refuses.

    A crash loses the first, a retry counts the second twice. A persistent queue in front (a loopback hop, or agents before a
    gateway, which asks them for a certificate or a token) makes both harmless.
    """
    flow = Flow(config)
    for pipeline in config.pipelines:
        for ref in pipeline.receivers:
            receiver = config.components["receivers"].get(ref.id)
            if receiver is None or receiver.type not in _DIRECT or ref.id in flow.hops or demands_authentication(receiver):
                continue
            reached = dict.fromkeys(
                name for each in flow.downstream(pipeline) if each.signal == "traces" for name in _volatile(config, each.name)
            )
            if reached:
                yield (
                    ref.mark,
                    f"{', '.join(reached)} {'acts' if len(reached) == 1 else 'act'} on what {ref.id} acknowledged and nothing stored: put an exporter with a "
                    "persistent queue in between, or ask its senders, which store, for a certificate or a token",
                )


def _volatile(config: Configuration, name: str) -> list[str]:
    pipeline = next(each for each in config.pipelines if each.name == name)
    found = [each.id for _, each in config.processors(pipeline) if each.type == "tail_sampling"]
    exporters = (config.exporter(ref) for ref in pipeline.exporters)
    return found + [each.id for each in exporters if each is not None and each.type in COUNTING_CONNECTORS]


def demands_authentication(receiver: Component) -> bool:
    """Whether every protocol of a receiver asks its clients for a certificate or for credentials."""
    protocols = entries(value(receiver.settings, "protocols")) or (None,)
    settings = [receiver.settings if each is None else each.value for each in protocols]
    return all(value(each, "tls", "client_ca_file") is not None or value(each, "auth") is not None for each in settings)


def lost_component(config: Configuration) -> Problems:
    """Files merge by maps; a list of a later file replaces the whole list of an earlier one, and an include too."""
    for change in config.replaced:
        if isinstance(change.before, Mapping):
            lost = list(change.before.entries)
            what = "settings" if len(change.path) > 1 else "components"
            if isinstance(change.after, Mapping):
                lost = [key for key in lost if key not in change.after.entries]
        elif _watched(change):
            after = {_name(item) for item in items(change.after)}
            lost = [name for name in map(_name, items(change.before)) if name not in after]
            what = "entries"
        else:
            continue
        if lost:
            yield (
                change.mark,
                f"{'.'.join(change.path)} replaces the earlier file's and loses its {what} {', '.join(lost)}: repeat them here",
            )


def _watched(change: Replaced) -> bool:
    path = change.path
    if path[:2] == ("service", "pipelines"):
        return path[-1] in ("receivers", "processors", "exporters")
    if path == ("service", "extensions"):
        return True
    if path[0] == "processors" and len(path) == 3:
        return (path[1].startswith("tail_sampling") and path[2] == "policies") or (
            path[1].startswith("redaction") and path[2] in _REDACTION_LISTS
        )
    return path[0] == "processors" and path[-1].endswith("_statements")


def _name(node: Node) -> str:
    if isinstance(node, Scalar):
        return node.text
    return text(value(node, "name")) or text(value(node, "context")) or f"(line {node.mark.line})"


def verbatim_include(config: Configuration) -> Problems:
    """A file included by `${file:...}` that is one text is taken as it is, with its comments, quotes and last line break.

    A pattern then matches something else than it says, and a token isn't the token (NewRetrievedFromYAML in confmap).
    """
    yield from config.verbatim
