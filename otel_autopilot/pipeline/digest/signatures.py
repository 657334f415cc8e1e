"""Where a body's signature begins."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

from otel_autopilot.pipeline.digest.quotes import says_something

#: Most lines, blank ones apart, that a signature has below its first line.
_LONGEST = 18
_DELIMITER = re.compile(r"-- ?|—|–{1,2}|_{3,}|={5,}|\*{3,}")
_LIST_FOOTER = re.compile(
    r"mailing list|listinfo|google groups|to unsubscribe|mailman|yahoo groups|you received this message because", re.IGNORECASE
)
_DEVICE = re.compile(
    r"(?:sent from (?:my|mail|outlook|yahoo|proton).{0,40}|get outlook for .{2,20}|sent via .{2,40}|von meine[mr] .{2,40} gesendet|gesendet von .{2,40}|envoyé (?:de|depuis) (?:mon|ma) .{2,40}"
    r"|enviado desde (?:mi|el) .{2,40}|inviato da(?:l mio)? .{2,40}|verzonden v(?:an|ia) .{2,40}|enviado do meu .{2,40}|отправлено (?:с|из) .{2,40}|发自我的.{1,20}|.{1,20}から送信)[.!]?",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"(?:(?:with )?(?:all the |very )?(?:best|kind|kindest|warm|warmest|many|good) ?(?:regards|wishes|thanks)?|regards|rgds|thanks(?: (?:again|so much|a lot|in advance|and .{3,20}))?|thank you(?: (?:again|very much))?|cheers"
    r"|(?:yours )?sincerely(?: yours)?|yours(?: truly| faithfully)?|respectfully|take care|all the best|talk soon|see you(?: then)?|love|xoxo|mit (?:freundlichen|besten|herzlichen) grüßen|(?:viele|beste|liebe|herzliche|freundliche|schöne) grüße"
    r"|(?:lg|vg|mfg|br)|hochachtungsvoll|cordialement|bien (?:cordialement|à vous)|salutations(?: distinguées)?|sincères salutations|à bientôt|(?:un )?(?:cordial )?saludos?(?: cordial(?:es)?)?|atentamente|un abrazo"
    r"|(?:cordiali |distinti )?saluti|un saluto|met vriendelijke groet(?:en)?|(?:vriendelijke )?groeten?|mvg|atenciosamente|abraços|cumprimentos|с уважением|с наилучшими пожеланиями|всего доброго|спасибо"
    r"|此致|敬礼|祝好|顺颂商祺|谢谢|以上|敬具|(?:どうぞ|何卒)?宜?よ?ろしくお願い.{0,14}|감사합니다|고맙습니다|(?:.{1,6} )?드림|مع خالص التحية|مع التحية|تحياتي|सादर|धन्यवाद|med vänlig hälsning|vennlig hilsen|med venlig hilsen|pozdrawiam)",
    re.IGNORECASE,
)
_POSTSCRIPT = re.compile(r"p\.? ?s\.?\b\s*[:.\-]?\s*\S", re.IGNORECASE)
_CONTACT = re.compile(
    r"(?:\b(?:tel|telefon|phone|mob|mobile|cell|fax|office|direct|ext|téléphone|тел|w|t|m|e)\b\.?\s*[:.]?\s*\+?[\d(][\d\s()./\-]{5,}|^\W*\+?[\d(][\d\s()./\-]{7,}\W*$|^\W*(?:https?://|www\.)\S+\W*$|^\W*[\w.+\-]+@[\w\-]+\.[\w.\-]+\W*$"
    r"|\b(?:GmbH|AG|LLP|Ltd|Limited|Inc|LLC|S\.?A\.?|S\.?r\.?l|B\.?V|A/S|AS|AB|Oy|Pty)\b\.?\W*$|\b(?:HRB|HRA|USt-?Id|Geschäftsführ|Amtsgericht|SIRET|RCS|KvK|VAT (?:no|number)|Org\. ?n[or])|^[^.!?|]{2,40} [|·•] [^.!?]{2,70}$|株式会社|^TEL|^E-?mail\s*:)",
    re.IGNORECASE,
)
_STRUCTURE = re.compile(r"\s*(?:[-*+•|#]|\d{1,3}[.)])\s?")


def without_signature(lines: Sequence[str], author: str = "") -> list[str]:
    """The lines up to the signature, and a postscript after it; ``author`` is the sender's name, for its own line."""
    cut = _beginning(lines, author)
    kept = list(lines[:cut])
    for index in range(cut, len(lines)):
        if _POSTSCRIPT.match(lines[index].strip()):
            kept += ["", *lines[index:]]
            break
    else:
        return _without_contact(kept)
    return kept


