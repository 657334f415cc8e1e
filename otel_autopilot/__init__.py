"""Trace your email pipeline: Email, Ingestion, Digest, Delivery as one OpenTelemetry trace.

import otel_autopilot

otel_autopilot.configure(service_name="my-pipeline")

@otel_autopilot.stage("ingestion")
async def ingest(mail): ...
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from otel_autopilot.errors import AutopilotError, SettingsError
from otel_autopilot.telemetry.propagation import extract, inject, mail_headers, mail_origin
from otel_autopilot.telemetry.stage import stage

if TYPE_CHECKING:
    from otel_autopilot.telemetry.setup import Telemetry

__version__ = "0.1.0"

__all__ = [
    "AutopilotError",
    "SettingsError",
    "configure",
    "extract",
    "flush",
    "inject",
    "mail_headers",
    "mail_origin",
    "shutdown",
    "stage",
]


def configure(**options: Any) -> Telemetry | None:
    """Set up traces, metrics and logs in one line; see `otel_autopilot.telemetry.setup.configure` for the options.

    Idempotent. Returns None, and imports no SDK, when ``OTEL_SDK_DISABLED=true``.
    """
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    from otel_autopilot.telemetry.setup import configure as set_up

    return set_up(**options)


def _current() -> Telemetry | None:
    import sys

    module = sys.modules.get("otel_autopilot.telemetry.setup")
    return module.current() if module is not None else None


def flush(timeout_seconds: float = 5.0) -> bool:
    """Export what waits; False when that took longer than the time given, in seconds."""
    telemetry = _current()
    return True if telemetry is None else telemetry.flush(timeout_seconds)


def shutdown(timeout_seconds: float = 5.0) -> bool:
    """Export what waits and stop; returns within the time given, in seconds, False when something was left."""
    telemetry = _current()
    return True if telemetry is None else telemetry.shutdown(timeout_seconds)
