"""Headers that a parser would end too early, or take too long over, made readable before it sees them."""

from __future__ import annotations

import re
from collections.abc import Callable

#: A header field begins so.
FIELD = re.compile(rb"[!-9;-~]{1,200}[ \t]*:")
_SPACED = re.compile(rb"^([!-9;-~]{1,200})[ \t]+:", re.MULTILINE)
_COMMON_FIELD = re.compile(
    rb"(?:Received|From|To|Cc|Subject|Date|Message-ID|MIME-Version|Content-Type|Content-Transfer-Encoding|Reply-To)[ \t]*:",
    re.IGNORECASE,
)


def repaired(content: bytes, most_bytes: int, tell: Callable[[str], None]) -> bytes:
    """A mail whose header can be read to its end; ``tell`` gets a name for each thing that was mended.

    Mended are a byte order mark, a separator of an mbox or blank lines before the header, returns that were doubled, zero bytes,
    blanks before a colon, lines between the fields that are none, and a header longer than ``most_bytes``: the parser is
    quadratic in some of them.
    """
    content = _from_its_first_field(content, tell)
    end = _end_of_header(content)
    if b"\r\r\n" in content[:end]:
        tell("DoubledReturns")
        content = content.replace(b"\r\r\n", b"\r\n")
        end = _end_of_header(content)
    header, body = content[:end], content[end:]
    mends: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
        ("ZeroBytesInHeader", lambda text: text.replace(b"\0", b"")),
        ("SpaceBeforeColon", lambda text: _SPACED.sub(rb"\1:", text) if FIELD.match(text) else text),
        ("StrangeLineInHeader", lambda text: _without_strange_lines(text) if FIELD.match(text) else text),
        ("HeaderTooLong", lambda text: text if len(text) <= most_bytes else _cut(text, most_bytes)),
    )
    for name, mend in mends:
        mended = mend(header)
        if mended != header:
            tell(name)
        header = mended
    return header + body


def _from_its_first_field(content: bytes, tell: Callable[[str], None]) -> bytes:
    if content.startswith(b"From ") and not _SPACED.match(content):  # the separator of an mbox: nothing is wrong with that
        content = _after_its_line(content)
    start = content.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    if start.startswith(b">From "):
        start = _after_its_line(start)
    if len(start) == len(content) or not FIELD.match(start):
        return content
    tell("SomethingBeforeHeader")
    return start


def _after_its_line(content: bytes) -> bytes:
    return content[content.find(b"\n") + 1 :]


def _end_of_header(content: bytes) -> int:
    ends = [at for at in (content.find(b"\r\n\r\n"), content.find(b"\n\n")) if at >= 0]
    return min(ends, default=len(content))


def _without_strange_lines(header: bytes) -> bytes:
    """Without lines that are no field and go before one that everybody knows: what follows them is no body."""
    lines = header.splitlines(keepends=True)
    last = max((number for number, line in enumerate(lines) if _COMMON_FIELD.match(line)), default=0)
    return b"".join(line for number, line in enumerate(lines) if number > last or line[:1] in b" \t" or FIELD.match(line))


def _cut(header: bytes, most_bytes: int) -> bytes:
    cut = header.rfind(b"\n", 0, most_bytes)
    return header[: cut if cut > 0 else most_bytes] + b"\n"
