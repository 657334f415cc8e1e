"""What is new in a mail: quoted replies, signatures, disclaimers and newsletter furniture are taken out."""

from __future__ import annotations

import re

#: "On Tuesday, Grace wrote:" and its kin; the line may be broken in two.
_ATTRIBUTION = re.compile(
    r"^(on\b.{4,200}\bwrote|am\b.{4,200}\bschrieb\b.{0,80}|le\b.{4,200}\ba écrit|el\b.{4,200}\bescribió|il\b.{4,200}\bha scritto"
    r"|op\b.{4,200}\bschreef\b.{0,80}|em\b.{4,200}\bescreveu|.{4,120}\bпишет|.{4,120}\bнаписал\(?а?\)?|.{2,120}写道|.{2,120}のメッセージ)\s*[:：]?\s*$",
    re.IGNORECASE,
)
_ORIGINAL = re.compile(
    r"^[-_* ]{2,}\s*(original message|original appointment|forwarded message|ursprüngliche nachricht|weitergeleitete nachricht"
    r"|message d'origine|message transféré|mensaje original|messaggio originale|oorspronkelijk bericht|mensagem original"
    r"|исходное сообщение|原始邮件|转发的邮件)\s*[-_* ]*$",
    re.IGNORECASE,
)
_FORWARDED = re.compile(r"forwarded|weitergeleitet|transféré|reenviado|doorgestuurd|转发|inoltrato|encaminhad", re.IGNORECASE)
_HEADER_LINE = re.compile(
    r"^\s*[*_]{0,2}(from|sent|to|cc|date|subject|reply-to|von|gesendet|an|betreff|datum|de|envoyé|à|objet|para|enviado|asunto|da|inviato"
    r"|oggetto|van|verzonden|aan|onderwerp|от|кому|тема|дата|发件人|收件人|主题|发送时间|差出人|宛先|件名)[*_]{0,2}\s*[:：]",
    re.IGNORECASE,
)
_SIGNATURE = re.compile(
    r"^(-- ?|—|__+|sent from my .{2,40}|get outlook for .{2,20}|von meinem .{2,40} gesendet|envoyé de mon .{2,40}|enviado desde mi .{2,40}"
    r"|inviato da .{2,40}|verzonden vanaf .{2,40}|отправлено с .{2,40}|发自我的.{1,20}|.{1,20}から送信)\s*$",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"^(best|best regards|kind regards|warm regards|regards|many thanks|thanks|thank you|cheers|sincerely|yours( sincerely| truly)?"
    r"|mit freundlichen grüßen|viele grüße|beste grüße|liebe grüße|mfg|cordialement|bien à vous|saludos( cordiales)?|cordiali saluti"
    r"|met vriendelijke groet(en)?|atenciosamente|с уважением|此致|よろしくお願い.{0,10})\s*[,.!]?\s*$",
    re.IGNORECASE,
)
_DISCLAIMER = re.compile(
    r"(this (e-?mail|message|communication)( and any (files|attachments))?[^.]{0,80}(confidential|privileged|intended (only |solely )?for)"
    r"|if you (are not|have received this).{0,60}(intended recipient|in error)|please consider the environment before printing"
    r"|diese e-?mail (enthält|kann) vertrauliche|ce (message|courriel).{0,60}confidentiel|registered (office|in england)|company (number|registration)"
    r"|all rights reserved|©|copyright \d{4})",
    re.IGNORECASE,
)
_FURNITURE = re.compile(
    r"(unsubscribe|opt[- ]?out|manage (your )?(preferences|subscription)|update (your )?(preferences|profile)|email preferences|view (this )?(e-?mail )?(in|on) (your |a |the )?(browser|web)"
    r"|view online|read online|having trouble (viewing|reading)|add us to your address book|you('re| are)? (are )?receiv(ing|ed?) this|you get this|privacy (policy|notice)"
    r"|terms of (service|use)|why did i get this|forward (this )?to a friend|follow us on|abmelden|abbestellen|newsletter abbestellen|im browser (ansehen|öffnen)"
    r"|datenschutz|impressum|se désabonner|désinscri|voir dans le navigateur|darse de baja|cancelar suscripci|ver en el navegador|disiscriviti|afmelden|配信停止|退订)",
    re.IGNORECASE,
)
_SOCIAL = re.compile(
    r"^\W*(facebook|twitter|x|linkedin|instagram|youtube|tiktok|pinterest|mastodon|threads|bluesky)(\W+(facebook|twitter|x|linkedin|instagram|youtube|tiktok|pinterest|mastodon|threads|bluesky))*\W*$",
    re.IGNORECASE,
)
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def new_text(text: str) -> str:
    """The part of a body that its sender wrote: without quoted replies, signature, disclaimers and furniture.

    For an inline reply the answered lines go, what is between them stays. A mail that consists of nothing but quoted or
    forwarded text gives that text, its header lines left out.
    """
    lines = text.split("\n")
    kept = _without_quotes(lines)
    kept = _without_signature(kept)
    result = _without_furniture(kept)
    if len(re.sub(r"\W+", "", "".join(result))) >= 12:
        return _join(result)
    everything = [line.lstrip("> ") for line in lines if not _is_mark(line.lstrip("> "))]
    return _join(_without_furniture(_without_signature(everything)))


