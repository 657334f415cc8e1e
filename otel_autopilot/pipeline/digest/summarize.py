"""The extractive digest, in a child process: the sentences that say most of what the documents say, and none twice.

Sentences are scored by their centrality in a graph of TF-IDF similarities (LexRank, Erkan and Radev 2004), with a bias to
what stands early, under headings and beside the subject's words; what is chosen is spread by maximal marginal relevance
(Carbonell and Goldstein 1998). Deterministic, and bounded however long the documents are.
"""

from __future__ import annotations

import math
import re
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from otel_autopilot.pipeline.digest.clean import is_furniture, new_text
from otel_autopilot.pipeline.digest.figures import find_figures
from otel_autopilot.pipeline.digest.keywords import find_keywords
from otel_autopilot.pipeline.digest.links import best_links
from otel_autopilot.pipeline.digest.sentences import Sentence, split, table_rows
from otel_autopilot.pipeline.digest.words import words_of
from otel_autopilot.pipeline.messages import Document, Figure, KeyPoint, Link

#: Most sentences compared with each other.
CANDIDATES = 400
#: Most text looked at of one document, in characters: the beginning, and evenly spread pieces of the rest.
DOCUMENT_CHARACTERS = 400_000
_DAMPING = 0.85
_ROUNDS = 30
_SPREAD = 0.7


@dataclass(frozen=True)
class Summary:
    """What a mail says, in short, and when that was worked out (``time.time_ns()``)."""

    title: str
    key_points: tuple[KeyPoint, ...]
    keywords: tuple[str, ...]
    links: tuple[Link, ...]
    figures: tuple[Figure, ...]
    sentences: int
    start_unix_nano: int
    end_unix_nano: int


def summarize(subject: str, documents: Sequence[Document], key_points: int) -> Summary:
    """Summarise the documents of a mail; an empty list of key points when there is no text."""
    started = time.time_ns()
    texts = [_text_of(document) for document in documents]
    sentences = [
        sentence
        for index, text in enumerate(texts)
        for sentence in split(text, index)
        if sentence.kind == "heading" or _is_worth_reading(sentence)
    ]
    body = [sentence for sentence in sentences if sentence.kind != "heading"]
    if not body:
        body = [sentence for sentence in sentences if len(sentence.text) > 2]
    candidates = _bounded(_without_doubles(body))
    chosen = choose(candidates, words_of(subject), key_points)
    rows = [row for text in texts for row in table_rows(text)]
    title = _title(subject, sentences)
    return Summary(
        title=title,
        key_points=tuple(KeyPoint(text=_told(sentence), part=documents[sentence.document].part) for sentence in chosen),
        keywords=find_keywords(subject, [sentence.text for sentence in candidates]),
        links=best_links([link for document in documents for link in document.links]),
        figures=find_figures([sentence.text for sentence in candidates], rows),
        sentences=len(body),
        start_unix_nano=started,
        end_unix_nano=time.time_ns(),
    )  # fmt: skip


def _text_of(document: Document) -> str:
    text = document.text.read_text()
    if len(text) > DOCUMENT_CHARACTERS:
        pieces = 20
        size = DOCUMENT_CHARACTERS // pieces
        step = (len(text) - size) // (pieces - 1)
        text = "\n\n".join(text[index * step :][:size] for index in range(pieces))
    return text if document.kind == "pdf" else new_text(text)


def _is_worth_reading(sentence: Sentence) -> bool:
    text = sentence.text
    letters = sum(1 for char in text if char.isalpha())
    if letters < 4 or letters < 0.45 * len(text.replace(" ", "")) or is_furniture(text):
        return False
    if re.fullmatch(r"\S+", text) and len(text) < 30 and text.isascii():
        return False
    if text.endswith(":") and len(text) < 60:
        return False
    return not re.fullmatch(
        r"(hi|hello|hey|dear|hallo|liebe[rs]?|sehr geehrte[rs]?|bonjour|cher|chère|hola|estimad[oa]s?|ciao|gentile|beste|olá|здравствуйте|привет)\b[^.!?]{0,60}[,!.]?",
        text,
        re.IGNORECASE,
    )


def _without_doubles(sentences: list[Sentence]) -> list[Sentence]:
    seen: set[str] = set()
    kept = []
    for sentence in sentences:
        key = re.sub(r"\W+", "", sentence.text.lower())[:120]
        if key and key not in seen:
            seen.add(key)
            kept.append(sentence)
    return kept


