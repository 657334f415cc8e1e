"""How central each sentence is: LexRank (Erkan and Radev 2004) over TF-IDF vectors, kept sparse."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from otel_autopilot.pipeline.digest.words import words_of

Vector = dict[str, float]

_DAMPING = 0.85
_ROUNDS = 30
#: Below this many sentences a word that stands in most of them still says something.
_FEW = 20


def vectors(texts: Sequence[str]) -> list[Vector]:
    """Unit vectors of TF-IDF weights, one a text."""
    counts = [Counter(words_of(text)) for text in texts]
    spread = Counter(word for count in counts for word in count)
    found = []
    for count in counts:
        vector = {word: number * math.log(1 + len(texts) / spread[word]) for word, number in count.items()}
        length = math.sqrt(sum(weight * weight for weight in vector.values())) or 1.0
        found.append({word: weight / length for word, weight in vector.items()})
    return found


def similarity(one: Vector, other: Vector) -> float:
    """Cosine of two unit vectors, from 0 to 1."""
    if len(one) > len(other):
        one, other = other, one
    return sum(weight * other.get(word, 0.0) for word, weight in one.items())


def centrality(texts: Sequence[Vector]) -> list[float]:
    """The stationary share of each text in a random walk over similarities, scaled so that the largest is 1."""
    size = len(texts)
    if not size:
        return []
    holders: defaultdict[str, list[int]] = defaultdict(list)
    for index, vector in enumerate(texts):
        for word in vector:
            holders[word].append(index)
    edges: list[defaultdict[int, float]] = [defaultdict(float) for _ in range(size)]
    for word, indexes in holders.items():
        if size > _FEW and len(indexes) > size // 2 + 2:
            continue  # a word that is everywhere says nothing
        for place, one in enumerate(indexes):
            for other in indexes[place + 1 :]:
                weight = texts[one][word] * texts[other][word]
                edges[one][other] += weight
                edges[other][one] += weight
    totals = [sum(weights.values()) for weights in edges]
    ranks = [1.0 / size] * size
    for _ in range(_ROUNDS):
        following = [(1 - _DAMPING) / size] * size
        for index, weights in enumerate(edges):
            if totals[index] > 0:
                share = _DAMPING * ranks[index] / totals[index]
                for other, weight in weights.items():
                    following[other] += share * weight
        ranks = following
    top = max(ranks)
    return [rank / top for rank in ranks]
