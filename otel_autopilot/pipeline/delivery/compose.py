"""A digest as a mail: multipart/alternative, threaded to the original, marked as automatic (RFC 3834, RFC 5322)."""

from __future__ import annotations

import email.policy
import re
import unicodedata
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, localtime
from hashlib import sha256

from otel_autopilot.pipeline.delivery.addresses import with_ascii_domain
from otel_autopilot.pipeline.delivery.manners import Recipient
from otel_autopilot.pipeline.delivery.options import DeliveryOptions
from otel_autopilot.pipeline.messages import Digest, Email
from otel_autopilot.telemetry.propagation import mail_headers

#: Longest subject, in characters.
SUBJECT_CHARACTERS = 500
#: Most Message-IDs in References; the last ones are what threads a mail.
REFERENCES = 20
#: Longest line that a header is folded into (RFC 5322 section 2.1.1), and longest Message-ID that is quoted: it can't be folded.
LINE_CHARACTERS = 78
MESSAGE_ID_CHARACTERS = 900

_MESSAGE_ID = re.compile(r"<[!-;=?-~]+>")
#: Headers whose words are identifiers: encoded words (RFC 2047) have no place in them, long as they may be.
_IDENTIFIERS = frozenset({"message-id", "in-reply-to", "references", "traceparent", "tracestate"})


class _Policy(email.policy.EmailPolicy):
    """Folds headers of identifiers at blanks only; the standard library makes encoded words of those that exceed a line."""

    def fold(self, name: str, value: str) -> str:
        """As `email.policy.EmailPolicy.fold`."""
        if name.lower() not in _IDENTIFIERS:
            return str(super().fold(name, value))
        lines = [f"{name}:"]
        for word in str(value).split():
            if len(lines[-1]) + 1 + len(word) > LINE_CHARACTERS and lines[-1].strip() and not lines[-1].endswith(":"):
                lines.append("")
            lines[-1] += f" {word}"
        return "".join(line + str(self.linesep) for line in lines)

    def fold_binary(self, name: str, value: str) -> bytes:
        """As `email.policy.EmailPolicy.fold_binary`."""
        if name.lower() not in _IDENTIFIERS:
            return super().fold_binary(name, value)
        return self.fold(name, value).encode("ascii")


#: Seven bits: a mail that every server takes, whatever it offers.
_POLICY = _Policy(linesep="\r\n", cte_type="7bit")


def compose(digest: Digest, original: Email, recipient: Recipient, *, run_id: str, options: DeliveryOptions) -> EmailMessage:
    """The digest as a mail to one recipient.

    Its Message-ID follows from the run and the recipient, so the same digest sent twice is recognised by whoever gets it.
    Trace context goes to allow-listed domains only, as it is at the moment.
    """
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = _address(options.sender, "Digest")
    mail["To"] = _address(recipient.address)
    subject = one_line(digest.title) or "(no subject)"
    mail["Subject"] = f"Re: {subject}" if recipient.is_reply else f"Digest: {subject}"
    mail["Date"] = format_datetime(localtime())
    domain = with_ascii_domain(f"digest@{options.sender.rpartition('@')[2]}")
    mail["Message-ID"] = f"<{sha256(f'{run_id} {recipient.address}'.encode()).hexdigest()[:32]}{domain.removeprefix('digest')}>"
    if is_message_id(original.message_id):
        mail["In-Reply-To"] = original.message_id
        references = [item for item in (*original.references[-REFERENCES:], original.message_id) if is_message_id(item)]
        mail["References"] = " ".join(dict.fromkeys(str(item) for item in references))
    mail["Auto-Submitted"] = "auto-replied" if recipient.is_reply else "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    for name, value in mail_headers(recipient.address, options.trace_header_domains).items():
        mail[name] = value
    mail.set_content(_sendable(digest.text))
    mail.add_alternative(
        "<!doctype html>\n<html><head><meta charset='utf-8'></head><body>\n" + _sendable(digest.html) + "\n</body></html>\n",
        subtype="html",
    )
    return mail


def one_line(text: str) -> str:
    """A text as a header may carry it: one line, without controls, directional marks or halves of characters."""
    blanks = "".join(" " if unicodedata.category(char) in ("Cc", "Zl", "Zp") else char for char in text)
    kept = "".join(char for char in blanks if unicodedata.category(char) not in ("Cf", "Cs", "Co", "Cn") or char == "\u200d")
    return " ".join(kept.split())[:SUBJECT_CHARACTERS].strip()


def is_message_id(value: str | None) -> bool:
    """Whether a value can be quoted as a Message-ID: printable ASCII in angle brackets, short enough for a line."""
    return value is not None and len(value) <= MESSAGE_ID_CHARACTERS and _MESSAGE_ID.fullmatch(value) is not None


def _address(address: str, name: str = "") -> Address:
    local, _, domain = with_ascii_domain(address).rpartition("@")
    return Address(name, local, domain)


def _sendable(text: str) -> str:
    """Text without halves of characters, which no encoding takes, and without NUL, which RFC 5322 forbids."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "")
