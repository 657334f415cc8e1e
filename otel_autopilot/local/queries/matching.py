"""Free text in what is stored: a condition that SQLite checks, and the exact look at what it lets through."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from otel_autopilot.telemetry import pseudonyms

#: Values deeper than this aren't looked at.
_MOST_LEVELS = 40


@dataclass(frozen=True)
class Text:
    """Text to look for, whatever its case; an address or Message-ID also as the pseudonym that stands for it in what is stored."""

    folded: tuple[str, ...]
    patterns: tuple[str, ...]
    """For ``LIKE ... ESCAPE '\\'``: as it stands in text, and as it is escaped in the store's JSON."""

    @classmethod
    def of(cls, wanted: str) -> Text:
        """The text as a person typed it."""
        name = wanted.strip(" <>")
        begin, at, end = name.partition("@")
        stand_for = pseudonyms.candidates(name) if begin and at and end and len(name.split()) == 1 else ()
        # LIKE knows upper and lower case of ASCII alone, and JSON in the store escapes everything else.
        spellings = {wanted} if wanted.isascii() else {wanted, wanted.lower(), wanted.upper(), wanted.title()}
        forms = {*stand_for} | {form for spelling in spellings for form in (spelling, json.dumps(spelling)[1:-1])}
        return cls((wanted.casefold(), *stand_for), tuple(sorted(f"%{_escaped(form)}%" for form in forms)))

    def condition(self, *columns: str) -> tuple[str, list[str]]:
        """A condition that is true where one of the columns may hold the text, and its values."""
        likes = [f"{column} LIKE ? ESCAPE '\\'" for column in columns for _ in self.patterns]
        return f"({' OR '.join(likes)})", [pattern for _ in columns for pattern in self.patterns]

    def within(self, values: Iterable[Any]) -> bool:
        """Whether one of the values, or a key or value inside of them, holds the text."""
        stack = [(value, 0) for value in values]
        while stack:
            value, level = stack.pop()
            if isinstance(value, str):
                if self._in(value):
                    return True
            elif isinstance(value, dict):
                if level < _MOST_LEVELS:
                    stack += [(item, level + 1) for pair in value.items() for item in pair]
            elif isinstance(value, list | tuple):
                if level < _MOST_LEVELS:
                    stack += [(item, level + 1) for item in value]
            elif value is not None and not isinstance(value, bytes) and self._in(str(value)):
                return True
        return False

    def _in(self, value: str) -> bool:
        held = value.casefold()
        return any(form in held for form in self.folded)


def _escaped(form: str) -> str:
    return form.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
