"""The way by containers, with a stand-in for the engine: what it is asked to do, and what is made of its answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_autopilot.errors import SettingsError, StackError
from otel_autopilot.stack.local_stack import LocalStack
from otel_autopilot.stack.ports import PORTS
from otel_autopilot.stack.ways import Way

_ENGINE = """\
#!/bin/sh
case "$*" in
  info | "compose version") exit 0 ;;
  *" ps "*) printf '%s\\n' '{"Service": "collector", "State": "running", "Health": "healthy"}' \
                           '{"Service": "jaeger", "State": "running", "Health": ""}' \
                           '{"Service": "prometheus", "State": "exited", "Health": "", "ExitCode": 0}' \\
                           '{"Service": "volumes", "State": "exited", "Health": "", "ExitCode": 0}'; exit 0 ;;
esac
echo "$* OTLP=$OTELCOL_OTLP_GRPC_PORT HEALTH=$OTELCOL_HEALTH_PORT" >> "$(dirname "$0")/calls"
case "$*" in *" up "*) exit "$(cat "$(dirname "$0")/code")" ;; esac
"""


class Engine:
    """A docker that writes down what it is asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "docker").write_text(_ENGINE)
        (folder / "docker").chmod(0o755)
        self.up_answers(0)

    def up_answers(self, code: int) -> None:
        (self._folder / "code").write_text(str(code))

    def calls(self) -> list[str]:
        return (self._folder / "calls").read_text().splitlines()


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    (tmp_path / "bin").mkdir()
    (tmp_path / "collector").mkdir()
    (tmp_path / "collector" / "compose.yaml").write_text("services: {}\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.delenv("OTELCOL_HEALTH_PORT", raising=False)
    return Engine(tmp_path / "bin")


def test_up_status_and_down_go_to_compose_with_the_outer_ports(engine: Engine, tmp_path: Path) -> None:
    said: list[str] = []
    stack = LocalStack(tmp_path / "stack", said.append, tmp_path / "collector")
    components = stack.up({port.name: 0 for port in PORTS}, forced=Way.CONTAINERS)
    assert {item.component: item.healthy for item in components} == {"collector": True, "jaeger": True, "prometheus": False}
    assert {item.component: item.healthy for item in stack.status()} == {item.component: item.healthy for item in components}
    port = components[0].addresses["otlp_grpc"].rpartition(":")[2]
    file = tmp_path / "collector" / "compose.yaml"
    assert engine.calls() == [f"compose --file {file} up --detach --wait OTLP={port} HEALTH="]
    assert stack.down(erase=True) == ["containers"]
    assert engine.calls()[1:] == [f"compose --file {file} down --volumes OTLP={port} HEALTH="]
    assert stack.status() == []


def test_containers_that_do_not_start_are_taken_down_again(engine: Engine, tmp_path: Path) -> None:
    engine.up_answers(1)
    stack = LocalStack(tmp_path / "stack", print, tmp_path / "collector")
    with pytest.raises(StackError, match="docker compose up failed"):
        stack.up({port.name: 0 for port in PORTS}, forced=Way.CONTAINERS)
    assert " down OTLP=" in engine.calls()[1]
    assert stack.status() == []


def test_overlays_are_refused_rather_than_ignored(engine: Engine, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("{}\n")
    stack = LocalStack(tmp_path / "stack", print, tmp_path / "collector")
    with pytest.raises(SettingsError, match="--config: expected none"):
        stack.up({port.name: 0 for port in PORTS}, [overlay], Way.CONTAINERS)
