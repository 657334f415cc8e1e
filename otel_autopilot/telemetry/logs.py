"""Logging for production, on request: levels by module, people or JSON lines, rotation, floods limited, nothing personal."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from loguru import logger

from otel_autopilot.errors import SettingsError
from otel_autopilot.telemetry.flood import FloodLimit
from otel_autopilot.telemetry.intercept import InterceptHandler
from otel_autopilot.telemetry.log_levels import parse_levels
from otel_autopilot.telemetry.log_lines import Lines
from otel_autopilot.telemetry.redactor import RedactionRules, Redactor

#: Records of one source line that are written in a second, unless the set-up says otherwise.
FLOOD_PER_LINE_PER_SECOND = 50


class LoggingSetup:
    """What `setup_logging` set up. `undo` takes it back."""

    def __init__(self, handlers: list[int], lines: Lines, write_rest: Callable[[str], object]) -> None:
        self._handlers = handlers
        self._lines = lines
        self._write_rest = write_rest
        root = logging.getLogger()
        self._root = (root.level, list(root.handlers))

    def undo(self) -> None:
        """Remove our sink and put the standard library's root logger back as it was; a second call does nothing."""
        atexit.unregister(self.undo)
        rest = self._lines.rest()
        if rest and self._handlers:
            self._write_rest(rest)
        for handler in self._handlers:
            with contextlib.suppress(ValueError):  # the application has removed it
                logger.remove(handler)
        self._handlers = []
        root = logging.getLogger()
        if any(isinstance(handler, InterceptHandler) for handler in root.handlers):
            root.handlers[:] = self._root[1]
            root.setLevel(self._root[0])


def setup_logging(
    level: str = "INFO",
    file: str | Path | None = None,
    json: bool | None = None,
    rotation: str = "50 MB",
    retention: int = 10,
    flood_per_line_per_second: int | None = FLOOD_PER_LINE_PER_SECOND,
    rules: RedactionRules | None = None,
    stream: TextIO | None = None,
) -> LoggingSetup:
    """Set logging up for production; loguru's own sink on stderr gives way to this one, sinks of the application stay.

    Records of the standard library's logging go to loguru too, and with `loguru_bridge.install` on to OpenTelemetry.

    Arguments:
        level: lowest level, and ``module=LEVEL`` pairs separated by commas; see `parse_levels`.
        file: where lines go (mode 0600, rotated); default: stderr.
        json: JSON lines rather than text for people; default: True with ``file``.
        rotation: size or age at which a new file is begun, as loguru reads it: "50 MB", "1 day", "00:00".
        retention: how many rotated files are kept.
        flood_per_line_per_second: records of one source line written in a second; how many more there were is written as a
            record of its own. None: no limit.
        rules: what the redaction removes or keeps besides its own patterns.
        stream: another stream than stderr.

    Raises SettingsError for a level that doesn't exist or a file that can't be written.
    """
    file = Path(file) if file is not None else None
    levels = parse_levels(level)
    flood = FloodLimit(flood_per_line_per_second) if flood_per_line_per_second is not None else None
    out = stream or sys.stderr
    colors = file is None and hasattr(out, "isatty") and out.isatty() and "NO_COLOR" not in os.environ
    lines = Lines(levels, flood, Redactor(rules), as_json=(file is not None) if json is None else json, colors=colors)
    how: dict[str, Any] = {
        "level": levels.lowest, "format": lines.format, "filter": lines.wants,
        "colorize": False, "backtrace": False, "diagnose": False,
    }  # fmt: skip
    if file is None:
        handler = logger.add(out, **how)
        write_rest: Callable[[str], object] = out.write
    else:
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handler = logger.add(file, rotation=rotation, retention=retention, opener=_open_private, encoding="utf-8", **how)
            file.chmod(0o600)
        except OSError as error:
            raise SettingsError(f"AUTOPILOT_LOG_FILE: expected a file that can be written, got {file}: {error.strerror}") from error
        except ValueError as error:
            raise SettingsError(f"log rotation: expected a size or an age such as '50 MB' or '1 day', got {rotation!r}") from error
        write_rest = _append_to(file)
    with contextlib.suppress(ValueError):  # the application has removed it
        logger.remove(0)  # the sink on stderr that loguru begins with
    setup = LoggingSetup([handler], lines, write_rest)
    atexit.register(setup.undo)  # what was suppressed last is told
    root = logging.getLogger()
    root.handlers[:] = [InterceptHandler()]
    root.setLevel(levels.lowest)
    return setup


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _append_to(file: Path) -> Callable[[str], object]:
    def append(text: str) -> None:
        with os.fdopen(_open_private(str(file), os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a", encoding="utf-8") as opened:
            opened.write(text)

    return append
