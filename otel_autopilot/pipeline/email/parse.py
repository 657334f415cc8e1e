"""MIME to a typed `Email`, in a child process: hostile mail harms its own run and nothing else.

Whatever arrives is survived as far as it holds a mail: broken headers and boundaries, unknown charsets, nesting without end.
What was broken is named in `Email.defects`, what was left out in `Email.skipped` with its reason; neither quotes content.
"""

from __future__ import annotations

import binascii
import email
from dataclasses import dataclass, field
from email.message import Message as MimeMessage
from email.policy import Compat32
from pathlib import Path
from typing import Literal

from otel_autopilot.errors import EmailError
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.email import headers
from otel_autopilot.pipeline.email.automatic import why_automatic
from otel_autopilot.pipeline.messages import Email, Part, SkippedPart

Reason = Literal["tnef", "unsupported_type", "empty", "signature", "too_deep", "too_many_parts", "undecodable"]

#: Attachments that are text whatever their type says.
_TEXT_ENDINGS = {
    ".txt": "text/plain",
    ".md": "text/plain",
    ".csv": "text/csv",
    ".log": "text/plain",
    ".htm": "text/html",
    ".html": "text/html",
}
_READABLE = {"text/plain", "text/html", "text/csv", "text/markdown", "text/enriched", "application/pdf"}
_SIGNATURES = {"application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"}
_TNEF = {"application/ms-tnef", "application/vnd.ms-tnef"}


@dataclass(frozen=True)
class ParseLimits:
    """How much of a mail is looked at."""

    parts: int = 1_000
    depth: int = 20
    header_bytes: int = 1_000_000
    decoded_bytes: int = 200_000_000


def parse(path: Path, blobs_root: Path, envelope_sender: str | None = None, limits: ParseLimits | None = None) -> Email:
    """Parse a stored mail, writing its decoded parts below ``blobs_root``.

    ``envelope_sender`` is MAIL FROM ("" the null sender, None unknown). Raises EmailError when the file is empty, and OSError
    when it can't be read or parts can't be written.
    """
    content = path.read_bytes()
    if not content.strip(b"\x00\r\n\t "):
        raise EmailError("expected a mail (RFC 5322), got an empty file")
    state = _State(BlobStore(blobs_root), limits or ParseLimits())
    if content.startswith(b"From "):  # the separator of an mbox, left in front
        content = content[content.find(b"\n") + 1 :]
    try:
        mail = email.message_from_bytes(_bounded_header(content, state), policy=_POLICY)
    except RecursionError:
        state.defects.append("NestedTooDeep")
        mail = email.message_from_bytes(content[: content.find(b"\n\n") + 2 or None].split(b"\n\n")[0] + b"\n\n", policy=_POLICY)
    return _email(mail, state, "", envelope_sender)


class _Policy(Compat32):
    """compat32 that takes everything as it comes."""


_POLICY = _Policy(raise_on_defect=False)


@dataclass
class _State:
    blobs: BlobStore
    limits: ParseLimits
    parts: int = 0
    decoded_bytes: int = 0
    defects: list[str] = field(default_factory=list)

    def defect(self, name: str) -> None:
        if name not in self.defects and len(self.defects) < 50:
            self.defects.append(name)


@dataclass
class _Found:
    bodies: list[Part] = field(default_factory=list)
    attachments: list[Part] = field(default_factory=list)
    forwarded: list[Email] = field(default_factory=list)
    skipped: list[SkippedPart] = field(default_factory=list)

    def skip(self, number: str, content_type: str, reason: Reason, size_bytes: int = 0) -> None:
        if len(self.skipped) < 1_000:
            self.skipped.append(SkippedPart(number=number or "1", content_type=content_type, size_bytes=size_bytes, reason=reason))


def _bounded_header(content: bytes, state: _State) -> bytes:
    """Cut a header block that is longer than anybody's: the parser is quadratic in some of them."""
    ends = [at for at in (content.find(b"\r\n\r\n"), content.find(b"\n\n")) if at >= 0]
    end = min(ends, default=len(content))
    if end <= state.limits.header_bytes:
        return content
    state.defect("HeaderTooLong")
    cut = content.rfind(b"\n", 0, state.limits.header_bytes)
    return content[: cut if cut > 0 else state.limits.header_bytes] + b"\n" + content[end:]


