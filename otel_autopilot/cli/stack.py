"""`stack`: the real backends on this machine, started, looked at and stopped."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from otel_autopilot.local.terminal import console, json_text
from otel_autopilot.settings import Settings, prepare_data_dir
from otel_autopilot.stack.components import COMPONENT
from otel_autopilot.stack.local_stack import ComponentStatus, LocalStack
from otel_autopilot.stack.ports import asked_for
from otel_autopilot.stack.ways import Way


def up(ports: dict[str, int | None], *, overlays: Sequence[Path], forced: str | None, as_json: bool) -> int:
    """Start the stack; returns 0 when all of it is healthy."""
    asked = asked_for(ports, os.environ)
    settings = Settings.load()
    prepare_data_dir(settings)
    stack = _stack(settings)
    components = stack.up(asked, overlays, Way(forced) if forced else None)
    if as_json:
        _print_json(components, stack)
        return _code(components)
    out = console()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(style="dim")
    for component in components:
        for port, url in component.addresses.items():
            table.add_row(component.title, url, f"{COMPONENT[component.component].addresses[port]}{_pages(component)}")
    out.print(table)
    urls = {port: url for component in components for port, url in component.addresses.items()}
    # `trace` looks for Jaeger at its default port by itself.
    jaeger = "" if urls["jaeger"].endswith(":16686") else f" --jaeger {urls['jaeger']}"
    out.print(f"\nSend there:  otel-autopilot trace mail.eml --collector {urls['otlp_grpc']}{jaeger}", soft_wrap=True)
    out.print("Stop it:     otel-autopilot stack down")
    return _code(components)


def down(*, erase: bool) -> int:
    """Stop the stack; 0 also when none ran."""
    stack = _stack(Settings.load())
    stopped = stack.down(erase=erase)
    sys.stderr.write(f"stopped: {', '.join(stopped)}\n" if stopped else "nothing ran\n")
    if erase:
        sys.stderr.write(f"erased: {stack.folder}\n")
    return 0


def status(*, as_json: bool) -> int:
    """Print how the components do; 1 when one isn't healthy, or none runs."""
    stack = _stack(Settings.load())
    components = stack.status()
    if as_json:
        _print_json(components, stack)
    elif components:
        _print_status(components, console())
        if _code(components):
            sys.stderr.write("\nstart what is missing: otel-autopilot stack up\n")
    else:
        sys.stderr.write("no stack runs; start it: otel-autopilot stack up\n")
    return _code(components)


def _pages(component: ComponentStatus) -> str:
    """What is missing from a binary that we built: a Go module holds no compiled web pages."""
    without = component.component in ("jaeger", "prometheus") and component.origin in ("cache", "built")
    return " (API only: built without web pages)" if without else ""


def _stack(settings: Settings) -> LocalStack:
    return LocalStack(
        settings.data_dir.absolute() / "stack",
        lambda line: Console(stderr=True, highlight=False).print(line, markup=False, soft_wrap=True),
    )


def _code(components: Sequence[ComponentStatus]) -> int:
    return 0 if components and all(component.healthy for component in components) else 1


def _print_json(components: Sequence[ComponentStatus], stack: LocalStack) -> None:
    report = {
        "healthy": _code(components) == 0,
        "folder": str(stack.folder),
        "components": [asdict(component) for component in components],
    }
    sys.stdout.write(json_text(report) + "\n")


def _print_status(components: Sequence[ComponentStatus], out: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("component", "healthy", "version", "pid", "uptime", "address"):
        table.add_column(column, no_wrap=column != "address", justify="right" if column in ("pid", "uptime") else "left")
    for component in components:
        table.add_row(
            component.title,
            "[green]yes[/]" if component.healthy else "[bold red]no[/]",
            component.version or "",
            str(component.pid or ""),
            "" if component.uptime_seconds is None else _uptime(component.uptime_seconds),
            "\n".join(component.addresses.values()),
        )
    out.print(table)
    out.print()
    for component in components:
        if component.binary is not None:
            out.print(f"{component.title:<10}  {_origin(component)}", markup=False, soft_wrap=True)
    logs = [Path(component.log) for component in components if component.log]
    if logs:
        names = ",".join(log.stem for log in logs)
        out.print(f"{'Logs':<10}  {_short(logs[0].parent)}/{{{names}}}.log", markup=False, soft_wrap=True)


def _origin(component: ComponentStatus) -> str:
    return f"{component.origin}: {_short(Path(component.binary or ''))}"


def _short(path: Path) -> str:
    """With ``~`` for the home, as people write it."""
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)


def _uptime(seconds: float) -> str:
    """``42 s``, ``3 min``, ``5 h 12 min``, ``3 d 4 h``."""
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if minutes < 1:
        return f"{seconds:.0f} s"
    if hours < 1:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"
