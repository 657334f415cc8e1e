"""Received telemetry without personal data: everything passes here before it is stored.

Whoever sent it may have redacted nothing. What goes: whatever the process's own choke point finds (`Redactor`), here also in
the values of attributes that are ours by name, since anybody may send those; and the values of attributes that are personal by
their name, as in the Collector (`personal_names`). Pseudonyms stay, so that joins and searches work.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from otel_autopilot.local.model import EventRecord, LogRecordRow, MetricPoint, Scope, SpanRecord
from otel_autopilot.telemetry.known_values import MAIL_TEXT, PLACEHOLDER
from otel_autopilot.telemetry.personal_names import is_personal
from otel_autopilot.telemetry.pseudonyms import SHAPE
from otel_autopilot.telemetry.redactor import LONG_INTEGER, REDACTED, RedactionRules, Redactor

#: Nothing personal looks like this, whatever it encodes, and most values do: words and paths in small letters, hexadecimal ids.
_HARMLESS = re.compile(
    r"(?:[A-Z]{1,6} )?[a-z_./]*|[0-9]{1,6}|[0-9]*[a-f][0-9a-f]*|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
)
_PSEUDONYM = re.compile(SHAPE)
#: Texts that are remembered with what became of them, and up to how many characters.
_MOST_REMEMBERED, _LONGEST_REMEMBERED = 8192, 512
_NUMBERS = (int, float)
#: Longest text that is kept, in characters, as in the Collector (``transform_bounds.yaml``). So much beyond it is looked at too: what
#: is cut in two isn't known by its first half any more.
LONGEST_TEXT, _MARGIN = 16_384, 1_024
#: What the texts of one request may take, in seconds of CPU. Ordinary ones that are all different take half a second a megabyte, and
#: those made to take long eight times that.
REQUEST_SECONDS = 5.0
#: What stands for all further texts then.
TOO_MUCH = "[too much to look through]"
#: How deep lists and maps are followed; what lies deeper goes whole.
_DEEPEST = 16


class Redaction:
    """Takes personal data out of records that nobody else holds yet: their attributes are changed in place. Safe with threads."""

    def __init__(self, rules: RedactionRules | None = None, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._request = threading.local()
        self._redactor = Redactor(rules)
        self._kept = frozenset(rules.keep_keys) if rules else frozenset()
        self._harmless = _HARMLESS if rules is None or not rules.patterns else re.compile(r"(?!)")
        self._remembered: dict[str, str] = {}
        self._plain_names: set[str] = set()

    def text(self, text: str) -> str:
        """The text without personal data."""
        found = self._remembered.get(text)
        if found is not None:
            return found
        if len(text) > LONGEST_TEXT:
            return self._cut(text)
        if self._harmless.fullmatch(text) is not None:
            clean = text
        elif self._spent():
            return TOO_MUCH
        else:
            clean = self._redactor.text(text)
        if len(text) <= _LONGEST_REMEMBERED:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[text] = clean
        return clean

    def _cut(self, text: str) -> str:
        """The beginning of a long text, without personal data, and how long the text was."""
        if self._spent():
            return TOO_MUCH
        clean = self._redactor.text(text[: LONGEST_TEXT + _MARGIN])
        kept = LONGEST_TEXT if len(text) <= LONGEST_TEXT + _MARGIN else min(LONGEST_TEXT, len(clean) - _MARGIN)
        return f"{clean[:kept]}... (cut: {len(text)} characters)"

    def _spent(self) -> bool:
        """Whether the request that this thread works on has taken its time."""
        return self._clock() > getattr(self._request, "until", math.inf)

    def _begin(self) -> None:
        """A new request in this thread."""
        self._request.until = self._clock() + REQUEST_SECONDS

    def attributes(self, attributes: dict[str, Any]) -> None:
        """Take personal data out of attributes, in place."""
        plain, remembered = self._plain_names, self._remembered
        special = False
        for key, value in attributes.items():
            if key not in plain and not self._is_plain(key):
                special = True
            elif value.__class__ is str:
                clean = remembered.get(value)
                if clean is None:
                    clean = self.text(value)
                if clean is not value:
                    attributes[key] = clean
            elif not isinstance(value, _NUMBERS) or value >= LONG_INTEGER:
                attributes[key] = self._value(key, value)
        if special:
            self._special(attributes)

    def _is_plain(self, name: str) -> bool:
        """Whether a name is neither personal, nor kept, nor holds personal data itself; then it is remembered."""
        if name in self._kept or self._spent() or is_personal(name) or self.text(name) != name:
            return False
        if len(name) <= _LONGEST_REMEMBERED:
            if len(self._plain_names) >= _MOST_REMEMBERED:
                self._plain_names.clear()
            self._plain_names.add(name)
        return True

    def _special(self, attributes: dict[str, Any]) -> None:
        """Take care of attributes whose name isn't plain."""
        for key in [key for key in attributes if key not in self._plain_names and key not in self._kept]:
            value = attributes.pop(key)
            name, clean = self._pair(key, key, value, 0)
            attributes[name] = clean

    def _pair(self, key: str, whole: str, value: Any, depth: int) -> tuple[str, Any]:
        """Name and value, clean; ``whole`` is the name with those of the maps around it."""
        if self._spent():
            return TOO_MUCH, TOO_MUCH
        if is_personal(key) or is_personal(whole):
            return self.text(key), _replaced(value)
        return self.text(key), self._value(whole, value, depth)

    def _value(self, name: str, value: Any, depth: int = 0) -> Any:
        """A value of any type, clean. Nested maps: ``{"user": {"id": ...}}`` is ``user.id``."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self._bytes(value)
        if not isinstance(value, list | dict):
            return self._redactor.value(value)
        if depth >= _DEEPEST:
            return MAIL_TEXT
        if isinstance(value, list):
            return [self._value(name, item, depth + 1) for item in value]
        return dict(self._pair(key, f"{name}.{key}" if name else key, item, depth + 1) for key, item in value.items())

    def _bytes(self, content: bytes) -> bytes:
        if self._spent():
            return TOO_MUCH.encode()
        clean: bytes = self._redactor.value(content[: LONGEST_TEXT + _MARGIN])
        if len(content) <= LONGEST_TEXT:
            return clean
        kept = LONGEST_TEXT if len(content) <= LONGEST_TEXT + _MARGIN else min(LONGEST_TEXT, len(clean) - _MARGIN)
        return clean[:kept] + b"... (cut: %d bytes)" % len(content)

    def spans(self, spans: list[SpanRecord]) -> list[SpanRecord]:
        """The spans of a request, clean."""
        self._begin()
        shared = _Shared(self)
        return [self._span(span, shared) for span in spans]

    def _span(self, span: SpanRecord, shared: _Shared) -> SpanRecord:
        if span.attributes:
            self.attributes(span.attributes)
        scope = shared.of(span.resource, span.scope)
        name = self.text(span.name)
        message = self.text(span.status_message) if span.status_message else ""
        for link in span.links:
            self.attributes(link.attributes)
        events = tuple(map(self._event, span.events)) if span.events else ()
        if name == span.name and message == span.status_message and scope is span.scope and not events:
            return span
        return replace(span, name=name, status_message=message, scope=scope, events=events)

    def _event(self, event: EventRecord) -> EventRecord:
        self.attributes(event.attributes)
        name = self.text(event.name)
        return event if name == event.name else replace(event, name=name)

    def logs(self, logs: list[LogRecordRow]) -> list[LogRecordRow]:
        """The log records of a request, clean."""
        self._begin()
        shared = _Shared(self)
        return [self._log(log, shared) for log in logs]

    def _log(self, log: LogRecordRow, shared: _Shared) -> LogRecordRow:
        self.attributes(log.attributes)
        body = self._value("", log.body)
        severity, name = self.text(log.severity_text), self.text(log.event_name)
        return replace(log, body=body, severity_text=severity, event_name=name, scope=shared.of(log.resource, log.scope))

    def points(self, points: list[MetricPoint]) -> list[MetricPoint]:
        """The metric points of a request, clean."""
        self._begin()
        shared = _Shared(self)
        return [self._point(point, shared) for point in points]

    def _point(self, point: MetricPoint, shared: _Shared) -> MetricPoint:
        self.attributes(point.attributes)
        for exemplar in point.exemplars:
            self.attributes(exemplar["attributes"])
        texts = [self.text(text) for text in (point.name, point.unit, point.description)]
        scope = shared.of(point.resource, point.scope)
        if texts == [point.name, point.unit, point.description] and scope is point.scope:
            return point
        return replace(point, name=texts[0], unit=texts[1], description=texts[2], scope=scope)


class _Shared:
    """The resources and scopes of one request: each is looked at once."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._resources: set[int] = set()
        self._scopes: dict[int, Scope] = {}

    def of(self, resource: dict[str, Any], scope: Scope) -> Scope:
        """The scope, clean; the resource is changed in place."""
        if id(resource) not in self._resources:
            self._resources.add(id(resource))
            self._redaction.attributes(resource)
        found = self._scopes.get(id(scope))
        if found is None:
            self._redaction.attributes(scope.attributes)
            name, version = self._redaction.text(scope.name), self._redaction.text(scope.version)
            found = scope if name == scope.name and version == scope.version else replace(scope, name=name, version=version)
            self._scopes[id(scope)] = found
        return found


def _replaced(value: Any) -> Any:
    """What stands for a value that is personal by its name: itself where it holds nothing, or is a pseudonym or a placeholder."""
    if value is None or value == "" or isinstance(value, bool):
        return value
    replaced = isinstance(value, str) and (_PSEUDONYM.fullmatch(value) or PLACEHOLDER.fullmatch(value))
    return value if replaced else REDACTED
