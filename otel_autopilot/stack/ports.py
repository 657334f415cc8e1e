"""The ports of the stack: which there are, which are free, which to take."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import psutil

from otel_autopilot.errors import PortBusy, SettingsError

#: Everything listens here and nowhere else.
LOOPBACK = "127.0.0.1"
#: Where free ports are looked for: below those that the system gives to clients, so that none takes it before it is used.
_FREE = range(20_000, 32_000)
#: How many of them are tried.
_TRIES = 200


@dataclass(frozen=True)
class Port:
    """A port that a component listens on."""

    name: str
    number: int
    """Its default."""
    variable: str
    """What the configurations read it from, and what sets it from outside."""
    component: str
    purpose: str
    option: str | None = None
    """The flag of ``stack up`` that sets it. A port without one is inner: it moves by itself when it is busy."""


PORTS = (
    Port("otlp_grpc", 4317, "OTELCOL_OTLP_GRPC_PORT", "collector", "OTLP over gRPC", "--otlp-grpc-port"),
    Port("otlp_http", 4318, "OTELCOL_OTLP_HTTP_PORT", "collector", "OTLP over HTTP", "--otlp-http-port"),
    Port("jaeger", 16686, "JAEGER_QUERY_HTTP_PORT", "jaeger", "Jaeger's UI and API", "--jaeger-port"),
    Port("prometheus", 9090, "PROMETHEUS_HTTP_PORT", "prometheus", "Prometheus' UI and API", "--prometheus-port"),
    Port("hop", 4327, "OTELCOL_HOP_PORT", "collector", "the Collector's hop to itself"),
    Port("collector_health", 13133, "OTELCOL_HEALTH_PORT", "collector", "the Collector's health check"),
    Port("collector_metrics", 8888, "OTELCOL_METRICS_PORT", "collector", "the Collector's own metrics"),
    Port("jaeger_query_grpc", 16685, "JAEGER_QUERY_GRPC_PORT", "jaeger", "Jaeger's API over gRPC"),
    Port("jaeger_otlp_grpc", 14317, "JAEGER_OTLP_GRPC_PORT", "jaeger", "OTLP over gRPC from the Collector to Jaeger"),
    Port("jaeger_otlp_http", 14318, "JAEGER_OTLP_HTTP_PORT", "jaeger", "OTLP over HTTP to Jaeger"),
    Port("jaeger_health", 13134, "JAEGER_HEALTH_PORT", "jaeger", "Jaeger's health check"),
    Port("jaeger_metrics", 8889, "JAEGER_METRICS_PORT", "jaeger", "Jaeger's own metrics"),
)


def asked_for(options: Mapping[str, int | None], environment: Mapping[str, str]) -> dict[str, int]:
    """The ports that somebody chose, by name: a flag before a variable. SettingsError for what is no port, or given twice."""
    asked: dict[str, int] = {}
    for port in PORTS:
        option, text = options.get(port.name), environment.get(port.variable)
        if option is not None:
            asked[port.name] = option
        elif text:
            if not (text.isascii() and text.isdigit() and int(text) <= 65535):
                raise SettingsError(f"{port.variable}: expected a port from 0 to 65535 (0 takes a free one), got {text!r}")
            asked[port.name] = int(text)
    for port in PORTS:
        same = next((p for p in PORTS if p is not port and asked.get(p.name) == asked.get(port.name, 0) != 0), None)
        if same:
            raise SettingsError(f"expected different ports, got {asked[port.name]} for both {port.purpose} and {same.purpose}")
    return asked


def choose(asked: Mapping[str, int]) -> dict[str, int]:
    """A free port for each of `PORTS`: the one asked for (0 takes any), else its default, for inner ones else any.

    PortBusy when one that may not move is taken.
    """
    chosen: dict[str, int] = {}
    with ExitStack() as held:  # so that no port is found free twice
        for port in sorted(PORTS, key=lambda port: (asked.get(port.name) == 0, port.name not in asked, port.option is None)):
            wanted = asked.get(port.name, port.number)
            try:
                chosen[port.name] = _take(wanted, held) if wanted else _take_any(held)
            except OSError as error:
                if port.option is None and port.name not in asked:
                    chosen[port.name] = _take_any(held)
                else:
                    raise _busy(port, wanted, error) from error
    return chosen


def check_free(ports: Mapping[str, int], components: Iterable[str]) -> None:
    """PortBusy when a port of one of these components is taken."""
    wanted = set(components)
    with ExitStack() as held:
        for port in PORTS:
            if port.component in wanted:
                try:
                    _take(ports[port.name], held)
                except OSError as error:
                    raise _busy(port, ports[port.name], error) from error


def _take_any(held: ExitStack) -> int:
    for number in random.SystemRandom().sample(_FREE, _TRIES):
        try:
            return _take(number, held)
        except OSError:
            continue
    return _take(0, held)


def _take(number: int, held: ExitStack) -> int:
    listener = socket.socket()
    held.callback(listener.close)
    # As Go's listeners do it: connections of the one before, that are closing, are no obstacle.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((LOOPBACK, number))
    listener.listen(1)
    return int(listener.getsockname()[1])


def _busy(port: Port, number: int, error: OSError) -> PortBusy:
    how = f"{port.option} or {port.variable}" if port.option else port.variable
    if error.errno != errno.EADDRINUSE:
        return PortBusy(f"port {number} ({port.purpose}) can't be had: {error.strerror}; set another by {how}")
    return PortBusy(
        f"port {number} ({port.purpose}) is in use by {_holder(number)}; stop it, or set another port by {how} (0 takes a free one)"
    )


def _holder(number: int) -> str:
    """Who listens there, as far as this user may know."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.pid and connection.laddr and connection.laddr.port == number:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except (psutil.Error, OSError):
        pass  # only root sees the processes of others: then the port alone is named
    return "another program"
