"""One level of the encodings that hide text: percent, quoted-printable, HTML, JSON and Python escapes, base64, encoded words."""

from __future__ import annotations

import binascii
import html
import re
from bisect import bisect_right
from collections.abc import Iterator

#: Escapes that stand for one or more characters each, by the character that they begin with: percent (RFC 3986),
#: quoted-printable (RFC 2045), HTML, JSON and Python. Each is decoded by itself: in ``n=4000`` the ``=40`` is no escape.
_ESCAPES = {
    "%": re.compile(r"%[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2})*"),
    "=": re.compile(r"=(?:[0-9A-Fa-f]{2}|\r?\n)(?:=(?:[0-9A-Fa-f]{2}|\r?\n))*"),
    "&": re.compile(r"&(?:\#[0-9]{1,7}|\#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"),
    "\\": re.compile(
        r"\\(?:u[0-9A-Fa-f]{4}(?:\\u[0-9A-Fa-f]{4})*|U[0-9A-Fa-f]{8}(?:\\U[0-9A-Fa-f]{8})*"
        r"|x[0-9A-Fa-f]{2}(?:\\x[0-9A-Fa-f]{2})*|[nrt\"'\\/])"
    ),
}
_SIMPLE = {"n": "\n", "r": "\r", "t": "\t"}

#: Runs that may be base64 (RFC 4648, both alphabets), broken into lines or not.
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{6,}+(?:(?:\r?\n|\\r\\n|\\n)[A-Za-z0-9+/_-]{4,}+)*+={0,2}")
_NOT_BASE64 = re.compile(r"\\r|\\n|[\r\n=]")
#: Keeps runs apart when they are decoded together: it encodes null bytes.
_BETWEEN_RUNS = "AAAA"
_URL_SAFE = str.maketrans("-_", "+/")

#: Encoded words (RFC 2047) that follow one another are one text.
_ENCODED_WORDS = re.compile(r"=\?[\w.*-]+\?[BbQq]\?[^?\r\n]*\?=(?:\s*=\?[\w.*-]+\?[BbQq]\?[^?\r\n]*\?=)*")
_ENCODED_WORD = re.compile(r"=\?([\w.-]+)(?:\*[\w-]*)?\?([BbQq])\?([^?\r\n]*)\?=")


class Unescaped:
    """A text with its escapes of one kind decoded, and the way back: ``text`` is the decoded text."""

    def __init__(self, source: str, escapes: re.Pattern[str]) -> None:
        pieces: list[str] = []
        self._starts: list[int] = []
        self._segments: list[tuple[int, int, bool]] = []
        length = position = 0
        for escape in escapes.finditer(source):
            start, end = escape.span()
            decoded = _unescape(escape.group())
            for piece, begin, finish, literal in ((source[position:start], position, start, True), (decoded, start, end, False)):
                if piece:
                    pieces.append(piece)
                    self._starts.append(length)
                    self._segments.append((begin, finish, literal))
                    length += len(piece)
            position = end
        if position < len(source):
            pieces.append(source[position:])
            self._starts.append(length)
            self._segments.append((position, len(source), True))
        self.text = "".join(pieces)

    def source_span(self, start: int, end: int) -> tuple[int, int]:
        """Where ``text[start:end]`` (not empty) stands in the source; escapes are taken whole."""
        first = bisect_right(self._starts, start) - 1
        last = bisect_right(self._starts, end - 1) - 1
        begin, _, literal = self._segments[first]
        from_source = begin + (start - self._starts[first]) if literal else begin
        begin, finish, literal = self._segments[last]
        to_source = begin + (end - self._starts[last]) if literal else finish
        return from_source, to_source


def unescape(source: str) -> Iterator[Unescaped]:
    """The text decoded in each way for which it has escapes."""
    for lead, escapes in _ESCAPES.items():
        if lead in source and escapes.search(source) is not None:
            yield Unescaped(source, escapes)


def _unescape(escape: str) -> str:
    lead = escape[0]
    if lead == "&":
        return html.unescape(escape)
    if lead == "\\":
        return _unescape_backslash(escape)
    digits = re.sub(r"=\r?\n", "", escape).replace(lead, "")
    return _text(bytes.fromhex(digits))


def _unescape_backslash(escape: str) -> str:
    kind = escape[1]
    if kind == "x":
        return _text(bytes.fromhex(escape.replace("\\x", "")))
    if kind == "u":
        units = "".join(chr(int(digits, 16)) for digits in escape.split("\\u")[1:])
        return units.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if kind == "U":
        codes = [int(digits, 16) for digits in escape.split("\\U")[1:]]
        return "".join(chr(code) if code < 0x110000 else "\N{REPLACEMENT CHARACTER}" for code in codes)
    return _SIMPLE.get(kind, kind)


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def encoded_words(source: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and decoded text of each run of encoded words (RFC 2047)."""
    if "=?" not in source:
        return
    for run in _ENCODED_WORDS.finditer(source):
        yield run.start(), run.end(), "".join(_decode_word(*word.groups()) for word in _ENCODED_WORD.finditer(run.group()))


def _decode_word(charset: str, encoding: str, payload: str) -> str:
    if encoding in "Bb":
        content = _unbase64(payload.rstrip("="))
    else:
        octets = re.sub(r"=([0-9A-Fa-f]{2})", lambda octet: chr(int(octet.group(1), 16)), payload.replace("_", " "))
        content = octets.encode("latin-1", "replace")
    try:
        return content.decode(charset, "replace")
    except (LookupError, UnicodeError):
        return _text(content)


def base64_text(source: str) -> str:
    """What all runs that may be base64 decode to, from each of the four places where a group of four may begin, in one text.

    Nearly every word may be base64, so this is for a quick look whether `base64_runs` is worth while.
    """
    digits = _NOT_BASE64.sub("", _BETWEEN_RUNS.join(_BASE64.findall(source))).translate(_URL_SAFE)
    if not digits:
        return ""
    return b"\0".join(_unbase64(digits[offset:]) for offset in range(4)).decode("utf-8", "replace")


def base64_runs(source: str) -> Iterator[tuple[int, int, str]]:
    """Start and end of each run that may be base64, with what it decodes to.

    A run comes up to four times, once for each place where a group of four may begin.
    """
    for run in _BASE64.finditer(source):
        digits = _NOT_BASE64.sub("", run.group()).translate(_URL_SAFE)
        for offset in range(4):
            decoded = _unbase64(digits[offset:])
            if decoded:
                yield run.start(), run.end(), decoded.decode("utf-8", "replace")


def _unbase64(digits: str) -> bytes:
    if len(digits) % 4 == 1:
        digits = digits[:-1]
    try:
        return binascii.a2b_base64(digits + "=" * (-len(digits) % 4))
    except (binascii.Error, ValueError):
        return b""
