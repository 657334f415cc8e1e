"""Which binaries are taken, and what is said about those that are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from otel_autopilot.errors import SettingsError, StackError
from otel_autopilot.stack.build import binary_of
from otel_autopilot.stack.components import COMPONENTS, Plan
from otel_autopilot.stack.ports import PORTS
from otel_autopilot.stack.ways import Chosen, Way, choose_way
from tests.stand_ins import stand_in, stand_ins


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is all of the PATH, and an empty cache."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


class Said(list[str]):
    @property
    def text(self) -> str:
        return "\n".join(self)


def choose(folder: Path, said: Said, forced: Way | None = None) -> Chosen:
    configuration = folder / "collector"
    configuration.mkdir(exist_ok=True)
    plan = Plan(folder, configuration, {port.name: port.number for port in PORTS})
    return choose_way(COMPONENTS, plan, forced, said.append)


def test_on_the_path_recent_ones_are_taken(path: Path, tmp_path: Path) -> None:
    stand_in(path / "otelcol", "otelcol", "0.160.0")
    stand_in(path / "jaeger", "jaeger", "2.9.0")
    stand_in(path / "prometheus", "prometheus", "3.1.0")
    said = Said()
    chosen = choose(tmp_path, said)
    assert {name: (binary.version, binary.origin) for name, binary in chosen.binaries.items()} == {
        "collector": ("0.160.0", "PATH"), "jaeger": ("2.9.0", "PATH"), "prometheus": ("3.1.0", "PATH"),
    }  # fmt: skip
    assert f"Jaeger 2.9.0 from {path}/jaeger" in said.text


def test_old_ones_and_a_collector_that_refuses_our_configuration_are_passed_over_with_the_reason(
    path: Path, tmp_path: Path
) -> None:
    stand_in(path / "otelcol-contrib", "otelcol", "0.90.0")
    stand_in(path / "otelcol", "otelcol", "0.158.0", valid=False)
    stand_in(path / "jaeger", "jaeger", "1.60.0")
    (path / "prometheus").write_text("#!/bin/sh\nexit 1\n")
    (path / "prometheus").chmod(0o755)
    with pytest.raises(StackError) as raised:
        choose(tmp_path, Said(), Way.BINARIES)
    message = str(raised.value)
    assert f"{path}/otelcol-contrib is 0.90.0, expected 0.158 or later" in message
    assert f"{path}/otelcol does not take our configuration: Error: unknown type: span_metrics" in message
    assert f"{path}/jaeger is 1.60.0, expected 2.0 or later" in message
    assert f"{path}/prometheus tells no version, expected 3.0 or later" in message


def test_a_variable_goes_before_the_cache_and_the_cache_before_the_path(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("otelcol", "jaeger", "prometheus"):
        stand_in(path / name, name, "9.9.9")
    monkeypatch.setenv("AUTOPILOT_JAEGER", str(stand_in(tmp_path / "mine", "jaeger", "2.0.1")))
    stand_in(binary_of("prometheus"), "prometheus", "3.15.0")
    binaries = choose(tmp_path, Said()).binaries
    assert [binaries[name].origin for name in ("jaeger", "prometheus", "collector")] == ["AUTOPILOT_JAEGER", "cache", "PATH"]
    assert binaries["jaeger"].version == "2.0.1"


@pytest.mark.parametrize("value", ["/nonexistent/jaeger", "/", __file__])
def test_a_variable_that_names_no_executable_is_refused(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("AUTOPILOT_JAEGER", value)
    with pytest.raises(SettingsError, match="AUTOPILOT_JAEGER: expected an executable"):
        choose(tmp_path, Said())


def test_a_forced_build_looks_at_the_cache_only(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in stand_ins(tmp_path / "mine").items():
        monkeypatch.setenv(variable, value)
    for component in COMPONENTS:
        stand_in(binary_of(component.binary), component.binary, "1.0")
    assert {binary.origin for binary in choose(tmp_path, Said(), Way.BUILD).binaries.values()} == {"cache"}


def test_without_binaries_containers_come_before_a_build(path: Path, tmp_path: Path) -> None:
    (path / "podman").write_text("#!/bin/sh\nexit 0\n")
    (path / "podman").chmod(0o755)
    (tmp_path / "collector").mkdir()
    (tmp_path / "collector" / "compose.yaml").write_text("services: {}\n")
    said = Said()
    chosen = choose(tmp_path, said)
    assert chosen.containers is not None
    assert chosen.containers.engine == os.fspath(path / "podman")
    assert "no jaeger on the PATH" in said.text


def test_containers_that_are_forced_and_not_to_be_had_are_an_error(path: Path, tmp_path: Path) -> None:
    (tmp_path / "collector").mkdir()
    (tmp_path / "collector" / "compose.yaml").write_text("services: {}\n")
    with pytest.raises(StackError, match="no docker or podman whose `info`"):
        choose(tmp_path, Said(), Way.CONTAINERS)


def test_a_build_comes_last_and_is_announced_with_what_it_takes(path: Path, tmp_path: Path) -> None:
    said = Said()
    with pytest.raises(StackError, match="building it needs Go"):
        choose(tmp_path, said)
    assert "no containers either" in said.text
    assert "building, about 18 minutes on two cores, once" in said.text
