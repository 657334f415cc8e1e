"""Header fields decoded by a guard: whatever a mail writes there, a plain string comes out.

The standard library's `policy.default` raises on hostile headers (CPython issues 87075, 114906, 151857), so the parser runs
with `compat32` and each field is decoded here.
"""

from __future__ import annotations

import binascii
import codecs
import inspect
import re
import unicodedata
from email.message import Message as MimeMessage
from email.utils import getaddresses, parsedate_to_datetime
from itertools import islice

from otel_autopilot.pipeline.messages import Address

#: Longest field kept, in characters: nothing a person reads is longer.
FIELD_LIMIT = 10_000
#: Most addresses kept of a field.
ADDRESS_LIMIT = 1_000
#: Newer releases refuse a whole field for one odd address unless asked not to.
_LENIENT = {"strict": False} if "strict" in inspect.signature(getaddresses).parameters else {}
#: An encoded word (RFC 2047, with the language of RFC 2231), and several in a row: a sender may cut a character in two between words.
_ENCODED_WORD = re.compile(r"=\?([^?*\s]{1,60})(?:\*[^?\s]{0,20})?\?([bBqQ])\?([^?]*)\?=")
_ENCODED_RUN = re.compile(r"=\?[^?\s]{1,80}\?[bBqQ]\?[^?]*\?=(?:\s*=\?[^?\s]{1,80}\?[bBqQ]\?[^?]*\?=)*")
#: Codecs that are not charsets of mail: slow on large input, or an interpreter of escapes.
_NOT_CHARSETS = {"punycode", "idna", "unicode-escape", "raw-unicode-escape", "undefined"}
#: What a sender says who never thought about charsets: UTF-8 is tried before these.
_CARELESS = {"ascii", "cp1252"}
_MULTIBYTE = {"gb18030", "big5", "cp932", "cp949", "euc_jp", "iso2022_jp", "utf-8", "utf-16", "utf-7"}
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,990}>")


def decode_bytes(content: bytes, charset: str | None) -> str:
    """Text of bytes in a declared charset; an unknown or wrong one falls back to UTF-8, then to windows-1252."""
    try:
        declared = _known_charset(charset) if charset else None
    except (LookupError, ValueError):
        declared = None
    order = ("utf-8", declared) if declared is None or declared in _CARELESS else (declared, "utf-8")
    for name in order:
        if name is None:
            continue
        try:
            return content.decode(name)
        except (LookupError, ValueError):
            continue
    if declared is None or declared not in _MULTIBYTE:
        return content.decode("windows-1252", "replace")
    text = content.decode(declared, "replace")
    broken = text.count("\ufffd")
    sound = sum(char > "\x7f" for char in text[:10_000]) - text.count("\ufffd", 0, 10_000)
    return text if declared != "utf-8" or sound >= broken else content.decode("windows-1252", "replace")


def _known_charset(name: str) -> str:
    cleaned = name.strip().strip("\"'").lower()
    # Senders say gb2312 and write gbk, say shift_jis and write cp932: the wider one reads both.
    wider = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc-kr": "cp949", "ks_c_5601-1987": "cp949",
             "iso-8859-1": "windows-1252", "us-ascii": "ascii", "unicode-1-1-utf-7": "utf-7", "iso-8859-8-i": "iso-8859-8"}  # fmt: skip
    found = codecs.lookup(wider.get(cleaned, cleaned)).name
    if found.replace("_", "-") in _NOT_CHARSETS:
        raise LookupError("not a charset of mail")
    return found


def clean(text: str) -> str:
    """One line without control characters or lone surrogates, cut to `FIELD_LIMIT`."""
    text = text[:FIELD_LIMIT].encode("utf-8", "replace").decode("utf-8")
    return " ".join("".join(" " if unicodedata.category(char) in ("Cc", "Zl", "Zp") else char for char in text).split())


def decode(value: object, mail: MimeMessage | None = None) -> str:
    """A header's value with its encoded words decoded; raw 8-bit bytes are taken as UTF-8, else as the mail's text says."""
    if value is None:
        return ""
    text = _raw_bytes(str(value)[: FIELD_LIMIT * 4], mail)
    if "=?" not in text:
        return clean(text)
    return clean(_ENCODED_RUN.sub(lambda run: _decode_run(run.group()), text))


def _raw_bytes(text: str, mail: MimeMessage | None = None) -> str:
    if text.isascii():
        return text
    try:
        content = text.encode("ascii", "surrogateescape")
    except UnicodeEncodeError:
        return text
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return decode_bytes(content, _charset_of_text(mail) if mail is not None else None)


def _charset_of_text(mail: MimeMessage) -> str | None:
    """What the mail's first parts say of their text: senders who put raw bytes into a header wrote both in one charset."""
    for part in islice(mail.walk(), 10):
        try:
            charset = part.get_content_charset()
        except (ValueError, TypeError, LookupError, AttributeError, IndexError):
            continue
        if charset:
            return str(charset)
    return None


def _decode_run(run: str) -> str:
    """Encoded words side by side; the bytes of neighbours in one charset are put together before they are decoded."""
    pieces: list[tuple[str, bytes]] = []
    for charset, encoding, text in _ENCODED_WORD.findall(run):
        content = _encoded_bytes(encoding, text)
        if pieces and pieces[-1][0] == charset.lower():
            content = pieces.pop()[1] + content
        pieces.append((charset.lower(), content))
    return "".join(decode_bytes(content, charset) for charset, content in pieces) if pieces else run


def _encoded_bytes(encoding: str, text: str) -> bytes:
    raw = text.encode("utf-8", "replace")
    if encoding in "qQ":
        return binascii.a2b_qp(raw, header=True)
    letters = re.sub(rb"[^A-Za-z0-9+/]", b"", raw)
    letters = letters[: len(letters) - (len(letters) % 4 == 1)]  # a lone last letter holds no byte
    return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))


def field(mail: MimeMessage, name: str) -> str:
    """The first field of that name, decoded, or "". A broken one is "" too."""
    try:
        return decode(mail.get(name), mail)
    except (ValueError, TypeError, LookupError, RecursionError):
        return ""


def addresses(mail: MimeMessage, name: str) -> tuple[Address, ...]:
    """The addresses of a field; entries without an @ are left out."""
    try:
        raw = [_raw_bytes(str(value), mail)[:FIELD_LIMIT] for value in mail.get_all(name, [])[:20]]
        found = getaddresses(raw, **_LENIENT)
    except (ValueError, TypeError, LookupError, RecursionError):
        return ()
    except AttributeError:  # a parser fault on odd input (CPython issue 114906)
        return ()
    return tuple(
        Address(name=decode(display), address=clean(address)) for display, address in found[:ADDRESS_LIMIT] if "@" in address
    )


def message_ids(mail: MimeMessage, name: str) -> tuple[str, ...]:
    """The message ids of a field, angle brackets included."""
    try:
        return tuple(map(clean, _MESSAGE_ID.findall(_raw_bytes(str(mail.get(name) or "")[: FIELD_LIMIT * 4]))[:200]))
    except (ValueError, TypeError, LookupError):
        return ()


def date(mail: MimeMessage) -> str | None:
    """The Date field in ISO 8601, or None when absent or unreadable."""
    try:
        return parsedate_to_datetime(str(mail.get("Date") or "")).isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
