"""Traces in a table: when, how it ended, how long, and where the time went."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from otel_autopilot.local.summary import TraceSummary
from otel_autopilot.local.terminal import glyphs_of
from otel_autopilot.local.tree import STAGES
from otel_autopilot.local.visible import visible
from otel_autopilot.local.waterfall import COLOURS, duration

_BAR = 16


def print_list(rows: Sequence[TraceSummary], out: Console) -> None:
    """Print the table, newest first."""
    wide = out.width >= 120
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("started", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("stages", no_wrap=True)
    table.add_column("run or trace", no_wrap=True)
    if wide:
        table.add_column("trace", no_wrap=True, style="dim")
        table.add_column("spans", justify="right", no_wrap=True, style="dim")
        table.add_column("name", no_wrap=True, overflow="ellipsis")
    glyph = glyphs_of(out).work
    for row in rows:
        started = datetime.fromtimestamp(row.start_unix_nano / 1e9).astimezone()
        outcome = row.outcome or ("failed" if row.errors else "running" if row.under_way else "ok")
        style = {"success": "green", "ok": "green", "rejected": "yellow", "running": "cyan"}.get(outcome, "red")
        cells: list[str | Text] = [
            f"{started:%m-%d %H:%M:%S}", Text(visible(outcome), style=style), duration(row.end_unix_nano - row.start_unix_nano), _stages(row, glyph),
            Text(visible((row.run_id or row.trace_id)[:12])),
        ]  # fmt: skip
        if wide:
            cells += [row.trace_id[:16], str(row.spans), Text(visible(row.name))]
        table.add_row(*cells)
    out.print(table)


def _stages(row: TraceSummary, glyph: str) -> Text:
    """A bar in which each stage has its share."""
    bar = Text()
    total = sum(row.stages.values())
    for stage in STAGES:
        seconds = row.stages.get(stage, 0.0)
        if total > 0 and seconds > 0:
            bar.append(glyph * max(1, round(_BAR * seconds / total)), style=COLOURS[stage][0])
    return bar
