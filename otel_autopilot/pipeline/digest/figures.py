"""Numbers worth seeing: money, percentages, deadlines and quantities with a unit, with the words around them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from otel_autopilot.pipeline.messages import Figure

#: Most figures of a digest.
MOST = 8
_NUMBER = r"\d{1,3}(?:[.,\u00a0\u202f ]\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d+)?"
_MONTH = r"(?:jan(?:uary|uar|vier)?|feb(?:ruary|ruar)?|mar(?:ch)?|märz|apr(?:il)?|may|mai|june?|juni|juin|july?|juli|juillet|aug(?:ust)?|sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)"
_KINDS: tuple[re.Pattern[str], ...] = (
    re.compile(rf"(?:[$€£¥₹]|\b(?:USD|EUR|GBP|CHF|JPY)\b)\s?(?:{_NUMBER})(?:\s?(?:k|m|bn|million|billion|thousand|Mio\.?|Mrd\.?))?(?!\w)", re.IGNORECASE),
    re.compile(rf"(?<![\w.,])(?:{_NUMBER})\s?(?:(?:k|m|bn|million|billion|thousand|Mio\.?|Mrd\.?)\s)?(?:[$€£¥₹]|\b(?:USD|EUR|GBP|CHF|JPY|dollars?|euros?|pounds?|yen)\b)", re.IGNORECASE),
    re.compile(rf"(?<![\w.,])[+\-−±]?(?:{_NUMBER})\s?(?:%|per ?cent\b|percent\b|Prozent\b|pp\b)", re.IGNORECASE),
    re.compile(rf"\b\d{{1,2}}\.?\s+(?:de\s)?{_MONTH}\b(?:\.?,?\s+\d{{4}})?|\b{_MONTH}\.?\s+\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\s+\d{{4}})?", re.IGNORECASE),
    re.compile(rf"(?<![\w.,])(?:{_NUMBER})\s?(?:ms|milliseconds?|seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|weeks?|months?|years?|Tage?n?|Wochen?|Stunden?|Monaten?"
               r"|jours?|semaines?|heures?|GB|MB|TB|PB|kB|kWh|MW|GW|km|kg|tons?|tonnes?|people|users?|customers?|messages?|mails?|emails?|requests?|pages?|units?|items?|incidents?"
               r"|tickets?|orders?|engineers?|million|billion)\b", re.IGNORECASE),
)  # fmt: skip


def find_figures(sentences: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[Figure, ...]:
    """The first figures of each kind, money before percentages before dates before quantities, and those of tables."""
    found: list[tuple[int, int, Figure]] = []
    for order, sentence in enumerate(sentences):
        for kind, pattern in enumerate(_KINDS):
            for match in pattern.finditer(sentence[:2_000]):
                value = re.sub(r"\s+", " ", match.group()).strip()
                found.append((max(0, kind - 1), order, Figure(value=value, context=_around(sentence, match.start(), match.end()))))
    for order, (name, value, head) in enumerate(_cells(rows)):
        found.append((1, order, Figure(value=value, context=f"{name}, {head}" if head else name)))
    chosen: list[Figure] = []
    values: set[str] = set()
    for limit in (3, MOST):
        taken: dict[int, int] = {}
        for kind, _, figure in sorted(found, key=lambda item: (item[0], item[1])):
            key = re.sub(r"\s", "", figure.value.lower())
            if key in values or taken.get(kind, 0) >= limit or len(chosen) >= MOST:
                continue
            taken[kind] = taken.get(kind, 0) + 1
            values.add(key)
            chosen.append(figure)
    return tuple(chosen)


def _around(sentence: str, start: int, end: int) -> str:
    """Up to some 90 characters around a figure, cut at words."""
    if len(sentence) <= 110:
        return sentence
    left, right = max(0, start - 45), min(len(sentence), end + 45)
    text = sentence[left:right]
    if left:
        text = "… " + text.partition(" ")[2]
    if right < len(sentence):
        text = text.rpartition(" ")[0] + " …"
    return text.strip()


def _cells(rows: Sequence[Sequence[str]]) -> list[tuple[str, str, str]]:
    """(row name, value, column name) of table cells that are numbers with a unit or a sign."""
    cells = []
    head: Sequence[str] = ()
    for row in rows[:60]:
        if not any(re.match(r"\s*[+\-−$€£]?\s?\d", cell) for cell in row[1:]):
            head = row
            continue
        for column, cell in enumerate(row[1:], 1):
            if (
                re.fullmatch(rf"\s*[+\-−]?[$€£]?\s?(?:{_NUMBER})\s?(?:%|[$€£]|[a-zA-Z]{{1,6}})?\s*", cell)
                and row[0]
                and (re.search(r"[^\d\s.,]", cell) or len(cell) >= 4)
            ):
                cells.append((row[0][:60], cell.strip(), head[column][:60] if column < len(head) else ""))
    return cells[:12]