def _email(mail: MimeMessage, state: _State, prefix: str, envelope_sender: str | None) -> Email:
    found = _Found()
    _walk(mail, state, found, prefix, depth=0)
    senders = headers.addresses(mail, "From")
    in_reply_to = headers.message_ids(mail, "In-Reply-To")
    ids = headers.message_ids(mail, "Message-ID")
    return Email(
        message_id=ids[0] if ids else headers.field(mail, "Message-ID") or None,
        subject=headers.field(mail, "Subject"),
        sender=senders[0] if senders else None,
        reply_to=headers.addresses(mail, "Reply-To"),
        to=headers.addresses(mail, "To"),
        cc=headers.addresses(mail, "Cc"),
        date=headers.date(mail),
        in_reply_to=in_reply_to[0] if in_reply_to else None,
        references=headers.message_ids(mail, "References"),
        bodies=tuple(found.bodies),
        attachments=tuple(found.attachments),
        forwarded=tuple(found.forwarded),
        skipped=tuple(found.skipped),
        defects=tuple(state.defects),
        automatic=why_automatic(mail, envelope_sender),
        traceparent=headers.field(mail, "traceparent") or None,
        tracestate=headers.field(mail, "tracestate") or None,
    )


def _walk(part: MimeMessage, state: _State, found: _Found, number: str, depth: int) -> None:
    state.parts += 1
    for defect in part.defects:
        state.defect(type(defect).__name__)
    content_type = _content_type(part, state)
    if state.parts > state.limits.parts:
        if state.parts == state.limits.parts + 1:
            found.skip(number, content_type, "too_many_parts")
        return
    if depth > state.limits.depth:
        found.skip(number, content_type, "too_deep")
        return
    payload = part.get_payload()
    if content_type == "message/rfc822" and isinstance(payload, list):
        for inner in (item for item in payload[:1] if isinstance(item, MimeMessage)):
            own = _State(state.blobs, state.limits, state.parts, state.decoded_bytes)
            forwarded = _Found()
            _walk(inner, own, forwarded, number or "1", depth + 1)
            found.forwarded.append(_forwarded(inner, forwarded, own))
            state.parts, state.decoded_bytes = own.parts, own.decoded_bytes
            for name in own.defects:
                state.defect(name)
    elif isinstance(payload, list):
        children = [(f"{number}.{index}" if number else str(index), child) for index, child in enumerate(payload, 1)]
        if content_type == "multipart/alternative":
            _alternative(children, state, found, depth)
        elif content_type == "multipart/signed":
            for index, (name, child) in enumerate(children):
                if index == 0:
                    _walk(child, state, found, name, depth + 1)
                else:
                    found.skip(name, _content_type(child, state), "signature")
        else:
            for name, child in children:
                _walk(child, state, found, name, depth + 1)
    else:
        _leaf(part, state, found, number or "1", content_type)


def _forwarded(mail: MimeMessage, found: _Found, state: _State) -> Email:
    senders = headers.addresses(mail, "From")
    ids = headers.message_ids(mail, "Message-ID")
    return Email(
        message_id=ids[0] if ids else None,
        subject=headers.field(mail, "Subject"),
        sender=senders[0] if senders else None,
        to=headers.addresses(mail, "To"),
        cc=headers.addresses(mail, "Cc"),
        date=headers.date(mail),
        bodies=tuple(found.bodies),
        attachments=tuple(found.attachments),
        forwarded=tuple(found.forwarded),
        skipped=tuple(found.skipped),
        defects=tuple(state.defects),
    )


def _alternative(children: list[tuple[str, MimeMessage]], state: _State, found: _Found, depth: int) -> None:
    """Of several forms of one text only the best: the HTML one where it says something, else the first that does."""
    forms = []
    for name, child in children:
        form = _Found()
        _walk(child, state, form, name, depth + 1)
        forms.append(form)
    readable = [form for form in forms if form.bodies]
    rich = [form for form in readable if any(body.content_type == "text/html" and _says_something(body) for body in form.bodies)]
    best = (rich or readable)[-1 if rich else 0] if readable else None
    for form in forms:
        if form is best:
            found.bodies += form.bodies
        found.attachments += form.attachments
        found.forwarded += form.forwarded
        found.skipped += form.skipped


