"""`stack up`, `status` and `down`, with stand-ins for the backends: processes and sockets are real."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from otel_autopilot.stack.processes import ProcessRef
from tests.stack_commands import ANYWHERE, Commands
from tests.stand_ins import stand_in, stand_ins

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Commands]:
    commands = Commands(tmp_path, stand_ins(tmp_path / "bin"))
    yield commands
    commands("down")


def left_of(stack: Commands) -> list[psutil.Process]:
    """Processes with the stack's folder in their command."""
    return [process for process in psutil.process_iter(["cmdline"]) if str(stack.home) in " ".join(process.info["cmdline"] or [])]


def test_up_status_down_and_nothing_is_left_running(stack: Commands) -> None:
    components = stack.up()
    assert list(components) == ["collector", "jaeger", "prometheus"]
    assert all(item["healthy"] and ProcessRef.of(item["pid"]) for item in components.values())
    table = stack("status")
    assert table.returncode == 0
    assert all(str(item["pid"]) in table.stdout for item in components.values())
    assert max(map(len, table.stdout.splitlines()[:6])) <= 80
    down = stack("down")
    assert down.returncode == 0
    assert down.stderr == "stopped: Collector, Jaeger, Prometheus\n"
    assert not any(ProcessRef.of(item["pid"]) for item in components.values())
    assert stack("status").returncode == 1
    assert stack("down").returncode == 0, "also when nothing runs"


def test_a_second_up_changes_nothing(stack: Commands) -> None:
    first = stack.up()
    second = stack("up", "--json")
    assert "the stack runs already" in second.stderr
    assert {item["component"]: item["pid"] for item in json.loads(second.stdout)["components"]} == {
        name: item["pid"] for name, item in first.items()
    }


def test_a_killed_component_is_seen_and_up_starts_it_alone_again(stack: Commands) -> None:
    before = stack.up()
    os.kill(before["jaeger"]["pid"], signal.SIGKILL)
    status = stack("status", "--json")
    assert status.returncode == 1
    assert {item["component"]: item["healthy"] for item in json.loads(status.stdout)["components"]} == {
        "collector": True, "prometheus": True, "jaeger": False,
    }  # fmt: skip
    after = stack.up()
    assert after["collector"]["pid"] == before["collector"]["pid"]
    assert after["jaeger"]["pid"] != before["jaeger"]["pid"]
    assert after["jaeger"]["addresses"] == before["jaeger"]["addresses"]


def test_a_busy_port_is_an_error_before_anything_is_started(stack: Commands) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        done = stack("up", *ANYWHERE, "--jaeger-port", str(port))
    assert done.returncode == 1
    assert f"port {port} (Jaeger's UI and API) is in use by" in done.stderr
    assert "--jaeger-port" in done.stderr
    assert not (stack.folder / "state.json").exists()
    assert left_of(stack) == []


def test_a_component_that_ends_is_an_error_with_its_last_words_and_the_others_are_stopped(stack: Commands) -> None:
    stand_in(stack.home / "bin" / "otelcol", "otelcol", "0.158.0", ends=True)
    done = stack("up", *ANYWHERE)
    assert done.returncode == 1
    assert "Collector ended with exit code 1 before it was ready" in done.stderr
    assert "Error: it can't go on" in done.stderr
    assert "stopped again: Collector, Jaeger, Prometheus\n" in done.stderr
    assert stack("status").returncode == 1
    assert left_of(stack) == []


def test_a_running_stack_does_not_move(stack: Commands) -> None:
    jaeger = stack.up()["jaeger"]["addresses"]["jaeger"].rpartition(":")[2]
    other = stack("up", "--jaeger-port", "1")
    assert other.returncode == 2
    assert f"--jaeger-port 1: the stack runs already, with {jaeger}" in other.stderr
    overlay = stack.home / "overlay.yaml"
    overlay.write_text("{}\n")
    assert stack("up", "--config", str(overlay)).returncode == 2
    assert stack("up", "--from", "containers").returncode == 2


def test_overlays_reach_the_collector_in_order_and_no_stray_variables_do(stack: Commands) -> None:
    for name in ("a", "b"):
        (stack.home / f"{name}.yaml").write_text("{}\n")
    files = [str(stack.home / "a.yaml"), str(stack.home / "b.yaml")]
    stack.up("--config", files[0], "--config", files[1], OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    log = stack.log("collector")
    assert f"local.yaml --config {files[0]} --config {files[1]}\n" in log
    assert "OTEL_EXPORTER" not in log
    assert "GOMEMLIMIT=" in log
    missing = stack("up", "--config", str(stack.home / "none.yaml"))
    assert missing.returncode == 2
    assert "expected a file" in missing.stderr


def test_a_recycled_pid_in_the_state_is_left_alone(stack: Commands) -> None:
    stack.up()
    file = stack.folder / "state.json"
    state = json.loads(file.read_text())
    ours = state["components"]["jaeger"]["process"]["pid"]
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        state["components"]["jaeger"]["process"]["pid"] = bystander.pid
        file.write_text(json.dumps(state))
        assert stack("down").stderr == "stopped: Collector, Prometheus\n"
        assert bystander.poll() is None
    os.kill(ours, signal.SIGKILL)


def test_two_ups_at_once_start_one_stack(stack: Commands) -> None:
    first, second = (stack.start("up", "--json", *ANYWHERE) for _ in range(2))
    reports = [json.loads(process.communicate(timeout=120)[0]) for process in (first, second)]
    assert reports[0]["healthy"]
    assert [item["pid"] for item in reports[0]["components"]] == [item["pid"] for item in reports[1]["components"]]


def test_data_stays_and_logs_are_kept_apart_until_they_are_erased(stack: Commands) -> None:
    assert stack.up()["jaeger"]["log"] == str(stack.folder / "logs" / "jaeger.log")
    assert stat.S_IMODE(stack.folder.stat().st_mode) == 0o700
    kept = stack.folder / "data" / "jaeger" / "kept"
    kept.write_text("spans")
    for _ in range(2):
        stack("down")
        stack.up()
    assert kept.exists()
    assert stack.log("jaeger").count("starts with") == 1
    assert {item.name for item in (stack.folder / "logs").glob("jaeger*")} == {"jaeger.log", "jaeger.log.1", "jaeger.log.2"}
    assert stack("down", "--erase").returncode == 0
    assert [item.name for item in stack.folder.iterdir()] == ["lock"]


def test_an_interrupted_up_stops_what_it_started(stack: Commands) -> None:
    # Never healthy: it listens nowhere.
    slow = stack.home / "bin" / "prometheus"
    slow.write_text("#!/bin/sh\ncase $1 in --version) echo 3.15.0;; *) exec sleep 600;; esac\n")
    process = stack.start("up", *ANYWHERE)
    while '"prometheus"' not in (stack.folder / "state.json").read_text() if (stack.folder / "state.json").exists() else True:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert stack("status").returncode == 1
    assert not (stack.folder / "state.json").exists()
    assert left_of(stack) == []


def test_a_terminated_up_stops_what_it_started(stack: Commands) -> None:
    slow = stack.home / "bin" / "prometheus"
    slow.write_text("#!/bin/sh\ncase $1 in --version) echo 3.15.0;; *) exec sleep 600;; esac\n")
    process = stack.start("up", *ANYWHERE)
    while '"prometheus"' not in (stack.folder / "state.json").read_text() if (stack.folder / "state.json").exists() else True:
        assert process.poll() is None
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not (stack.folder / "state.json").exists()
    assert left_of(stack) == []
