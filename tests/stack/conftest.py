"""The real Jaeger, built once into the cache."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from otel_autopilot.stack.build import binary_of, build
from otel_autopilot.stack.jaeger import Jaeger


@pytest.fixture(scope="session")
def jaeger() -> Iterator[Jaeger]:
    if not binary_of("jaeger").exists() and shutil.which("go") is None and not os.environ.get("CI"):
        pytest.skip("building Jaeger needs Go, which is not on the PATH")
    with Jaeger(build("jaeger")) as running:
        yield running
