"""Text or Markdown to blocks: headings, list items, paragraphs, tables.

Mail and PDF break lines anywhere, so a line's end is a paragraph's end only where the line had room for the next word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

#: Lines longer than this were not wrapped by anybody.
_WIDEST = 130
#: Below this nobody wraps.
_NARROWEST = 45
#: Most tables and rows of one that are looked at.
_MOST_TABLES = 10
_MOST_ROWS = 200
#: More is cut off a heading.
_LONGEST_HEADING = 200
_HEADING = re.compile(r"\s*(#{1,6})\s+(.*?)\s*#*\s*")
_ITEM = re.compile(r"(\s*)(?:[-*+•‣▪●○–·]|\(?(\d{1,3}|[a-z])[.)])\s+(?=\S)")
_RULE = re.compile(r"\s*(?:[-=*_~#+]\s?){3,}\s*")
_LABEL = re.compile(r"[A-ZÀ-ÞА-Я][\w'/ .\-]{0,28}:(?:\s|$)")
_FENCE = re.compile(r"\s*(?:```|~~~)")
_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*"
_CODE = re.compile(
    r"\s*(?:File \"[^\"]+\", line \d+|Traceback \(most recent|at [\w$.<>]+\([\w.]+:\d+\)|Caused by: |\$ |>>> |#!/|<\?xml|import [\w.]+;?$|def \w+\(|[+\-@]{2,3} |diff --git|\w*(?:Error|Exception): "
    r"|(?:assert|raise|return) .*[=(]|(?:FAIL|PASS|ERROR|OK|INFO|WARN\w*|DEBUG)\b[: ]+\S*[/\\:.]\S*"
    rf"|{_TIME} )"
)
_LOGGED = re.compile(rf"\s*{_TIME} +(\S.*)")
_ALARM = re.compile(r"\b(?:error|fatal|critical|warn(?:ing)?|failed|failure)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?…。！？：:；;,،؟।][\"'”’»)\]*_]*$")
_ENDS_SOMETHING = re.compile(r"[.!?…;:。！？；：।؟](?:\s|[\"'”’»)\]*_]*$)")
_WIDE_CHARACTER = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uff60\uac00-\ud7af]")

Kind = Literal["heading", "item", "paragraph"]


@dataclass(frozen=True)
class Block:
    """A heading, list item or paragraph, its lines joined."""

    kind: Kind
    text: str


def blocks(markdown: str) -> Iterator[Block]:
    """The blocks in order; tables, rules, code, stack traces and logs are left out.

    Of a text that is nothing but a log, its errors and warnings, or where there are none, all its lines.
    """
    empty = True
    for block in _blocks(markdown):
        empty = False
        yield block
    if empty:
        told = [match[1] for line in markdown.split("\n") if (match := _LOGGED.match(line))]
        alarms = [text for text in told if _ALARM.search(text[:300])]
        yield from (Block("item", text) for text in alarms or told)


def _blocks(markdown: str) -> Iterator[Block]:
    for part in markdown.split("\f"):
        lines = list(_prose(part.split("\n")))
        width = _wrap_width(lines)
        pieces = list(_joined(lines, width))
        for index, (text, is_item) in enumerate(pieces):
            if heading := _HEADING.fullmatch(text):
                yield Block("heading", heading[2][:_LONGEST_HEADING])
            elif not is_item and _is_heading(text, pieces[index + 1] if index + 1 < len(pieces) else None):
                yield Block("heading", text.rstrip(": "))
            elif is_item and _is_numbered_heading(text, pieces[index + 1] if index + 1 < len(pieces) else None):
                yield Block("heading", _ITEM.sub("", text, count=1).rstrip(": "))
            elif text:
                yield Block("item" if is_item else "paragraph", _ITEM.sub("", text, count=1) if is_item else text)


def tables(markdown: str) -> list[list[list[str]]]:
    """The first tables: rows of cells, the first row its head; separators left out."""
    found: list[list[list[str]]] = []
    inside = False
    for line in markdown.split("\n"):
        row = line.strip()
        if not row.startswith("|"):
            inside = False
            continue
        if not inside:
            if len(found) == _MOST_TABLES:
                break
            found.append([])
            inside = True
        if len(found[-1]) < _MOST_ROWS and not set(row) <= set("|-: "):
            found[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip("|"))])
    return [table for table in found if table]


def _prose(lines: Sequence[str]) -> Iterator[str]:
    """Without tables, rules and code; what was left out separates paragraphs."""
    fenced = traced = False
    for line in lines:
        if _FENCE.match(line):
            fenced = not fenced
            yield ""
            continue
        traced = bool(_CODE.match(line[:300])) or (traced and line.startswith((" ", "\t")) and bool(line.strip()))
        if fenced or traced or line.lstrip().startswith("|") or _RULE.fullmatch(line[:200]):
            yield ""
        else:
            yield line


def _wrap_width(lines: Sequence[str]) -> int:
    """Where lines were wrapped: the longest of those that somebody may have wrapped; 0 where nobody did."""
    lengths = [len(line.rstrip()) for line in lines if line.strip()]
    if any(length > _WIDEST for length in lengths):
        lengths = [length for length in lengths if length <= _WIDEST]
        if sum(1 for length in lengths if length > 0.7 * 80) < 3:
            return 0
    longest = max(lengths, default=0)
    return longest if longest >= _NARROWEST else 0


def _joined(lines: Sequence[str], width: int) -> Iterator[tuple[str, bool]]:
    """(text, whether it is a list item), the lines of each joined."""
    current: list[str] = []
    is_item = False
    for line in [*lines, ""]:
        text = line.strip()
        starts = not text or bool(_HEADING.fullmatch(line)) or bool(_ITEM.match(line)) or not current
        if starts or _breaks(current[-1], text, width, indented=is_item and line.startswith((" ", "\t"))):
            yield from ((piece, is_item) for piece in _glued(current, is_item=is_item))
            current, is_item = [text] if text else [], bool(_ITEM.match(line)) and not _HEADING.fullmatch(line)
        else:
            current.append(text)
    yield from ((piece, is_item) for piece in _glued(current, is_item=is_item))


def _glued(lines: Sequence[str], *, is_item: bool) -> Iterator[str]:
    """One text of several lines; of somebody who writes no full stops, each line for itself."""
    if not lines:
        return
    if len(lines) >= 3 and not is_item and not any(_ENDS_SOMETHING.search(line) for line in lines):
        yield from lines
        return
    text = lines[0]
    for line in lines[1:]:
        text += ("" if _WIDE_CHARACTER.match(text[-1]) and _WIDE_CHARACTER.match(line[0]) else " ") + line
    yield text


def _breaks(last: str, text: str, width: int, *, indented: bool) -> bool:
    """Whether a new paragraph begins with ``text`` though no blank line stands before it."""
    if _HEADING.fullmatch(last):
        return True
    if indented or text[:1].islower():
        return False
    if _LABEL.match(text) and not (width and len(last) > 0.85 * width and not _SENTENCE_END.search(last)):
        return True
    first_word = text.split(maxsplit=1)[0]
    has_room = not width or len(last) + 1 + len(first_word) < 0.84 * width
    return has_room or (_SENTENCE_END.search(last) is not None and len(last) + 1 + len(first_word) < 0.9 * width)


def _is_heading(text: str, following: tuple[str, bool] | None) -> bool:
    """A short line without an end, above something longer: how PDFs and plain text write headings."""
    if following is None or not following[0] or len(text) > 70 or len(text.split()) > 10 or not any(c.isalpha() for c in text):
        return False
    if text.endswith(":"):
        return len(text) <= 45 and (following[1] or len(text.split()) <= 4)
    if _SENTENCE_END.search(text) or _LABEL.match(text) or text[:1].islower() or "://" in text:
        return False
    return following[1] or (len(following[0]) > max(40, len(text)) and not _HEADING.fullmatch(following[0]))


def _is_numbered_heading(text: str, following: tuple[str, bool] | None) -> bool:
    """ "3. Support load" above a paragraph."""
    if following is None or following[1] or not re.match(r"\s*\d{1,2}[.)]\s", text) or _HEADING.fullmatch(following[0]):
        return False
    return len(text) <= 60 and not _SENTENCE_END.search(text) and len(following[0]) > len(text)
