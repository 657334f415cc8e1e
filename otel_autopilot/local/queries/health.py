"""What the store holds, and whether anything was stored since."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from otel_autopilot import __version__

_TOTALS = "SELECT epoch, changes, traces, spans, logs, points FROM totals"


def state(connection: sqlite3.Connection, path: Path, size_bytes: int) -> dict[str, Any]:
    """``GET state``, without what only the process that serves it knows: ``jaeger_url`` and ``receiver`` are null."""
    epoch, changes, traces, spans, _, _ = connection.execute(_TOTALS).fetchone()
    return {
        "version": f"{epoch}-{changes}", "spans": spans, "traces": traces, "jaeger_url": None, "receiver": None,
        "store": {"path": str(path), "bytes": size_bytes, "oldest_unix_nano": _oldest(connection)}, "release": __version__,
    }  # fmt: skip


def health(connection: sqlite3.Connection, path: Path, size_bytes: int) -> dict[str, Any]:
    """The part of ``GET health`` that is stored: services by the root span of their traces, and how much there is."""
    _, _, traces, spans, logs, points = connection.execute(_TOTALS).fetchone()
    services = connection.execute(
        "SELECT service, sum(spans), max(start_unix_nano) FROM traces GROUP BY service ORDER BY 2 DESC LIMIT 500"
    )
    return {
        "services": [{"service": service, "spans": count, "last_unix_nano": last} for service, count, last in services],
        "store": {
            "path": str(path), "bytes": size_bytes, "spans": spans, "traces": traces, "logs": logs, "points": points,
            "oldest_unix_nano": _oldest(connection),
        },
    }  # fmt: skip


def _oldest(connection: sqlite3.Connection) -> int | None:
    found: int | None = connection.execute("SELECT min(start_unix_nano) FROM traces").fetchone()[0]
    return found
