"""From a value to a value that may leave the process."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from otel_autopilot.telemetry import encodings, names, patterns
from otel_autopilot.telemetry.known_values import MAIL_TEXT, Found, KnownValues, Placeholders, replace

#: What stands for the finds of a rule that a user added.
REDACTED = "[redacted]"
#: Attributes whose values pass as they are: declared in `names` as numbers, our own enums, hashes or pseudonyms.
SAFE_KEYS = frozenset(declared.name for declared in vars(names).values() if isinstance(declared, names.Attribute) and declared.safe)
#: Texts that are ours: names of spans, of our scope, and of the event of an exception.
SAFE_TEXTS = frozenset(
    {*(span.name for span in names.SPANS), *(metric.name for metric in names.METRICS), names.SCOPE, "exception", ""}
)

#: What an address has around its "@", however short it is: enough to tell one from bytes that are no text.
_AT = re.compile(r"[^\s\0\ufffd]@\w[\w.-]{2}")
#: Seven digits, which a telephone number or a payment card has at least.
_NUMBER = re.compile(
    r"\d[\s().\u00a0/-]*\d[\s().\u00a0/-]*\d[\s().\u00a0/-]*\d[\s().\u00a0/-]*\d[\s().\u00a0/-]*\d[\s().\u00a0/-]*\d"
)
#: How deep sequences and maps are followed; what lies deeper goes whole.
_DEEPEST = 16
#: Whole numbers from here on may be payment cards.
LONG_INTEGER = 10**12

#: Statements and routes come again and again: texts up to this length in which no pattern matched, and how many, are remembered.
_LONGEST_REMEMBERED = 1024
_MOST_REMEMBERED = 2048


@dataclass(frozen=True)
class RedactionRules:
    """What a user adds to the policy.

    Attributes:
        patterns: further things to remove: expressions, or a map from replacement to expression.
        keep_keys: keys of attributes whose values pass as they are, known values included. Use it for values that can't be
            personal; whatever is put there does leave the process.
    """

    patterns: Sequence[str | re.Pattern[str]] | Mapping[str, str | re.Pattern[str]] = ()
    keep_keys: Iterable[str] = field(default_factory=frozenset)


class Redactor:
    """Removes personal data and secrets from texts and from values of any type. Pure, and it never raises.

    What it returns, it leaves alone when it sees it again.
    """

    def __init__(self, rules: RedactionRules | None = None) -> None:
        rules = rules or RedactionRules()
        self.keep_keys = SAFE_KEYS | frozenset(rules.keep_keys)
        given = rules.patterns.items() if isinstance(rules.patterns, Mapping) else ((REDACTED, one) for one in rules.patterns)
        self._clean: set[str] = set()
        self._added = tuple((re.compile(expression), replacement) for replacement, expression in given)

    def text(self, text: str, known: KnownValues | None = None) -> str:
        """The text without personal data: the mail's known values, then what looks like an address, a number, a secret."""
        if text in SAFE_TEXTS:
            return text
        try:
            # A replacement can bring two halves of something together, so look until nothing is found.
            for _ in range(4):
                found = self._find(text, known)
                if not found:
                    return text
                text = replace(text, found)
        except Exception:  # noqa: BLE001 - handled: a text that can't be looked through is not let out
            return MAIL_TEXT
        return text

    def _find(self, text: str, known: KnownValues | None) -> list[Found]:
        if known:
            found = known.find_all(text)
            if found:
                return found  # patterns see the text without them: a subject may hold a number
        if text in self._clean:
            return []
        found = self._find_patterns(text)
        if not found and len(text) <= _LONGEST_REMEMBERED:
            if len(self._clean) >= _MOST_REMEMBERED:
                self._clean.clear()
            self._clean.add(text)
        return found

    def _find_patterns(self, text: str) -> list[Found]:
        found = self._plain(text)
        for unescaped in encodings.unescape(text):
            found += [(*unescaped.source_span(start, end), by) for start, end, by in self._plain(unescaped.text)]
        for start, end, decoded in encodings.encoded_words(text):
            found += [(start, end, by) for _, _, by in self._plain(decoded)[:1]]
        hidden = encodings.base64_text(text)
        if hidden and (_AT.search(hidden) or _NUMBER.search(hidden)):
            for start, end, decoded in encodings.base64_runs(text):
                found += [(start, end, by) for _, _, by in self._personal(decoded)[:1]]
        if not found:
            return found
        kept = Placeholders(text)
        return [one for one in found if not kept.touch(one[0], one[1])]

    def _plain(self, text: str) -> list[Found]:
        found: list[Found] = []
        for expression, replacement in self._added:
            found += [(*match.span(), replacement) for match in expression.finditer(text) if match.group()]
        found += patterns.emails(text)
        if _NUMBER.search(text) is not None:
            found += [*patterns.cards(text), *patterns.phones(text)]
        found += patterns.tokens(text)
        found += patterns.opaque_tokens(text)
        return found

    def _personal(self, text: str) -> list[Found]:
        """What is looked for in bytes that may be no text at all: only what can't be there by chance."""
        if "\N{REPLACEMENT CHARACTER}" in text or not text.isprintable():
            text = " ".join(re.findall(r"[^\x00-\x1f\x7f-\x9f\ufffd]{6,}", text))
        return [*patterns.emails(text), *patterns.cards(text), *patterns.phones(text)]

    def value(self, value: Any, known: KnownValues | None = None, depth: int = 0) -> Any:
        """A value of an attribute or a log body of whatever type, without personal data; the same object when it has none."""
        if isinstance(value, str):
            return self.text(value, known)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, float):
            return self.value(int(value)) if value >= LONG_INTEGER and _is_card(value) else value
        if isinstance(value, int):
            return self.text(str(value)) if value >= LONG_INTEGER and _is_card(value) else value
        if isinstance(value, bytes | bytearray | memoryview):
            return self._bytes(bytes(value), known)
        if depth >= _DEEPEST:
            return MAIL_TEXT
        try:
            if isinstance(value, Mapping):
                cleaned = {self._key(key, known): self.value(item, known, depth + 1) for key, item in value.items()}
                return value if all(key in value and cleaned[key] is value[key] for key in cleaned) else cleaned
            if isinstance(value, Sequence):
                items = [self.value(item, known, depth + 1) for item in value]
                return value if all(new is old for new, old in zip(items, value, strict=True)) else tuple(items)
            return self.text(str(value), known)
        except Exception:  # noqa: BLE001 - handled: a value that can't be looked through is not let out
            return MAIL_TEXT

    def _key(self, key: object, known: KnownValues | None) -> str:
        return self.text(key if isinstance(key, str) else str(key), known)

    def _bytes(self, content: bytes, known: KnownValues | None) -> bytes:
        for encoding in ("utf-8", "latin-1"):
            try:
                text = content.decode(encoding)
            except UnicodeDecodeError:
                continue
            cleaned = self.text(text, known)
            return content if cleaned == text else cleaned.encode(encoding, "replace")
        return MAIL_TEXT.encode()

    def attributes(self, attributes: Mapping[str, Any], known: KnownValues | None = None) -> dict[str, Any] | None:
        """Attributes without personal data, or None when there is nothing to change in them."""
        cleaned: dict[str, Any] | None = None
        for key, value in attributes.items():
            if key in self.keep_keys:
                continue
            new_key = self.text(key, known)
            plain = value.__class__ is bool or (value.__class__ is float and not value >= LONG_INTEGER)
            new = value if plain else self.value(value, known)
            if new is not value or new_key != key:
                if cleaned is None:
                    cleaned = dict(attributes)
                if new_key != key:
                    del cleaned[key]
                cleaned[new_key] = new
        return cleaned


def _is_card(number: int | float) -> bool:
    """Whether a number is the number of a payment card. A double holds one of 16 digits as it is."""
    return (isinstance(number, int) or number.is_integer()) and next(patterns.cards(str(int(number))), None) is not None
