"""Received telemetry without personal data: everything passes here before it is stored.

Whoever sent it may have redacted nothing. What goes: whatever the process's own choke point finds (`Redactor`), here also in
the values of attributes that are ours by name, since anybody may send those; and the values of attributes that are personal by
their name, as in the Collector (`personal_names`). Pseudonyms stay, so that joins and searches work.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from otel_autopilot.local.model import EventRecord, LogRecordRow, MetricPoint, Scope, SpanRecord
from otel_autopilot.telemetry.known_values import PLACEHOLDER
from otel_autopilot.telemetry.personal_names import is_personal
from otel_autopilot.telemetry.pseudonyms import SHAPE
from otel_autopilot.telemetry.redactor import REDACTED, RedactionRules, Redactor

#: Nothing personal looks like this, whatever it encodes, and most values do: words and paths in small letters, hexadecimal ids.
_HARMLESS = re.compile(
    r"(?:[A-Z]{1,6} )?[a-z_./]*|[0-9]{1,6}|[0-9]*[a-f][0-9a-f]*|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
)
_PSEUDONYM = re.compile(SHAPE)
#: Texts that are remembered with what became of them, and up to how many characters.
_MOST_REMEMBERED, _LONGEST_REMEMBERED = 8192, 512
_NUMBERS = frozenset({bool, float})


class Redaction:
    """Takes personal data out of records that nobody else holds yet: their attributes are changed in place. Safe with threads."""

    def __init__(self, rules: RedactionRules | None = None) -> None:
        self._redactor = Redactor(rules)
        self._kept = frozenset(rules.keep_keys) if rules else frozenset()
        self._harmless = _HARMLESS if rules is None or not rules.patterns else re.compile(r"(?!)")
        self._remembered: dict[str, str] = {}

    def text(self, text: str) -> str:
        """The text without personal data."""
        found = self._remembered.get(text)
        if found is not None:
            return found
        if self._harmless.fullmatch(text) is not None:
            return text
        clean = self._redactor.text(text)
        if len(text) <= _LONGEST_REMEMBERED:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[text] = clean
        return clean

    def attributes(self, attributes: dict[str, Any]) -> None:
        """Take personal data out of attributes, in place."""
        renamed: list[str] = []
        for key, value in attributes.items():
            if key in self._kept:
                continue
            if self.text(key) != key:
                renamed.append(key)
            if is_personal(key):
                attributes[key] = _replaced(value)
            elif value.__class__ is str:
                attributes[key] = self.text(value)
            elif value.__class__ not in _NUMBERS:
                attributes[key] = self._redactor.value(self._by_name(key, value))
        for key in renamed:
            attributes[self.text(key)] = attributes.pop(key)

    def _by_name(self, name: str, value: Any) -> Any:
        """Nested maps: ``{"user": {"id": ...}}`` is ``user.id``."""
        if isinstance(value, list):
            return [self._by_name(name, item) for item in value]
        if not isinstance(value, dict):
            return value
        found = {}
        for key, item in value.items():
            whole = f"{name}.{key}" if name else key
            found[key] = _replaced(item) if is_personal(key) or is_personal(whole) else self._by_name(whole, item)
        return found

    def spans(self, spans: list[SpanRecord]) -> list[SpanRecord]:
        """The spans of a request, clean."""
        shared = _Shared(self)
        return [self._span(span, shared) for span in spans]

    def _span(self, span: SpanRecord, shared: _Shared) -> SpanRecord:
        self.attributes(span.attributes)
        shared.resource(span.resource)
        scope = shared.scope(span.scope)
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
        shared = _Shared(self)
        return [self._log(log, shared) for log in logs]

    def _log(self, log: LogRecordRow, shared: _Shared) -> LogRecordRow:
        self.attributes(log.attributes)
        shared.resource(log.resource)
        body = self.text(log.body) if isinstance(log.body, str) else self._redactor.value(self._by_name("", log.body))
        severity, name = self.text(log.severity_text), self.text(log.event_name)
        return replace(log, body=body, severity_text=severity, event_name=name, scope=shared.scope(log.scope))

    def points(self, points: list[MetricPoint]) -> list[MetricPoint]:
        """The metric points of a request, clean."""
        shared = _Shared(self)
        return [self._point(point, shared) for point in points]

    def _point(self, point: MetricPoint, shared: _Shared) -> MetricPoint:
        self.attributes(point.attributes)
        for exemplar in point.exemplars:
            self.attributes(exemplar["attributes"])
        shared.resource(point.resource)
        texts = [self.text(text) for text in (point.name, point.unit, point.description)]
        scope = shared.scope(point.scope)
        if texts == [point.name, point.unit, point.description] and scope is point.scope:
            return point
        return replace(point, name=texts[0], unit=texts[1], description=texts[2], scope=scope)


class _Shared:
    """The resources and scopes of one request: each is looked at once."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._resources: set[int] = set()
        self._scopes: dict[int, Scope] = {}

    def resource(self, resource: dict[str, Any]) -> None:
        if id(resource) not in self._resources:
            self._resources.add(id(resource))
            self._redaction.attributes(resource)

    def scope(self, scope: Scope) -> Scope:
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
