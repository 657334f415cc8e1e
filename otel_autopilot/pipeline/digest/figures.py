"""Numbers worth seeing: money, percentages, dates and quantities, with the words around them; and those of tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from otel_autopilot.pipeline.digest.words import STOP_WORDS
from otel_autopilot.pipeline.messages import Figure

#: Most figures of a digest, and most of one kind before the other kinds had their turn.
MOST = 8
_QUOTA = {"money": 3, "table": 3, "percent": 2, "date": 3, "quantity": 2}
#: Longest context, in characters.
_CONTEXT = 100
_N = r"(?:\d{1,3}(?:[.,'’\u00a0\u202f\u2009 ]\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d+)?)(?!\d)"
_START = r"(?<![A-Za-z0-9_.,:/#\-])"
_SCALE = r"(?:\s?(?:k|m|mn|bn|million(?:en|s)?|billion(?:s)?|thousand|trillion|mio\.?|mrd\.?|milliarden?|mille|miles|millones|milioni|miljoen|milhões|тыс\.?|тысяч|млн\.?|млрд\.?)(?![^\W\d_]))"
_CURRENCY = r"(?:USD|EUR|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CAD|AUD|BRL|RUB)"
_CURRENCY_WORD = r"(?:[$€£¥₹₽]|(?:USD|EUR|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CAD|AUD|BRL|RUB|dollars?|euros?|pounds?|yen|francs?|franken|kronor|kroner|рубл(?:ей|я|ь)|руб\.|reais|pesos|دولار|يورو|ريال|درهم|جنيه|रुपये|रुपए|원)(?![^\W\d_]))"
_PER = r"(?:\s?(?:/|per|a|an|pro|im|par|al|por|в)\s?(?:month|year|week|day|hour|user|seat|person|monat|jahr|mois|an|mes|año|месяц|год)(?![^\W\d_]))?"
_MONTHS = (
    r"jan(?:uary|uar|vier)?|january|febr?(?:uary|uar)?|février|mar(?:ch|s)?|märz|mrz|apr(?:il)?|avril|may|mai|june?|juni|juin|july?|juli|juillet|aug(?:ust)?|août|sept?(?:ember|embre)?"
    r"|o[ck]t(?:ober|obre)?|nov(?:ember|embre)?|de[cz](?:ember)?|décembre|dezember|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre|gennaio|febbraio|aprile|maggio|giugno"
    r"|luglio|settembre|ottobre|novembre|dicembre|januari|februari|maart|mei|augustus|janeiro|fevereiro|março|maio|junho|julho|setembro|outubro|novembro|dezembro|января|февраля|марта|апреля|мая|июня|июля|августа"
    r"|сентября|октября|ноября|декабря"
)
_UNITS = (
    r"km/h|mph|m/s|mg/l|g/l|µg/m³|km²|m²|m³|ms|µs|s|min|h|kWh|MWh|GWh|kW|MW|GW|[KMGTP]i?B|kB|[MG]bit/s|km|cm|mm|kg|mg|g|t|°C|°F|l|bar|Hz|[MG]Hz|milliseconds?|seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|weeks?|months?|years?"
    r"|Tage?n?|Wochen?|Stunden?|Minuten?|Monate?n?|Jahre?n?|jours?|semaines?|heures?|mois|ans|días|horas|semanas|meses|años|giorni|ore|settimane|dagen|weken|uur|дн(?:ей|я)|час(?:ов|а)|недель|месяцев"
)
_CJK_MONEY = r"(?:[\d,.]{1,15}\s?(?:万|億|亿|千|百万|만|억)?\s?(?:円|元|원|ウォン|人民币|美元|欧元|ドル|ユーロ))"
_CJK_DATE = r"(?:(?:\d{4}년 )?\d{1,2}월 \d{1,2}일(?:까지)?|(?:\d{4}年)?\d{1,2}月(?:\d{1,2}日|末|初|中旬|底)(?:まで|之前|前)?)"
_CJK_COUNT = r"(?:[\d,.]{1,15}\s?(?:万|億|亿|千)?\s?(?:명|개|건|시간|人|件|個|个|台|社|名|日間|時間|小时|分钟|分間|天|週間|周|か月|ヶ月|个月|年間|倍|回|次|吨|トン|平方米|页|ページ))"
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("money", re.compile(rf"{_START}[+\-−]?(?:[$€£¥₹₽]|{_CURRENCY}\b)\s?{_N}{_SCALE}?(?![^\W\d_]){_PER}", re.IGNORECASE)),
    ("money", re.compile(rf"{_START}[+\-−]?{_N}{_SCALE}?\s?(?:de |d')?{_CURRENCY_WORD}{_PER}", re.IGNORECASE)),
    ("money", re.compile(_CJK_MONEY)),
    ("percent", re.compile(rf"{_START}[+\-−±]?{_N}\s?(?:%|‰|per ?cent\b|Prozent(?:punkte)?\b|pour cent\b|por ciento\b|процент\w*)", re.IGNORECASE)),
    ("date", re.compile(rf"{_START}\d{{1,2}}(?:\.|st|nd|rd|th|er)?\s+(?:de\s+|of\s+)?(?:{_MONTHS})\b(?:\.?,?\s+(?:de\s+)?\d{{4}})?|\b(?:{_MONTHS})\.?\s+\d{{1,2}}(?:st|nd|rd|th)?(?!\d|[.:]\d|\s?[%$€£])(?:,?\s+\d{{4}})?", re.IGNORECASE)),
    ("date", re.compile(rf"{_START}(?:\d{{4}}-\d\d-\d\d|\d{{1,2}}\.\d{{1,2}}\.(?:\d{{4}}|\d\d)|\d{{1,2}}/\d{{1,2}}/(?:\d{{4}}|\d\d))(?!\w|[./-]\d)|\d{{1,2}} (?:يناير|فبراير|مارس|أبريل|إبريل|مايو|يونيو|يوليو|أغسطس|سبتمبر|أكتوبر|نوفمبر|ديسمبر|जनवरी|फ़?रवरी|मार्च|अप्रैल|मई|जून|जुलाई|अगस्त|सितंबर|अक्टूबर|नवंबर|दिसंबर)(?: \d{{4}})?|{_CJK_DATE}")),
    ("quantity", re.compile(rf"{_START}[+\-−]?{_N}{_SCALE}?\s?(?:{_UNITS})(?![^\W_])")),
    ("quantity", re.compile(rf"{_START}(?:\d{{1,3}}(?:[.,'’\u00a0\u202f ]\d{{3}})+|\d+(?:[.,]\d+)?{_SCALE}|\d{{2,6}})\s(?P<noun>[^\W\d_][^\s\d.,;:!?()\[\]<>|/،。、]{{3,}})", re.IGNORECASE)),
    ("quantity", re.compile(_CJK_COUNT)),
)  # fmt: skip
#: A number behind one of these words is a name, not an amount.
_NAMED = re.compile(
    r"(?:number|no|nr|num|nº|№|order|invoice|ref|reference|case|ticket|build|room|version|ext|page|seite|unit|week|article|account|code|ending in|issue|pr|id|phone|call|tel|fax|route|line|flight)\.?:?\s*#?$",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_TOTAL = re.compile(
    r"\W{0,5}(?:(?:grand |sub)?total|sum|overall|all|amount due|balance|gesamt|summe|insgesamt|somme|totale?|totaal|suma|итого|всего|合計|合计|总计|小計)",
    re.IGNORECASE,
)
_CELL = re.compile(
    rf"[+\-−±]?(?:[$€£¥₹₽]|{_CURRENCY} ?)?\s?{_N}{_SCALE}?\s?(?:%|[$€£¥₹₽円元]|{_CURRENCY}|{_UNITS})?", re.IGNORECASE
)
_CLAUSE = re.compile(r"[,;:，；：、](?=\s|[^\d\s])|\s[–—-]\s")
#: The same, and conjunctions: where a sentence holds several figures.
_PART = re.compile(rf"{_CLAUSE.pattern}|\s(?:and|or|und|oder|et|ou|y|o|e|en|и)(?=\s)")
#: Words behind a number that it does not count.
_NO_NOUN = frozenset("less fewer more times percent per each weniger mehr moins plus menos más".split())


def find_figures(sentences: Sequence[tuple[str, float]], tables: Sequence[Sequence[Sequence[str]]]) -> tuple[Figure, ...]:
    """At most `MOST` figures of sentences (with their scores: better ones first) and tables: money, percentages, dates, quantities."""
    ranked = sorted(range(len(sentences)), key=lambda index: (-sentences[index][1], index))
    found: dict[str, list[tuple[int, Figure]]] = {kind: [] for kind in _QUOTA}
    for index in ranked:
        for kind, figure in _in_sentence(sentences[index][0]):
            found[kind].append((index, figure))
    for place, figure in enumerate(_in_tables(tables)):
        found["table"].append((len(sentences) + place, figure))
    chosen: list[tuple[str, int, Figure]] = []
    for limited in (True, False):
        for kind, quota in _QUOTA.items():
            for index, figure in found[kind]:
                taken = [(k, f) for k, _, f in chosen]
                if (
                    len(chosen) < MOST
                    and not (limited and sum(1 for k, _ in taken if k == kind) >= quota)
                    and _adds(kind, figure, taken)
                ):
                    chosen.append((kind, index, figure))
    order = list(_QUOTA)
    return tuple(figure for _, _, figure in sorted(chosen, key=lambda item: (order.index(item[0]), item[1])))


def _adds(kind: str, figure: Figure, taken: Sequence[tuple[str, Figure]]) -> bool:
    """Whether it says something that no chosen figure says."""
    value = re.sub(r"\s", "", figure.value.casefold())
    return not any(
        value == re.sub(r"\s", "", other.value.casefold()) or (kind == other_kind and figure.context == other.context)
        for other_kind, other in taken
    )


def has_figure(text: str) -> bool:
    """Whether a sentence holds a figure of any kind."""
    return any(True for _ in _matches(text))


def _in_sentence(sentence: str) -> Iterator[tuple[str, Figure]]:
    text = sentence[:2_000]
    found = list(_matches(text))
    for kind, start, end in found:
        alone = sum(1 for other, _, _ in found if other == kind) == 1
        yield kind, Figure(value=" ".join(text[start:end].split()), context=_around(text, start, end, whole=alone))


def _matches(text: str) -> Iterator[tuple[str, int, int]]:
    """Kind, start and end of every figure, none overlapping another."""
    spans: list[tuple[int, int]] = []
    for kind, pattern in _PATTERNS:
        for match in pattern.finditer(text):
            start, end = match.span()
            if any(start < other_end and end > other_start for other_start, other_end in spans) or not _is_amount(text, match):
                continue
            spans.append((start, end))
            yield kind, start, end


def _is_amount(text: str, match: re.Match[str]) -> bool:
    noun = match.groupdict().get("noun")
    if noun is None:
        return True
    if noun.casefold() in STOP_WORDS or noun.casefold() in _NO_NOUN or _NAMED.search(text[: match.start()]):
        return False
    if re.search(r"\S\s+[A-ZÀ-ÞА-Я]\w*\s$", text[: match.start()]):  # "Windows 11 machines"
        return False
    number = match[0].split()[0]
    return not (_YEAR.fullmatch(number) or re.fullmatch(rf"(?:{_MONTHS})", noun, re.IGNORECASE))


def _around(sentence: str, start: int, end: int, *, whole: bool) -> str:
    """The clause that a figure stands in, or more where that says too little, at most some 100 characters, cut at words.

    A short sentence is told ``whole`` unless it holds more figures of the kind.
    """
    if whole and len(sentence) <= 70:
        return sentence.rstrip(".。। ")
    ends = {match.end() for match in (_CLAUSE if whole else _PART).finditer(sentence) if not start < match.end() < end}
    cuts = [0, *sorted(ends - {0, len(sentence)}), len(sentence)]
    first = max(index for index, cut in enumerate(cuts) if cut <= start)
    last = min(index for index, cut in enumerate(cuts) if cut >= end)
    while cuts[last] - cuts[first] < (40 if whole else 14):
        if first > 0 and cuts[last] - cuts[first - 1] <= _CONTEXT:
            first -= 1
        elif last < len(cuts) - 1 and cuts[last + 1] - cuts[first] <= _CONTEXT:
            last += 1
        else:
            break
    left, right = cuts[first], cuts[last]
    if right - left > _CONTEXT:
        left, right = max(left, start - _CONTEXT // 2), min(right, end + _CONTEXT // 2)
    text = sentence[left:right]
    if left > 0 and left not in cuts and " " in text:
        text = "… " + text.partition(" ")[2]
    if right < len(sentence) and right not in cuts and " " in text:
        text = text.rpartition(" ")[0] + " …"
    text = re.sub(r"(?<!\w)(?:and|or|but|which|und|oder|aber|et|ou|mais|y|o|e|en|pero|и|но)\s*$", "", text.strip())
    text = text.strip(" ,;:，；：、–—-.。।،؛")
    return (
        text + ")" if text.count("(") > text.count(")") else text.removesuffix(")") if text.count(")") > text.count("(") else text
    )


def _in_tables(tables: Sequence[Sequence[Sequence[str]]]) -> Iterator[Figure]:
    """Of each table: its total, its extremes where a column has signs, the largest of each other column."""
    for table in tables:
        rows = [list(row) for row in table if row]
        if not rows:
            continue
        head = [] if any(_is_number(cell) for cell in rows[0][1:]) else rows[0]
        body = rows[1:] if head else rows
        cells = [(row, column) for row in body for column in range(1, len(row)) if row[0].strip() and _is_number(row[column])]
        wanted = [(row, column) for row, column in cells if _TOTAL.match(row[0])][:1]
        signed: dict[int, list[tuple[float, list[str]]]] = {}
        for row, column in cells:
            if re.match(r"[+\-−]\s?\d", row[column]):
                signed.setdefault(column, []).append((_number(row[column]), row))
        for column, values in signed.items():
            if len(values) > 1:
                wanted += [(min(values, key=lambda item: item[0])[1], column), (max(values, key=lambda item: item[0])[1], column)]
        inner = [(row, column) for row, column in cells if not _TOTAL.match(row[0])]
        for column in sorted({column for _, column in inner}, reverse=True):  # the last columns say the most
            wanted.append((max((row for row, other in inner if other == column), key=lambda row: _number(row[column])), column))
        wanted += inner
        for row, column in wanted[:5]:
            name = head[column].strip() if column < len(head) else ""
            yield Figure(
                value=row[column].strip()[:40], context=f"{row[0].strip()[:80]} ({name[:60]})" if name else row[0].strip()[:80]
            )


def _is_number(cell: str) -> bool:
    text = cell.strip()
    if not _CELL.fullmatch(text):
        return False
    return bool(re.search(r"[^\d\s.,]", text)) or (
        len(re.sub(r"\D", "", text)) >= 3 and not _YEAR.fullmatch(text) and len(text) <= 15
    )


def _number(cell: str) -> float:
    digits = re.sub(r"[^\d.]", "", cell.replace(",", "."))
    head, _, tail = digits.rpartition(".")
    value = float(f"{head.replace('.', '')}.{tail}" if head else digits.replace(".", "") or "0")
    return -value if cell.lstrip()[:1] in "-−" else value
