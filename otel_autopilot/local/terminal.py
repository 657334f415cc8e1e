"""The terminal: how wide it is, whether it has colours, whether it can show more than ASCII."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from rich.console import Console

from otel_autopilot.local.model import LogRecordRow, SpanRecord
from otel_autopilot.local.visible import escaped
from otel_autopilot.local.waterfall import ASCII, UNICODE, Glyphs, render_waterfall


def console(*, stderr: bool = False) -> Console:
    """A console on stdout (or stderr): colours where a terminal has them and NO_COLOR is unset, COLUMNS respected."""
    return Console(stderr=stderr, highlight=False, soft_wrap=False)


def glyphs_of(out: Console) -> Glyphs:
    """What the output's encoding can show."""
    encoding = (getattr(out.file, "encoding", None) or sys.stdout.encoding or "ascii").lower().replace("-", "")
    return UNICODE if encoding.startswith("utf") else ASCII


def json_text(value: object) -> str:
    """JSON in one line, as text where the output can hold it and with escapes where it can't, or where a terminal would obey it."""
    return escaped(json.dumps(value, ensure_ascii=not (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")))


def print_trace(spans: Sequence[SpanRecord], logs: Sequence[LogRecordRow], out: Console) -> None:
    """Print the waterfall of one trace."""
    for line in render_waterfall(spans, logs, width=out.width, glyphs=glyphs_of(out)):
        out.print(line, no_wrap=True, overflow="crop", soft_wrap=True)