def _says_something(body: Part) -> bool:
    """Whether HTML has any text outside its tags; looked for cheaply."""
    inside = False
    for byte in body.blob.path.read_bytes()[:200_000]:
        if byte == 0x3C:
            inside = True
        elif byte == 0x3E:
            inside = False
        elif not inside and not chr(byte).isspace():
            return True
    return False


def _leaf(part: MimeMessage, state: _State, found: _Found, number: str, content_type: str) -> None:
    if content_type in _SIGNATURES:
        found.skip(number, content_type, "signature")
        return
    if content_type.startswith("multipart/"):
        state.defect("MultipartWithoutParts")
        content_type = "text/plain"
    try:
        content = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError, binascii.Error):
        found.skip(number, content_type, "undecodable")
        return
    if not isinstance(content, bytes):
        content = str(part.get_payload()).encode("utf-8", "replace")
    state.decoded_bytes += len(content)
    filename = headers.clean(_filename(part))
    if content_type in _TNEF or filename.lower() == "winmail.dat":
        found.skip(number, content_type, "tnef", len(content))
        return
    if state.decoded_bytes > state.limits.decoded_bytes:
        found.skip(number, content_type, "too_many_parts", len(content))
        return
    attachment = _is_attachment(part, filename)
    content_type = _sniff(content, content_type, filename)
    if not content.strip():
        found.skip(number, content_type, "empty")
        return
    if content_type not in _READABLE:
        found.skip(number, content_type, "unsupported_type", len(content))
        return
    if content_type != "application/pdf":
        content = headers.decode_bytes(content, _charset(part, content)).encode("utf-8", "replace").replace(b"\x00", b"")
    made = Part(number=number, content_type=content_type, filename=filename, attachment=attachment, blob=state.blobs.put(content))
    (found.attachments if attachment or content_type == "application/pdf" else found.bodies).append(made)


def _content_type(part: MimeMessage, state: _State) -> str:
    try:
        return part.get_content_type().lower()
    except (ValueError, TypeError, AttributeError, IndexError):
        state.defect("ContentTypeUnreadable")
        return "text/plain"


def _filename(part: MimeMessage) -> str:
    try:
        return headers.decode(part.get_filename() or "").replace("/", "_").replace("\\", "_")[:255]
    except (ValueError, TypeError, LookupError, AttributeError, IndexError):
        return ""


def _is_attachment(part: MimeMessage, filename: str) -> bool:
    try:
        disposition = part.get_content_disposition()
    except (ValueError, TypeError, AttributeError, IndexError):
        disposition = None
    return disposition == "attachment" or bool(filename)


def _charset(part: MimeMessage, content: bytes) -> str | None:
    try:
        declared = part.get_content_charset()
    except (ValueError, TypeError, LookupError, AttributeError, IndexError):
        declared = None
    if declared is None and content[:3] == b"\xef\xbb\xbf":
        return "utf-8-sig"
    return str(declared) if declared else None


def _sniff(content: bytes, content_type: str, filename: str) -> str:
    """The type that the bytes and the name say, where the declared one says nothing or lies about a PDF."""
    start = content[:1024].lstrip()
    if start.startswith(b"%PDF-"):
        return "application/pdf"
    ending = "." + filename.rpartition(".")[2].lower() if "." in filename else ""
    if content_type == "application/pdf" or (ending == ".pdf" and not content_type.startswith("text/")):
        return "application/pdf"
    if content_type in ("application/octet-stream", "application/text") and ending in _TEXT_ENDINGS:
        return _TEXT_ENDINGS[ending]
    if content_type in ("text/csv", "text/markdown", "text/x-markdown"):
        return "text/plain"
    if content_type.startswith("text/") and content_type not in _READABLE and content_type != "text/calendar":
        return "text/plain"
    return content_type
