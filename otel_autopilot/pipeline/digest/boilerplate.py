"""What stands in many mails and says nothing: newsletter furniture, legal notices, banners, address footers."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: A line longer than this holds more than furniture.
_LONGEST = 400
# The patterns are matched against lowered text: a pattern that ignores case tries its branches one by one at every letter and
# takes five times as long.

#: Notices that end a mail: nothing below them is the sender's.
_LEGAL = re.compile(
    r"(?:th(?:is|e information in this|e contents? of this) (?:e-?mail|message|communication|transmission)[^.]{0,120}(?:confidential|privileged|intended (?:only |solely )?for|proprietary)"
    r"|if you (?:are not|have received this|received this|believe you)[^.]{0,80}(?:intended recipient|in error|by mistake)"
    r"|diese (?:e-?mail|nachricht)[^.]{0,60}vertraulich|(?:enthält|kann) vertrauliche (?:und|informationen)|ce (?:message|courriel|mail|courrier)[^.]{0,120}confidentiel"
    r"|este (?:mensaje|correo)[^.]{0,120}confidencial|questo messaggio[^.]{0,120}riservat|dit bericht[^.]{0,120}vertrouwelijk|esta mensagem[^.]{0,120}confidencia"
    r"|(?:данное|это) (?:сообщение|письмо)[^.]{0,120}конфиденциальн|本邮件[^。]{0,60}(?:保密|机密)|このメール[^。]{0,60}機密)",
)
#: A sentence of a lawyer, wherever it stands.
_LAWYER = re.compile(
    r"(?:please consider the environment|think before (?:you )?print|registered (?:office|in england|number|address)|company (?:number|registration|no\.)|authori[sz]ed and regulated by"
    r"|(?:accepts?|assumes?) no (?:liability|responsibility)|virus(?:es| checks| free|-free)|limited liability partnership|all rights reserved|©|\(c\) ?20\d\d|copyright (?:\d{4}|©)"
    r"|unauthori[sz]ed (?:copying|use|disclosure|review|dissemination)|bank details will not change|views expressed (?:in|are)|denken sie an die umwelt|umwelt[^.]{0,40}drucken"
    r"|pensez à l'environnement|n'imprimez|geschäftsführe?r(?:in|ung)?\s*:|amtsgericht|sitz der gesellschaft|handelsregister|ust-?id|(?:without|no) warranty)",
)
_BANNER = re.compile(
    r"(?:^\W*(?:caution|warning|external|attention|achtung)\b.{0,40}(?:external|outside|sender|e-?mail)|originated (?:from )?outside|do not click (?:on )?links|you don't often get e?mail from|einige personen, die diese nachricht|some people who received this message"
    r"|(?:this|an) (?:is an )?(?:auto(?:mated|matic(?:ally)?)|system)[- ](?:generated )?(?:e-?mail|message|notification)|(?:please )?do not (?:reply|respond) to this|(?:this )?(?:mailbox|inbox|address) is not monitored|no-?reply address"
    r"|bitte (?:nicht auf|antworten sie nicht)|ne pas répondre|no responda|automatisch (?:erstellt|generiert))",
)
#: Furniture that stands at the end of a newsletter.
_FOOTER = re.compile(
    r"(?:unsubscribe|opt[- ]?out of|(?:you(?:'re| are)?|why am i|why did i) (?:currently |are )?(?:receiv|subscribed|gett?)(?:ing|ed|e)?,? this|you(?:'re| are)? (?:receiving|getting|subscribed)|you (?:get|received?) this (?:e-?mail|mail|message|newsletter|because)|this (?:e-?mail|message|newsletter) was sent to"
    r"|why did i get this|no longer (?:want|wish) to (?:receive|get)|newsletter (?:abmelden|abbestellen|abonniert)|vom newsletter|abmelden\b|abbestellen|austragen|sie erhalten diese|se désabonner|désinscri|vous recevez (?:ce|cet)"
    r"|darse de baja|cancelar (?:la |su )?suscripci|recibe este|disiscriv|annulla l'iscrizione|afmelden|uitschrijven|u ontvangt deze|cancelar (?:a )?(?:inscrição|assinatura)|отписаться|вы получили это|配信停止|購読解除|退订|取消订阅)",
)
_FURNITURE = re.compile(
    r"(?:(?:manage|update|change|edit) (?:your )?(?:\w+ )?(?:preferences|subscriptions?|profile|notification|settings|what you get)|e-?mail (?:preferences|settings)|notification settings|(?:view|read|open|see) (?:this |it |the )?(?:e-?mail |message |newsletter |mail )?(?:online|in (?:your |a |the )?browser|on (?:the |our )?web|as a web ?page)"
    r"|web version|having trouble (?:viewing|reading)|can't see (?:this|the images)|add us to your (?:address book|contacts)|privacy (?:policy|notice|statement)|terms (?:of (?:service|use)|and conditions|& conditions)|contact us\W*$|forward (?:this )?(?:e-?mail )?to a (?:friend|colleague)"
    r"|follow us|join us on|share (?:this )?on|like us on|download (?:our|the) app|app store|google play|im browser (?:ansehen|öffnen|lesen|anzeigen)|online[- ]version|webversion|datenschutz|impressum|agb\b|voir (?:dans le navigateur|en ligne)|version en ligne|politique de confidentialité|mentions légales"
    r"|ver en (?:el|tu|su) navegador|política de privacidad|visualizza (?:nel|online)|in browser bekijken|bekijk (?:de|deze|in)|(?:uses?|accept|our) cookies|cookie (?:policy|settings)|tracking pixel|(?:type|write) your reply above|reply above this line|delivered by \w+ \||this e?-?mail is a service from|sent on behalf of .{2,60}$|ブラウザで(?:見る|表示)|在浏览器中|プライバシーポリシー|политика конфиденциальности|открыть в браузере)",
)
_NETWORKS = r"facebook|twitter|x|linkedin|instagram|youtube|tiktok|pinterest|mastodon|threads|bluesky|whatsapp|telegram|github|rss|xing|vimeo|medium"
_SOCIAL = re.compile(rf"\W*(?:{_NETWORKS})(?:(?:\W|\band\b|\bon\b)+(?:{_NETWORKS}))*\W*")
_STREET = re.compile(
    r"\b\d{1,5}[a-z]?,? (?:[a-z][\w'.\-]* ){1,3}(?:street|st|road|rd|avenue|ave|lane|ln|way|drive|dr|boulevard|blvd|square|sq|court|ct|place|quay|row|floor|suite)\b"
    r"|\w{1,40}(?:straße|strasse|str\.|weg|platz|gasse|allee) \d{1,4}\b|\b\d{1,4},? (?:bis |ter )?(?:rue|avenue|boulevard|place|quai) |\b(?:calle|via|viale|piazza|plaza|rua|avenida) .{2,30}\d",
)
_POSTCODE = re.compile(
    r"\b[A-Z]{1,2}\d{1,2}[A-Z]? \d[A-Z]{2}\b|\b[A-Z]{2} \d{5}(?:-\d{4})?\b|\b(?:[A-Z]{1,2}-)?\d{4,5} [A-ZÀ-Þ][a-zà-ÿ]{2,}|\b〒?\d{3}-\d{4}\b|\bP\.? ?O\.? ?Box\b"
)
_LINK = re.compile(r"\[((?:[^\[\]\\]|\\.){0,500})\]\([^)\s]{0,2000}\)")


def without_boilerplate(lines: Sequence[str]) -> list[str]:
    """The lines without furniture, notices and address footers."""
    kept: list[str] = []
    said = counted = 0
    for paragraph, place in _paragraphs(lines):
        text = " ".join(_LINK.sub(r"\1", line).strip() for line in paragraph).lower()
        said += sum(map(len, kept[counted:]))
        counted = len(kept)
        if _LEGAL.search(text):
            if said >= 40 and place > 0.15:
                break
            continue
        if _BANNER.search(text) and len(text) < 700 and place < 0.25 and said < 200:
            continue
        if _FOOTER.search(text) and len(text) < 2 * _LONGEST and place > 0.5 and said >= 40:
            # What leads up to the address and the way out in the same paragraph is footer as well.
            kept += _before_footer(paragraph)
            if place > 0.8:
                break
            continue
        kept += [line for line in paragraph if not is_boilerplate(line)]
        kept.append("")
    return kept


def is_boilerplate(line: str) -> bool:
    """Whether a line or sentence is furniture, a notice or an address."""
    plain = _LINK.sub(r"\1", line).strip()
    if not plain or len(plain) > _LONGEST:
        return False
    cased, plain = plain, plain.lower()
    if _SOCIAL.fullmatch(plain) or _BANNER.search(plain) or _FOOTER.search(plain) or _LEGAL.search(plain) or _LAWYER.search(plain):
        return True
    if _FURNITURE.search(plain) and len(plain.split()) <= 14:
        return True
    return len(plain.split()) <= 18 and bool(_STREET.search(plain) and (_POSTCODE.search(cased) or plain.count(",") >= 2))


def _before_footer(paragraph: Sequence[str]) -> list[str]:
    """The first lines of a paragraph that are whole sentences, up to its first line of footer."""
    first = next((index for index, line in enumerate(paragraph) if is_boilerplate(line)), 0)
    return [line for line in paragraph[:first] if line.rstrip().endswith((".", "!", "?", "。")) and len(line.split()) > 6]


def _paragraphs(lines: Sequence[str]) -> list[tuple[list[str], float]]:
    """Paragraphs and how far down each begins, from 0 to 1."""
    found: list[tuple[list[str], float]] = []
    current: list[str] = []
    for index, line in enumerate([*lines, ""]):
        if line.strip():
            current.append(line)
        elif current:
            found.append((current, (index - len(current)) / max(1, len(lines))))
            current = []
    return found
