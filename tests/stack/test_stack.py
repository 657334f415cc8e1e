"""`stack up`, `status` and `down` with the real backends."""

from __future__ import annotations

import json
import os
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_autopilot.stack.processes import ProcessRef
from tests.stack.running import RunningStack
from tests.stack_commands import ANYWHERE, Commands

pytestmark = [pytest.mark.timeout(240), pytest.mark.usefixtures("binaries")]


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    commands = Commands(tmp_path)
    yield commands
    commands("down")


def send_span(otlp_http: str, trace_id: str) -> None:
    """One span, as OTLP JSON."""
    span = {
        "traceId": trace_id,
        "spanId": "1234567890abcdef",
        "name": "probe",
        "kind": 1,
        "startTimeUnixNano": "1",
        "endTimeUnixNano": "2",
    }
    body = {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [span]}]}]}
    request = urllib.request.Request(
        f"{otlp_http}/v1/traces", json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def test_up_status_down_and_the_data_is_there_again_after_the_next_up(commands: Commands) -> None:
    first = commands.up()
    assert {name: item["version"] for name, item in first.items()} == {
        "collector": "0.158.0", "prometheus": "3.15.0", "jaeger": "2.13.0",
    }  # fmt: skip
    assert commands("status").returncode == 0
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    send_span(first["collector"]["addresses"]["otlp_http"], trace_id)
    assert len(RunningStack.at(first.values()).trace(trace_id, 1)) == 1
    assert commands("down").stderr == "stopped: Collector, Jaeger, Prometheus\n"
    assert not any(ProcessRef.of(item["pid"]) for item in first.values())
    second = commands.up()
    assert len(RunningStack.at(second.values()).trace(trace_id, 1)) == 1
    assert commands("down", "--erase").returncode == 0
    assert [item.name for item in commands.folder.iterdir()] == ["lock"]


@pytest.mark.parametrize("component", ["collector", "jaeger", "prometheus"])
def test_what_was_killed_is_missed_and_up_starts_it_alone_again(commands: Commands, component: str) -> None:
    before = commands.up()
    os.kill(before[component]["pid"], signal.SIGKILL)
    status = commands("status")
    assert status.returncode == 1
    assert "start what is missing: otel-autopilot stack up" in status.stderr
    after = commands.up()
    assert {name for name in after if after[name]["pid"] != before[name]["pid"]} == {component}
    assert after[component]["addresses"] == before[component]["addresses"]
    again = commands.up()
    assert {name: item["pid"] for name, item in again.items()} == {name: item["pid"] for name, item in after.items()}


def test_a_busy_port_is_named_before_anything_is_started(commands: Commands) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        done = commands("up", *ANYWHERE, "--otlp-grpc-port", str(listener.getsockname()[1]))
    assert done.returncode == 1
    assert "(OTLP over gRPC) is in use by" in done.stderr
    assert commands("status").returncode == 1


def test_a_configuration_that_the_collector_refuses_is_shown_as_it_says_it(commands: Commands) -> None:
    overlay = commands.home / "overlay.yaml"
    overlay.write_text("receivers: {otlp: {protocols: {grpc: {endpoint: 1, nonsense: true}}}}\n")
    done = commands("up", *ANYWHERE, "--config", str(overlay))
    assert done.returncode == 1
    assert "Collector ended with exit code 1 before it was ready" in done.stderr
    assert "nonsense" in done.stderr
    assert commands.pids() == {}, "what was started was stopped"


def test_prometheus_gets_what_the_collector_and_jaeger_say_of_themselves(stack: RunningStack) -> None:
    assert {sample["metric"]["job"] for sample in stack.query("up == 1", count=3)} == {"otelcol", "jaeger", "prometheus"}
