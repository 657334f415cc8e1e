"""What the backends are built from, and how a build that can't be done says so."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from otel_autopilot.errors import BuildError
from otel_autopilot.stack.build import binary_of, source_of
from otel_autopilot.stack.configuration import collector_folder, effective_prometheus
from otel_autopilot.stack.go import duration, failure, numbers, progress
from otel_autopilot.stack.sources import SOURCES, GoModule

BINARIES = ["jaeger", "otelcol", "prometheus", "promtool"]


@pytest.fixture
def module() -> GoModule:
    source = SOURCES["prometheus"]
    assert isinstance(source, GoModule)
    return source


def test_every_binary_has_a_source_and_a_place_in_the_cache() -> None:
    assert sorted(name for source in SOURCES.values() for name in source.binaries) == BINARIES
    assert {binary_of(name).name for name in BINARIES} == set(BINARIES)
    assert binary_of("promtool").parent == binary_of("prometheus").parent, "built together"


def test_another_name_is_an_error_that_lists_them() -> None:
    with pytest.raises(BuildError, match="expected one of jaeger, otelcol, prometheus, promtool, got 'grafana'"):
        source_of("grafana")


@pytest.mark.parametrize(
    "change", [{"version": "v0.316.0"}, {"packages": ("cmd/prometheus",)}, {"variables": ()}, {"module": "example.org/other"}]
)
def test_whatever_a_binary_is_built_from_is_in_its_key(module: GoModule, change: dict[str, object]) -> None:
    assert replace(module, **change).key != module.key  # type: ignore[arg-type]


def test_what_people_read_is_not_in_the_key(module: GoModule) -> None:
    assert replace(module, minutes=1.0, release="3").key == module.key


def test_the_collector_is_of_the_version_that_its_manifest_names() -> None:
    manifest = (collector_folder() / "builder.yaml").read_text()
    version = SOURCES["otelcol"].version
    assert f"version: {version.removeprefix('v')}" in manifest
    parts = [line for line in manifest.splitlines() if "/receiver/" in line or "/exporter/" in line or "/processor/" in line]
    assert len(parts) > 20
    assert all(version in line for line in parts), "all of one release"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("go1.26.8", (1, 26, 8)), ("otelcol version 0.158.0", (0, 158, 0)), ('{"gitVersion":"v2.13.0"}', (2, 13, 0)), ("devel", ())],
)
def test_versions_are_found_in_what_binaries_say(text: str, expected: tuple[int, ...]) -> None:
    assert numbers(text) == expected


def test_progress_tells_what_is_left() -> None:
    assert progress(1, 2326, 13.0, 300.0) == "compiled 1 of 2,326 packages, about 5 minutes left", "not by the first one's speed"
    assert progress(650, 1300, 100.0, 240.0) == "compiled 650 of 1,300 packages, about 2 minutes left"
    assert progress(1300, 1300, 500.0, 240.0) == "compiled 1,300 of 1,300 packages, about 10 seconds left"
    assert duration(44) == "40 seconds"


def test_a_failed_build_shows_the_last_lines_of_go_and_a_full_disk_is_told_as_such() -> None:
    assert str(failure("go build", [f"line {number}" for number in range(100)])).endswith("line 98\nline 99")
    assert "a disk is full (write /x: no space left on device)" in str(
        failure("go build", ["# example.org/x", "write /x: no space left on device"])
    )


def build(name: str, home: Path, go: str | None) -> subprocess.CompletedProcess[str]:
    """The command, with a go tool that answers so."""
    tools = home / "bin"
    tools.mkdir(parents=True)
    if go is not None:
        (tools / "go").write_text(f"#!/bin/sh\n{go}\n")
        (tools / "go").chmod(0o755)
    return subprocess.run(
        [sys.executable, "-m", "otel_autopilot.stack.build", name],
        env={**os.environ, "PATH": str(tools), "XDG_CACHE_HOME": str(home / "cache"), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_without_go_the_error_says_which_is_needed(tmp_path: Path) -> None:
    done = build("prometheus", tmp_path, None)
    assert done.returncode == 1
    assert "building it needs Go 1.26 or later on the PATH, found none" in done.stderr


def test_a_go_that_is_too_old_and_may_not_fetch_a_newer_one_is_refused(tmp_path: Path) -> None:
    done = build("prometheus", tmp_path, "echo go1.24.1; echo local")
    assert done.returncode == 1
    assert f"needs Go 1.26 or later, {tmp_path}/bin/go is go1.24.1" in done.stderr


def test_a_failed_build_leaves_nothing_but_its_lock(tmp_path: Path) -> None:
    done = build("jaeger", tmp_path, 'case $1 in env) echo go1.26.0; echo auto;; *) echo "no such module" >&2; exit 1;; esac')
    assert done.returncode == 1
    assert done.stderr.endswith("go mod download failed:\nno such module\n")
    assert [item.name for item in (tmp_path / "cache" / "otel-autopilot").iterdir()] == ["jaeger.lock"]


def test_what_a_killed_build_left_behind_is_removed_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / "cache" / "otel-autopilot" / ".jaeger-abc"
    left.mkdir(parents=True)
    build("jaeger", tmp_path, "test $1 = env && { echo go1.26.0; echo auto; }")
    assert not left.exists()


def test_prometheus_scrapes_the_ports_in_force_and_finds_its_rules(tmp_path: Path) -> None:
    source = tmp_path / "prometheus.yaml"
    source.write_text(
        "rule_files: [alerts/*.yaml]\n"
        'scrape_configs: [{job_name: a, static_configs: [{targets: ["127.0.0.1:8888", "10.0.0.1:80", "name"]}]}]\n'
    )
    text = effective_prometheus(source, {8888: 40000})
    assert "- 127.0.0.1:40000\n" in text
    assert "- 10.0.0.1:80\n" in text
    assert f"- {tmp_path}/alerts/*.yaml" in text
