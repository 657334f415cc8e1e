"""A Collector's configuration by the names that the Collector uses: components, pipelines, extensions in service."""

from __future__ import annotations

from dataclasses import dataclass

from otel_autopilot.collector.merging import Replaced
from otel_autopilot.collector.names import canonical
from otel_autopilot.collector.nodes import Mapping, Mark, Node, Scalar, entries, entry, items, scalars, text, value
from otel_autopilot.errors import CollectorError

#: The sections that define components.
KINDS = ("receivers", "processors", "exporters", "connectors", "extensions")


@dataclass(frozen=True, eq=False)
class Component:
    """A component: ``type`` is its present name (`otlp_grpc` for `exporters: {otlp/x: ...}`)."""

    kind: str
    id: str
    type: str
    mark: Mark
    settings: Node


@dataclass(frozen=True)
class Ref:
    """A component's id where a pipeline or `service.extensions` names it."""

    id: str
    mark: Mark


@dataclass(frozen=True, eq=False)
class Pipeline:
    """A pipeline; ``signal`` is traces, metrics, logs or profiles."""

    name: str
    mark: Mark
    receivers: tuple[Ref, ...]
    processors: tuple[Ref, ...]
    exporters: tuple[Ref, ...]
    #: Whether every name is known: a variable without a value here may stand for any component.
    known: bool = True

    @property
    def signal(self) -> str:
        """What flows through it."""
        return self.name.partition("/")[0]


@dataclass(frozen=True, eq=False)
class Configuration:
    """A whole configuration, resolved.

    ``replaced`` is what overlays took from it, resolved too; ``verbatim`` the included files that were taken as text, and why
    that isn't what they look like; ``used_before`` the kind and id of each component that ran before an overlay was laid over it;
    ``overlays`` the files that were laid over it.
    """

    root: Mapping
    components: dict[str, dict[str, Component]]
    pipelines: tuple[Pipeline, ...]
    extensions: tuple[Ref, ...]
    replaced: tuple[Replaced, ...] = ()
    verbatim: tuple[tuple[Mark, str], ...] = ()
    used_before: frozenset[tuple[str, str]] = frozenset()
    overlays: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        node: Node,
        replaced: tuple[Replaced, ...] = (),
        verbatim: tuple[tuple[Mark, str], ...] = (),
        used_before: frozenset[tuple[str, str]] = frozenset(),
    ) -> Configuration:
        """Name what a resolved node holds; raises CollectorError where it isn't a Collector's configuration."""
        if not isinstance(node, Mapping) or not set(node.entries) & {*KINDS, "service"}:
            raise CollectorError(
                f"{node.mark}: expected a Collector configuration with receivers, exporters and service, got {_other(node)}"
            )
        if "dist" in node.entries and "service" not in node.entries:
            raise CollectorError(f"{node.mark}: expected a Collector configuration, got a list of parts for the Collector Builder")
        for section in (*KINDS, "service"):
            content = value(node, section)
            if content is not None and not isinstance(content, Mapping):
                raise CollectorError(f"{content.mark}: expected `{section}` to be a map, got {_shape(content)}")
        pipelines = tuple(
            Pipeline(
                each.key,
                each.mark,
                _refs(value(each.value, "receivers")),
                _refs(value(each.value, "processors")),
                _refs(value(each.value, "exporters")),
                all(scalar.known for scalar in scalars(each.value)),
            )
            for each in entries(value(node, "service", "pipelines"))
        )
        components = {kind: {each.id: each for each in _components(kind, value(node, kind))} for kind in KINDS}
        return cls(node, components, pipelines, _refs(value(node, "service", "extensions")), replaced, verbatim, used_before)

    @property
    def whole(self) -> bool:
        """Whether it can run by itself: each pipeline has both ends, and every component named is defined."""
        return bool(self.pipelines) and all(
            pipeline.receivers
            and pipeline.exporters
            and all(self.receiver(ref) for ref in pipeline.receivers)
            and all(self.processor(ref) for ref in pipeline.processors)
            and all(self.exporter(ref) for ref in pipeline.exporters)
            for pipeline in self.pipelines
        )

    def receiver(self, ref: Ref) -> Component | None:
        """What data comes out of: a receiver or a connector."""
        return self.components["connectors"].get(ref.id) or self.components["receivers"].get(ref.id)

    def processor(self, ref: Ref) -> Component | None:
        """The processor of that id."""
        return self.components["processors"].get(ref.id)

    def exporter(self, ref: Ref) -> Component | None:
        """What data goes into: an exporter or a connector."""
        return self.components["connectors"].get(ref.id) or self.components["exporters"].get(ref.id)

    def processors(self, pipeline: Pipeline) -> tuple[tuple[Ref, Component], ...]:
        """The processors of a pipeline that are defined, in order."""
        found = ((ref, self.processor(ref)) for ref in pipeline.processors)
        return tuple((ref, component) for ref, component in found if component is not None)

    def used(self, kind: str) -> tuple[Component, ...]:
        """The components of a kind that a pipeline names (extensions: that are in service)."""
        named = {ref.id for ref in self.extensions} if kind == "extensions" else set()
        for pipeline in self.pipelines:
            refs = {
                "receivers": pipeline.receivers,
                "processors": pipeline.processors,
                "exporters": pipeline.exporters,
                "connectors": (*pipeline.receivers, *pipeline.exporters),
                "extensions": (),
            }[kind]
            named |= {ref.id for ref in refs}
        return tuple(component for component in self.components[kind].values() if component.id in named)

    @property
    def used_names(self) -> frozenset[tuple[str, str]]:
        """The kind and id of each component that runs."""
        return frozenset((kind, component.id) for kind in KINDS for component in self.used(kind))


def _components(kind: str, section: Node | None) -> list[Component]:
    return [
        Component(kind, each.key, canonical(kind, each.key.partition("/")[0].strip()), each.mark, each.value)
        for each in entries(section)
    ]


def _refs(node: Node | None) -> tuple[Ref, ...]:
    return tuple(Ref(item.text, item.mark) for item in items(node) if isinstance(item, Scalar) and item.known and not item.null)


def _other(node: Node) -> str:
    """What a file is that is no Collector configuration, and where in it one may be."""
    kind = text(value(node, "kind"))
    if kind is None or value(node, "apiVersion") is None:
        within = value(node, "config")
        held = ": put what is under config into a file" if entry(within, "receivers") or entry(within, "service") else ""
        return _shape(node) + held
    if kind == "ConfigMap":
        held = ", ".join(f"data.{each.key}" for each in entries(value(node, "data"))) or "data"
        return f"a Kubernetes ConfigMap: put what is under {held} into a file"
    if kind == "OpenTelemetryCollector":
        return "a Kubernetes OpenTelemetryCollector: put what is under spec.config into a file"
    return f"a Kubernetes {kind}"


def _shape(node: Node) -> str:
    if isinstance(node, Mapping):
        return f"the keys {', '.join(list(node.entries)[:6])}" if node.entries else "an empty map"
    if isinstance(node, Scalar):
        return "nothing" if node.null else "a single value"
    return "a list"
