"""Mail written byte by byte: what the library's own generator would mend or refuse can be made, and boundaries repeat."""

from __future__ import annotations

import base64
import quopri
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.header import Header
from typing import Literal

from tests.mail.planted import Plant

Fields = Sequence[tuple[str, str | bytes]]
Encoding = Literal["7bit", "8bit", "quoted-printable", "base64"]


@dataclass(frozen=True)
class Entity:
    """A body part (RFC 2046): its own header fields and its encoded body."""

    fields: Fields
    body: bytes

    def render(self) -> bytes:
        """As it stands between two boundaries."""
        return header(self.fields) + b"\r\n" + self.body


def header(fields: Fields) -> bytes:
    """Header fields, one a line; bytes go in as they are."""
    return b"".join(name.encode() + b": " + _bytes(value) + b"\r\n" for name, value in fields)


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8")


def encode(content: bytes, encoding: Encoding) -> bytes:
    """A body in a content transfer encoding (RFC 2045 section 6)."""
    if encoding == "base64":
        return base64.encodebytes(content).replace(b"\n", b"\r\n")
    lines = content.replace(b"\r\n", b"\n")
    if encoding == "quoted-printable":
        lines = quopri.encodestring(lines)
    return lines.replace(b"\n", b"\r\n")


def text(
    content: str, subtype: str = "plain", charset: str = "utf-8", encoding: Encoding = "quoted-printable", extra: Fields = ()
) -> Entity:
    """A body of text in a charset that Python knows; what the charset lacks becomes ``?``."""
    body = encode(content.encode(charset, "replace"), encoding)
    return Entity(
        (("Content-Type", f'text/{subtype}; charset="{charset}"'), ("Content-Transfer-Encoding", encoding), *extra), body + b"\r\n"
    )


def attachment(content: bytes, content_type: str, filename: str, disposition: str = "attachment") -> Entity:
    """A file, in base64."""
    return Entity(
        (
            ("Content-Type", f'{content_type}; name="{filename}"'),
            ("Content-Transfer-Encoding", "base64"),
            ("Content-Disposition", f'{disposition}; filename="{filename}"'),
        ),
        encode(content, "base64"),
    )


def multipart(plant: Plant, subtype: str, parts: Iterable[Entity], parameters: str = "") -> Entity:
    """A multipart with a boundary drawn from the plant; ``parameters`` such as ``; protocol="..."`` follow it."""
    boundary = f"=_{plant.random.randbytes(12).hex()}"
    delimiter = f"--{boundary}".encode()
    body = b"".join(delimiter + b"\r\n" + part.render() + b"\r\n" for part in parts) + delimiter + b"--\r\n"
    return Entity((("Content-Type", f'multipart/{subtype}; boundary="{boundary}"{parameters}'),), body)


def embedded(mail: bytes) -> Entity:
    """A whole mail as a part (message/rfc822)."""
    return Entity((("Content-Type", "message/rfc822"), ("Content-Disposition", "inline")), mail)


def word(value: str, charset: str = "utf-8") -> str:
    """An encoded word (RFC 2047), folded."""
    return Header(value, charset, maxlinelen=70).encode(linesep="\r\n")


def standard_fields(plant: Plant, subject: str | None = None) -> list[tuple[str, str | bytes]]:
    """The header of an ordinary mail of the plant's sender."""
    day = 1 + plant.random.randrange(28)
    host = plant.sender.address.partition("@")[2]
    return [
        ("Return-Path", f"<{plant.sender.address}>"),
        ("Received", f"from mx.{host} (mx.{host} [192.0.2.{day}])\r\n\tby inbound.example.org with ESMTPS id {plant.token[4:16]};"
                     f"\r\n\tMon, {day:02} Jun 2026 08:{day:02}:11 +0000"),
        ("Date", f"Mon, {day:02} Jun 2026 10:{day:02}:07 +0200"),
        ("From", plant.sender.mailbox),
        ("To", plant.recipient.mailbox),
        ("Subject", subject if subject is not None else plant.subject),
        ("Message-ID", plant.message_id),
        ("MIME-Version", "1.0"),
    ]  # fmt: skip


def mail(plant: Plant, entity: Entity, more: Fields = (), subject: str | None = None) -> bytes:
    """An ordinary mail around an entity."""
    return header([*standard_fields(plant, subject), *more, *entity.fields]) + b"\r\n" + entity.body
