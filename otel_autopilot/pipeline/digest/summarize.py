"""The extractive summary: title, key points, keywords, figures and links, from the mail's own words.

Sentences are scored by their centrality, with a bias to what stands early, begins a section, shares the subject's words, holds
a number or asks something of the reader; what is chosen is spread by maximal marginal relevance (Carbonell and Goldstein 1998)
and over sections. Deterministic, and bounded however long the documents are.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from otel_autopilot.pipeline.digest import rank
from otel_autopilot.pipeline.digest.clean import new_text
from otel_autopilot.pipeline.digest.figures import find_figures, has_figure
from otel_autopilot.pipeline.digest.keywords import find_keywords
from otel_autopilot.pipeline.digest.links import best_links, links_in
from otel_autopilot.pipeline.digest.pages import without_running_lines
from otel_autopilot.pipeline.digest.paragraphs import tables
from otel_autopilot.pipeline.digest.sentences import Sentence, defused, plain, split
from otel_autopilot.pipeline.digest.subjects import title_of
from otel_autopilot.pipeline.digest.words import words_of
from otel_autopilot.pipeline.digest.worth import is_worth_reading, without_greeting
from otel_autopilot.pipeline.messages import Document, Figure, KeyPoint, Link

#: Most sentences compared with each other, and most that are looked at as candidates for that.
CANDIDATES = 400
_LOOKED_AT = 4 * CANDIDATES
#: Longer lines are cut into pieces: nobody wrote them, and every pattern stays quick.
_LINE_CHARACTERS = 4_000
#: Most text looked at of one document, in characters: the beginning, and evenly spread pieces of the rest.
DOCUMENT_CHARACTERS = 200_000
_PIECES = 20
_BLANK = re.compile(r"\s")
_LONGEST_WORD = 100
#: A mail of at most so many sentences and characters is its own digest.
_SHORT_SENTENCES = 5
_SHORT_CHARACTERS = 700
#: Weight of relevance against novelty when choosing, and what another sentence of the same section costs.
_RELEVANCE = 0.7
_SAME_SECTION = 0.13
#: More alike than this is said already.
_ALIKE = 0.75
#: Longest key point, in characters.
_KEY_POINT = 400
#: What a reader has to do, decide, or know by a date.
_ASKS = re.compile(
    r"\b(?:please (?!find)|must|need(?:s|ed)? (?:to|by|a|your)|we need|have to|has to|deadline|by (?:monday|tuesday|wednesday|thursday|friday|noon|tomorrow|the end|\d)|before (?:\d|monday|tuesday|wednesday|thursday|friday)|due (?:by|on|\d|date)|until \d"
    r"|decision|decided|action required|approv|propose|suggest|recommend|agreed|confirm|urgent|asap|let me know|could you|can you|would you|risk|bitte|muss|müssen|müsste|frist|bis (?:zum|spätestens|ende|montag|dienstag|mittwoch|donnerstag|freitag)|entscheid|beschlossen|benötig"
    r"|merci de|veuillez|pouvez-vous|avant le|d'ici|décid|doi(?:t|vent)|por favor|deben?|antes del|decid|confirm|per favore|entro il|si prega|graag|uiterlijk|vóór|por favor|até|просим|прошу|пожалуйста|подтверд|необходимо|до (?:пятницы|понедельника|конца|\d))"
    r"|ください|お願い(?:いた|し)|まで(?:に|の)|承認|締切|期限|必要|请|审批|之前|务必|截止|确认",
    re.IGNORECASE,
)
_POINTS_TO_ATTACHMENT = re.compile(
    r"\battach(?:ed|ment)|enclosed|anbei|angehängt|im anhang|ci-joint|pièce jointe|adjunt|allegat|bijlage|anexo|вложен|添付|附件",
    re.IGNORECASE,
)
#: What went wrong, or may.
_TROUBLE = re.compile(
    r"\b(?:fail(?:ed|s|ure|ures)?|error|outage|incident|lost|los[st]|mismatch\w*|delay(?:ed|s)?|late|missed|slip(?:s|ped)?|block(?:ed|er|s)?|problem|cancel\w*|postpone\w*|overdue|penalty|broken|exceed\w*|shortage|root cause"
    r"|verschieb\w*|verspät\w*|ausfall|fehler|problem\w*|verzöger\w*|mehrkosten|retard|panne|grève|annul\w*|échou\w*|retras\w*|cancelad\w*|fallo|ritardo|guasto|vertraging|storing|atraso|falha|перенос\w*|задерж\w*|ошибк\w*|сбой)\b"
    r"|遅れ|障害|超過|上回|中止|延期|延迟|超出|故障|取消|推迟",
    re.IGNORECASE,
)
_MONEY = re.compile(r"[$€£¥₹₽]\s?\d|\d\s?(?:[$€£¥₹₽円元]|[万億]円|万元|(?:EUR|USD|GBP|CHF|euros?|dollars?|pounds?|руб)\b)")
_ENDS = re.compile(r"\w\.[a-z]{2,}$|[.!?…。！？।؟][\"'”’»)\]]*$")
#: A sentence that can't be understood without the one before it.
_LEANS_BACK = re.compile(
    r"(?:it|they|this|that|these|those|he|she|however|but|so|then|therefore|also|er|sie|es|dies|das|il|elle|ils|cela|esto|eso)\b",
    re.IGNORECASE,
)
#: Headings of sections that are a digest already.
_SUMMARY = re.compile(
    r"\W*(?:\d+[.)]?\s*)?(?:(?:executive |management )?summary|key (?:findings|points|facts|takeaways)|highlights|conclusions?|tl;?dr|zusammenfassung|fazit|das wichtigste|résumé|synthèse|conclusion|resumen|conclusiones|riepilogo|samenvatting|resumo|итоги|выводы|резюме|まとめ|要約|概要|摘要|总结)",
    re.IGNORECASE,
)
_SIDE_REMARK = re.compile(r"^(?:also|by the way|btw|ps|p\.s|incidentally|fyi|übrigens|au fait|por cierto)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Summary:
    """What a mail says, in short, and of how many sentences."""

    title: str
    key_points: tuple[KeyPoint, ...]
    keywords: tuple[str, ...]
    links: tuple[Link, ...]
    figures: tuple[Figure, ...]
    sentences: int


def summarize(subject: str, author: str, documents: Sequence[Document], key_points: int) -> Summary:
    """Summarise the documents of a mail; without text there are no key points, and without a subject no title either."""
    texts = [readable_text(document, subject, author) for document in documents]
    sentences = [
        replace(sentence, text=without_greeting(sentence.text))
        for index, text in enumerate(texts)
        for sentence in split(text, index)
    ]
    prose = _bounded([item for item in sentences if item.kind != "heading"], _LOOKED_AT)
    body = _without_doubles([item for item in prose if is_worth_reading(item)])
    if not body:  # better a scrap than nothing
        body = _without_doubles([replace(item, kind="paragraph") for item in sentences])
    candidates = _bounded(body, CANDIDATES)
    title = title_of(defused(subject)) or _title_from(sentences)
    chosen, scores = choose(candidates, title, key_points, has_attachment=len(documents) > 1)
    rows = [[[plain(cell) for cell in row] for row in table] for text in texts for table in tables(text)]
    points = tuple(KeyPoint(text=_told(sentence), part=documents[sentence.document].part) for sentence in chosen)
    return Summary(
        title=title,
        key_points=points or _rows_told(texts, documents, key_points),
        keywords=find_keywords(title, [sentence.text for sentence in candidates]),
        links=best_links([link for text in texts for link in links_in(text)]),
        figures=find_figures([(item.text, score) for item, score in zip(candidates, scores, strict=True)], rows),
        sentences=sum(1 for item in sentences if item.kind != "heading"),
    )


def _rows_told(texts: Sequence[str], documents: Sequence[Document], most: int) -> tuple[KeyPoint, ...]:
    """Of a mail that is nothing but tables: its first rows, each cell with the head of its column."""
    told: list[KeyPoint] = []
    for text, document in zip(texts, documents, strict=True):
        for head, *rows in tables(text):
            names = [plain(cell) for cell in head]
            for row in rows or [head]:
                cells = [(name, plain(cell)) for name, cell in zip_longest(names if rows else [], row, fillvalue="")]
                line = "; ".join(f"{name}: {cell}" if name else cell for name, cell in cells if cell)
                if line:
                    told.append(KeyPoint(text=line[:_KEY_POINT], part=document.part))
    return tuple(told[:most])


def readable_text(document: Document, subject: str, author: str) -> str:
    """The Markdown of a document that is worth reading: of a mail's body what is new, of a PDF what isn't on every page."""
    text = document.text.read_text()
    if document.kind != "pdf":
        return new_text(_with_short_lines(text[:DOCUMENT_CHARACTERS]), subject, author)
    if len(text) > DOCUMENT_CHARACTERS:
        size = DOCUMENT_CHARACTERS // _PIECES
        step = (len(text) - size) // (_PIECES - 1)
        text = "\f".join(_whole_words(text, index * step, index * step + size) for index in range(_PIECES))
    return without_running_lines(_with_short_lines(text)) if document.pages > 1 else _with_short_lines(text)


def _with_short_lines(text: str) -> str:
    return "\n".join(piece for line in text.split("\n") for piece in _cut_at_blanks(line))


def _cut_at_blanks(line: str) -> Iterator[str]:
    start = 0
    while len(line) - start > _LINE_CHARACTERS:
        blank = line.rfind(" ", start + _LINE_CHARACTERS // 2, start + _LINE_CHARACTERS)
        end = blank if blank > 0 else start + _LINE_CHARACTERS
        yield line[start:end]
        start = end
    yield line[start:]


def _whole_words(text: str, start: int, end: int) -> str:
    """A piece of a text without the halves of words at its ends."""
    first = _BLANK.search(text, start, start + _LONGEST_WORD) if start else None
    last = _BLANK.search(text, end, end + _LONGEST_WORD)
    return text[first.end() if first else start : last.start() if last else end]


def choose(
    sentences: Sequence[Sentence], title: str, most: int, *, has_attachment: bool = False
) -> tuple[list[Sentence], list[float]]:
    """The best ``most`` sentences in the order in which they stand, and the score of every sentence."""
    found = rank.vectors([sentence.text for sentence in sentences])
    scores = _scores(sentences, rank.centrality(found), set(words_of(title)), has_attachment=has_attachment)
    if len(sentences) <= min(_SHORT_SENTENCES, most) and sum(len(item.text) for item in sentences) <= _SHORT_CHARACTERS:
        whole = [item for item in sentences if item.kind != "paragraph" or _ENDS.search(item.text)]
        return (whole if len(whole) >= 2 else list(sentences)), scores
    most = min(most, max(3, math.ceil(len(sentences) * (0.7 if len(sentences) <= 8 else 0.55))))
    chosen: list[int] = []
    crowds: Counter[tuple[int, int]] = Counter()
    nearest = [0.0] * len(sentences)  # similarity to the most alike of those chosen
    left = set(range(len(sentences)))
    while left and len(chosen) < most:

        def gain(index: int) -> tuple[float, int]:
            sentence = sentences[index]
            crowd = crowds[sentence.document, sentence.section] * (0.4 if _SUMMARY.match(sentence.heading) else 1.0)
            return _RELEVANCE * scores[index] - (1 - _RELEVANCE) * nearest[index] - _SAME_SECTION * crowd, -index

        best = max(left, key=gain)
        left.discard(best)
        if nearest[best] > _ALIKE:
            continue
        chosen.append(best)
        crowds[sentences[best].document, sentences[best].section] += 1
        for index in left:
            nearest[index] = max(nearest[index], rank.similarity(found[index], found[best]))
    return [sentences[index] for index in sorted(chosen)], scores


def _scores(sentences: Sequence[Sentence], central: Sequence[float], topic: set[str], *, has_attachment: bool) -> list[float]:
    scores = []
    places: dict[int, int] = {}
    sections: set[tuple[int, int]] = set()
    for sentence, share in zip(sentences, central, strict=True):
        place = places[sentence.document] = places.get(sentence.document, -1) + 1
        words = set(words_of(sentence.text))
        score = 0.8 * share + 0.3 * math.exp(-place / 4)
        if (sentence.document, sentence.section) not in sections:
            sections.add((sentence.document, sentence.section))
            score += 0.22
        elif sentence.first:
            score += 0.08
        if topic:
            score += 0.3 * len(words & topic) / max(3, len(topic))
        if has_figure(sentence.text):
            score += 0.2
        if _MONEY.search(sentence.text):
            score += 0.15
        if _TROUBLE.search(sentence.text):
            score += 0.2
        if _ASKS.search(sentence.text):
            score += 0.3
        if has_attachment and _POINTS_TO_ATTACHMENT.search(sentence.text):
            score *= 0.4
        if sentence.kind == "paragraph" and not _ENDS.search(sentence.text):
            score *= 0.4
        if not sentence.first and _LEANS_BACK.match(sentence.text):
            score *= 0.7
        if _SIDE_REMARK.match(sentence.text):
            score *= 0.7
        length = max(len(words), len(sentence.text) // 12)
        score *= 0.5 if length < 3 else 0.8 if length < 5 else 1.0 if length <= 45 else 0.7
        scores.append(score)
    return scores


def _without_doubles(sentences: Sequence[Sentence]) -> list[Sentence]:
    seen: set[str] = set()
    kept = []
    for sentence in sentences:
        key = re.sub(r"[\W_]+", "", sentence.text.casefold())[:120]
        if key and key not in seen:
            seen.add(key)
            kept.append(sentence)
    return kept


def _bounded(sentences: list[Sentence], most: int) -> list[Sentence]:
    """At most ``most``: the first ones, and an even spread of the rest."""
    if len(sentences) <= most:
        return sentences
    head, rest = sentences[: most // 4], sentences[most // 4 :]
    wanted = most - len(head)
    return head + [rest[index * len(rest) // wanted] for index in range(wanted)]


def _told(sentence: Sentence) -> str:
    """The sentence as a reader gets it: a scrap says under which heading it stood, an answer to which question."""
    text = sentence.text[:1].upper() + sentence.text[1:]
    if len(text) > _KEY_POINT:
        text = text[:_KEY_POINT].rsplit(" ", 1)[0].rstrip(",;:") + " …"
    if sentence.heading.endswith(("?", "？")) and sentence.first and len(sentence.heading) + len(text) <= 240:
        return f"{sentence.heading} {text}"
    if sentence.kind == "item" and sentence.heading and len(text.split()) <= 5:
        return f"{sentence.heading}: {text}"
    return text


def _title_from(sentences: Sequence[Sentence]) -> str:
    """The first heading, else the beginning of the first sentence that says something."""
    for sentence in [*(s for s in sentences if s.kind == "heading"), *(s for s in sentences if is_worth_reading(s)), *sentences]:
        text = sentence.text
        if len(text) > 2:
            return text if len(text) <= 90 else text[:90].rsplit(" ", 1)[0] + " …"
    return ""
