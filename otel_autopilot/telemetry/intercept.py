"""The standard library's logging, handed on to loguru."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from loguru import logger

if TYPE_CHECKING:
    from loguru import Record


class InterceptHandler(logging.Handler):
    """Hands records of the standard library's logging to loguru, as logged where they were logged."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record with loguru; an error goes to `logging.Handler.handleError`, as with every handler."""
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno
        try:
            message = record.getMessage()

            def where(written: Record) -> None:
                written["name"] = record.name
                written["function"] = record.funcName or ""
                written["line"] = record.lineno
                written["module"] = record.module
                written["file"] = type(written["file"])(record.filename, record.pathname)  # type: ignore[call-arg]  # the stubs have no __init__

            logger.patch(where).opt(exception=record.exc_info).log(level, "{}", message)
        except Exception:  # noqa: BLE001 - the contract of logging.Handler: report, don't raise
            self.handleError(record)
