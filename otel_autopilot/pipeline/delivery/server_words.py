"""A server's own words, and none of the mail's: what of an SMTP reply may go into an error, and so into a span.

A server may quote whatever it was sent: addresses, the subject, a line of the text, cut short or encoded anew. No pattern finds
all of that. So only words pass that servers use among themselves, and the status codes of RFC 3463; the rest becomes "…".
"""

from __future__ import annotations

import re

#: What servers say: RFC 3463's texts, and those of the servers in common use.
_WORDS = frozenset(
    """
    a about above abuse accept accepted accepting access account action active address addresses administrative administrator
    admin after again all allowed already an and announced another answer any are as at attempt attempts auth authenticate
    authenticated authentication authorised authorized available bad banned be because been before being blacklisted block
    blocked blocklist blocklisted body bounce busy but by bytes can cannot certificate check client closed closing command
    commands complete configuration configured connect connecting connection connections contact content cram database dane
    data deferred delayed deliver delivered delivery denied denylisted destination detected dhe disabled disallowed disk dkim
    dmarc dns do does doesn don domain domains down due dynamic ehlo encoding encrypted encryption enough ended error exceeded
    exceeds exist exists expired external failed failure failures filter first for forbidden format found from full gateway
    generic given go greylist greylisted greylisting greeting group had has have header headers helo host hosts hostname
    hourly if illegal in inactive incorrect insufficient internal invalid ip is isn it its junk key known large later limit
    limited limits line lines list listed local locked login logins long lookup loop loops mail mailbox mailboxes mailer
    mails malformed malware many matching maximum may mechanism message messages minute minutes missing moved multiple must
    mx need needed network no non not nobody notfound now null number of off offline ok on one only open or other our out
    over overloaded overquota password path permanent permanently permission permitted phishing please policies policy port
    possible postmaster prohibited protection protocol ptr queue quota range rate rbl reached read reason receive received
    receiving recipient recipients record reject rejected rejecting relay relaying reply reputation request requested require
    required requires resend resolve resources respond response restricted retry return reverse route routing rule rules
    second seconds security see seen send sender senders sending sent sequence server servers service session setting shut
    shutdown shutting signature size slow smtp source space spam spf spool ssl starttls start state status storage stored
    such support supported suspended syntax system table temporarily temporary than that the there these this throttled
    throttling time timed timeout timeouts tls to too transaction transmission transport try trusted unable unacceptable
    unauthenticated unauthorized unavailable unknown unlisted unrecognized unreachable unresolvable unrouteable unsolicited
    unsupported until up use used user users username using valid validation verification verified verify verifying version
    virus wait want was we while will with within without wrong yet you your zone
    """.split()
)  # fmt: skip
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_PIECE = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?![\w.])|[\w@%=?/+.&:'’-]*\w|[^\s\w]+|\s+")
_MARKS = frozenset(".,:;!?()-/")
#: Longest reply that is shown, in characters.
LONGEST = 200


def servers_words(text: str) -> str:
    """The reply with "…" for everything but a server's own words; empty when nothing of them is left."""
    shown: list[str] = []
    for piece in _PIECE.findall(text):
        if piece.isspace():
            shown.append(" ")
        else:
            shown.append(piece if _known(piece) else "…")
    said = re.sub(r"(?:[.,:;!?()/-]*\s*…[.,:;!?()/-]*\s*)+", " … ", "".join(shown))
    said = re.sub(r"\s+", " ", said).strip()
    return _cut(said) if any(character.isalnum() for character in said) else ""


def _known(piece: str) -> bool:
    if set(piece) <= _MARKS or _STATUS.fullmatch(piece):
        return True
    words = re.split(r"[-/:.']", piece.lower())
    return all(word in _WORDS or word in ("", "s", "t") for word in words)  # don't, server's


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: text.rfind(" ", 0, LONGEST)].rstrip() + " …"
