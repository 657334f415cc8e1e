"""Which mails must never be answered (RFC 3834, RFC 2369, RFC 5321)."""

from __future__ import annotations

import re
from email.message import Message as MimeMessage
from typing import Literal

from otel_autopilot.pipeline.email import headers

Automatic = Literal["null_sender", "auto_submitted", "list", "bulk"]

_LIST_FIELDS = ("List-Id", "List-Unsubscribe", "List-Post", "List-Help", "List-Subscribe", "List-Owner", "List-Archive")
#: Local parts that nobody reads.
_NOBODY = re.compile(
    r"^(mailer-daemon|postmaster|no[-_.]?reply|do[-_.]?not[-_.]?reply|bounces?|owner-.*|.*-request)(\+.*)?$", re.IGNORECASE
)


def why_automatic(mail: MimeMessage, envelope_sender: str | None) -> Automatic | None:
    """Why a mail must not be answered, or None when a person seems to have sent it."""
    if envelope_sender == "" or headers.field(mail, "Return-Path").strip() == "<>":
        return "null_sender"
    if headers.field(mail, "Auto-Submitted").partition(";")[0].strip().lower() not in ("", "no"):
        return "auto_submitted"
    if any(mail.get(name) is not None for name in _LIST_FIELDS):
        return "list"
    if headers.field(mail, "Precedence").lower() in ("bulk", "junk", "list", "auto_reply"):
        return "bulk"
    suppress = headers.field(mail, "X-Auto-Response-Suppress").lower()
    if any(word in suppress for word in ("all", "autoreply", "oof")):
        return "bulk"
    senders = headers.addresses(mail, "From")
    if senders and _NOBODY.match(senders[0].address.rpartition("@")[0]):
        return "null_sender"
    return None
