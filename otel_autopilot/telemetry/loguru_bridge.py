"""loguru records as OpenTelemetry log records, and the ids of the current trace and span in every loguru record.

The application's own sinks, levels and patcher stay as they are, whether they were set before or will be set after:

- the ids are added to ``extra`` where loguru calls its patcher, before the application's patcher runs;
- the export is one more loguru handler, and it is put back when ``logger.remove()`` or ``logger.configure(handlers=...)`` took
  it away along with the rest.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from loguru import logger
from loguru._logger import Core
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry._logs import LoggerProvider, SeverityNumber, get_logger_provider
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY
from opentelemetry.trace import INVALID_SPAN_CONTEXT, format_span_id, format_trace_id
from opentelemetry.util.types import AnyValue

from otel_autopilot.telemetry import diagnostics, names

if TYPE_CHECKING:
    from loguru import Message, Record

#: How deep nested ``extra`` fields become dotted keys; what lies deeper becomes text.
_DEEPEST = 4

Patcher = Callable[["Record"], None]


def severity_of(level: int) -> SeverityNumber:
    """The OpenTelemetry severity of a loguru level (TRACE 5, DEBUG 10, ... CRITICAL 50), custom levels in between included."""
    if level < 10:
        return SeverityNumber(1 + max(0, level - 5) * 4 // 5)
    return SeverityNumber(
        min(24, 5 + (level - 10) // 10 * 4 + (level % 10) * 4 // 10 if level < 50 else 21 + (level - 50) * 4 // 10)
    )


class _Sink:
    """Emits one log record for each loguru record. It never raises, and is deaf to what is logged while it emits."""

    def __init__(self, provider: LoggerProvider | None = None) -> None:
        self._provider = provider
        self._busy = threading.local()
        self._logger_of = lru_cache(maxsize=1024)(self._make_logger)

    def __reduce__(self) -> tuple[type[_Sink], tuple[()]]:
        return _Sink, ()  # a logger that is pickled for another process uses the provider that it finds there

    def _make_logger(self, name: str) -> Any:
        return (self._provider or get_logger_provider()).get_logger(name)

    def wants(self, record: Record) -> bool:
        """False for what is logged by the export itself: exporting that would log again, and so on."""
        if getattr(self._busy, "now", False) or otel_context.get_value(_SUPPRESS_INSTRUMENTATION_KEY):
            return False
        return not (record["name"] or "").startswith("opentelemetry.")

    def __call__(self, message: Message) -> None:
        record = message.record
        self._busy.now = True
        try:
            self._logger_of(record["name"] or "loguru").emit(
                timestamp=round(record["time"].timestamp() * 1e6) * 1000,
                severity_number=severity_of(record["level"].no),
                severity_text=record["level"].name,
                body=record["message"],
                attributes=attributes_of(record),
            )
        except Exception as error:  # noqa: BLE001 - recorded for `doctor`: logging must not break the application
            diagnostics.keep(f"a log record was not exported: {type(error).__qualname__}")
        finally:
            self._busy.now = False


def attributes_of(record: Record) -> dict[str, AnyValue]:
    """The attributes of a loguru record: where it was logged, by which thread, its exception and its ``extra`` fields."""
    function = record["function"]
    attributes: dict[str, AnyValue] = {
        names.CODE_FUNCTION.name: f"{record['name']}.{function}" if record["name"] else function,
        names.CODE_FILE.name: record["file"].path,
        names.CODE_LINE.name: record["line"],
        names.THREAD_ID.name: record["thread"].id,
        names.THREAD_NAME.name: record["thread"].name,
        names.LOGGER_NAME.name: record["name"] or "",
    }
    exception = record["exception"]
    if exception is not None and exception.type is not None:
        attributes[names.EXCEPTION_TYPE.name] = exception.type.__qualname__
        attributes[names.EXCEPTION_MESSAGE.name] = text_of(exception.value)
        attributes[names.EXCEPTION_STACKTRACE.name] = "".join(
            traceback.format_exception(exception.type, exception.value, exception.traceback)
        )
    for key, value in record["extra"].items():
        if key not in ("trace_id", "span_id"):
            _flatten(key, value, attributes, 0)
    return attributes


def _flatten(key: str, value: object, into: dict[str, AnyValue], depth: int) -> None:
    if value is None:
        return
    if isinstance(value, Mapping) and depth < _DEEPEST:
        for name, inner in value.items():
            _flatten(f"{key}.{name}", inner, into, depth + 1)
    else:
        into[key] = _value(value)


def _value(value: object) -> AnyValue:
    if isinstance(value, str | bool | int | float | bytes):
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Sequence | set | frozenset):
        return [_value(item) if isinstance(item, str | bool | int | float | bytes) else text_of(item) for item in value]
    return text_of(value)


def text_of(value: object) -> str:
    """``str(value)``, or the name of its type where that raises."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - handled: the type's name stands for a value that can't be printed
        return f"<{type(value).__qualname__}>"


