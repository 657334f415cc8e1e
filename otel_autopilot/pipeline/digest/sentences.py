"""Markdown to sentences, each with where it stood."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

#: Abbreviations that a full stop does not end a sentence after.
_ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof st sr jr vs etc e.g i.e cf al fig no nos vol pp p ca approx dept est inc ltd co corp jan feb mar apr jun jul aug sep "
    "sept oct nov dec mon tue wed thu fri sat sun a.m p.m u.s u.k z.b d.h u.a bzw ggf evtl nr str usw vgl bspw inkl zzgl mfg "
    "m mme mlle av p.ex sra dña ud uds sig ing dott geom".split()
)
_BOUNDARY = re.compile(r"(?<=[.!?…])[\"'”’»)\]*]*\s+(?=[\"'“‘«(\[*]*[^\sa-zà-öø-ÿ])|(?<=[。！？｡])|(?<=[؟।॥])\s*")
_ITEM = re.compile(r"^\s*(?:[-*+•‣▪]|\d{1,3}[.)])\s+")
_HEADING = re.compile(r"^#{1,6}\s+")
_MARKS = re.compile(r"(\*\*|__|`)")
_LINK = re.compile(r"!?\[([^\]]*)\]\(([^)\s]*)\)")

Kind = Literal["sentence", "item", "heading"]


@dataclass(frozen=True)
class Sentence:
    """A readable sentence, list item or heading; ``block`` counts the blocks of its document from 0."""

    text: str
    kind: Kind
    heading: str
    block: int
    document: int


def split(markdown: str, document: int = 0) -> Iterator[Sentence]:
    """The sentences of a Markdown text, in order; tables are left out (see `table_rows`)."""
    heading = ""
    for number, block in enumerate(_blocks(markdown)):
        first = block[0]
        if first.lstrip().startswith("|") or set(first.strip()) <= {"-", "=", "*", "_", " "}:
            continue
        if _HEADING.match(first):
            heading = plain(_HEADING.sub("", first))
            yield Sentence(heading, "heading", "", number, document)
            continue
        if _is_bare_heading(block):
            heading = plain(first)
            yield Sentence(heading, "heading", "", number, document)
            block = block[1:]
        for item in _items(block):
            is_item = bool(_ITEM.match(item))
            text = plain(_ITEM.sub("", item))
            for sentence in _sentences(text):
                yield Sentence(sentence, "item" if is_item else "sentence", heading, number, document)


def _is_bare_heading(block: list[str]) -> bool:
    """A short first line without an end, before a longer one that begins anew: how PDFs and plain text write headings."""
    if len(block) < 2 or _ITEM.match(block[1]) or block[0].rstrip().endswith((".", ",", ";", "!", "?", "-")):
        return False
    first, second = block[0].strip(), block[1].strip()
    return len(first) <= 60 and len(first) < 0.6 * max(len(line) for line in block[1:]) and second[:1].isupper()


def plain(text: str) -> str:
    """Markdown without its marks; a link gives its name."""
    text = _LINK.sub(r"\1", text)
    text = _MARKS.sub("", text)
    text = re.sub(r"\\([\\`\[\]|])", r"\1", text)
    return re.sub(r"\s+", " ", text).strip(" >\t")


def table_rows(markdown: str) -> list[list[str]]:
    """The rows of all tables, without the separators."""
    rows = []
    for line in markdown.split("\n"):
        if line.startswith("|") and not set(line) <= set("|-: "):
            rows.append([plain(cell) for cell in re.split(r"(?<!\\)\|", line.strip("|"))])
    return rows


def _blocks(markdown: str) -> Iterator[list[str]]:
    block: list[str] = []
    for line in markdown.replace("\f", "\n\n").split("\n"):
        if not line.strip() or _HEADING.match(line):
            if block:
                yield block
            block = []
            if line.strip():
                yield [line]
            continue
        if block and block[0].startswith("|") != line.startswith("|"):
            yield block
            block = []
        block.append(line)
    if block:
        yield block


def _items(block: list[str]) -> Iterator[str]:
    """List items each by itself; other lines joined, for mail and PDF break lines anywhere."""
    current: list[str] = []
    for line in block:
        if _ITEM.match(line) and current:
            yield " ".join(current)
            current = []
        current.append(line.strip())
    if current:
        yield " ".join(current)


def _sentences(text: str) -> Iterator[str]:
    start = 0
    for boundary in _BOUNDARY.finditer(text):
        piece = text[start : boundary.start()]
        if _ends_in_abbreviation(piece):
            continue
        if piece.strip():
            yield text[start : boundary.end()].strip()
        start = boundary.end()
    if text[start:].strip():
        yield text[start:].strip()


def _ends_in_abbreviation(piece: str) -> bool:
    if not piece.endswith("."):
        return False
    words = piece[:-1].split()
    if not words:
        return False
    last = words[-1].lstrip("(\"'[").lower()
    return last in _ABBREVIATIONS or bool(re.fullmatch(r"[a-zà-ÿ]|\d{1,2}|[a-z]\.[a-z]", last))
