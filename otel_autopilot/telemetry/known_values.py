"""The values of one mail that must not leave the process: free text has no pattern, so the pipeline says what it is.

A `KnownValues` lives in the OpenTelemetry context while a mail is worked on (`attach`), the stages add to it (`learn`), and
the redaction removes what it holds from everything that was emitted meanwhile. What is looked for, of each value:

- an address or a Message-ID: the whole, and its local part when that has five characters or more and isn't a common word;
- any other text (subject, name, file name): the whole; without prefixes such as ``Re:`` or ``[list]``; ``Doe, Jane`` also as
  ``Jane Doe``; of a file name of several words also the part before the extension; of 32 characters or more also the first 24
  and what follows as far as it agrees, so that a shortened quote is found;
- case, blanks, ``_`` and ``+`` between words, and Unicode composition make no difference;
- plain, or in one level of percent, quoted-printable, HTML, JSON or Python escapes, base64, or encoded words.

A value of fewer than four characters, or of one common word (Python's, our schema's, a few dozen of English), is removed only
where it is the whole string: everything else would be full of holes.
"""

from __future__ import annotations

import builtins
import keyword
import re
import threading
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from otel_autopilot.telemetry import encodings, names, pseudonyms

#: Where the known values live in the OpenTelemetry context.
KEY = otel_context.create_key("autopilot-known-values")
#: What stands for a known text.
MAIL_TEXT = "[mail text]"
#: What stands for anything that was removed. Nothing is ever looked for inside of these.
PLACEHOLDER = re.compile(rf"\[(?:mail text|phone|card|token|redacted|email:{pseudonyms.SHAPE})\]")

#: Shortest value, in characters, that is looked for inside a longer string.
SHORTEST = 4
#: Shortest local part of an address that is looked for by itself.
SHORTEST_LOCAL_PART = 5
#: Values of ASCII letters shorter than this count only between word boundaries.
BOUNDED_BELOW = 12
#: Values from this length on are also found when only their first `HEAD` characters are there.
LONG, HEAD = 32, 24

#: Texts of one mail's telemetry that are remembered to hold none of its values.
_MOST_CLEAN = 256

_PREFIX = re.compile(
    r"^(?:\s*(?:re|fwd?|aw|wg|sv|vs|antw|tr|rif|ref|res|enc|odp|pd|回复|转发|答复)\s*(?:\[\d+\]|\(\d+\))?\s*[:\uff1a]"
    r"|\s*\[[^\]]{1,60}\])+\s*",
    re.IGNORECASE,
)
_MAILBOX = re.compile(r"^\s*\"?(.*?)\"?\s*<([^<>]+)>\s*$", re.S)
_COMMON_ENGLISH = """
    about account action address admin agenda alert announcement answer application attached attachment bill body call change
    changes check code come confirm confirmation confirmed contact contract data date dear details digest document documents
    done draft email error event example failed fail failure fax feedback file files final first follow form free from hallo
    hello help here hey home image important inbox info information invitation invoice issue join last latest letter link list
    login mail meeting member message messages money monday more name need news newsletter next none noreply note notes notice
    notification null number office offer online open order orders page part password payment people photo photos picture
    please pleased plan post postmaster press price private problem program project proposal question questions quick ready
    receipt recipient reminder remote reply report reports request required response result results return review root sale
    sales save schedule security sender sent server service services session shipping sign spam start statement status subject
    submit success summary support survey system task team test testing text thank thanks this ticket time timeout title today
    tomorrow training type undefined unknown untitled update updates upgrade urgent user users value version video warning web
    webmaster week weekly welcome with work world yesterday your
"""


@cache
def _common() -> frozenset[str]:
    """Words too common to be looked for inside of other strings."""
    words = {*_COMMON_ENGLISH.split(), *keyword.kwlist, *dir(builtins)}
    for declared in vars(names).values():
        if isinstance(declared, names.Attribute | names.SpanName | names.Metric):
            words.update(re.findall(r"\w+", f"{declared.name} {declared.brief}"))
    return frozenset(word.casefold() for word in words)


def canonical(text: str) -> str:
    """The form in which values and texts are compared: case-folded, every run of blanks, ``_`` and ``+`` one space."""
    return " ".join(text.replace("_", " ").replace("+", " ").casefold().split())


