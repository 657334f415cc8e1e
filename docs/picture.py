"""Draw the README's picture: the waterfall of a stored trace (``python docs/picture.py TRACE_ID``, after ``make demo``)."""

from __future__ import annotations

import argparse
import io
import re
from pathlib import Path

from rich.console import Console

from otel_autopilot.local.store import TraceStore
from otel_autopilot.local.waterfall import render_waterfall
from otel_autopilot.settings import Settings


def main() -> None:
    """Write docs/waterfall.svg."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trace", help="a trace id or a run id")
    store = TraceStore.open(Settings.load().traces_db)
    spans, logs = store.trace(store.find(parser.parse_args().trace)[0])
    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in render_waterfall(spans, logs, width=100):
        console.print(line, no_wrap=True, overflow="crop")
    picture = console.export_svg(title="otel-autopilot demo")
    # No fonts from other hosts: whoever opens the README asks nobody else for anything.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL).replace("Fira Code, monospace", "monospace")
    (Path(__file__).parent / "waterfall.svg").write_text(picture)


if __name__ == "__main__":
    main()