def _beginning(lines: Sequence[str], author: str) -> int:
    names = _names(author)
    filled = [index for index, line in enumerate(lines) if line.strip()][-2 * _LONGEST :]
    for place, index in enumerate(filled):
        rest = [lines[later].strip() for later in filled[place + 1 :]]
        line = lines[index].strip()
        bare = re.sub(r"[\s,.!:*_]+$", "", re.sub(r"^[*_]+", "", line))
        if not says_something(islice(lines, index)):
            continue
        if lines[index].rstrip("\n") in ("-- ", "--"):
            return index
        if len(rest) <= _LONGEST and _DELIMITER.fullmatch(line) and rest and _looks_signed(rest, names):
            return index
        if _DEVICE.fullmatch(bare) and len(rest) <= 3:
            return index
        if len(rest) <= _LONGEST and _is_closing(bare) and all(len(later) < 100 for later in rest if not _POSTSCRIPT.match(later)):
            return index
        if names and bare.casefold() in names and len(rest) <= _LONGEST and not any(len(later) > 100 for later in rest):
            return index
    return len(lines)


def _is_closing(bare: str) -> bool:
    """A closing formula by itself, or with up to four words of name behind a comma."""
    if _CLOSING.fullmatch(bare):
        return True
    formula, comma, name = bare.partition(",")
    return bool(comma and _CLOSING.fullmatch(formula.strip()) and len(name.split()) <= 4)


def _looks_signed(rest: Sequence[str], names: frozenset[str]) -> bool:
    if any(_LIST_FOOTER.search(line) or _CONTACT.search(line) for line in rest):
        return True
    return len(rest) <= 6 and (rest[0].casefold().strip(" ,.") in names or _is_name(rest[0]))


def _names(author: str) -> frozenset[str]:
    words = re.findall(r"[^\W\d_][\w.'’\-]*", author)
    names = {author.strip(), *words[:1]}
    if len(words) >= 2:
        names |= {f"{words[0]} {words[-1]}", f"{words[-1]}, {words[0]}", words[-1]}
        names |= {"".join(word[0] for word in words)}
    return frozenset(name.casefold() for name in names if len(name) >= 2)


def _is_name(line: str) -> bool:
    """One to four capitalised words and nothing else."""
    words = line.split()
    return (
        1 <= len(words) <= 4 and all(re.fullmatch(r"[A-ZÀ-ÖØ-ÞА-Я][\w.'’\-]*,?", word) for word in words) and not line.endswith(":")
    )


def _without_contact(lines: list[str]) -> list[str]:
    """Names and contact lines at the very end go too, signature mark or not."""
    end = len(lines)
    stripped = 0
    while end and stripped < 12:
        line = lines[end - 1].strip()
        if not line:
            end -= 1
            continue
        alone = end == 1 or not lines[end - 2].strip() or stripped > 0
        gone = _CONTACT.search(line) if len(line) < 100 else None
        if not gone and not (alone and _is_name(line) and not _STRUCTURE.match(line)):
            break
        if not says_something(islice(lines, end - 1)):
            break
        end -= 1
        stripped += 1
    return lines[:end]