@dataclass(frozen=True)
class _Needle:
    """What is looked for: ``head``, and as much of ``whole`` as follows."""

    head: str
    whole: str
    bounded: bool
    replacement: str


#: Start and end of something to replace, and by what.
Found = tuple[int, int, str]


class Placeholders:
    """Where a text has placeholders already."""

    def __init__(self, text: str) -> None:
        spans = [placeholder.span() for placeholder in PLACEHOLDER.finditer(text)] if "[" in text else []
        self._starts = [start for start, _ in spans]
        self._ends = [end for _, end in spans]

    def hold(self, start: int, end: int) -> bool:
        """True when ``start`` to ``end`` lies inside of one."""
        at = bisect_left(self._ends, end)
        return at < len(self._ends) and self._starts[at] <= start

    def touch(self, start: int, end: int) -> bool:
        """True when ``start`` to ``end`` has a character in common with one."""
        at = bisect_right(self._ends, start)
        return at < len(self._ends) and self._starts[at] < end


class KnownValues:
    """The known values of one mail. Any thread may add while others look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, None] = {}
        self._compiled: tuple[tuple[_Needle, ...], dict[str, str]] | None = None
        self._clean: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._values)

    def add(self, *values: str | None) -> None:
        """Add values: a subject, a name, an address, a mailbox ``Name <address>``, a Message-ID, a file name, any text."""
        new = {value: None for value in values if value and value.strip() and value not in self._values}
        if new:
            with self._lock:
                self._values |= new
                self._compiled = None
                self._clean = set()

    def scrub(self, text: str) -> str:
        """The text without the known values, plain or one level encoded. Never raises: what can't be processed goes whole."""
        if not self._values:
            return text
        try:
            return replace(text, self.find_all(text))
        except Exception:  # noqa: BLE001 - handled: a text that can't be looked through is not let out
            return MAIL_TEXT

    def find_all(self, text: str) -> list[Found]:
        """Every place of a known value in the text, plain or one level encoded."""
        clean = self._clean  # what is added meanwhile makes a new set, so a text is remembered only for what it was checked against
        if text in clean:
            return []
        found = self.find(text)
        for unescaped in encodings.unescape(text):
            found += [(*unescaped.source_span(start, end), by) for start, end, by in self.find(unescaped.text)]
        for start, end, decoded in encodings.encoded_words(text):
            found += [(start, end, by) for _, _, by in self.find(decoded)[:1]]
        hidden = encodings.base64_text(text)
        if hidden and (" " not in text or self.find(hidden)):
            for start, end, decoded in encodings.base64_runs(text):
                found += [(start, end, by) for _, _, by in self.find(decoded)[:1]]
        if not found and len(clean) < _MOST_CLEAN:
            clean.add(text)
        return found

    def find(self, text: str) -> list[Found]:
        """Every place of a known value in the text as it stands."""
        needles, whole = self._needles()
        form = canonical(text)
        if form in whole:
            return [(0, len(text), whole[form])] if text else []
        present = [needle for needle in needles if needle.head in form]
        if not present:
            return []
        form, offsets = _canonical_with_offsets(text)
        kept = Placeholders(text)
        found = []
        for needle in present:
            for start, end in _places(needle, form):
                first, last = offsets[start], offsets[end - 1] + 1
                if not kept.hold(first, last):
                    found.append((first, last, needle.replacement))
        return found

    def _needles(self) -> tuple[tuple[_Needle, ...], dict[str, str]]:
        with self._lock:
            if self._compiled is None:
                self._compiled = _compile(tuple(self._values))
            return self._compiled


def _places(needle: _Needle, form: str) -> Iterator[tuple[int, int]]:
    position = form.find(needle.head)
    while position >= 0:
        end = position + len(needle.head)
        for character in needle.whole[len(needle.head) :]:
            if end == len(form) or form[end] != character:
                break
            end += 1
        inside_a_word = needle.bounded and (
            (position > 0 and form[position].isalnum() and form[position - 1].isalnum())
            or (end < len(form) and form[end - 1].isalnum() and form[end].isalnum())
        )
        if inside_a_word:
            end = position + 1
        else:
            yield position, end
        position = form.find(needle.head, end)


