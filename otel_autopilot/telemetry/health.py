"""What became of a process's telemetry, left behind for `doctor`."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from otel_autopilot.telemetry import diagnostics
from otel_autopilot.telemetry.setup import Telemetry

#: The file in the data directory.
FILE = "telemetry-health.json"


def write_health(data_dir: Path, telemetry: Telemetry, service_name: str) -> None:
    """Write the counts and warnings of this process; the file holds those of the last one that ended."""
    content = {
        "service": service_name,
        "pid": os.getpid(),
        "written_unix_nano": time.time_ns(),
        "signals": {
            name: count.to_json()
            for name, count in (("spans", telemetry.spans), ("metrics", telemetry.metrics), ("logs", telemetry.logs))
        },
        "warnings": list(diagnostics.warnings()),
    }
    beside = data_dir / f".{FILE}.{os.getpid()}"
    beside.touch(mode=0o600)
    beside.write_text(json.dumps(content))
    beside.replace(data_dir / FILE)


def read_health(data_dir: Path) -> dict[str, Any] | None:
    """What the last process left behind, or None."""
    try:
        content: dict[str, Any] = json.loads((data_dir / FILE).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return content
