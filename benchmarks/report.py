"""Distributions, and the file that they are kept in: what was measured, how often, how many failed, and on what."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

BASELINE = Path(__file__).parents[1] / "docs" / "performance" / "PERFORMANCE_BASELINE.json"


def distribution(values: Sequence[float], unit: str, failures: int = 0) -> dict[str, Any]:
    """Quantiles of the successful samples; failures are counted apart and never averaged in."""
    ordered = sorted(values)

    def quantile(q: float) -> float | None:
        return round(ordered[min(len(ordered) - 1, int(q * len(ordered)))], 3) if ordered else None

    return {
        "unit": unit, "samples": len(ordered), "failures": failures, "min": quantile(0), "p50": quantile(0.5), "p95": quantile(0.95),
        "p99": quantile(0.99), "max": quantile(1), "mean": round(sum(ordered) / len(ordered), 3) if ordered else None,
    }  # fmt: skip


def sdk_span_microseconds() -> float:
    """How fast this machine is just now: one span with three attributes through the bare SDK, best of five times 2,000."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):
        def export(self, spans: Sequence[Any]) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Nowhere(), max_queue_size=20_000))
    tracer, best = provider.get_tracer("bench"), float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(2_000):
            with tracer.start_as_current_span("a", attributes={"a": 1, "b": "x", "c": True}):
                pass
        best = min(best, (time.perf_counter() - began) / 2_000)
    provider.shutdown()
    return round(best * 1e6, 1)


def environment() -> dict[str, Any]:
    """The machine and the versions."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    names = ("otel-autopilot", "opentelemetry-sdk", "dbos", "pypdfium2", "sqlalchemy", "fastapi")
    return {
        "python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count(), "commit": commit,
        "sdk_span_microseconds": sdk_span_microseconds(), "load_before": [round(value, 2) for value in os.getloadavg()], "versions": {name: version(name) for name in names},
    }  # fmt: skip


def append(results: dict[str, Any]) -> None:
    """Append one run of the benchmarks to the baseline."""
    history = json.loads(BASELINE.read_text()) if BASELINE.exists() else {"runs": []}
    history["runs"].append({"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **results})
    BASELINE.parent.mkdir(parents=True, exist_ok=True)
    BASELINE.write_text(json.dumps(history, indent=1) + "\n")
