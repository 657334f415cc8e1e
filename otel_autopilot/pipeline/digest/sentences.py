"""Blocks to sentences, each with where it stood."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
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
#: Lower-case words that stand before a name, and so before its initial.
_BEFORE_NAMES = frozenset("by von de and und from to with mit et y e for für di da van".split())
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
_LINK = re.compile(r"(?<!\\)!?\[((?:[^\[\]\\]|\\.){0,500})\]\((?:[^()\s]|\([^()\s]{0,200}\)){0,2000}\)")
_LABEL_OF_ONE = re.compile(
    r"\W*(?:sponsor\w*|advertisement|ad|promoted|anzeige|werbung|publicité|publicidad|pubblicità|advertentie|реклама|広告|广告)\W*",
    re.IGNORECASE,
)
_LITERAL_LINK = re.compile(r"!?\[([^\[\]]{0,300})\]\((?:[^()\s]|\([^()\s]{0,200}\)){0,500}\)")
_BARE_URL = re.compile(r"<?\bhttps?://[^\s<>]+[^\s<>.,;:!?)\]'\"]>?")

#: HTML written out as text, and addresses that run code: noise for a reader, and bait for whatever shows the digest.
_TAG = re.compile(
    r"</?(?:script|style|iframe|img|svg|object|embed|form|input|button|a|div|span|p|br|b|i|u|em|strong|font|table|tr|td|th|ul|ol|li|h[1-6]|html|head|body|meta|link|base)\b[^<>]{0,500}>",
    re.IGNORECASE,
)
_ACTIVE = re.compile(r"!?\[?(?:(?<=\[)[^\[\]]{0,200})?\]?\(?\b(?:javascript|vbscript|data:text)\s?:[^\s)]*\)*", re.IGNORECASE)


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
        for place, sentence in enumerate(_with_interjections(sentences_of(text))):
            yield Sentence(sentence, block.kind, heading, section, number, document, place == 0)
        if heading.endswith(("?", "？")) or _LABEL_OF_ONE.fullmatch(heading):
            heading = ""  # answered, or about one block only


def plain(text: str) -> str:
    """Markdown without its marks: a link gives its name, a bare URL its host; what could be run elsewhere is left out."""
    text = _LINK.sub(lambda match: match[1], text)
    text = _BARE_URL.sub(lambda match: match[0].split("/")[2], text)
    text = _MARKS.sub("", text)
    text = re.sub(r"\\([\\`\[\]|])", r"\1", text)
    text = defused(_LITERAL_LINK.sub(lambda match: match[1], text))
    return re.sub(r"\s+", " ", text).strip(" >\t")


def defused(text: str) -> str:
    """Without HTML written out as text, and without addresses that would run code."""
    return _ACTIVE.sub(" ", _TAG.sub(" ", text)) if "<" in text or ":" in text else text


def _with_interjections(sentences: Iterable[str]) -> Iterator[str]:
    """ "Yes." goes with what follows it."""
    before = ""
    for sentence in sentences:
        if len(sentence) <= 12 and len(sentence.split()) <= 2 and sentence.endswith((".", "!")) and not re.search(r"\d", sentence):
            before = f"{before} {sentence}".strip()
            continue
        yield f"{before} {sentence}".strip()
        before = ""
    if before:
        yield before


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
    if re.fullmatch(r"[^\W\d_](?:\.[^\W\d_])*", word):  # an initial, or "z. B."; but "plan B." ends
        before = last[-2] if len(last) > 1 else ""
        return (
            len(word) > 1
            or word == last[-1]
            or not before.islower()
            or before in _BEFORE_NAMES
            or bool(re.fullmatch(r"[a-z]\.", before))
        )
    if re.fullmatch(r"\d{1,2}", word):
        return bool(len(last) == 1 or _ORDINAL.search(piece[-40:]) or _MONTH_AHEAD.match(ahead))
    return False
