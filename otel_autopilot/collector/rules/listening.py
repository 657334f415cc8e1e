"""Who can connect, and what can be read or forged on the way."""

from __future__ import annotations

from otel_autopilot.collector.configuration import Component, Configuration
from otel_autopilot.collector.endpoints import is_everywhere, is_local
from otel_autopilot.collector.findings import Problems
from otel_autopilot.collector.names import LISTENING_EXPORTERS, QUEUED_EXPORTERS
from otel_autopilot.collector.nodes import Node, entry, flag, items, keyed_scalars, mappings, text, value

#: These are clients, and without TLS unless it is set.
_KAFKA = frozenset({"kafka", "kafka_metrics"})
_ADDRESS_KEYS = ("endpoint", "listen_address", "listen_addr", "address")


def bind_all(config: Configuration) -> Problems:
    """A listener on every interface takes telemetry, and requests for the Collector's insides, from whoever reaches the machine."""
    listeners = [*config.components["receivers"].values(), *config.components["extensions"].values()]
    listeners += [each for each in config.components["exporters"].values() if each.type in LISTENING_EXPORTERS]
    for component in listeners:
        for keys, scalar in keyed_scalars(component.settings):
            if keys and keys[-1] in _ADDRESS_KEYS and scalar.known and is_everywhere(scalar.text):
                yield (
                    scalar.mark,
                    f"{component.id} listens on every address ({scalar.text}): bind one, such as ${{env:MY_POD_IP}} or 127.0.0.1",
                )
    for reader in items(value(config.root, "service", "telemetry", "metrics", "readers")):
        host = value(reader, "pull", "exporter", "prometheus", "host")
        known = text(host)
        if (
            host is not None
            and known is not None
            and (known == "" or is_everywhere(f"[{known}]:1" if ":" in known else f"{known}:1"))
        ):
            yield (
                host.mark,
                f"the Collector's own metrics listen on every address ({known}): bind one, such as ${{env:MY_POD_IP}} or 127.0.0.1",
            )


def insecure_tls(config: Configuration) -> Problems:
    """A certificate that isn't verified is anybody's."""
    for _, mapping in mappings(config.root):
        found = entry(mapping, "insecure_skip_verify")
        if found and flag(found.value, False):
            yield found.mark, "insecure_skip_verify accepts any certificate: give the authority's in tls.ca_file"


def insecure_transport(config: Configuration) -> Problems:
    """Telemetry, and the tokens sent with it, in clear over a network can be read and changed by who sits on the way."""
    kafka = [each for each in config.used("receivers") if each.type in _KAFKA]
    for component in (*config.components["exporters"].values(), *config.components["extensions"].values(), *kafka):
        for _, mapping in mappings(component.settings):
            found = entry(mapping, "tls", "insecure")
            if found and flag(found.value, False) and (host := _remote(component, mapping)):
                yield (
                    found.mark,
                    f"{component.id} sends to {host} without TLS: set tls.ca_file, or tls: {{}} for the system's authorities",
                )
        if (
            component.type in _KAFKA
            and value(component.settings, "tls") is None
            and (host := _remote(component, component.settings))
        ):
            yield (
                component.mark,
                f"{component.id} speaks to {host} without TLS: set tls.ca_file, or tls: {{}} for the system's authorities",
            )
        if component.kind == "exporters" and component.type in QUEUED_EXPORTERS | {"prometheus_remote_write"}:
            for keys, scalar in keyed_scalars(component.settings):
                if (
                    keys[-1:]
                    and keys[-1].endswith("endpoint")
                    and scalar.known
                    and scalar.text.startswith("http://")
                    and not is_local(scalar.text)
                ):
                    yield scalar.mark, f"{component.id} sends to {scalar.text} without TLS: use https://"


def _remote(component: Component, mapping: Node) -> str | None:
    """Where something is sent, if that is known and another machine."""
    if component.type == "load_balancing":
        resolver = value(component.settings, "resolver")
        hosts = [text(item) for item in items(value(resolver, "static", "hostnames"))]
        hosts += [text(value(resolver, "dns", "hostname")), text(value(resolver, "k8s", "service"))]
    else:
        hosts = [text(value(mapping, "endpoint")), *(text(item) for item in items(value(mapping, "brokers")))]
    # http:// is spoken of where it stands
    return next((host for host in hosts if host and not is_local(host) and not host.startswith("http://")), None)
