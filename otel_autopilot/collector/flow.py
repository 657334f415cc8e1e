"""How data moves from pipeline to pipeline: through connectors, and through loopback hops.

A loopback hop is an exporter with a persistent queue that sends to an otlp receiver of the same Collector: what the receiver
takes in has been stored already.
"""

from __future__ import annotations

from functools import cached_property

from otel_autopilot.collector.configuration import Component, Configuration, Pipeline
from otel_autopilot.collector.endpoints import is_local, split
from otel_autopilot.collector.names import SAMPLERS
from otel_autopilot.collector.nodes import entries, flag, text, value

#: Where an otlp receiver listens by default, by protocol.
_DEFAULTS = {"grpc": "localhost:4317", "http": "localhost:4318"}


class Flow:
    """The pipelines of a configuration as a graph."""

    def __init__(self, config: Configuration) -> None:
        self._config = config
        self._every_span: dict[str, bool] = {}

    @cached_property
    def hops(self) -> dict[str, set[str]]:
        """The ids of otlp receivers that are loopback hops, each with the ids of the exporters that send to it."""
        senders: dict[str, set[str]] = {}
        for exporter in self._config.used("exporters"):
            endpoint = text(value(exporter.settings, "endpoint"))
            if exporter.type in ("otlp_grpc", "otlp_http") and endpoint and is_local(endpoint) and stored(exporter):
                senders.setdefault(split(endpoint)[1], set()).add(exporter.id)
        found: dict[str, set[str]] = {}
        for receiver in self._config.components["receivers"].values():
            listens = listening(receiver)
            ports = {split(each)[1] for each in listens}
            if receiver.type == "otlp" and listens and all(map(is_local, listens)) and ports & set(senders) - {""}:
                found[receiver.id] = set().union(*(senders[port] for port in ports if port in senders))
        return found

    def feeding(self, connector: str) -> list[Pipeline]:
        """The pipelines that export into a connector."""
        return [pipeline for pipeline in self._config.pipelines if any(ref.id == connector for ref in pipeline.exporters)]

    def upstream(self, pipeline: Pipeline) -> list[Pipeline]:
        """The pipelines whose data comes in by connectors and hops."""
        before: list[Pipeline] = []
        for ref in pipeline.receivers:
            if ref.id in self._config.components["connectors"]:
                before += self.feeding(ref.id)
            for exporter in self.hops.get(ref.id, ()):
                before += self.feeding(exporter)
        return before

    def sampler(self, pipeline: Pipeline) -> Component | None:
        """The pipeline's own sampler, if it has one."""
        return next((each for _, each in self._config.processors(pipeline) if each.type in SAMPLERS), None)

    def sees_every_span(self, pipeline: Pipeline) -> bool:
        """Whether what leaves the pipeline came, by some way, past no sampler."""
        if pipeline.name not in self._every_span:
            self._every_span[pipeline.name] = False  # what comes round in a circle adds nothing
            self._every_span[pipeline.name] = self.sampler(pipeline) is None and (
                any(ref.id not in self._config.components["connectors"] and ref.id not in self.hops for ref in pipeline.receivers)
                or any(self.sees_every_span(each) for each in self.upstream(pipeline))
            )
        return self._every_span[pipeline.name]

    def sampled(self, pipeline: Pipeline) -> list[tuple[Pipeline, ...]]:
        """The ways from the pipeline back to each with a sampler, both included, the nearest first."""
        ways: list[tuple[Pipeline, ...]] = [(pipeline,)]
        seen = {pipeline.name}
        for way in ways:  # which grows
            for before in self.upstream(way[-1]):
                if before.name not in seen:
                    seen.add(before.name)
                    ways.append((*way, before))
        return [way for way in ways if self.sampler(way[-1])]

    def downstream(self, pipeline: Pipeline) -> list[Pipeline]:
        """The pipeline and all that its data reaches through connectors, without being stored in between."""
        reached = {pipeline.name: pipeline}
        waiting = [pipeline]
        while waiting:
            connectors = {ref.id for ref in waiting.pop().exporters} & set(self._config.components["connectors"])
            for each in self._config.pipelines:
                if each.name not in reached and any(ref.id in connectors for ref in each.receivers):
                    reached[each.name] = each
                    waiting.append(each)
        return list(reached.values())


def stored(exporter: Component) -> bool:
    """Whether an exporter's queue is on and on disk."""
    queue = value(exporter.settings, "sending_queue")
    return value(queue, "storage") is not None and flag(value(queue, "enabled"), True) is not False


def listening(receiver: Component) -> list[str]:
    """The addresses that an otlp receiver listens on; unknown ones are left out."""
    found = []
    for protocol in entries(value(receiver.settings, "protocols")):
        endpoint = value(protocol.value, "endpoint")
        known = text(endpoint) if endpoint is not None else _DEFAULTS.get(protocol.key)
        if known is None:
            return []
        found.append(known)
    return found
