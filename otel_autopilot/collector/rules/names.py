"""Names that 0.158.0 takes for the last time, or not at all."""

from __future__ import annotations

from otel_autopilot.collector.configuration import KINDS, Configuration
from otel_autopilot.collector.findings import Problems
from otel_autopilot.collector.names import ALIASES, REMOVED
from otel_autopilot.collector.nodes import entries, entry, flag, items, value


def deprecated_name(config: Configuration) -> Problems:
    """Old names of components still work and will be removed; `validate` doesn't speak of them."""
    for kind in KINDS:
        for component in config.components[kind].values():
            type_, slash, name = component.id.partition("/")
            if type_ in ALIASES[kind]:
                yield (
                    component.mark,
                    f"the {kind[:-1]} {type_} is called {component.type} now: rename it to {component.type}{slash}{name}",
                )


def removed_component(config: Configuration) -> Problems:
    """A component that isn't there any more keeps the Collector from starting after the next upgrade."""
    for kind in KINDS:
        for component in config.components[kind].values():
            instead = REMOVED[kind].get(component.id.partition("/")[0])
            if instead:
                yield component.mark, f"{component.id} is gone from the Collector: use {instead}"


def telemetry_address_gone(config: Configuration) -> Problems:
    """The Collector's own metrics listen where a reader says; an address is no setting of theirs any more."""
    found = entry(config.root, "service", "telemetry", "metrics", "address")
    if found:
        yield found.mark, "service.telemetry.metrics.address is gone: use readers with a pull exporter's prometheus host and port"


def telemetry_metric_names(config: Configuration) -> Problems:
    """A reader that adds suffixes renames the Collector's own metrics, and dashboards and alerts on them go silent.

    In 0.158.0 both default to true also for readers that are set by hand (applyPrometheusDefaults in service/telemetry).
    """
    for reader in items(value(config.root, "service", "telemetry", "metrics", "readers")):
        for each in entries(value(reader, "pull", "exporter", "prometheus")):
            if each.key in ("without_type_suffix", "without_units") and flag(each.value, True) is False:
                yield each.mark, f"{each.key}: false renames the Collector's own metrics: set it to true"
