"""What every test shares: one set of real providers a process, and a data directory of its own."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before anything reads them: no test touches the data of the person who runs it.
_HOME = tempfile.mkdtemp(prefix="autopilot-tests-")
_OWNER = os.getpid()


@atexit.register
def _clear() -> None:
    if os.getpid() == _OWNER:  # a forked child leaves it to its parent
        shutil.rmtree(_HOME, ignore_errors=True)


os.environ["XDG_DATA_HOME"] = f"{_HOME}/data"
os.environ["XDG_CONFIG_HOME"] = f"{_HOME}/config"
for _name in [name for name in os.environ if name.startswith(("OTEL_", "AUTOPILOT_"))]:
    del os.environ[_name]

from opentelemetry import metrics, trace  # noqa: E402
from opentelemetry.sdk.metrics import MeterProvider  # noqa: E402
from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: E402
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402

from otel_autopilot.telemetry import holding  # noqa: E402
from otel_autopilot.telemetry.holding import HoldingSpanProcessor  # noqa: E402
from otel_autopilot.telemetry.ids import PromisedIds  # noqa: E402


class Spans:
    """What the process has exported since the test began."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    @property
    def all(self) -> list[ReadableSpan]:
        """In the order of export."""
        return list(self._exporter.get_finished_spans())

    def clear(self) -> None:
        """Forget them."""
        self._exporter.clear()

    def named(self, name: str) -> list[ReadableSpan]:
        """Those of this name."""
        return [span for span in self.all if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """The only one of this name."""
        (span,) = self.named(name)
        return span


@pytest.fixture(scope="session")
def _providers() -> tuple[InMemorySpanExporter, InMemoryMetricReader]:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider(id_generator=PromisedIds(), shutdown_on_exit=False)
    holder = HoldingSpanProcessor()
    holder.add(SimpleSpanProcessor(exporter))
    provider.add_span_processor(holder)
    holding.install(holder)
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    return exporter, reader


@pytest.fixture
def spans(_providers: tuple[InMemorySpanExporter, InMemoryMetricReader]) -> Iterator[Spans]:
    """Spans of this test, through the real SDK."""
    _providers[0].clear()
    yield Spans(_providers[0])
    _providers[0].clear()


@pytest.fixture
def metric_reader(_providers: tuple[InMemorySpanExporter, InMemoryMetricReader]) -> InMemoryMetricReader:
    """The reader of the process's meter provider."""
    return _providers[1]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """An empty data directory with the right mode."""
    directory = tmp_path / "data"
    directory.mkdir(mode=0o700)
    return directory
