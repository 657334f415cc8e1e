"""MIME to a typed `Email`, in a child process: hostile mail harms its own run and nothing else.

Whatever arrives is survived as far as it holds a mail: broken headers and boundaries, unknown charsets, nesting without end.
What was broken is named in `Email.defects`, what was left out in `Email.skipped` with its reason; neither quotes content.
"""

from __future__ import annotations

import binascii
import email
import re
import sys
from dataclasses import dataclass, field
from email.message import Message as MimeMessage
from email.parser import BytesHeaderParser
from email.policy import Compat32
from pathlib import Path
from typing import Literal, cast

from otel_autopilot.errors import EmailError
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.email import headers
from otel_autopilot.pipeline.email.automatic import why_automatic
from otel_autopilot.pipeline.email.repair import repaired
from otel_autopilot.pipeline.messages import Email, Part, SkippedPart

Reason = Literal["tnef", "unsupported_type", "encrypted", "empty", "signature", "too_deep", "too_many_parts", "undecodable"]

#: Attachments that are text whatever their type says.
_TEXT_ENDINGS = {
    ".txt": "text/plain",
    ".md": "text/plain",
    ".csv": "text/plain",
    ".log": "text/plain",
    ".htm": "text/html",
    ".html": "text/html",
}
_READABLE = {"text/plain", "text/html", "application/pdf"}
#: Types of text that nobody reads as it stands.
_NOT_PROSE = {"text/calendar", "text/rfc822-headers", "text/vcard", "text/x-vcard", "text/directory"}
_SIGNATURES = {"application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"}
_TNEF = {"application/ms-tnef", "application/vnd.ms-tnef"}
_FORWARDED = {"message/rfc822", "message/global", "message/news"}
#: Frames that the parser may add to the stack: one for each level of nesting, so this bounds how deep it looks.
_PARSER_FRAMES = 200
#: Characters kept of one field while parsing: the library's parameter parser takes quadratic time.
_RAW_FIELD_LIMIT = 50_000
_RAW_PARAMETERS_LIMIT = 5_000
_PARAMETER_FIELDS = {"content-type", "content-disposition", "content-transfer-encoding"}
#: type/subtype (RFC 6838 section 4.2).
_CONTENT_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")
#: What HTML holds besides text.
_NOT_TEXT = re.compile(
    rb"<!--.*?(?:-->|$)|<(style|script|head)\b.*?(?:</\1\s*>|$)|<[^>]*>|&(?:nbsp|#160|zwnj|#8204|#847);|\s",
    re.DOTALL | re.IGNORECASE,
)
_META_CHARSET = re.compile(rb"<(?:meta|\?xml)\b[^>]{0,300}?(?:charset|encoding)\s*=\s*[\"']?([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)
#: Armour of OpenPGP (RFC 9580 section 6.2) in the text itself.
_ARMOUR = re.compile(
    r"^-----BEGIN PGP (MESSAGE|SIGNATURE|PUBLIC KEY BLOCK)-----[^\n]*\n(?:(?!-----)[^\n]*\n)*(?:-----END PGP [A-Z ]+-----[^\n]*)?",
    re.MULTILINE,
)
#: A uuencoded file: its lines hold no lower case, so that prose after a line "begin 644 ..." isn't taken for one.
_UUENCODED = re.compile(r"^begin [0-7]{3,4} [^\r\n]{1,255}\r?\n(?:[ -`]{1,62}\r?\n|\r?\n)+(?:end[ \t]*$)?", re.MULTILINE)
#: W3C Trace Context, version 00 or later.
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")


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
    return _email(_message(content, state), state, "", envelope_sender)


class _Policy(Compat32):
    """compat32 whose fields come as they were sent (8-bit bytes as surrogates), cut where none is honest any more."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        limit = _RAW_PARAMETERS_LIMIT if name.strip().lower() in _PARAMETER_FIELDS else _RAW_FIELD_LIMIT
        return name, value[:limit]

    def header_fetch_parse(self, name: str, value: str) -> str:  # noqa: ARG002  # the library's signature
        return value


_POLICY = _Policy(raise_on_defect=False)


def _message(content: bytes, state: _State) -> MimeMessage:
    """Parse; a mail that is nested deeper than the parser may go is taken by its own header only."""
    content = repaired(content, state.limits.header_bytes, state.defect)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(min(limit, _frames() + _PARSER_FRAMES))
    try:
        return email.message_from_bytes(content, policy=_POLICY)
    except RecursionError:
        state.defect("NestedTooDeep")
    finally:
        sys.setrecursionlimit(limit)
    return BytesHeaderParser(policy=_POLICY).parsebytes(content)


def _frames() -> int:
    frame, depth = sys._getframe(), 0
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    return depth


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

    def one_too_many(self, number: str, content_type: str) -> None:
        last = self.skipped[-1] if self.skipped else None
        if last is not None and last.reason == "too_many_parts":
            self.skipped[-1] = last.model_copy(update={"count": last.count + 1})
        else:
            self.skip(number, content_type, "too_many_parts")


def _email(mail: MimeMessage, state: _State, prefix: str, envelope_sender: str | None) -> Email:
    found = _Found()
    _walk(mail, state, found, prefix, depth=0)
    senders = headers.addresses(mail, "From")
    in_reply_to = headers.message_ids(mail, "In-Reply-To")
    ids = headers.message_ids(mail, "Message-ID")
    traceparent: str | None = headers.field(mail, "traceparent")
    if not _TRACEPARENT.fullmatch(traceparent or "") or len(mail.get_all("traceparent", [])) > 1:
        traceparent = None
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
        traceparent=traceparent,
        tracestate=(headers.field(mail, "tracestate")[:512] or None) if traceparent else None,
    )


def _walk(part: MimeMessage, state: _State, found: _Found, number: str, depth: int) -> None:
    state.parts += 1
    for defect in part.defects:
        state.defect(type(defect).__name__)
    content_type = _content_type(part, state)
    if state.parts > state.limits.parts:
        found.one_too_many(number, content_type)
        return
    if depth > state.limits.depth:
        found.skip(number, content_type, "too_deep")
        return
    # Of a leaf the text is not asked for here: decoding it by a hostile charset raises (CPython's get_payload without decode).
    payload = part.get_payload() if part.is_multipart() else None
    if content_type in _FORWARDED and isinstance(payload, list):
        for inner in payload[:1]:
            _walk_forwarded(_decoded(part, cast(MimeMessage, inner), state), state, found, number or "1", depth)
    elif content_type == "multipart/encrypted":
        found.skip(number, content_type, "encrypted")
    elif isinstance(payload, list) and content_type.startswith("message/"):
        found.skip(number, content_type, "unsupported_type")
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


def _walk_forwarded(mail: MimeMessage, state: _State, found: _Found, number: str, depth: int) -> None:
    if depth >= state.limits.depth:
        found.skip(number, "message/rfc822", "too_deep")
        return
    own = _State(state.blobs, state.limits, state.parts, state.decoded_bytes)
    forwarded = _Found()
    _walk(mail, own, forwarded, number, depth + 1)
    found.forwarded.append(_forwarded(mail, forwarded, own))
    state.parts, state.decoded_bytes = own.parts, own.decoded_bytes
    for name in own.defects:
        state.defect(name)


def _decoded(part: MimeMessage, inner: MimeMessage, state: _State) -> MimeMessage:
    """A forwarded mail that was put into base64, which RFC 2046 forbids and senders do."""
    if headers.field(part, "Content-Transfer-Encoding").lower() != "base64" or inner.keys():
        return inner
    try:
        content = binascii.a2b_base64(str(inner.get_payload()).encode("ascii", "replace"))
    except binascii.Error:
        return inner
    return _message(content, state)


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
    """Whether HTML has any text outside its tags, style and head; looked for in its first 200 kB."""
    return bool(_NOT_TEXT.sub(b"", body.blob.path.read_bytes()[:200_000]))


def _leaf(part: MimeMessage, state: _State, found: _Found, number: str, content_type: str) -> None:
    if content_type in _SIGNATURES:
        found.skip(number, content_type, "signature")
        return
    if "NestedTooDeep" in state.defects and content_type.startswith(("multipart/", "message/")):
        found.skip(number, content_type, "too_deep")
        return
    if content_type.startswith("multipart/"):
        state.defect("MultipartWithoutParts")
        content_type = "text/plain"
    try:
        content = part.get_payload(decode=True)
    except (ValueError, TypeError, LookupError, AssertionError, binascii.Error):
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
    if content_type in ("application/pkcs7-mime", "application/x-pkcs7-mime"):
        opaque = "signed" in headers.field(part, "Content-Type").lower()
        found.skip(number, content_type, "unsupported_type" if opaque else "encrypted", len(content))
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
        text = headers.decode_bytes(content, _charset(part, content, content_type)).replace("\x00", "").removeprefix("\ufeff")
        if content_type == "text/plain":
            text = _without_enclosures(text, found, number)
            if not text.strip():
                return
        content = text.encode("utf-8", "replace")
    made = Part(number=number, content_type=content_type, filename=filename, attachment=attachment, blob=state.blobs.put(content))
    (found.attachments if attachment or content_type == "application/pdf" else found.bodies).append(made)


def _without_enclosures(text: str, found: _Found, number: str) -> str:
    """What was put into the text itself, as was done before MIME, is skipped with a reason: files, armour of OpenPGP."""

    def skip_file(file: re.Match[str]) -> str:
        found.skip(number, "application/octet-stream", "unsupported_type", len(file[0]) * 3 // 4)
        return "\n"

    def skip_armour(armour: re.Match[str]) -> str:
        encrypted = armour[1] == "MESSAGE"
        content_type = "application/pgp-encrypted" if encrypted else "application/pgp-signature"
        found.skip(number, content_type, "encrypted" if encrypted else "signature", len(armour[0]))
        return "\n"

    if "-----BEGIN PGP " in text:
        text = _ARMOUR.sub(skip_armour, text)
    return _UUENCODED.sub(skip_file, text) if "begin " in text else text


def _content_type(part: MimeMessage, state: _State) -> str:
    """Lower case; text/plain where the field can't be read (RFC 2045 section 5.2)."""
    try:
        content_type = part.get_content_type().lower()
    except (ValueError, TypeError, AttributeError, IndexError):
        content_type = ""
    if _CONTENT_TYPE.fullmatch(content_type):
        return content_type
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


def _charset(part: MimeMessage, content: bytes, content_type: str) -> str | None:
    """The declared charset, that of a byte order mark, or what HTML says of itself."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        declared = part.get_content_charset()
    except (ValueError, TypeError, LookupError, AttributeError, IndexError):
        declared = None
    if declared is None and content_type == "text/html" and (meta := _META_CHARSET.search(content[:4_096])):
        return meta.group(1).decode("ascii")
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
    if content_type.startswith("text/") and content_type not in _READABLE and content_type not in _NOT_PROSE:
        return "text/plain"
    return content_type
