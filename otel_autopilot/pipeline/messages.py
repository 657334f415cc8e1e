"""The typed messages that pass between the stages.

Bodies live in files: a message carries a `Blob` (path, hash, size), never megabytes, so a checkpoint stays small and a large
mail never enters the memory of the process that runs the pipeline.

    RawEmail ──email──▶ Email ──ingestion──▶ Ingested ──digest──▶ Digest ──delivery──▶ Delivery
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Message(BaseModel):
    """Frozen, strict about unknown fields, and JSON both ways."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Blob(Message):
    """Bytes in a file, named by their content."""

    path: Path
    sha256: str
    size_bytes: int = Field(ge=0)

    def read_bytes(self) -> bytes:
        """The content; raises FileNotFoundError when it was erased."""
        return self.path.read_bytes()

    def read_text(self) -> str:
        """The content as UTF-8 text, undecodable bytes replaced."""
        return self.path.read_text(encoding="utf-8", errors="replace")


class Envelope(Message):
    """How the mail came in."""

    source: Literal["smtp", "file", "maildir", "mbox", "api"]
    sender: str | None = None
    """MAIL FROM (RFC 5321); "" is the null sender, None means there was no envelope."""
    recipients: tuple[str, ...] = ()
    authenticated: bool = False
    """True after SMTP AUTH or an authenticated API call."""
    received_unix_nano: int
    """When the first byte arrived."""
    stored_unix_nano: int
    """When the mail was safe on disk."""


class RawEmail(Message):
    """A stored mail, not yet looked into."""

    blob: Blob
    envelope: Envelope
    label: str = ""
    """What a person calls it: the path, `path#n` in an mbox, "" over the wire. Never exported."""


class Address(Message):
    name: str = ""
    address: str


class Part(Message):
    """A piece of a mail: a body or an attachment, decoded (text as UTF-8) into a blob."""

    number: str
    """Its place in the MIME tree, as IMAP counts: "1", "2.1"."""
    content_type: str
    """Lower case, without parameters; "text/plain", "text/html" or whatever an attachment says or sniffing found."""
    filename: str = ""
    attachment: bool = False
    blob: Blob


class SkippedPart(Message):
    """A part that was not used, and why."""

    number: str
    content_type: str
    size_bytes: int = 0
    count: int = 1
    """How many parts it stands for."""
    reason: Literal[
        "tnef", "unsupported_type", "encrypted", "image_only", "empty", "signature", "too_deep", "too_many_parts", "undecodable"
    ]


class Email(Message):
    """A parsed mail."""

    message_id: str | None = None
    """As in the header, angle brackets included; None when there is none."""
    subject: str = ""
    sender: Address | None = None
    reply_to: tuple[Address, ...] = ()
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    date: str | None = None
    """ISO 8601; None when absent or unreadable."""
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    bodies: tuple[Part, ...] = ()
    """The text to read, in order; of a multipart/alternative only the best (HTML over plain)."""
    attachments: tuple[Part, ...] = ()
    forwarded: tuple[Email, ...] = ()
    """message/rfc822 parts, parsed the same way."""
    skipped: tuple[SkippedPart, ...] = ()
    defects: tuple[str, ...] = ()
    """Names of what was broken and survived, such as "MissingHeaderBodySeparatorDefect". No content."""
    automatic: Literal["null_sender", "auto_submitted", "list", "bulk"] | None = None
    """Why this mail must never be answered (RFC 3834, RFC 2369), or None."""
    traceparent: str | None = None
    tracestate: str | None = None
    trusted: bool = False
    """Sender allow-listed *and* verified (SMTP AUTH or DKIM): its traceparent may be a parent."""
    rule: str = "default"
    """Name of the routing rule that matched."""
    workflow: str = "email-digest"

    def every_skipped(self) -> Iterator[SkippedPart]:
        """What was skipped of this mail and of those inside it."""
        yield from self.skipped
        for forwarded in self.forwarded:
            yield from forwarded.every_skipped()


class Link(Message):
    text: str
    url: str


class Document(Message):
    """Readable text of one part, as Markdown (links, lists and tables kept)."""

    part: str
    """Number of the part it came from; "2.1" of a forwarded mail is prefixed with its own part number."""
    kind: Literal["text", "html", "pdf"]
    title: str = ""
    filename: str = ""
    text: Blob
    """UTF-8 Markdown; pages of a PDF are separated by a form feed."""
    characters: int
    pages: int = 0
    """Pages of a PDF, 0 for everything else."""
    tables: int = 0
    links: tuple[Link, ...] = ()
    forwarded: bool = False


class Ingested(Message):
    documents: tuple[Document, ...] = ()
    skipped: tuple[SkippedPart, ...] = ()


class KeyPoint(Message):
    text: str
    part: str = ""


class Figure(Message):
    """A number worth seeing, with the words around it."""

    value: str
    context: str


class Digest(Message):
    title: str
    key_points: tuple[KeyPoint, ...] = ()
    keywords: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    figures: tuple[Figure, ...] = ()
    markdown: str
    html: str
    """A sanitised fragment: no script, no style, no remote image."""
    text: str
    method: Literal["extractive", "model"] = "extractive"
    fallback_reason: str | None = None
    """Why the model was not used although one is set: an exception's type name."""


class RecipientOutcome(Message):
    """What became of the digest for one recipient of one target."""

    target: str
    """The target as the user gave it, without credentials."""
    recipient: str = ""
    outcome: Literal["delivered", "failed", "suppressed", "uncertain"]
    """suppressed: mail manners forbid it; uncertain: an intent was stored and its result is unknown."""
    attempts: int = 0
    error: str | None = None


class Delivery(Message):
    outcomes: tuple[RecipientOutcome, ...] = ()
