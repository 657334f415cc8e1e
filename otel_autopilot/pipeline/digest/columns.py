"""Plain text in columns, where East Asian characters take two."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_PIECE = re.compile(
    r"\s+|[\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uff60]|[^\s\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uff60]+"
)
#: Characters that no line begins with (JIS X 4051, the common ones).
_NOT_FIRST = frozenset("、。，．：；？！）」』】〉》ー・")


def columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def wrap(text: str, width: int, indent: str = "") -> Iterator[str]:
    """Lines of at most ``width`` columns, later ones indented; a word that is longer by itself stays whole."""
    line, taken = "", 0
    for piece in _PIECE.findall(text.strip()):
        piece = " " if piece.isspace() else piece
        size = columns(piece)
        if taken + size > width and line.strip() and piece not in _NOT_FIRST:
            yield line.rstrip()
            line, taken = indent, columns(indent)
            if piece == " ":
                continue
        line, taken = line + piece, taken + size
    if line.strip():
        yield line.rstrip()
