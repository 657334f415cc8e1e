"""The ports of the stack: what is asked for, what is free, what moves."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from otel_autopilot.errors import PortBusy, SettingsError
from otel_autopilot.stack.ports import PORTS, asked_for, check_free, choose


@pytest.fixture
def busy() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def anywhere(**asked: int) -> dict[str, int]:
    """All ports free ones, apart from these."""
    return {**{port.name: 0 for port in PORTS}, **asked}


def test_a_flag_goes_before_a_variable() -> None:
    environment = {"OTELCOL_OTLP_GRPC_PORT": "5000", "JAEGER_QUERY_HTTP_PORT": "5001", "OTELCOL_HOP_PORT": ""}
    assert asked_for({"otlp_grpc": 6000, "otlp_http": None}, environment) == {"otlp_grpc": 6000, "jaeger": 5001}


@pytest.mark.parametrize("text", ["no", "-1", "65536", "4317.0", "٣"])
def test_a_variable_that_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="OTELCOL_HOP_PORT: expected a port"):
        asked_for({}, {"OTELCOL_HOP_PORT": text})


def test_one_port_for_two_purposes_is_refused() -> None:
    with pytest.raises(SettingsError, match="5000 for both OTLP over gRPC and OTLP over HTTP"):
        asked_for({"otlp_grpc": 5000, "otlp_http": 5000}, {})


def test_zero_takes_free_ports_each_another() -> None:
    chosen = choose(anywhere())
    assert set(chosen) == {port.name for port in PORTS}
    assert len(set(chosen.values())) == len(PORTS)
    check_free(chosen, ["collector", "jaeger", "prometheus"])


def test_a_busy_port_is_named_with_its_purpose_its_holder_and_the_way_out(busy: int) -> None:
    with pytest.raises(PortBusy) as raised:
        choose(anywhere(jaeger=busy))
    message = str(raised.value)
    assert f"port {busy} (Jaeger's UI and API) is in use by" in message
    assert f"(pid {os.getpid()})" in message
    assert "--jaeger-port or JAEGER_QUERY_HTTP_PORT" in message


def test_an_inner_port_moves_when_its_default_is_busy_and_stays_when_it_was_asked_for(busy: int) -> None:
    asked = anywhere()
    del asked["collector_metrics"]
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", 8888))
        except OSError:
            pass  # somebody else has it: just as busy
        else:
            listener.listen()
        assert choose(asked)["collector_metrics"] != 8888
    with pytest.raises(PortBusy, match=r"own metrics.*set another port by OTELCOL_METRICS_PORT"):
        choose(anywhere(collector_metrics=busy))


def test_only_the_ports_of_what_is_to_be_started_are_looked_at(busy: int) -> None:
    chosen = {**choose(anywhere()), "jaeger_health": busy}
    check_free(chosen, ["collector", "prometheus"])
    with pytest.raises(PortBusy):
        check_free(chosen, ["jaeger"])
