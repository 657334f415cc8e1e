"""Which exporters a process uses: found by name through the standard entry points."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from typing import Any, Literal

from otel_autopilot.errors import SettingsError

Signal = Literal["traces", "metrics", "logs"]

#: The exporter of the embedded store.
EMBEDDED = "autopilot"


def endpoint_of(signal: Signal, collector: str | None) -> str | None:
    """The OTLP endpoint in force for a signal: ``collector``, else the standard variables, else None."""
    return (
        collector
        or os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
        or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        or None
    )


def names_of(signal: Signal, collector: str | None) -> tuple[str, ...]:
    """Names of the exporters for a signal.

    ``OTEL_<SIGNAL>_EXPORTER`` (a comma-separated list; "none" for none) wins, unless ``collector`` was given; then "otlp"
    where there is an endpoint; then the embedded store.
    """
    variable = os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip()
    if variable and not collector:
        return tuple(name.strip() for name in variable.split(",") if name.strip() and name.strip() != "none")
    return ("otlp",) if endpoint_of(signal, collector) else (EMBEDDED,)


def make(signal: Signal, name: str, *, collector: str | None, protocol: str | None) -> Any:
    """Make the exporter called ``name``; raises SettingsError when nothing installed goes by that name."""
    wanted = name
    arguments: dict[str, Any] = {}
    if name == "otlp":
        protocol = (
            protocol
            or os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL")
            or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
            or "grpc"
        )
        if protocol not in ("grpc", "http/protobuf"):
            raise SettingsError(f"OTEL_EXPORTER_OTLP_PROTOCOL: expected grpc or http/protobuf, got {protocol!r}")
        wanted = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
        if collector:
            url = collector if "://" in collector else f"http://{collector}"
            arguments["endpoint"] = url if protocol == "grpc" else f"{url.rstrip('/')}/v1/{signal}"
    group = f"opentelemetry_{signal}_exporter"
    found = list(entry_points(group=group, name=wanted))
    if not found:
        known = sorted({point.name for point in entry_points(group=group)})
        raise SettingsError(f"OTEL_{signal.upper()}_EXPORTER: expected one of {', '.join(known)} or none, got {name!r}")
    return found[0].load()(**arguments)
