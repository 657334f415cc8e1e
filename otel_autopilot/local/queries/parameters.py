"""What queries are asked with, out of text (a URL's, a command line's) or plain values; QueryError names what can't be taken."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from otel_autopilot.errors import QueryError
from otel_autopilot.local.rows import LATEST_UNIX_NANO

#: A time, a number or a switch, as a URL or a caller in Python gives it; None or empty: not given.
Given = str | int | float | None
#: One value, or several.
Many = str | Sequence[str] | None

_UNIT_NANO = {
    "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9, "w": 7 * 86_400 * 10**9,
}  # fmt: skip
_DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|[smhdw]))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_TIME = "a time such as 2026-11-21T10:00:00Z, Unix seconds, or a duration back from now such as 15m, 2h or 7d"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: Largest page, and the usual one.
MOST_ROWS, USUAL_ROWS = 500, 50
_MOST_MILLISECONDS = 9e12
#: Characters of any one text that is searched for.
MOST_TEXT = 500


@dataclass(frozen=True)
class TimeRange:
    """Nanoseconds since 1970, both ends included."""

    first: int
    last: int

    @property
    def to(self) -> int:
        """The first moment that isn't in it any more."""
        return self.last + 1

    @property
    def length(self) -> int:
        """Nanoseconds from its start to its end; at least 1."""
        return self.to - self.first


def time_range(
    from_: Given, to: Given, *, back: str | None = None, now: int | None = None, names: tuple[str, str] = ("from", "to")
) -> TimeRange:
    """The range of ``from`` and ``to``.

    Without ``from`` it begins ``back`` before ``to``, or, without that, with the oldest that is stored. Without ``to`` it ends
    now; where nothing says when it begins, with the newest, be its clock ahead of ours.
    """
    at = time.time_ns() if now is None else now
    open_ended = to in (None, "") and back is None
    until = LATEST_UNIX_NANO if open_ended else at if to in (None, "") else unix_nano(names[1], to, at)
    begun = 0 if back is None else max(0, until - _duration(back))
    first = begun if from_ in (None, "") else unix_nano(names[0], from_, at)
    if first >= until:
        raise QueryError(names[0], f"a time before {names[1]}" if to not in (None, "") else "a time before now", from_)
    return TimeRange(first, until if open_ended else until - 1)


def unix_nano(parameter: str, given: Given, now: int) -> int:
    """A time in nanoseconds since 1970."""
    if isinstance(given, bool) or given is None:
        raise QueryError(parameter, _TIME, given)
    text = str(given).strip()
    if text == "now":
        return now
    found: int | None
    if _DURATION.fullmatch(text):
        found = max(0, now - _duration(text))
    else:
        found = _seconds(text) if re.fullmatch(r"[-+0-9.eE]+", text) else _rfc3339(text)
    if found is None or not 0 <= found <= LATEST_UNIX_NANO:
        raise QueryError(parameter, _TIME, given)
    return found


def _duration(text: str) -> int:
    return sum(int(Decimal(number) * _UNIT_NANO[unit]) for number, unit in _PART.findall(text))


def _seconds(text: str) -> int | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return int(number * 10**9) if number.is_finite() and abs(number) < 10**11 else None


def _rfc3339(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text.replace("z", "Z"))
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    try:
        since = moment - _EPOCH
    except OverflowError:
        return None
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000


def whole(parameter: str, given: Given, *, usual: int, least: int, most: int) -> int:
    """A whole number in a range; ``usual`` where none is given."""
    if given in (None, ""):
        return usual
    try:
        number = int(str(given))
    except ValueError:
        number = least - 1
    if isinstance(given, bool) or not least <= number <= most:
        raise QueryError(parameter, f"a whole number from {least} to {most}", given)
    return number


def rows(given: Given) -> int:
    """``limit``."""
    return whole("limit", given, usual=USUAL_ROWS, least=1, most=MOST_ROWS)


def milliseconds(parameter: str, given: Given) -> int | None:
    """A length in milliseconds, as nanoseconds."""
    if given in (None, ""):
        return None
    try:
        number = float(str(given))
    except ValueError:
        number = math.nan
    if isinstance(given, bool) or not 0 <= number <= _MOST_MILLISECONDS:
        raise QueryError(parameter, "a number of milliseconds from 0 up", given)
    return round(Decimal(str(given)) * 10**6)


def switch(parameter: str, given: Given) -> bool:
    """True or false; false where it isn't given."""
    if given in (None, "") or isinstance(given, bool):
        return bool(given)
    low = str(given).lower()
    if low not in ("true", "false", "1", "0"):
        raise QueryError(parameter, "true or false", given)
    return low in ("true", "1")


def one_of(parameter: str, given: str | None, allowed: Sequence[str], usual: str | None = None) -> str | None:
    """One of a few words; ``usual`` where none is given."""
    if given in (None, ""):
        return usual
    if given not in allowed:
        raise QueryError(parameter, f"one of {', '.join(allowed)}", given)
    return given


def text_of(parameter: str, given: str | None) -> str | None:
    """Text to look for; None where none is given."""
    if given is None or (isinstance(given, str) and not given.strip()):
        return None
    if not isinstance(given, str) or len(given) > MOST_TEXT:
        raise QueryError(parameter, f"text of at most {MOST_TEXT} characters", given)
    return given.strip().encode("utf-8", "replace").decode()


def many(parameter: str, given: Many) -> list[str]:
    """Several texts; empty ones don't count."""
    found = [given] if isinstance(given, str) else list(given or ())
    if len(found) > 20 or not all(isinstance(item, str) for item in found):
        raise QueryError(parameter, "at most 20 texts", given)
    return [item for item in (text_of(parameter, item) for item in found) if item]


def identifier(parameter: str, given: str, digits: int) -> str:
    """An id of that many hexadecimal digits, in lower case."""
    low = given.strip().lower() if isinstance(given, str) else ""
    if len(low) != digits or not set(low) <= set("0123456789abcdef"):
        raise QueryError(parameter, f"{digits} hexadecimal digits", given)
    return low


@dataclass(frozen=True)
class Place:
    """Where a page ends: the time and the number of its last row."""

    time_unix_nano: int
    number: int

    def __str__(self) -> str:
        return f"{self.time_unix_nano:x}.{self.number:x}"


def cursor(given: str | None) -> Place | None:
    """``cursor``: what an answer gave as ``next``."""
    if given in (None, ""):
        return None
    match = re.fullmatch(r"([0-9a-f]{1,16})\.([0-9a-f]{1,16})", str(given))
    place = Place(int(match[1], 16), int(match[2], 16)) if match else None
    if place is None or max(place.time_unix_nano, place.number) > LATEST_UNIX_NANO:
        raise QueryError("cursor", "what an earlier answer gave as next", given)
    return place
