"""Blocks to sentences, each with where it stood."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from otel_autopilot.pipeline.digest.paragraphs import Kind, blocks

#: Abbreviations that a full stop does not end a sentence after.
_ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof st sr jr vs etc e.g i.e eg ie cf al fig no nos nr vol pp p ca approx dept est inc ltd co corp jan feb mar apr jun jul aug sep "
    "sept oct nov dec mon tue wed thu fri sat sun a.m p.m u.s u.k min max tel ext ref z.b d.h u.a o.ä s.o bzw ggf evtl str usw vgl bspw inkl zzgl exkl "
    "mfg hr fr abs art mio mrd m mm mme mlle av env p.ex c.-à-d sra sres srta dña ud uds pág sig dott ing geom ecc dhr mevr bijv o.a "
    "т.е т.д т.п г гг руб тыс млн млрд ул им стр".split()
)
#: Those of them that may well end a sentence, when a capital follows.
_MAY_END = frozenset("etc a.m p.m usw ecc т.д т.п inc ltd co corp г руб".split())
_BOUNDARY = re.compile(
    r"(?<=[.!?…])[\"'”’»)\]*_]*\s+(?=[\"'“‘«„(\[*_¿¡]*[^\s\W_a-zà-öø-ÿа-я]|[¿¡])|(?<=[。！？｡])[」』）”]*\s*|(?<=[؟।॥])\s*|(?<=[!?])\s+(?=[\"'“]?[a-z])"
)
_ORDINAL = re.compile(
    r"(?:\b(?:der|die|das|den|dem|des|am|vom|zum|zur|bis|ab|seit|im|beim|und|oder|nach|vor|jede[rnms]?|om|den|od|do|dne)\s+|[–-])\d{1,2}\.$",
    re.IGNORECASE,
)
_MONTH_AHEAD = re.compile(
    r"\s*(?:jan|feb|mär|apr|mai|maj|jun|jul|aug|sep|okt|nov|dez|dec|quartal|kapitel|stock|etage|halbjahr|klasse|platz|woche)",
    re.IGNORECASE,
)
_MARKS = re.compile(r"(?<!\\)(?:\*\*|__|`)")
_LINK = re.compile(r"(?<!\\)!?\[((?:[^\[\]\\]|\\.)*)\]\([^)\s]*\)")
_BARE_URL = re.compile(r"<?\bhttps?://[^\s<>]+[^\s<>.,;:!?)\]'\"]>?")


@dataclass(frozen=True)
class Sentence:
    """A readable sentence, list item or heading. ``section`` counts the headings of its document, ``block`` its blocks."""

    text: str
    kind: Kind
    heading: str
    section: int
    block: int
    document: int
    first: bool
    """Whether it begins its block."""


def split(markdown: str, document: int = 0) -> Iterator[Sentence]:
    """The sentences of a Markdown text, in order; tables are left out (`paragraphs.tables`)."""
    heading = ""
    section = 0
    for number, block in enumerate(blocks(markdown)):
        text = plain(block.text)
        if not text:
            continue
        if block.kind == "heading":
            heading = text
            section += 1
            yield Sentence(text, "heading", "", section, number, document, True)
            continue
        for place, sentence in enumerate(sentences_of(text)):
            yield Sentence(sentence, block.kind, heading, section, number, document, place == 0)


def plain(text: str) -> str:
    """Markdown without its marks; a link gives its name, a bare URL its host."""
    text = _LINK.sub(lambda match: match[1], text)
    text = _BARE_URL.sub(lambda match: match[0].split("/")[2], text)
    text = _MARKS.sub("", text)
    text = re.sub(r"\\([\\`\[\]|])", r"\1", text)
    return re.sub(r"\s+", " ", text).strip(" >\t")


def sentences_of(text: str) -> Iterator[str]:
    """The sentences of one line of text."""
    start = 0
    for boundary in _BOUNDARY.finditer(text):
        piece = text[start : boundary.start()]
        if _goes_on(piece, text[boundary.end() : boundary.end() + 20]):
            continue
        whole = text[start : boundary.end()].strip()
        if whole:
            yield whole
        start = boundary.end()
    if text[start:].strip():
        yield text[start:].strip()


def _goes_on(piece: str, ahead: str) -> bool:
    """Whether the full stop that a piece ends in belongs to an abbreviation, an initial or an ordinal number."""
    if not piece.endswith("."):
        return False
    last = piece[-40:-1].split()
    if not last:
        return True
    word = last[-1].lstrip("(\"'[„“«").lower()
    if word in _ABBREVIATIONS:
        return word not in _MAY_END
    if re.fullmatch(r"(?:[^\W\d_]\.)*[^\W\d_]", word) and (len(word) > 1 or last[-1].lstrip("(\"'[„“«").isupper()):
        return (
            len(word) > 1
            or len(last) == 1
            or not last[-2].islower()
            or last[-2] in ("by", "von", "de", "and", "und", "from", "to", "with")
        )
    if re.fullmatch(r"\d{1,2}", word):
        return bool(len(last) == 1 or _ORDINAL.search(piece[-40:]) or _MONTH_AHEAD.match(ahead))
    return False
