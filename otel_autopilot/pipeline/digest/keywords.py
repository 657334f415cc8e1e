"""Keywords: what a mail keeps coming back to, and what its subject names.

Candidates are runs of words between stop words (RAKE, Rose et al. 2010); in Chinese and Japanese, which write no spaces, runs
of ideographs or katakana that come back. A phrase counts when it repeats or stands in the subject.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from otel_autopilot.pipeline.digest.words import MARKS, STOP_WORDS, stem

#: Most keywords of a digest, and most words in one.
MOST = 8
_LONGEST = 3
#: Below this many, words of the subject that come back nowhere are good enough.
_FEW = 3
_TOKEN = re.compile(rf"[^\W_](?:[^\W_]|[{MARKS}]|['’\-](?=[^\W_]))*|[^\w\s]")
_WIDE_RUN = re.compile(r"[\u3400-\u9fff々]+|[\u30a1-\u30fa\u30fc]{2,}")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
#: Words that say little by themselves in a mail.
_WEAK = frozenset(
    "please thanks thank hello dear regards today tomorrow yesterday week month year day time one two three next last first second many much well see get got make made say said use used "
    "need want take let know think know go come give new good better best sure able still already yet however fwd monday tuesday wednesday thursday friday saturday sunday minutes hours days weeks "
    "months years minute hour january february march april june july august september october november december percent half none item items page pages note notes change attached attachment "
    "whether failed old fifteen avant deux antes dos tres trois quatre zwei drei including within without since because therefore mail email e-mail message subject read here there where important urgent re "
    "heute morgen gestern montag dienstag mittwoch donnerstag freitag bitte danke woche wochen tag tage jahr januar februar märz mai juni juli oktober dezember "
    "lundi mardi mercredi jeudi vendredi janvier février mars avril juin juillet août septembre octobre novembre décembre merci bonjour lunes martes miércoles jueves viernes enero febrero marzo abril mayo junio julio "
    "января февраля марта апреля мая июня июля августа сентября октября ноября декабря июль".split()
)


def find_keywords(title: str, sentences: Sequence[str]) -> tuple[str, ...]:
    """At most `MOST` phrases of one to three words, the strongest first, each as it is written most often; none without sentences."""
    if not sentences:
        return ()
    texts = [text[:2_000] for text in sentences]
    counts: Counter[tuple[str, ...]] = Counter()
    written: dict[tuple[str, ...], Counter[str]] = {}
    subject = {key for run in _runs(title) for key, _ in _phrases(run)}
    for text in (title, *texts):
        seen: set[tuple[str, ...]] = set()
        for run in _runs(text):
            for key, phrase in _phrases(run):
                written.setdefault(key, Counter())[phrase] += 1
                seen.add(key)
        counts.update(seen)
    scores: dict[tuple[str, ...], float] = {}
    for key, count in counts.items():
        if count < 2 and (key not in subject or len(key) == 1):
            continue
        scores[key] = (
            count * (1 + 0.6 * (len(key) - 1)) * (1.8 if key in subject else 1.0) * (1.0 if len(key) > 1 else _weight(key[0]))
        )
    chosen: list[tuple[str, ...]] = []
    for key in sorted(scores, key=lambda item: (-scores[item], item)):
        if not any(_overlap(key, other) for other in chosen):
            chosen.append(key)
        if len(chosen) == MOST:
            break
    for key in sorted(subject, key=lambda item: (-len(item), item)):  # a mail that repeats nothing has at least a subject
        if len(chosen) < _FEW and not any(_overlap(key, other) for other in chosen):
            chosen.append(key)
    wide = _wide_keywords(title, texts)
    phrases = [written[key].most_common(1)[0][0] for key in chosen]
    return tuple((wide + phrases)[:MOST])


def _weight(word: str) -> float:
    """Longer words say more."""
    return 0.6 if len(word) <= 3 else 0.9 if len(word) <= 5 else 1.0


def _overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return bool(set(one) & set(other))


def _runs(text: str) -> Iterator[list[str]]:
    """Words with no stop word, number or punctuation between them."""
    current: list[str] = []
    for token in _TOKEN.findall(text):
        low = token.casefold()
        if (
            len(token) < 2
            or low in STOP_WORDS
            or low in _WEAK
            or not token[0].isalpha()
            or sum(c.isdigit() for c in token) > 1
            or _WIDE.search(token)
        ):
            if current:
                yield current
            current = []
        else:
            current.append(token)
    if current:
        yield current


def _phrases(run: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    stems = [stem(word.casefold()) for word in run]
    for start in range(len(run)):
        for size in range(1, min(_LONGEST, len(run) - start) + 1):
            if size > 1 or len(run[start]) > 2:
                yield tuple(stems[start : start + size]), " ".join(run[start : start + size])


def _wide_keywords(title: str, texts: Sequence[str]) -> list[str]:
    """Runs of two to six ideographs, or katakana words, that come back or stand in the title."""
    counts: Counter[str] = Counter()
    in_title: set[str] = set()
    for place, text in enumerate((title, *texts)):
        found: set[str] = set()
        for run in _WIDE_RUN.findall(text):
            if "\u30a0" <= run[0] <= "\u30ff":
                found.add(run)
            else:
                found |= {run[start : start + size] for size in range(2, 7) for start in range(max(0, len(run) - size + 1))}
        if place == 0:
            in_title = found
        counts.update(found)
    ranked = sorted(
        (word for word, count in counts.items() if count >= 2),
        key=lambda word: (-counts[word] * (len(word) - 1) * (2 if word in in_title else 1), word),
    )
    chosen: list[str] = []
    for word in ranked:
        if not any(word in other or other in word or _shares(word, other) for other in chosen):
            chosen.append(word)
    return chosen[:MOST]


def _shares(one: str, other: str) -> bool:
    """Whether the end of one is the beginning of the other: two cuts of the same run."""
    return any(one[-size:] == other[:size] or other[-size:] == one[:size] for size in range(1, min(len(one), len(other))))