def _canonical_with_offsets(text: str) -> tuple[str, list[int]]:
    """The canonical form, and for each of its characters where in the text it came from."""
    characters: list[str] = []
    offsets: list[int] = []
    for position, character in enumerate(text):
        for folded in character.casefold():
            if folded.isspace() or folded in "_+":
                if characters and characters[-1] != " ":
                    characters.append(" ")
                    offsets.append(position)
            else:
                characters.append(folded)
                offsets.append(position)
    return "".join(characters), offsets


def _compile(values: tuple[str, ...]) -> tuple[tuple[_Needle, ...], dict[str, str]]:
    needles: dict[str, _Needle] = {}
    whole: dict[str, str] = {}
    for value in values:
        for text, replacement in _readings(value):
            for form in {canonical(unicodedata.normalize("NFC", text)), canonical(unicodedata.normalize("NFD", text))}:
                if not form:
                    continue
                whole.setdefault(form, replacement)
                if len(form) >= SHORTEST and form.strip(".:!?") not in _common():
                    head = form[:HEAD] if len(form) >= LONG else form
                    needles.setdefault(form, _Needle(head, form, form.isascii() and len(form) < BOUNDED_BELOW, replacement))
    return tuple(sorted(needles.values(), key=lambda needle: -len(needle.whole))), whole


def _readings(value: str) -> Iterator[tuple[str, str]]:
    """What is looked for of a value, and what stands for each."""
    for _, _, decoded in encodings.encoded_words(value):
        yield decoded, MAIL_TEXT
    mailbox = _MAILBOX.match(value)
    if mailbox is not None and "@" in mailbox.group(2):
        name, address = mailbox.groups()
        if name:
            yield from _readings(name)
        yield from _address(address.strip())
    elif "@" in value and not re.search(r"\s", value.strip()):
        yield from _address(value.strip().strip("<>"))
    else:
        yield from _text(value)


def _address(address: str) -> Iterator[tuple[str, str]]:
    yield address, f"[email:{pseudonyms.pseudonym(address)}]"
    local = address.rpartition("@")[0]
    if len(local) >= SHORTEST_LOCAL_PART:
        yield local, MAIL_TEXT


def _text(text: str) -> Iterator[tuple[str, str]]:
    yield text, MAIL_TEXT
    bare = _PREFIX.sub("", text)
    if bare != text:
        yield bare, MAIL_TEXT
    last, comma, first = text.partition(",")
    if comma and "," not in first and len(text.split()) <= 4:
        yield f"{first.strip()} {last.strip()}", MAIL_TEXT
    stem, dot, extension = text.rpartition(".")
    if dot and extension.isalnum() and len(extension) <= 5 and re.search(r"[\s_+-]", stem.strip()):
        yield stem, MAIL_TEXT


def replace(text: str, found: list[Found]) -> str:
    """The text with what was found replaced; where finds overlap, the longest decides and all of them go."""
    if not found:
        return text
    pieces = []
    position = 0
    for start, end, by in _merged(found):
        pieces += [text[position:start], by]
        position = end
    return "".join([*pieces, text[position:]])


def _merged(found: list[Found]) -> list[Found]:
    merged: list[Found] = []
    longest = 0
    for start, end, by in sorted(found, key=lambda one: (one[0], -one[1])):
        if merged and start < merged[-1][1]:
            first, last, kept = merged[-1]
            if end - start > longest:
                longest, kept = end - start, by
            merged[-1] = (first, max(last, end), kept)
        else:
            merged.append((start, end, by))
            longest = end - start
    return merged


def current(context: Context | None = None) -> KnownValues | None:
    """The known values of the mail that is worked on in this context (default: the current one), or None."""
    known = otel_context.get_value(KEY, context)
    return known if isinstance(known, KnownValues) else None


@contextmanager
def attach(known: KnownValues | None = None) -> Iterator[KnownValues]:
    """Known values (default: fresh ones) in the current context, for the duration of a block."""
    known = KnownValues() if known is None else known
    token = otel_context.attach(otel_context.set_value(KEY, known))
    try:
        yield known
    finally:
        otel_context.detach(token)


def learn(*values: str | None) -> None:
    """Tell the redaction values of the mail that is worked on; without one (no `attach` around), this does nothing."""
    known = current()
    if known is not None:
        known.add(*values)
