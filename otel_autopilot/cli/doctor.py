"""`doctor`: the settings and where each came from, what is reachable, what telemetry was dropped."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from rich.table import Table

from otel_autopilot import __version__
from otel_autopilot.errors import SettingsError, StoreError
from otel_autopilot.local.queries.reader import Reader
from otel_autopilot.local.store import TraceStore
from otel_autopilot.local.terminal import console
from otel_autopilot.settings import Settings, prepare_data_dir, unknown_variables
from otel_autopilot.telemetry.health import read_health

#: How long a connection may take, in seconds.
CONNECT_SECONDS = 2.0


@dataclass(frozen=True)
class Check:
    """One thing looked at."""

    name: str
    ok: bool
    detail: str


def doctor(*, as_json: bool) -> int:
    """Print the report; 1 when a check failed."""
    settings = Settings.load()
    checks = _checks(settings)
    health = read_health(settings.data_dir)
    origins = settings.origins()
    values = settings.model_dump(mode="json")
    if as_json:
        report = {
            "version": __version__,
            "settings": {name: {"value": values[name], "origin": origins[name]} for name in values},
            "checks": [asdict(check) for check in checks],
            "telemetry": health,
        }
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        _print(values, origins, checks, health)
    return 0 if all(check.ok for check in checks) else 1


def _checks(settings: Settings) -> list[Check]:
    checks = [_data_directory(settings)]
    if checks[0].ok:
        checks.append(_trace_store(settings))
    checks += [
        _port("SMTP gateway", settings.smtp_host, settings.smtp_port, "AUTOPILOT_SMTP_PORT"),
        _port("API", settings.http_host, settings.http_port, "AUTOPILOT_HTTP_PORT"),
        _port("Viewer", settings.http_host, settings.view_port, "AUTOPILOT_VIEW_PORT"),
        _port("OTLP, gRPC", "127.0.0.1", settings.otlp_grpc_port, "AUTOPILOT_OTLP_GRPC_PORT"),
        _port("OTLP, HTTP", "127.0.0.1", settings.otlp_http_port, "AUTOPILOT_OTLP_HTTP_PORT"),
    ]
    if settings.collector:
        checks.append(_reachable("Collector", settings.collector, 4317))
    checks += [_reachable("Delivery", target, 25) for target in settings.deliver_to if "://" in target]
    if settings.model_url:
        checks.append(_reachable("Model", settings.model_url, 443))
    checks += [Check("Setting", ok=False, detail=warning) for warning in unknown_variables()]
    return checks


def _data_directory(settings: Settings) -> Check:
    try:
        prepare_data_dir(settings)
        probe = settings.data_dir / f".doctor-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except (OSError, ValueError, SettingsError) as error:
        return Check("Data directory", ok=False, detail=f"{settings.data_dir}: {error}")
    free = shutil.disk_usage(settings.data_dir).free
    return Check("Data directory", ok=free > 1_000_000_000, detail=f"{settings.data_dir}: {free / 1e9:.1f} GB free")


def _trace_store(settings: Settings) -> Check:
    try:
        store = TraceStore.open(settings.traces_db)
        spans, size = store.span_count(), Reader(settings.traces_db).size_bytes()
        store.close()
    except (StoreError, OSError) as error:
        return Check("Trace store", ok=False, detail=str(error))
    return Check("Trace store", ok=True, detail=f"{spans:,} spans, {size / 1e6:.1f} MB")


def _port(name: str, host: str, port: int, variable: str) -> Check:
    if port == 0:
        return Check(name, ok=True, detail="takes a free port")
    try:
        with socket.create_connection((host, port), CONNECT_SECONDS):
            return Check(name, ok=True, detail=f"something answers at {host}:{port} (serve, view, or another program: {variable})")
    except OSError:
        return Check(name, ok=True, detail=f"{host}:{port} is free")


def _reachable(name: str, url: str, default_port: int) -> Check:
    parts = urlsplit(url if "://" in url else f"//{url}")
    host = parts.hostname or url
    port = parts.port or {"https": 443, "http": 80, "smtps": 465}.get(parts.scheme, default_port)
    started = time.perf_counter()
    try:
        with socket.create_connection((host, port), CONNECT_SECONDS):
            return Check(name, ok=True, detail=f"{host}:{port} answers in {(time.perf_counter() - started) * 1000:.1f} ms")
    except OSError as error:
        return Check(name, ok=False, detail=f"{host}:{port}: {error.strerror or error}")


def _print(values: dict[str, Any], origins: dict[str, str], checks: list[Check], health: dict[str, Any] | None) -> None:
    out = console()
    table = Table(title=f"otel-autopilot {__version__}: settings", title_justify="left", box=None, pad_edge=False)
    for column in ("setting", "value", "from"):
        table.add_column(column, overflow="fold")
    for name, value in values.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
        style = None if origins[name] != "default" else "dim"
        table.add_row(name, shown, origins[name], style=style)
    out.print(table)
    out.print()
    for check in checks:
        mark, style = ("ok  ", "green") if check.ok else ("FAIL", "bold red")
        out.print(f"[{style}]{mark}[/] {check.name}: ", end="", highlight=False)
        out.print(check.detail, markup=False, highlight=False, soft_wrap=True)
    if health is not None:
        out.print(f"\nTelemetry of the last process that ended ({health['service']}, pid {health['pid']}):", highlight=False)
        for name, signal in health["signals"].items():
            dropped = ", ".join(f"{count} dropped ({reason})" for reason, count in signal["dropped"].items()) or "none dropped"
            out.print(f"  {name}: {signal['exported']} exported, {dropped}", highlight=False)
        for warning in health["warnings"][-5:]:
            out.print(f"  {warning}", style="yellow", markup=False, highlight=False)
