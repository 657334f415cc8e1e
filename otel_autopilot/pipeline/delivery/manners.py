"""Who gets a digest by mail, and who must not (RFC 3834, RFC 5230, RFC 5321): decisions, without effects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from otel_autopilot.pipeline.delivery.addresses import is_address, on_list, same
from otel_autopilot.pipeline.delivery.targets import Target, is_loopback, local_recipient
from otel_autopilot.pipeline.messages import Email

#: Most people that one answer goes to: a Reply-To with a hundred addresses is not an answer but a mailing.
MOST_ANSWERS = 3

_UNREAD = re.compile(r"(mailer-?daemon|no-?reply|do-?not-?reply|dont-?reply|bounces?)([-+=].*)?|.*[-._](no-?reply|donotreply)")
_ROBOTS = re.compile(r"listserv|majordomo|mailman|sympa|owner-.*|.*-(request|owner|bounces|subscribe|unsubscribe)")


@dataclass(frozen=True)
class Recipient:
    """One address, whether the mail is an answer to its sender, and why nothing may be sent (None: it may)."""

    address: str
    is_reply: bool
    suppressed: str | None = None


def recipients_of(
    email: Email,
    target: Target,
    *,
    configured: Sequence[str],
    allowed: Sequence[str],
    reply_to_sender: bool,
    own_addresses: Sequence[str],
    sender_verified: bool,
) -> tuple[Recipient, ...]:
    """Who is to get the digest from an SMTP target, and why some of them won't; each address once.

    Whoever the operator named (in the target or the settings) is allowed; anybody else has to be on the allow-list, and to have
    sent the mail: ``sender_verified`` says that SMTP AUTH or DKIM vouches for From, which anybody can write. A target on loopback without recipients mails the local user. ``own_addresses`` are those that mail comes in by or digests come
    from: none of them gets one, and a mail from one of them goes to nobody, for it is a digest that found its way back.
    """
    named = list(target.recipients or configured)
    if not named and not reply_to_sender and is_loopback(target.host):
        named = local_recipient()
    chosen = [Recipient(address, is_reply=False, suppressed=_never(email, address, own_addresses)) for address in named]
    if reply_to_sender:
        chosen += _answers(email, allowed, own_addresses, sender_verified=sender_verified)
    unique: dict[str, Recipient] = {}
    for recipient in chosen:
        unique.setdefault(recipient.address.casefold(), recipient)
    return tuple(unique.values())


def _answers(email: Email, allowed: Sequence[str], own_addresses: Sequence[str], *, sender_verified: bool) -> list[Recipient]:
    people = email.reply_to or ((email.sender,) if email.sender is not None else ())
    answers = []
    for person in people[:MOST_ANSWERS]:
        if email.automatic is not None:
            why: str | None = f"the mail is automatic ({email.automatic}) and must not be answered"
        elif (why := _never(email, person.address, own_addresses)) is None:
            why = _unanswerable(person.address, allowed)
            if why is None and not sender_verified:
                why = "neither SMTP AUTH nor DKIM says that the mail is the sender's"
        answers.append(Recipient(person.address, is_reply=True, suppressed=why))
    return answers


def _unanswerable(address: str, allowed: Sequence[str]) -> str | None:
    local = address.rpartition("@")[0].casefold()
    if _ROBOTS.fullmatch(local):
        return "that address is a list's or a program's"
    if "%" in local:
        return "that address asks the server to relay"
    if not on_list(address, allowed):
        return "the sender is not among the allowed recipients"
    return None


def _never(email: Email, address: str, own_addresses: Sequence[str]) -> str | None:
    if not is_address(address):
        return "not an address"
    if any(same(address, own) for own in own_addresses):
        return "the digest's own address: a loop"
    if email.sender is not None and any(same(email.sender.address, own) for own in own_addresses):
        return "the mail comes from the digest's own address: a loop"
    if _UNREAD.fullmatch(re.sub("[._]", "-", address.rpartition("@")[0].casefold())):
        return "nobody reads that address"
    return None
