"""Keywords: phrases between stop words, scored by how often and how together their words stand (RAKE, Rose et al. 2010)."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from otel_autopilot.pipeline.digest.words import STOP_WORDS, stem

#: Most keywords of a digest.
MOST = 8
_TOKEN = re.compile(r"[^\W_](?:[^\W_]|['’\-](?=[^\W_]))*|[^\w\s]", re.UNICODE)
_WEAK = frozenset(
    "please thanks thank hello dear regards today tomorrow yesterday week month year day time one two three next last first many much well see get got make made say said use used".split()
)


def find_keywords(subject: str, sentences: Sequence[str]) -> tuple[str, ...]:
    """The best phrases of one to three words, each as it is first written."""
    phrases: list[list[str]] = []
    for text in (subject, subject, *sentences):
        phrases += _phrases(text)
    frequency: Counter[str] = Counter()
    degree: defaultdict[str, int] = defaultdict(int)
    for phrase in phrases:
        for word in phrase:
            frequency[stem(word.lower())] += 1
            degree[stem(word.lower())] += len(phrase) - 1
    written: dict[tuple[str, ...], str] = {}
    scores: Counter[tuple[str, ...]] = Counter()
    for phrase in phrases:
        key = tuple(stem(word.lower()) for word in phrase)
        written.setdefault(key, " ".join(phrase))
        strength = sum((degree[word] + frequency[word]) / frequency[word] for word in key) / len(key)
        repeated = min(frequency[word] for word in key)
        scores[key] += int(100 * strength**0.5 * (1 if repeated > 1 else 0.4))
    chosen: list[tuple[str, ...]] = []
    for key, _ in sorted(scores.items(), key=lambda item: (-item[1], item[0])):
        if any(set(key) <= set(other) or set(other) <= set(key) for other in chosen):
            continue
        chosen.append(key)
        if len(chosen) == MOST:
            break
    return tuple(written[key] for key in chosen)


def _phrases(text: str) -> list[list[str]]:
    phrases: list[list[str]] = []
    current: list[str] = []
    for token in _TOKEN.findall(text[:4_000]):
        low = token.lower()
        if len(token) < 3 or low in STOP_WORDS or low in _WEAK or not token[0].isalpha() or any(char.isdigit() for char in token):
            if current:
                phrases.append(current)
            current = []
        else:
            current.append(token)
            if len(current) == 3:
                phrases.append(current)
                current = []
    if current:
        phrases.append(current)
    return phrases
