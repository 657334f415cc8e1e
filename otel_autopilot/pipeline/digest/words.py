"""Words that carry meaning, in several languages."""

from __future__ import annotations

import re

_STOP = {
    "en": "a about above after again all also am an and any are as at be because been before being between both but by can could did do does doing "
    "down during each even few for from further had has have having he her here hers him his how i if in into is it its just let like may me might more "
    "most must my new no nor not now of off on once only or other our out over own per please same shall she should so some such than that the their "
    "them then there these they this those through to too under until up us very was we were what when where which while who whom why will with would you your yours",
    "de": "aber alle als also am an auch auf aus bei bin bis bitte da damit dann das dass dein dem den der des dich die dies diese diesem diesen dieser "
    "dieses dir doch dort du durch ein eine einem einen einer eines er es euch für gegen hat habe haben hatte hier ich ihm ihn ihnen ihr ihre im in ist "
    "ja jede kann kein keine können man mehr mein mich mir mit muss nach nicht noch nun nur ob oder ohne sehr sein seine sich sie sind so soll sowie "
    "über um und uns unser unter vom von vor war waren was weil wenn werden wie wir wird wo wurde zu zum zur",
    "fr": "à au aux avec ce ces cette dans de des du elle en est et être eux il ils je la le les leur lui mais me même mes moi mon ne nos notre nous on ont "
    "ou où par pas pour qu que qui sa sans se ses si son sont sur ta te tes ton tous tout très tu un une vos votre vous plus été aussi",
    "es": "a al como con de del desde donde el ella en entre era es esta este esto están está fue ha hay la las le les lo los más me mi muy no nos o para pero "
    "por porque que qué se ser si sin sobre son su sus también te un una uno y ya",
    "it": "a ad al alla anche che chi ci come con da dal dalla dei del della di e ed è era gli ha ho i il in io la le lei lo loro ma mi nei nel nella non "
    "o per più quella questo se si sono su sul tra un una uno",
    "nl": "aan al als bij dan dat de der deze die dit door een en er had heeft het hij hoe ik in is je kan maar me meer men met mijn na naar niet nog nu of "
    "om ook op over te tot uit van veel voor was wat we wel wij zijn zo",
    "pt": "a ao aos as com como da das de do dos e é ela ele em entre era essa este eu foi há isso já mais mas me na nas não no nos o os ou para pela pelo "
    "por que se sem ser seu sua são também te tem um uma você",
    "ru": "а без был была были было быть в вам вас весь во вот все вы где да для до его ее если есть еще же за и из или им их к как ко когда кто ли мы на "
    "над не нет ни но о об он она они от по под при с со так также то что чтобы это я",
}
STOP_WORDS = frozenset(word for text in _STOP.values() for word in text.split())
#: Vowel signs and other marks inside words of scripts in which `\\w` stops at them.
MARKS = r"\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0970-\u0dff\u0e31-\u0e4e"
_WORD = re.compile(rf"[^\W\d_](?:[^\W_]|[{MARKS}]|['’\-](?=[^\W_]))*")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")


def words_of(text: str) -> list[str]:
    """Lower-case words without stop words; text without spaces (Chinese, Japanese, Korean) gives pairs of characters."""
    found = []
    for word in _WORD.findall(text.lower()):
        if _CJK.search(word):
            found += [word[index : index + 2] for index in range(len(word) - 1)] or [word]
        elif len(word) > 1 and word not in STOP_WORDS:
            found.append(stem(word))
    return found


def stem(word: str) -> str:
    """A word without the commonest English plural and verb endings: enough to count them together."""
    for ending in ("ies", "ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word
