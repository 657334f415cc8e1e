"""Quoted replies and forwarded mail: which lines of a body are new.

Mail programs mark what they quote in three ways: ">" before each line, a block of header lines (Outlook), or a separator
("-----Original Message-----"). Before it stands an attribution ("On Tuesday, Grace wrote:"), in the writer's language.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice

#: Longer lines are no attribution and no header, whatever they begin with.
_LONGEST_MARK = 300
#: Letters and digits that make more than a word or two.
_SOMETHING = 6
#: How a question that is answered below is marked: a heading.
_QUESTION_MARK = "###### "
_ATTRIBUTION = re.compile(
    r"(?:on\b.{4,200}\bwrote|am\b.{4,200}\bschrieb\b.{0,80}|.{4,80}\bschrieb am\b.{4,80}|le\b.{4,200}\ba écrit|el\b.{4,200}\bescribió"
    r"|il\b.{4,200}\bha scritto|op\b.{4,200}\bschreef\b.{0,80}|(?:em|a)\b.{4,200}\bescreveu|den\b.{4,200}\bskrev\b.{0,80}"
    r"|.{4,200}\b(?:пишет|писал\(?а?\)?|написал\(?а?\)?)|.{2,200}写道|.{2,200}(?:のメッセージ|は書きました))\s*[:：]?",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(
    r"[-_* ]{2,}\s*(?:original message|original appointment|forwarded message|forwarded by .{1,80}|begin forwarded message|reply message|ursprüngliche nachricht"
    r"|originalnachricht|weitergeleitete nachricht|message d'origine|message original|message transféré|mensaje original|mensaje reenviado"
    r"|messaggio originale|messaggio inoltrato|oorspronkelijk bericht|doorgestuurd bericht|mensagem original|mensagem encaminhada"
    r"|исходное сообщение|пересылаемое сообщение|原始邮件|转发的邮件|转发邮件信息|元のメッセージ|転送メッセージ)\s*[-_* ]*:?",
    re.IGNORECASE,
)
_BEGIN_FORWARDED = re.compile(
    r"(?:begin forwarded message|anfang der weitergeleiteten nachricht|début du message réexpédié)\s*:", re.IGNORECASE
)
_FORWARDED = re.compile(
    r"forwarded|weitergeleitet|transféré|réexpédié|reenviado|doorgestuurd|转发|転送|inoltrat|encaminhad|пересыл", re.IGNORECASE
)
_HEADER = re.compile(
    r"\s*[*_]{0,2}(?:from|sent|to|cc|bcc|date|subject|reply-to|importance|attachments|von|gesendet|an|betreff|datum|de|envoyé|à|objet|para|enviado(?: el)?|asunto"
    r"|fecha|da|inviato|oggetto|a|van|verzonden|aan|onderwerp|data|assunto|от|отправлено|кому|тема|дата|копия|发件人|收件人|抄送|主题|发送时间|日期|差出人"
    r"|送信日時|送信元|宛先|日時|件名)\s*[:：][*_]{0,2}",
    re.IGNORECASE,
)
#: How help desks and forums part older comments: a rule, who, when.
_RULE = re.compile(r"[-_=]{10,}")
_WHEN = re.compile(r"(?=.{8,60}$).*\d.*\d{1,2}[:.]\d\d.*")
_NOTES_DATE = re.compile(r"(?:.{1,60}\s)?\d{1,2}/\d{1,2}/\d{2,4} \d{1,2}:\d\d(?::\d\d)? ?[AP]M", re.IGNORECASE)
_MARKED = re.compile(r"\s*>")
_QUESTION = re.compile(r"[?？]\W*$")


def new_lines(lines: Sequence[str], *, reply: bool, forward: bool) -> list[str]:
    """The lines that are not quoted.

    ``reply`` and ``forward`` say what the subject says. In a reply between the lines, a quoted question that is answered
    right below it stays, as a heading. A forward keeps the newest of the forwarded messages, without its header. A mail
    that holds nothing but a quoted thread gives the newest message of that.
    """
    kept = _scan(lines, reply=reply, forward=forward)
    if says_something(kept):
        return kept
    bare = [re.sub(r"^(?:\s*>)+ ?", "", line) for line in lines]
    return _scan(bare, reply=reply, forward=True)


def says_something(lines: Iterable[str]) -> bool:
    """Whether there is more than a word or two, or an answer to a question that was kept."""
    letters, needed = 0, _SOMETHING
    for line in lines:
        if line.startswith(_QUESTION_MARK):
            needed = 1  # "Yes." answers it
            continue
        letters += sum(1 for char in line[:200] if char.isalnum())
        if letters >= needed:
            return True
    return False


def _scan(lines: Sequence[str], *, reply: bool, forward: bool) -> list[str]:
    kept: list[str] = []
    attributed = reply
    since = 0  # where in `kept` the forwarded message began
    forwarded = False
    index = 0
    while index < len(lines):
        stripped = lines[index].strip()
        if len(stripped) <= _LONGEST_MARK and stripped:
            taken = _attribution_lines(lines, index)
            if taken:
                attributed = True
                if not _is_quoted_below(lines, index + taken) and says_something(islice(kept, since, None)):
                    break  # quoted without marks: all that follows is older
                index += taken
                continue
            if (
                _RULE.fullmatch(stripped)
                and says_something(islice(kept, since, None))
                and not forward
                and _is_older_comment(lines, index + 1)
            ):
                break
            separator = _SEPARATOR.fullmatch(stripped) or _BEGIN_FORWARDED.fullmatch(stripped)
            if separator or _is_header_block(lines, index):
                keep = forward or bool(separator and _FORWARDED.search(stripped))
                if says_something(islice(kept, since, None)) and (not keep or forwarded):
                    break
                since, forwarded = len(kept), True
                index = _past_header(lines, _past_sender(lines, index + 1) if separator else index)
                continue
        if _MARKED.match(lines[index]):
            end = index
            while end < len(lines) and (_MARKED.match(lines[end]) or (not lines[end].strip() and _next_is_marked(lines, end))):
                end += 1
            kept += _context(lines[index:end]) if attributed else [re.sub(r"^(?:\s*>)+ ?", "", line) for line in lines[index:end]]
            index = end
            continue
        kept.append(lines[index])
        index += 1
    return kept


def _attribution_lines(lines: Sequence[str], index: int) -> int:
    """How many lines from here are an attribution: 0, 1, or 2 or 3 where it was wrapped."""
    text = ""
    for count in range(1, 4):
        if index + count > len(lines):
            break
        following = lines[index + count - 1].strip()
        if not following or len(text) > _LONGEST_MARK or _MARKED.match(following):
            break
        text = f"{text} {following}".strip()
        if _ATTRIBUTION.fullmatch(text):
            return count
        # Whatever the language: an address or a date, a colon, and then what is quoted.
        if text.endswith((":", "：")) and re.search(r"@|\d{1,2}[:.h]\d\d", text) and _is_quoted_below(lines, index + count):
            return count
        if following.endswith((".", "!", "?")) and not re.search(r"\d\.$|\b[a-zа-я]{1,4}\.$", following):
            break
    return 0


def _is_older_comment(lines: Sequence[str], index: int) -> bool:
    below = [line.strip() for line in lines[index : index + 5] if line.strip()][:2]
    return len(below) == 2 and len(below[0]) <= 60 and bool(_WHEN.fullmatch(below[1]) and re.search(r"\d{4}|\d[./]\d", below[1]))


def _is_quoted_below(lines: Sequence[str], index: int) -> bool:
    return next((bool(_MARKED.match(line)) for line in lines[index : index + 4] if line.strip()), False)


def _next_is_marked(lines: Sequence[str], index: int) -> bool:
    return next((bool(_MARKED.match(line)) for line in lines[index : index + 3] if line.strip()), False)


def _is_header_block(lines: Sequence[str], index: int) -> bool:
    """Three different header lines within six: how Outlook quotes."""
    if not _is_header(lines[index]):
        return False
    found = {match[0].strip().lower() for line in lines[index : index + 7] if len(line) <= 1000 and (match := _HEADER.match(line))}
    return len(found) >= 3


def _is_header(line: str) -> bool:
    return bool(_HEADER.match(line[:1000]))


def _past_header(lines: Sequence[str], index: int) -> int:
    """The first line after a block of headers, where blank lines and folded lines may stand between them."""
    end, limit = index, min(len(lines), index + 24)
    last = index
    while end < limit:
        if _is_header(lines[end]):
            last = end + 1
        elif lines[end].strip() and not (last == end and last > index and _is_folded(lines[end])):
            break
        elif lines[end].strip():
            last = end + 1
        end += 1
    return last


def _past_sender(lines: Sequence[str], index: int) -> int:
    """Lotus Notes names sender and date on lines of their own, above To: the first of its fields, or ``index`` where it isn't so."""
    dated = False
    for at in range(index, min(len(lines), index + 8)):
        if dated and _is_header(lines[at]):
            return at
        dated = dated or _NOTES_DATE.fullmatch(lines[at].strip()) is not None
    return index


def _is_folded(line: str) -> bool:
    return line[:1] in (" ", "\t") or bool(re.fullmatch(r"[^.!?]*<[^<>\s]+@[^<>\s]+>[^.!?]*", line.strip()))


def _context(quoted: Sequence[str]) -> list[str]:
    """The question at the end of what was quoted, as a heading for the answer below it."""
    paragraph: list[str] = []
    for line in reversed(quoted):
        text = re.sub(r"^\s*>\s?", "", line).strip()
        if text.startswith(">") or (not text and paragraph):
            break
        if text:
            paragraph.insert(0, text)
    text = " ".join(paragraph)
    sentences = re.split(r"(?<=[.!?？])\s+", re.sub(r"^(?:\d{1,2}[.)]|[-*•])\s+", "", text))
    questions = [sentence for sentence in sentences if _QUESTION.search(sentence)]
    if not questions or len(questions[-1]) > 200:
        return [""]
    return ["", f"{_QUESTION_MARK}{questions[-1]}", ""]
