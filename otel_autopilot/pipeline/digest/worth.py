"""Which sentences can stand as a key point: no greetings, no pleasantries, no boilerplate, no scraps."""

from __future__ import annotations

import re

from otel_autopilot.pipeline.digest.boilerplate import is_boilerplate
from otel_autopilot.pipeline.digest.sentences import Sentence

_HELLO = (
    r"(?:hi|hello|hey|dear|good (?:morning|afternoon|evening|day)|greetings|hallo|liebe[rs]?|guten (?:tag|morgen|abend)|moin|sehr geehrte[rs]?|bonjour|bonsoir|cher|chère|chers|chères|salut"
    r"|hola|buen[oa]s (?:días|tardes|noches)|estimad[oa]s?|querid[oa]s?|ciao|gentil[ei]|buongiorno|salve|egregio|geachte|beste|goede(?:morgen|middag)|olá|bom dia|boa (?:tarde|noite)|prezad[oa]s?|car[oa]s?"
    r"|здравствуйте|добрый (?:день|вечер)|доброе утро|уважаем(?:ый|ая|ые)|привет|hej|hei|kära|kære)"
)
_ADDRESSED = r"(?i:all|both|team|everyone|everybody|folks|there|colleagues|friends?|sir|madam|reader|customer|resident|members?|volunteers|councillors|or|and|und|et|y|e|и|to|alle|zusammen|kolleg\w+|team|damen|herren|herr|frau|à tous|tous|toutes|a todos|todos|madame|monsieur|mesdames|messieurs|señora?|tutti|allemaal|heer|mevrouw|коллеги|mr|mrs|ms|dr|prof)\b\.?|[A-ZÀ-ÞА-Я][\w.'’\-]*"
_GREETING = re.compile(
    rf"(?i:{_HELLO})(?:,?\s+(?:{_ADDRESSED}))*\s*[,!.:;]?(?:\s+(?:good (?:morning|afternoon|evening)|welcome)[.!,]?)?|(?i:dear|hello|hi)(?: [a-z]+){{1,2}}[,:!]"
    r"|안녕하세요[^.。]{0,20}[.,]?|السلام عليكم[^.]{0,30}|प्रिय [^।]{0,30}|[^\s]{1,12}(?:様|さん|殿|御中|各位)[、，]?|[^\s]{1,12}(?:您好|你好|好)[！!，,。]*|(?:您好|你好|大家好)[！!，,。]*|各位[^\s。]{0,10}[：:，,]?",
)
_GREETING_AHEAD = re.compile(rf"(?i:{_HELLO})(?:\s+(?:{_ADDRESSED})){{0,5}}\s*[,!:–-]\s+(?=\S+\s+\S+\s+\S+)")
_PLEASANTRY = re.compile(
    r"(?:(?:i |we )?hope (?:you(?:'re| are)?|this|all is|that you).{0,60}|(?:many )?thanks?(?: you)? (?:for|again|in advance|so much|very much)\b.{0,80}|how are you.{0,30}|please find (?:attached|enclosed)[^.,;]{0,40}\.?|happy to (?:help|answer).{0,40}|let me know if you have any (?:questions|comments).{0,30}"
    r"|(?:please )?(?:do not|don't) hesitate to .{0,60}|if you have (?:any )?questions.{0,60}|(?:any )?questions\?.{0,60}|(?:i )?look(?:ing)? forward to .{0,60}|have a (?:great|nice|good|lovely) .{0,30}|enjoy (?:the|your) .{0,20}|see you (?:there|soon|then|all).{0,20}|here (?:is|are|\'s) (?:what happened|where we stand|our|my|the (?:latest|weekly|notes|minutes|summary|update)|a (?:quick|short|brief)).{0,60}|(?:as )?(?:always|usual), .{0,20}"
    r"|vielen dank (?:für|im voraus).{0,80}|(?:bei|für) (?:rück)?fragen.{0,60}|ich hoffe.{0,60}geht.{0,20}|merci (?:pour|d'avance|beaucoup).{0,60}|j'espère que.{0,60}|n'hésitez pas.{0,60}|nous restons à (?:votre|ta).{0,60}|gracias (?:por|de antemano).{0,60}|espero que.{0,60}bien.{0,20}|quedo a (?:su|tu).{0,40}"
    r"|(?:いつも)?(?:大変)?お世話になって(?:おります|います).{0,16}|.{0,20}お疲れ様(?:です|でした).{0,6}|(?:以上、)?(?:どうぞ)?(?:何卒)?よろしくお(?:願|ねが)い.{0,10}|.{1,12}(?:です|と申します)。|(?:祝|顺祝).{0,10}|感谢您?的?.{0,10}|감사합니다|fyi|for your information|(?:fyi,? )?(?:please )?see below|zur (?:info|information|kenntnis|kenntnisnahme)|pour (?:info|information)|per conoscenza|para su información|ter info(?:rmatie)?|спасибо за .{0,60}|благодар(?:им|ю) .{0,60}|надеюсь.{0,40})[.!。！]*",
    re.IGNORECASE,
)
_CALL_TO_CLICK = re.compile(
    r"(?:read (?:more|on|the (?:full|whole)).{0,40}|learn more.{0,30}|click here.{0,30}|find out more.{0,30}|see (?:more|all|details).{0,30}|(?:shop|buy|order|register|sign up|subscribe|download|get started|view|open|watch) ?(?:now|here|today|online|order|invoice|details)?\W*|more (?:information|details).{0,20}"
    r"|mehr (?:erfahren|lesen|dazu).{0,20}|jetzt .{2,20}|weiterlesen.{0,20}|en savoir plus.{0,20}|lire la suite.{0,20}|leer más.{0,20}|ver más.{0,20}|続きを読む.{0,6}|阅读(?:全文|更多).{0,4}|подробнее.{0,10}|читать далее.{0,10})[.!»›>→ ]*",
    re.IGNORECASE,
)
_ATTENDANCE = re.compile(
    r"(?:attend(?:ees|ance)|apologies|present|absent|participants|cc|minutes taken by|teilnehmer(?:innen)?|anwesend|entschuldigt|présents?|excusés?|asistentes)\s*:",
    re.IGNORECASE,
)
_SPONSOR = re.compile(
    r"\W*(?:(?:our |today's )?sponsor(?:ed)?(?: by.{0,40})?|advertisement|ad|promoted|anzeige|werbung|publicité|sponsorisé|publicidad|patrocinado|pubblicità|advertentie|реклама|広告|广告)\W*",
    re.IGNORECASE,
)
_FOOTNOTE = re.compile(r"[*†‡¹²³]\w")
_PATH_LIKE = re.compile(r"::|/[^/]+/|\\[^\\]+\\|[{};]{2}|=>|==")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def without_greeting(text: str) -> str:
    """ "Hi Tom, we moved it." without its first two words."""
    match = _GREETING_AHEAD.match(text)
    return text[match.end() :] if match else text


