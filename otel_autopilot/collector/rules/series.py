"""Metrics made from spans: how many series, of what, in which unit."""

from __future__ import annotations

import re

from otel_autopilot.collector.configuration import Configuration
from otel_autopilot.collector.findings import Problems
from otel_autopilot.collector.nodes import Node, Scalar, flag, items, number, seconds, text, value

#: Attributes with a value of their own for every request, message or person.
_UNBOUNDED = re.compile(
    r"(^|[._])(message|msg|run|trace|span|parent_span|request|session|user|enduser|order|conversation|thread|transaction|correlation"
    r"|idempotency|job|task|event|upload|attachment|delivery|account|customer)[._-]?(id|uuid|guid|key)$"
    r"|(^|[._])(e?mail|email_address|email\.address|from_address|to_address|sender|recipient|subject|username|user\.name|user\.email"
    r"|uuid|timestamp)$"
    r"|^(url\.(full|path|query|original)|http\.(url|target|user_agent)|db\.(statement|query\.text|query\.parameter.*)"
    r"|exception\.(message|stacktrace)|status\.message|client\.(address|port)|(net|network)\.(sock\.)?peer\.(addr|address|ip|port)"
    r"|user_agent\.original|file\.(path|name)|process\.(pid|command_line)|code\.lineno|messaging\.message\.(id|conversation_id))$"
)

#: What tells resources apart and outlasts a process. What is left out is taken from the resource that is seen first: without its
#: environment, what staging does is counted as production's.
_RESOURCE_KEYS = "[service.name, service.namespace, deployment.environment.name, telemetry.sdk.language, telemetry.sdk.name]"


def unbounded_series(config: Configuration) -> Problems:
    """Series that nothing limits fill the Collector's memory and the database behind it; by default nothing does.

    span_metrics keeps each series for ever. Without resource_metrics_key_attributes a restarted process is a new resource, whose
    counters begin anew beside the old; with some that lack service.name, all services are one. service_graph limits its store by default; set to zero it pairs no spans or keeps all.
    """
    for connector in config.used("connectors"):
        settings = connector.settings
        if connector.type == "span_metrics":
            missing = []
            if number(value(settings, "aggregation_cardinality_limit"), 0) == 0:
                missing.append("aggregation_cardinality_limit (series have no limit)")
            if seconds(value(settings, "metrics_expiration"), 0) == 0 and seconds(value(settings, "series_expiration"), 0) == 0:
                missing.append("metrics_expiration or series_expiration (series are kept for ever)")
            keys = items(value(settings, "resource_metrics_key_attributes"))
            if not keys:
                missing.append(f"resource_metrics_key_attributes: {_RESOURCE_KEYS} (each restarted process is counted anew)")
            if missing:
                yield connector.mark, f"{connector.id} makes series without end: set {'; '.join(missing)}"
            if keys and all(text(key) not in ("service.name", None) for key in keys):
                yield (
                    keys[0].mark,
                    f"{connector.id} counts all services as the one that it sees first: set resource_metrics_key_attributes: {_RESOURCE_KEYS}",
                )
        elif connector.type == "service_graph":
            for key in ("max_items", "ttl"):
                node = value(settings, "store", key)
                if node is not None and text(node) is not None and re.fullmatch(r"0[a-zµ]*|-.*", text(node) or ""):
                    yield node.mark, f"{connector.id} has store.{key}: {text(node)}: give its store a limit above zero"


def unbounded_dimension(config: Configuration) -> Problems:
    """A dimension with a value for each message or person makes a series for each, and puts what it names into the metrics."""
    for connector in config.used("connectors"):
        if connector.type not in ("span_metrics", "service_graph"):
            continue
        lists = [value(connector.settings, key) for key in ("dimensions", "calls_dimensions", "virtual_node_peer_attributes")]
        lists += [value(connector.settings, key, "dimensions") for key in ("histogram", "events")]
        for item in (item for node in lists for item in items(node)):
            named: Node | None = item if isinstance(item, Scalar) else value(item, "name")
            name = text(named)
            if named is not None and name and _UNBOUNDED.search(name):
                yield named.mark, f"{connector.id} has the dimension {name}, which has no end of values: take it away"


def span_metrics_unit(config: Configuration) -> Problems:
    """Durations are in seconds by the conventions of metrics and of Prometheus; span_metrics counts milliseconds by default."""
    for connector in config.used("connectors"):
        if connector.type != "span_metrics" or flag(value(connector.settings, "histogram", "disable"), False):
            continue
        unit = value(connector.settings, "histogram", "unit")
        if unit is None:
            yield connector.mark, f"{connector.id} measures in milliseconds by default: set histogram.unit: s"
        elif text(unit) not in ("s", None):
            yield unit.mark, f"{connector.id} measures in {text(unit)}: set histogram.unit: s"
