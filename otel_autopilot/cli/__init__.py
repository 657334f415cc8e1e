"""The commands, one module each."""

from __future__ import annotations

import sys
from importlib.util import find_spec


def main() -> None:
    """Entry point of ``otel-autopilot``: exit code 0 when all went well, 1 when some did not, 2 for wrong use."""
    try:
        from otel_autopilot.cli.app import run

        missing = _missing()
        if missing is not None:
            raise ModuleNotFoundError(name=missing)
    except ModuleNotFoundError as error:
        from otel_autopilot.cli.extras import missing_message, run_with_extras

        code = run_with_extras()
        if code is None:
            sys.stderr.write(missing_message(error.name))
            code = 2
        raise SystemExit(code) from error
    run()


def _missing() -> str | None:
    """One module of each extra, found without importing it: a library-only installation lacks them."""
    return next((name for name in ("typer", "pypdfium2", "dbos") if find_spec(name) is None), None)
