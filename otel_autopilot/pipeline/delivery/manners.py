"""Who gets a digest by mail, and who must not (RFC 3834, RFC 5321): decisions, without effects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from otel_autopilot.pipeline.delivery.targets import Target, is_loopback, local_recipient
from otel_autopilot.pipeline.messages import Email

#: The span of the rate limit, in seconds.
HOUR_SECONDS = 3600


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
    own_address: str,
) -> tuple[Recipient, ...]:
    """Who is to get the digest from an SMTP target, and why some of them won't.

    Whoever the operator named (in the target or the settings) is allowed; anybody else has to be on the allow-list. A target
    on loopback without recipients mails the local user.
    """
    named = list(target.recipients or configured)
    if not named and not reply_to_sender and is_loopback(target.host):
        named = [local_recipient()]
    chosen: list[Recipient] = [Recipient(address, is_reply=False, suppressed=_never(address, own_address)) for address in named]
    if reply_to_sender:
        chosen += _answers(email, allowed, own_address)
    seen: set[str] = set()
    unique = []
    for recipient in chosen:
        key = recipient.address.lower()
        if key not in seen:
            seen.add(key)
            unique.append(recipient)
    return tuple(unique)


def _answers(email: Email, allowed: Sequence[str], own_address: str) -> list[Recipient]:
    people = email.reply_to or ((email.sender,) if email.sender is not None else ())
    answers = []
    for person in people[:3]:
        why = _never(person.address, own_address)
        if email.automatic is not None:
            why = f"the mail is automatic ({email.automatic}) and must not be answered"
        elif why is None and not on_list(person.address, allowed):
            why = "the sender is not among the allowed recipients"
        answers.append(Recipient(person.address, is_reply=True, suppressed=why))
    return answers


def _never(address: str, own_address: str) -> str | None:
    local, _, domain = address.rpartition("@")
    if not local or not domain or any(char in address for char in "\r\n\x00<> "):
        return "not an address"
    if address.lower() == own_address.lower():
        return "the digest's own address: a loop"
    if local.lower() in ("mailer-daemon", "noreply", "no-reply", "donotreply", "do-not-reply"):
        return "nobody reads that address"
    return None


def on_list(address: str, allowed: Iterable[str]) -> bool:
    """Whether an address is on a list of addresses and @domains."""
    address = address.lower()
    domain = address.rpartition("@")[2]
    return any(item.lower() == address or (item.startswith("@") and item[1:].lower() == domain) for item in allowed)
