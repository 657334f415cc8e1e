"""What is named and not defined, and what is defined and not named."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from otel_autopilot.collector.configuration import KINDS, Component, Configuration, Ref
from otel_autopilot.collector.findings import Problems
from otel_autopilot.collector.nodes import Scalar, keyed_scalars, text, value


def undefined_component(config: Configuration) -> Problems:
    """The Collector refuses to start with a name that nothing defines."""
    for pipeline in config.pipelines:
        ends: tuple[tuple[str, tuple[Ref, ...], Callable[[Ref], Component | None]], ...] = (
            ("receiver", pipeline.receivers, config.receiver),
            ("processor", pipeline.processors, config.processor),
            ("exporter", pipeline.exporters, config.exporter),
        )
        for role, refs, find in ends:
            for ref in refs:
                if find(ref) is None:
                    yield ref.mark, f"pipeline {pipeline.name} names the {role} {ref.id}, which is not defined"
        for role, refs, _ in ends[::2]:
            if not refs and pipeline.known:
                yield pipeline.mark, f"pipeline {pipeline.name} has no {role}"
    for ref in config.extensions:
        if ref.id not in config.components["extensions"]:
            yield ref.mark, f"service.extensions names {ref.id}, which is not defined"
    in_service = {ref.id for ref in config.extensions}
    for scalar in _authenticators(config):
        if scalar.text not in in_service:
            yield (
                scalar.mark,
                f"the authenticator {scalar.text} is not in service.extensions: {_mend_extension(config, scalar.text)}",
            )


def unused_component(config: Configuration) -> Problems:
    """What no pipeline names doesn't run, and the Collector doesn't say so: a receiver hears nothing, a redaction redacts nothing.

    Nothing is said of what an overlay took out of use (lost_component speaks of that), nor of an extension that a component names
    which runs (undefined_component and queue_without_storage do).
    """
    if not all(pipeline.known for pipeline in config.pipelines):
        return
    spoken_of = {*config.used_names, *config.used_before, *(("extensions", name) for name in _extensions_named(config))}
    for kind in KINDS:
        where = "service.extensions" if kind == "extensions" else "any pipeline"
        for component in config.components[kind].values():
            if (kind, component.id) not in spoken_of:
                yield component.mark, f"{component.id} is defined and not in {where}: name it there, or take it away"


def _authenticators(config: Configuration) -> Iterator[Scalar]:
    """Where a component that runs names its authenticator."""
    for kind in KINDS:
        for component in config.used(kind):
            for keys, scalar in keyed_scalars(component.settings):
                if keys[-2:] == ("auth", "authenticator") and scalar.known and not scalar.null:
                    yield scalar


def _extensions_named(config: Configuration) -> set[str]:
    """The extensions that components which run name in their settings."""
    stores = (text(value(each.settings, "sending_queue", "storage")) for each in config.used("exporters"))
    return {scalar.text for scalar in _authenticators(config)} | {name for name in stores if name is not None}


def _mend_extension(config: Configuration, name: str) -> str:
    return "add it there" if name in config.components["extensions"] else "define it under extensions, and add it there"


def one_sided_connector(config: Configuration) -> Problems:
    """A connector takes from one pipeline and gives to another: with one end only it has nothing to give, or nobody to give it to."""
    for connector in config.used("connectors"):
        gives = any(ref.id == connector.id for pipeline in config.pipelines for ref in pipeline.receivers)
        takes = any(ref.id == connector.id for pipeline in config.pipelines for ref in pipeline.exporters)
        if not (gives and takes):
            end = "an exporter" if takes else "a receiver"
            yield connector.mark, f"{connector.id} is only {end} of pipelines: name it at the other end too"