def is_furniture(line: str) -> bool:
    """Whether a line is boilerplate of newsletters or lawyers."""
    plain = _LINK.sub(r"\1", line).strip()
    if not plain:
        return False
    if _SOCIAL.match(plain) or _DISCLAIMER.search(plain):
        return True
    match = _FURNITURE.search(plain)
    return bool(match) and len(plain) < 300


def _join(lines: list[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _is_mark(line: str) -> bool:
    return bool(_ATTRIBUTION.match(line.strip()) or _ORIGINAL.match(line.strip()) or _HEADER_LINE.match(line))


def _without_quotes(lines: list[str]) -> list[str]:
    kept: list[str] = []
    index = 0
    while index < len(lines):
        line = lines[index]
        stripped = line.strip()
        two = f"{stripped} {lines[index + 1].strip()}" if index + 1 < len(lines) else stripped
        if _ORIGINAL.match(stripped):
            if _FORWARDED.search(stripped) or not _says_something(kept):
                index = _past_header(lines, index + 1)
                continue
            break
        if _is_header_block(lines, index):
            if _says_something(kept):
                break
            index = _past_header(lines, index)
            continue
        if _ATTRIBUTION.match(stripped) or (
            len(stripped) > 5
            and not stripped.endswith((".", "!", "?"))
            and _ATTRIBUTION.match(two)
            and not _ATTRIBUTION.match(two[len(stripped) :].strip())
        ):
            index += 1 if _ATTRIBUTION.match(stripped) else 2
            if not any(later.lstrip().startswith(">") for later in lines[index : index + 4]) and _says_something(kept):
                break  # quoted without marks: all that follows is the older mail
            continue
        if not stripped.startswith(">"):
            kept.append(line)
        index += 1
    return kept


def _is_header_block(lines: list[str], index: int) -> bool:
    """Three header lines within five: how Outlook quotes."""
    if not _HEADER_LINE.match(lines[index]):
        return False
    return sum(1 for line in lines[index : index + 6] if _HEADER_LINE.match(line)) >= 3


def _past_header(lines: list[str], index: int) -> int:
    end = index
    while end < len(lines) and end < index + 12 and (_HEADER_LINE.match(lines[end]) or (not lines[end].strip() and end == index)):
        end += 1
    return max(end, index + (1 if end == index and index < len(lines) and _HEADER_LINE.match(lines[index]) else 0))


def _says_something(lines: list[str]) -> bool:
    return len(re.sub(r"\W+", "", "".join(lines))) >= 12


def _without_signature(lines: list[str]) -> list[str]:
    for index, line in enumerate(lines):
        stripped = line.strip()
        rest = [later for later in lines[index + 1 :] if later.strip()]
        if (line.rstrip("\n") in ("-- ", "--") or _SIGNATURE.match(stripped)) and len(rest) <= 15 and (index > 0 or rest == []):
            return lines[:index]
        if (
            _CLOSING.match(stripped)
            and len(rest) <= 10
            and all(len(later) < 90 for later in rest)
            and _says_something(lines[:index])
        ):
            return lines[:index]
    return lines


def _without_furniture(lines: list[str]) -> list[str]:
    kept = []
    for line in lines:
        if is_furniture(line):
            continue
        kept.append(line)
    return kept
