"""What is named and not defined, and what is defined and not named."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from otel_autopilot.collector.configuration import KINDS, Configuration, Ref
from otel_autopilot.collector.findings import Problems
from otel_autopilot.collector.names import REMOVED
from otel_autopilot.collector.nodes import Scalar, keyed_scalars, text, value

#: How alike a misspelt name is, as difflib measures it: one letter of six.
_NEARLY = 0.8


def undefined_component(config: Configuration) -> Problems:
    """The Collector refuses to start with a name that nothing defines."""
    for pipeline in config.pipelines:
        for role, refs in (("receiver", pipeline.receivers), ("exporter", pipeline.exporters)):
            if not refs and pipeline.known:
                yield pipeline.mark, f"pipeline {pipeline.name} has no {role}: name one"
    for ref, kind, where in _undefined(config):
        meant = _meant(config, ref, kind)
        advice = f"is {meant} meant?" if meant else f"define it under {kind}, or take the name away"
        yield ref.mark, f"{where} names {ref.id}, which is not defined: {advice}"
    in_service = {ref.id for ref in config.extensions}
    for scalar in _authenticators(config):
        if scalar.text not in in_service:
            yield (
                scalar.mark,
                f"the authenticator {scalar.text} is not in service.extensions: {_mend_extension(config, scalar.text)}",
            )


def unused_component(config: Configuration) -> Problems:
    """What no pipeline names doesn't run, and the Collector doesn't say so: a receiver hears nothing, a redaction redacts nothing.

    Nothing is said of what an overlay took out of use (lost_component speaks of that), of an extension that a component names
    which runs, of what a misspelt name means (undefined_component and queue_without_storage do), and of what is gone
    (removed_component).
    """
    if not all(pipeline.known for pipeline in config.pipelines):
        return
    spoken_of = {*config.used_names, *config.used_before, *(("extensions", name) for name in _extensions_named(config))}
    for ref, kind, _ in _undefined(config):
        spoken_of |= {(each, _meant(config, ref, kind)) for each in (kind, "connectors")}
    for kind in KINDS:
        where = "service.extensions" if kind == "extensions" else "any pipeline"
        for component in config.components[kind].values():
            if (kind, component.id) not in spoken_of and component.id.partition("/")[0] not in REMOVED[kind]:
                yield component.mark, f"{component.id} is defined and not in {where}: name it there, or take it away"


def _undefined(config: Configuration) -> Iterator[tuple[Ref, str, str]]:
    """Names that nothing defines, of what kind each is, and where it stands."""
    for pipeline in config.pipelines:
        where = f"pipeline {pipeline.name}"
        yield from ((ref, "receivers", where) for ref in pipeline.receivers if config.receiver(ref) is None)
        yield from ((ref, "processors", where) for ref in pipeline.processors if config.processor(ref) is None)
        yield from ((ref, "exporters", where) for ref in pipeline.exporters if config.exporter(ref) is None)
    yield from (
        (ref, "extensions", "service.extensions") for ref in config.extensions if ref.id not in config.components["extensions"]
    )


def _meant(config: Configuration, ref: Ref, kind: str) -> str:
    """The component whose name is nearly that of the reference, or nothing."""
    connectors = config.components["connectors"] if kind in ("receivers", "exporters") else {}
    return next(iter(get_close_matches(ref.id, [*config.components[kind], *connectors], 1, _NEARLY)), "")


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
