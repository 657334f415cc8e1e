"""What the subject line says about a mail: a reply, a forward, and the title that is left without such marks."""

from __future__ import annotations

import re

#: Longest title, in characters.
TITLE_CHARACTERS = 300
#: Reply and forward marks of mail programs in many languages, as they write them before the subject.
_REPLY = r"re|aw|sv|vs|antw|rif|ris|odp|ynt|res|回复|答复|返信|回覆|ответ"
_FORWARD = r"fwd?|wg|vb|tr|rv|i|enc|doorst|vl|pd|转发|轉寄|転送|пересл"
_MARK = re.compile(rf"\s*(?:{_REPLY}|{_FORWARD})\s*(?:\[\d+\]|\(\d+\))?\s*[:：]\s*", re.IGNORECASE)
_FORWARD_MARK = re.compile(rf"\s*(?:{_FORWARD})\s*(?:\[\d+\])?\s*[:：]", re.IGNORECASE)
#: A mailing list's tag; one that says how much the mail matters stays.
_TAG = re.compile(
    r"\s*\[(?!\s*(?:urgent|important|action|wichtig|dringend|eilt|important|urgente|importante|срочно|важно|security|sev))[^\]]{1,40}\]\s*",
    re.IGNORECASE,
)


def is_forward(subject: str) -> bool:
    """Whether the outermost mark of the subject says forwarded."""
    return bool(_FORWARD_MARK.match(_TAG.sub("", subject, count=1)))


def is_reply(subject: str) -> bool:
    """Whether the subject begins with any reply or forward mark."""
    return bool(_MARK.match(_TAG.sub("", subject, count=1)))


def title_of(subject: str) -> str:
    """The subject without reply and forward marks and list tags; "" when nothing is left."""
    rest = " ".join(subject.split())
    for _ in range(20):
        match = _MARK.match(rest) or _TAG.match(rest)
        if match is None or match.end() == len(rest):
            break
        rest = rest[match.end() :]
    rest = rest.strip()
    if len(rest) > TITLE_CHARACTERS:
        rest = rest[:TITLE_CHARACTERS].rsplit(" ", 1)[0] + " …"
    return "" if _MARK.fullmatch(rest) else rest
