"""The real Collector, Jaeger and Prometheus, built once into the cache and started on free ports."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from otel_autopilot.stack.build import binary_of
from otel_autopilot.stack.components import COMPONENTS
from otel_autopilot.stack.local_stack import LocalStack
from otel_autopilot.stack.ports import PORTS
from tests.stack.figures import FIGURES
from tests.stack.running import RunningStack


@pytest.fixture(scope="session")
def binaries() -> None:
    """They have to be there: building them takes longer than a test may."""
    missing = [component.binary for component in COMPONENTS if not binary_of(component.binary).exists()]
    if missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{', '.join(missing)} not built yet; run: make stack")


@pytest.fixture(scope="session")
def stack(binaries: None) -> Iterator[RunningStack]:
    """The whole stack on free ports in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="autopilot-stack-") as folder:
        running = LocalStack(Path(folder), print)
        components = running.up({port.name: 0 for port in PORTS})
        try:
            yield RunningStack.at(asdict(component) for component in components)
        finally:
            running.down(erase=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures, where a person and CI's log find them."""
    if FIGURES:
        terminalreporter.section("figures")
        for line in FIGURES:
            terminalreporter.write_line(line)
