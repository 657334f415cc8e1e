"""loguru records as lines, for people or as JSON, without personal data."""

from __future__ import annotations

import json
import time
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from otel_autopilot.telemetry import known_values
from otel_autopilot.telemetry.flood import FloodLimit
from otel_autopilot.telemetry.known_values import KnownValues
from otel_autopilot.telemetry.log_levels import Levels
from otel_autopilot.telemetry.loguru_bridge import text_of
from otel_autopilot.telemetry.redactor import Redactor

if TYPE_CHECKING:
    from loguru import Record


class Lines:
    """Turns loguru records into lines without personal data, for one sink."""

    def __init__(self, levels: Levels, flood: FloodLimit | None, redactor: Redactor, *, as_json: bool, colors: bool) -> None:
        self._levels = levels
        self._flood = flood
        self._redactor = redactor
        self._json = as_json
        self._colors = colors
        self.key = f"autopilot_{id(self):x}"

    def wants(self, record: Record) -> bool:
        """Whether the record is written: its level, then the flood limit."""
        if record["level"].no < self._levels.of(record["name"] or ""):
            return False
        return self._flood is None or self._flood.passes(record["file"].path, record["line"])

    def format(self, record: Record) -> str:
        """loguru's format: the finished text waits in the record, under a key of this sink."""
        known = known_values.current()
        lines = [self._notice(*told) for told in (self._flood.suppressed() if self._flood is not None else ())]
        lines.append(self._as_json(record, known) if self._json else self._for_people(record, known))
        record[self.key] = "\n".join(lines)  # type: ignore[literal-required]
        return f"{{{self.key}}}\n"

    def rest(self) -> str:
        """Notices that are due at the end."""
        told = self._flood.suppressed(all_of_them=True) if self._flood is not None else []
        return "".join(f"{self._notice(*one)}\n" for one in told)

    def _notice(self, file: str, line: int, number: int) -> str:
        text = f"suppressed {number} more records of {file}:{line}"
        if not self._json:
            return f"{time.strftime('%Y-%m-%d %H:%M:%S')}.000 | WARNING  | {text}"
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return json.dumps({"time": now, "level": "WARNING", "message": text, "suppressed": number, "file": file, "line": line})

    def _clean(self, text: str, known: KnownValues | None) -> str:
        return self._redactor.text(text, known)

    def _for_people(self, record: Record, known: KnownValues | None) -> str:
        level = f"{record['level'].name:<8}"
        if self._colors:
            color = (
                "31" if record["level"].no >= 40 else "33" if record["level"].no >= 30 else "36" if record["level"].no < 20 else "1"
            )
            level = f"\x1b[{color}m{level}\x1b[0m"
        pieces = [
            f"{record['time']:%Y-%m-%d %H:%M:%S}.{record['time'].microsecond // 1000:03d}", level,
            f"{record['name']}:{record['line']}", self._clean(record["message"], known),
        ]  # fmt: skip
        shown = " ".join(
            f"{key}={self._clean(text_of(value), known)}"
            for key, value in record["extra"].items()
            if key not in ("trace_id", "span_id")
        )
        context = trace.get_current_span().get_span_context()
        if shown:
            pieces.append(shown)
        if context.is_valid:
            pieces.append(f"trace={context.trace_id:032x}")
        text = " | ".join(pieces)
        stack = _stack(record)
        return f"{text}\n{self._clean(stack.rstrip(), known)}" if stack else text

    def _as_json(self, record: Record, known: KnownValues | None) -> str:
        line: dict[str, Any] = {
            "time": record["time"].astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "level": record["level"].name,
            "message": self._clean(record["message"], known),
            "logger": record["name"],
            "function": record["function"],
            "file": record["file"].path,
            "line": record["line"],
            "process": record["process"].id,
            "thread": self._clean(record["thread"].name, known),
        }
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            line["trace_id"], line["span_id"] = f"{context.trace_id:032x}", f"{context.span_id:016x}"
        extra = {key: value for key, value in record["extra"].items() if key not in ("trace_id", "span_id")}
        if extra:
            line["extra"] = self._redactor.value(extra, known)
        exception = record["exception"]
        if exception is not None and exception.type is not None:
            line["exception"] = {
                "type": exception.type.__qualname__,
                "message": self._clean(text_of(exception.value), known),
                "stacktrace": self._clean(_stack(record), known),
            }
        try:
            return json.dumps(line, default=lambda value: self._clean(text_of(value), known), ensure_ascii=False)
        except (TypeError, ValueError, RecursionError):
            line.pop("extra", None)
            return json.dumps(line, default=lambda value: self._clean(text_of(value), known))


def _stack(record: Record) -> str:
    exception = record["exception"]
    if exception is None or exception.type is None:
        return ""
    return "".join(traceback.format_exception(exception.type, exception.value, exception.traceback))
