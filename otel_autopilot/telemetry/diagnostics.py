"""What telemetry has to say about itself, kept for `doctor` instead of written to somebody's stderr."""

from __future__ import annotations

import logging
from collections import deque

#: The latest warnings, oldest first.
_kept: deque[str] = deque(maxlen=100)


class _Keep(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        keep(f"{record.name}: {record.getMessage()}")


_handler = _Keep(logging.WARNING)


def keep(message: str) -> None:
    """Keep a warning; the same text twice in a row is kept once."""
    if not _kept or _kept[-1] != message:
        _kept.append(message)


def warnings() -> tuple[str, ...]:
    """The warnings kept so far in this process."""
    return tuple(_kept)


def silence_sdk() -> None:
    """Send the SDK's own log records here. Without a handler Python would print them on the application's stderr."""
    logger = logging.getLogger("opentelemetry")
    if _handler not in logger.handlers:
        logger.addHandler(_handler)
    logger.propagate = False
