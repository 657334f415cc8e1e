"""The commands, one module each."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of ``otel-autopilot``: exit code 0 when all went well, 1 when some did not, 2 for wrong use."""
    try:
        from otel_autopilot.cli.app import run
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"otel-autopilot: the commands need more than the library: {error.name} is missing. "
            "Install them with: pip install 'otel-autopilot[all]'\n"
        )
        raise SystemExit(2) from error
    run()
