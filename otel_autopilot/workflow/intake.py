"""What has to be known of a mail before it becomes a run: its identity, and whose trace it belongs to.

Nothing is parsed here but the header; the work of the email stage belongs to the email stage.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from email.policy import compat32
from pathlib import Path

from opentelemetry.trace import SpanContext

from otel_autopilot.pipeline.email.verify import is_trusted
from otel_autopilot.pipeline.messages import RawEmail
from otel_autopilot.telemetry.propagation import mail_origin
from otel_autopilot.telemetry.pseudonyms import pseudonym
from otel_autopilot.telemetry.run import RunIdentity

#: A header longer than this is cut here; the email stage sees all of it.
HEADER_LIMIT_BYTES = 262_144
_CHUNK = 1_048_576


@dataclass(frozen=True)
class Header:
    """What the header says, and a hash of the body that follows."""

    message_id: str | None
    traceparent: str | None
    tracestate: str | None
    body_sha256: str


def read_header(path: Path) -> Header:
    """Read identity and trace headers of a stored mail; blocking. Raises OSError when the file can't be read."""
    body = hashlib.sha256()
    with path.open("rb") as file:
        head = file.read(HEADER_LIMIT_BYTES)
        end, length = _end_of_header(head)
        body.update(head[end + length :])
        while chunk := file.read(_CHUNK):
            body.update(chunk)
    header = BytesHeaderParser(policy=compat32).parsebytes(head[:end] + b"\n\n")
    return Header(
        _plain(header.get("Message-ID")), _plain(header.get("traceparent")), _plain(header.get("tracestate")), body.hexdigest()
    )


def _end_of_header(head: bytes) -> tuple[int, int]:
    """Where the header ends, and how long the blank line after it is."""
    found = [(head.find(mark), len(mark)) for mark in (b"\r\n\r\n", b"\n\n", b"\r\r")]
    return min(((at, length) for at, length in found if at >= 0), default=(len(head), 0))


def _plain(value: object) -> str | None:
    text = " ".join(str(value).split()) if value is not None else ""
    return text[:1000] or None


@dataclass(frozen=True)
class Keys:
    """The idempotency key of a mail in its three parts; none of them holds personal data in the clear."""

    message_id: str | None
    content: str
    recipients: str


def keys_of(raw: RawEmail, header: Header) -> Keys:
    """The same mail again has the same keys, whatever Received headers it has collected on its way."""
    recipients = "\n".join(sorted(address.lower() for address in raw.envelope.recipients))
    return Keys(
        message_id=pseudonym(header.message_id) if header.message_id else None,
        content=header.body_sha256,
        recipients=pseudonym(recipients) if recipients else "",
    )


async def identity_of(raw: RawEmail, header: Header, trusted_senders: Sequence[str]) -> RunIdentity:
    """Choose the ids of the run. Only a mail whose sender is allow-listed and verified joins the sender's trace."""
    parent: SpanContext | None = None
    if header.traceparent and trusted_senders and await is_trusted(raw, trusted_senders):
        parent = mail_origin(header.traceparent, header.tracestate, trusted=True).parent
    return RunIdentity.new(uuid.uuid4().hex, raw.envelope.received_unix_nano, parent)