def _bounded(sentences: list[Sentence]) -> list[Sentence]:
    """At most `CANDIDATES`: the first ones, and an even spread of the rest."""
    if len(sentences) <= CANDIDATES:
        return sentences
    head, rest = sentences[: CANDIDATES // 4], sentences[CANDIDATES // 4 :]
    wanted = CANDIDATES - len(head)
    return head + [rest[index * len(rest) // wanted] for index in range(wanted)]


def choose(sentences: Sequence[Sentence], topic: Sequence[str], most: int) -> list[Sentence]:
    """The best ``most`` sentences, in the order in which they stand."""
    if len(sentences) <= min(2, most):
        return list(sentences)
    vectors = _vectors([sentence.text for sentence in sentences])
    scores = _scores(sentences, vectors, Counter(topic))
    chosen: list[int] = []
    left = set(range(len(sentences)))
    most = min(most, max(2, math.ceil(len(sentences) * 0.6)))
    while left and len(chosen) < most:
        best = max(
            left,
            key=lambda index: (
                _SPREAD * scores[index]
                - (1 - _SPREAD) * max((_similarity(vectors[index], vectors[other]) for other in chosen), default=0.0),
                -index,
            ),
        )
        left.discard(best)
        if any(_similarity(vectors[best], vectors[other]) > 0.75 for other in chosen):
            continue
        chosen.append(best)
    return [sentences[index] for index in sorted(chosen)]


def _vectors(texts: Sequence[str]) -> list[dict[str, float]]:
    counts = [Counter(words_of(text)) for text in texts]
    spread = Counter(word for count in counts for word in count)
    vectors = []
    for count in counts:
        vector = {word: number * math.log(1 + len(texts) / spread[word]) for word, number in count.items()}
        length = math.sqrt(sum(weight * weight for weight in vector.values())) or 1.0
        vectors.append({word: weight / length for word, weight in vector.items()})
    return vectors


def _similarity(one: dict[str, float], other: dict[str, float]) -> float:
    if len(one) > len(other):
        one, other = other, one
    return sum(weight * other.get(word, 0.0) for word, weight in one.items())


def _scores(sentences: Sequence[Sentence], vectors: list[dict[str, float]], topic: Counter[str]) -> list[float]:
    ranks = _centrality(vectors)
    top = max(ranks) or 1.0
    first_of_block: set[tuple[int, int]] = set()
    scores = []
    for index, sentence in enumerate(sentences):
        score = ranks[index] / top
        score += 0.35 * math.exp(-index / 6)
        if (sentence.document, sentence.block) not in first_of_block:
            first_of_block.add((sentence.document, sentence.block))
            score += 0.12
        words = set(words_of(sentence.text))
        if topic:
            score += 0.35 * sum(1 for word in words if word in topic) / max(3, len(topic))
        if re.search(r"\d", sentence.text):
            score += 0.15
        if _ASKS.search(sentence.text):
            score += 0.3
        length = len(words)
        score *= 0.35 if length < 3 else 0.75 if length < 5 else 1.0 if length <= 35 else 0.7
        scores.append(score)
    return scores


#: What a reader has to do, or by when.
_ASKS = re.compile(
    r"\b(please|must|need to|needs to|have to|action|decid|decision|deadline|by (monday|tuesday|wednesday|thursday|friday|tomorrow|the end|\d)|due|until|approve|"
    r"propose|agreed|confirm|urgent|asap|bitte|muss|müssen|frist|bis (zum|montag|dienstag|mittwoch|donnerstag|freitag)|entscheid|beschlossen|merci de|veuillez|"
    r"avant le|décid|por favor|antes del|decid)",
    re.IGNORECASE,
)


def _centrality(vectors: list[dict[str, float]]) -> list[float]:
    """LexRank by power iteration over the sparse similarity graph."""
    size = len(vectors)
    holders: defaultdict[str, list[int]] = defaultdict(list)
    for index, vector in enumerate(vectors):
        for word in vector:
            holders[word].append(index)
    edges: list[defaultdict[int, float]] = [defaultdict(float) for _ in range(size)]
    for word, indexes in holders.items():
        if len(indexes) > size // 2 + 2 and size > 20:
            continue  # a word that is everywhere says nothing
        for place, one in enumerate(indexes):
            for other in indexes[place + 1 :]:
                weight = vectors[one][word] * vectors[other][word]
                edges[one][other] += weight
                edges[other][one] += weight
    totals = [sum(weights.values()) for weights in edges]
    ranks = [1.0 / size] * size
    for _ in range(_ROUNDS):
        new = [(1 - _DAMPING) / size] * size
        for index, weights in enumerate(edges):
            if totals[index] > 0:
                share = _DAMPING * ranks[index] / totals[index]
                for other, weight in weights.items():
                    new[other] += share * weight
        ranks = new
    return ranks


def _told(sentence: Sentence) -> str:
    """The sentence as a reader gets it: a bare list item says under which heading it stood."""
    text = sentence.text[:1].upper() + sentence.text[1:]
    if len(text) > 400:
        text = text[:400].rsplit(" ", 1)[0].rstrip(",;:") + " …"
    if sentence.kind == "item" and sentence.heading and len(text.split()) <= 6:
        return f"{sentence.heading}: {text}"
    return text


def _title(subject: str, sentences: Sequence[Sentence]) -> str:
    title = re.sub(
        r"^\s*((re|fwd?|aw|wg|sv|vs|antw|tr|rv|回复|转发)\s*(\[\d+\])?\s*[:：]\s*|\[[^\]]{1,40}\]\s*)+",
        "",
        subject,
        flags=re.IGNORECASE,
    ).strip()
    if title:
        return title[:300]
    for sentence in sentences:
        if len(sentence.text) > 2:
            return sentence.text if len(sentence.text) <= 90 else sentence.text[:90].rsplit(" ", 1)[0] + " …"
    return ""