def is_worth_reading(sentence: Sentence) -> bool:
    """Whether a reader learns something from the sentence standing by itself."""
    text = sentence.text
    letters = sum(1 for char in text if char.isalpha() or char.isdigit())
    alphabetic = sum(1 for char in text if char.isalpha())
    solid = len(text.replace(" ", ""))
    if alphabetic < 4 or letters < 0.6 * solid or alphabetic < 0.4 * solid:
        return False
    if len(text.split()) < 2 and len(text) < 30 and not _WIDE.search(text):
        return False
    if sum(len(word) for word in text.split() if _PATH_LIKE.search(word[:200])) > 0.4 * len(text):
        return False
    if sentence.kind == "paragraph" and len(text.split()) <= 4 and not _WIDE.search(text) and not re.search(r"[.!?…]\W*$|\d", text):
        return False
    if len(text.split()) <= 4 and re.search(r"\b[\w\-]+\.[a-z]{2,}$", text):
        return False
    short = text[:300]
    return not (
        _GREETING.fullmatch(short)
        or _PLEASANTRY.fullmatch(short)
        or _CALL_TO_CLICK.fullmatch(short)
        or _ATTENDANCE.match(short)
        or _SPONSOR.fullmatch(sentence.heading)
        or _FOOTNOTE.match(short)
        or is_boilerplate(text)
        or (text.endswith((":", "：")) and len(text) < 120)
    )