class _Patch:
    """What loguru calls as its patcher: adds the ids, sees to the export handler, and calls the application's patcher."""

    def __init__(self, application: Patcher | None) -> None:
        self.application = application

    def __call__(self, record: Record) -> None:
        context = trace.get_current_span().get_span_context()
        known = context if context.is_valid else INVALID_SPAN_CONTEXT
        extra = record["extra"]
        # Empty outside of a span, so that a format with {extra[trace_id]} works everywhere.
        extra.setdefault("trace_id", format_trace_id(known.trace_id) if known.is_valid else "")
        extra.setdefault("span_id", format_span_id(known.span_id) if known.is_valid else "")
        if _bridge is not None:
            _bridge.put_back()
        if self.application is not None:
            self.application(record)


class _BridgedCore(Core):
    """loguru's core with a patcher that always is ours first and the application's second."""

    @property
    def patcher(self) -> Patcher | None:
        patch: Patcher | None = self.__dict__.get("_autopilot_patch")
        return patch

    @patcher.setter
    def patcher(self, application: Patcher | None) -> None:
        self.__dict__["_autopilot_patch"] = _Patch(application)


class _Bridge:
    def __init__(self, provider: LoggerProvider | None, level: str | int) -> None:
        self._core: Any = logger._core  # type: ignore[attr-defined]
        self._sink = _Sink(provider)
        self._level = level
        self._lock = threading.Lock()
        self._handler = self._add()
        application = self._core.__dict__.pop("patcher", None)
        self._core.__class__ = _BridgedCore
        self._core.patcher = application

    def _add(self) -> int:
        return logger.add(
            self._sink,
            level=self._level,
            format=_no_format,
            filter=self._sink.wants,
            colorize=False,
            backtrace=False,
            diagnose=False,
        )

    def put_back(self) -> None:
        """Add the handler again where the application has removed all handlers."""
        if self._handler not in self._core.handlers:
            with self._lock:
                if self._handler not in self._core.handlers:
                    self._handler = self._add()

    def remove(self) -> None:
        patch = self._core.patcher
        self._core.__class__ = Core
        self._core.__dict__.pop("_autopilot_patch", None)
        self._core.patcher = patch.application
        if self._handler in self._core.handlers:
            logger.remove(self._handler)


def _no_format(_: Record) -> str:
    return ""


_lock = threading.Lock()
_bridge: _Bridge | None = None


def install(logger_provider: LoggerProvider | None = None, *, level: str | int = 0) -> None:
    """Export what loguru logs, and add ``trace_id`` and ``span_id`` to every record's ``extra``; a second call replaces the first.

    Arguments:
        logger_provider: where log records go; default: the one that is set globally.
        level: records below this level aren't exported; loguru's names or numbers. Default: everything.
    """
    global _bridge
    with _lock:
        if _bridge is not None:
            _bridge.remove()
        _bridge = None
        _bridge = _Bridge(logger_provider, level)


def uninstall() -> None:
    """Undo `install`; without one, this does nothing."""
    global _bridge
    with _lock:
        bridge, _bridge = _bridge, None
        if bridge is not None:
            bridge.remove()
