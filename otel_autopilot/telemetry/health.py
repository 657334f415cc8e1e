"""What became of a process's telemetry, said to others through the data directory: a file for each process.

One that lives writes its file again and again, and one that ends once more, at its end. So `doctor` finds the counts of the last one that
ended, and a viewer those of the others.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData

from otel_autopilot.telemetry import diagnostics

if TYPE_CHECKING:
    from otel_autopilot.telemetry.setup import Telemetry

#: The folder in the data directory, which holds ``PID.json``.
FOLDER = "telemetry-health"
#: How often a process that lives writes its file, in seconds.
INTERVAL_SECONDS = 10.0
#: Files of processes that have ended: so many are kept, the newest.
MOST_ENDED = 5

#: Tells the counts of this process's receiver, None while another process is the one that receives.
_receiver: Callable[[], Mapping[str, Any] | None] | None = None
_writing = threading.Lock()


def tell_receiver(counts: Callable[[], Mapping[str, Any] | None]) -> None:
    """Write the counts of a receiver along with those of telemetry from now on; None is for a time when it doesn't receive."""
    global _receiver
    _receiver = counts


class ReportingMetricExporter(MetricExporter):
    """Exports metrics as ``inner`` does, and has the health written each time: no thread more in somebody's process."""

    def __init__(self, inner: MetricExporter, report: Callable[[], None]) -> None:
        super().__init__(inner._preferred_temporality, inner._preferred_aggregation)
        self._inner = inner
        self._report = report

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Export, then report."""
        result = self._inner.export(metrics_data, timeout_millis, **kwargs)
        self._report()
        return result

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Shut ``inner`` down."""
        self._inner.shutdown(timeout_millis, **kwargs)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Flush ``inner``."""
        return self._inner.force_flush(timeout_millis)


def write_health(data_dir: Path, telemetry: Telemetry | None, service_name: str, *, ended: bool = True) -> None:
    """Write the counts and warnings of this process.

    Arguments:
        data_dir: the data directory.
        telemetry: None for a process that emits nothing itself.
        service_name: whose telemetry it is.
        ended: whether these are the last.
    """
    counts = {} if telemetry is None else {"spans": telemetry.spans, "metrics": telemetry.metrics, "logs": telemetry.logs}
    content = {
        "service": service_name,
        "pid": os.getpid(),
        "written_unix_nano": time.time_ns(),
        "ended": ended,
        "signals": {name: count.to_json() for name, count in counts.items()},
        "warnings": list(diagnostics.warnings()),
        "receiver": None if _receiver is None else _receiver(),
    }
    folder = data_dir / FOLDER
    with _writing:
        folder.mkdir(mode=0o700, exist_ok=True)
        beside = folder / f".{os.getpid()}"
        beside.touch(mode=0o600)
        beside.write_text(json.dumps(content))
        beside.replace(_file(data_dir))
    for _, path in [one for one in _read(data_dir) if not alive(one[0])][MOST_ENDED:]:
        path.unlink(missing_ok=True)


def remove_health(data_dir: Path) -> None:
    """Leave nothing of this process: it emitted nothing."""
    _file(data_dir).unlink(missing_ok=True)


def read_reports(data_dir: Path) -> list[dict[str, Any]]:
    """What each process wrote last, the newest first."""
    return [content for content, _ in _read(data_dir)]


def read_health(data_dir: Path) -> dict[str, Any] | None:
    """What the last process that emitted something and ended left behind, or None."""
    return next((one for one in read_reports(data_dir) if one["signals"] and not alive(one)), None)


def alive(report: Mapping[str, Any]) -> bool:
    """Whether the process that wrote it still runs; another one may have its number by now."""
    if report["ended"]:
        return False
    try:
        process = psutil.Process(report["pid"])
        return bool(process.create_time() * 1e9 <= report["written_unix_nano"] and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _file(data_dir: Path) -> Path:
    return data_dir / FOLDER / f"{os.getpid()}.json"


def _read(data_dir: Path) -> list[tuple[dict[str, Any], Path]]:
    found = []
    for path in (data_dir / FOLDER).glob("[0-9]*.json"):
        with contextlib.suppress(FileNotFoundError, ValueError):
            found.append((json.loads(path.read_text()), path))
    return sorted(found, key=lambda one: one[0]["written_unix_nano"], reverse=True)
