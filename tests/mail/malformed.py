"""Mail that breaks the rules, by accident or on purpose."""

from __future__ import annotations

from collections.abc import Callable

from tests.mail.mime import Entity, Fields, attachment, header, mail, multipart, standard_fields, text
from tests.mail.planted import Expected, Plant, Sample

_BODY = "The lift is out of order until Wednesday. Please use the stairs on the east side.\n"

#: Kind, the mail's bytes, and what must become of it.
_Case = tuple[str, Callable[[Plant], bytes], Expected]


def _bare(fields: Fields, body: bytes) -> bytes:
    return header(fields) + b"\r\n" + body


def _without(plant: Plant, *names: str) -> list[tuple[str, str | bytes]]:
    return [(name, value) for name, value in standard_fields(plant) if name not in names]


def _with(plant: Plant, name: str, value: str | bytes) -> bytes:
    """An ordinary mail with one field replaced."""
    return _bare([*_without(plant, name), (name, value), ("Content-Type", "text/plain; charset=utf-8")], _BODY.encode())


def _typed(plant: Plant, content_type: str | bytes, body: bytes = _BODY.encode(), encoding: str = "") -> bytes:
    more: list[tuple[str, str | bytes]] = [("Content-Type", content_type)]
    if encoding:
        more.append(("Content-Transfer-Encoding", encoding))
    return _bare([*standard_fields(plant), *more], body)


def _two_parts(plant: Plant) -> bytes:
    return mail(plant, multipart(plant, "mixed", [text(_BODY), text("<p>The second part.</p>", "html")]))


def _never_closed(plant: Plant) -> bytes:
    whole = _two_parts(plant)
    return whole[: whole.rstrip().rfind(b"--=_")]


def _cut_in_base64(plant: Plant) -> bytes:
    whole = mail(plant, multipart(plant, "mixed", [text(_BODY), attachment(plant.random.randbytes(9_000), "image/png", "a.png")]))
    return whole[:-4_000]


def _wrong_boundary(plant: Plant) -> bytes:
    return _two_parts(plant).replace(b"\r\n--=_", b"\r\n--=x")


def _nested_multiparts(plant: Plant) -> bytes:
    entity = text(_BODY)
    for _ in range(300):
        entity = multipart(plant, "mixed", [entity])
    return mail(plant, entity)


def _nested_mails(plant: Plant) -> bytes:
    inner = mail(plant, text(_BODY))
    for _ in range(40):
        inner = mail(plant, Entity((("Content-Type", "message/rfc822"),), inner))
    return inner


def _received(plant: Plant) -> bytes:
    hops: Fields = [
        ("Received", f"from a{n}.example by b{n}.example with SMTP id {plant.token}; Mon, 1 Jun 2026 08:00:00 +0000")
        for n in range(5_000)
    ]
    return header(hops) + mail(plant, text(_BODY))


def _continuations(plant: Plant) -> bytes:
    broken = (
        'application/octet-stream; name*0*=utf-8\'\'%E2%82; name*2="c"; name*1*=%ZZ; name*x="q"; name*9999999999="z"; name*=; *=y'
    )
    parts = [
        text(_BODY),
        Entity((("Content-Type", broken), ("Content-Disposition", "attachment; filename*0*=x''%; filename*00=")), b"abc\r\n"),
    ]
    return mail(plant, multipart(plant, "mixed", parts))


def _html(plant: Plant, markup: str) -> bytes:
    return mail(plant, text(markup, "html", encoding="8bit"))


def _addresses(plant: Plant) -> bytes:
    crowd = ",\r\n ".join(f"{plant.word()} <x{number}@{plant.word().lower()}.example>" for number in range(5_000))
    return _with(plant, "To", f"{plant.recipient.mailbox},\r\n {crowd}")


CASES: tuple[_Case, ...] = (
    ("empty file", lambda plant: b"", "failed"),
    ("blank file", lambda plant: b"\r\n \r\n\r\n", "failed"),
    ("NULs only", lambda plant: bytes(2_000), "failed"),
    ("binary noise", lambda plant: plant.random.randbytes(8_000), "any"),
    ("noise with line ends", lambda plant: b"\r\n".join(plant.random.randbytes(60) for _ in range(200)), "any"),
    ("text without any header", lambda plant: f"{_BODY}{plant.phone} {plant.sender.address}\r\n".encode(), "any"),
    ("headers only", lambda plant: header(standard_fields(plant)), "any"),
    ("headers without the last line end", lambda plant: header(standard_fields(plant)).rstrip(), "any"),
    ("no separator after the header", lambda plant: header(standard_fields(plant)) + _BODY.encode(), "success"),
    ("bare LF", lambda plant: _two_parts(plant).replace(b"\r\n", b"\n"), "success"),
    ("bare CR", lambda plant: _two_parts(plant).replace(b"\r\n", b"\r"), "any"),
    ("bare CRs inside lines", lambda plant: mail(plant, text(_BODY)).replace(b"order until", b"order\runtil"), "success"),
    ("mixed line ends", lambda plant: _two_parts(plant).replace(b"\r\n", b"\n", 7), "success"),
    ("CR CR LF", lambda plant: _two_parts(plant).replace(b"\r\n", b"\r\r\n"), "any"),
    ("byte order mark first", lambda plant: b"\xef\xbb\xbf" + mail(plant, text(_BODY)), "any"),
    ("blank line first", lambda plant: b"\r\n" + mail(plant, text(_BODY)), "any"),
    ("mbox line first", lambda plant: b"From a@example.org Mon Jun  1 08:00:00 2026\r\n" + mail(plant, text(_BODY)), "success"),
    ("continuation first", lambda plant: b"  folded nowhere\r\n" + mail(plant, text(_BODY)), "any"),
    ("multipart without a boundary", lambda plant: _typed(plant, "multipart/mixed", b"--x\r\n\r\n" + _BODY.encode() + b"--x--\r\n"), "success"),
    ("boundary never used", _wrong_boundary, "any"),
    ("boundary never closed", _never_closed, "success"),
    ("cut inside base64", _cut_in_base64, "success"),
    ("empty boundary", lambda plant: _typed(plant, 'multipart/mixed; boundary=""', b"--\r\n\r\n" + _BODY.encode()), "any"),
    ("boundary of 5,000 characters", lambda plant: _typed(plant, f'multipart/mixed; boundary="{"b" * 5_000}"'), "any"),
    ("boundary with pattern characters", lambda plant: _typed(plant, 'multipart/mixed; boundary="(.*)+[?"', b"--(.*)+[?\r\n\r\n" + _BODY.encode()), "success"),
    ("multipart without parts", lambda plant: _typed(plant, "multipart/mixed; boundary=b", b"--b--\r\n"), "any"),
    ("multipart inside its own boundary", lambda plant: _typed(plant, "multipart/mixed; boundary=b", b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + _BODY.encode() + b"--b--\r\n"), "any"),
    ("300 multiparts deep", _nested_multiparts, "any"),
    ("40 mails deep", _nested_mails, "any"),
    ("5,000 Received fields", _received, "success"),
    ("duplicate fields", lambda plant: header(standard_fields(plant)) + mail(plant, text(_BODY)), "success"),
    ("two Content-Types", lambda plant: header([("Content-Type", "application/pdf")]) + mail(plant, text(_BODY)), "any"),
    ("NULs in header and body", lambda plant: mail(plant, text(_BODY, encoding="8bit")).replace(b"lift", b"li\x00ft").replace(b"MIME-V", b"MI\x00ME-V"), "success"),
    ("control characters in the subject", lambda plant: _with(plant, "Subject", f"\x1b[31m{plant.subject}\x07\x00\x7f"), "success"),
    ("8-bit From", lambda plant: _with(plant, "From", plant.sender.mailbox.replace(" ", " \xfc\xe4 ", 1).encode("latin-1")), "success"),
    ("UTF-8 From and address (RFC 6532)", lambda plant: _with(plant, "From", f"Jörg Łukasz <jörg.{plant.sender.address}>"), "success"),
    ("unknown charset", lambda plant: _typed(plant, 'text/plain; charset="x-martian-8"'), "success"),
    ("charset that is no text codec", lambda plant: _typed(plant, 'text/plain; charset="zlib_codec"'), "success"),
    ("charset that climbs", lambda plant: _typed(plant, 'text/plain; charset="../../os"'), "success"),
    ("charset of 10,000 characters", lambda plant: _typed(plant, f'text/plain; charset="{"u" * 10_000}"'), "success"),
    ("unknown charset in an encoded word", lambda plant: _with(plant, "Subject", f"=?x-martian?q?{plant.subject.replace(' ', '_')}?="), "success"),
    ("broken encoded words", lambda plant: _with(plant, "Subject", f"=?utf-8?b?////=?= =?utf-8?q?=ZZ=?= =?utf-8?x?a?= =?? {plant.subject}"), "success"),
    ("encoded word split inside a character", lambda plant: _with(plant, "Subject", f"=?utf-8?q?=E2=82?=\r\n =?utf-8?q?=AC?= {plant.subject}"), "success"),
    ("broken base64", lambda plant: _typed(plant, "text/plain", b"VGhlIGxpZnQ*** gaXMgb3V0IG9m\x00IG9yZGVyLg=\r\n!!\r\n", "base64"), "success"),
    ("base64 with one character too many", lambda plant: _typed(plant, "text/plain", b"VGhlIGxpZnQgaXMgb3V0IG9mIG9yZGVyLgA\r\nA", "base64"), "success"),
    ("broken quoted-printable", lambda plant: _typed(plant, "text/plain", b"The lift=ZZ is =\r\nout=\x00 of order =3", "quoted-printable"), "success"),
    ("unknown transfer encoding", lambda plant: _typed(plant, "text/plain", encoding="x-rot13"), "success"),
    ("uuencode", lambda plant: _typed(plant, "text/plain", b"begin 644 a.txt\r\n#86)C\r\n`\r\nend\r\n", "x-uuencode"), "any"),
    ("transfer encoding on a multipart", lambda plant: _two_parts(plant).replace(b"Content-Type: multipart", b"Content-Transfer-Encoding: base64\r\nContent-Type: multipart"), "any"),
    ("Content-Type of garbage", lambda plant: _typed(plant, b"\xff\xfe;;;=/\x00"), "success"),
    ("Content-Type without a subtype", lambda plant: _typed(plant, "text"), "success"),
    ("10,000 parameters", lambda plant: _typed(plant, "text/plain" + "".join(f"; p{number}=x" for number in range(10_000))), "success"),
    ("broken RFC 2231 continuations", _continuations, "success"),
    ("no From", lambda plant: _bare(_without(plant, "From"), _BODY.encode()), "success"),
    ("empty From", lambda plant: _with(plant, "From", ""), "success"),
    ("From of brackets", lambda plant: _with(plant, "From", "<<<>>>,,;:(((\\"), "success"),
    ("group addresses", lambda plant: _with(plant, "To", f"friends: {plant.recipient.mailbox}, {plant.other.mailbox};, undisclosed-recipients:;"), "success"),
    ("5,000 recipients", _addresses, "success"),
    ("10,000 nested comments", lambda plant: _with(plant, "From", f"{'(' * 10_000}{')' * 10_000} {plant.sender.mailbox}"), "success"),
    ("Message-ID without brackets", lambda plant: _with(plant, "Message-ID", plant.message_id.strip("<>")), "success"),
    ("Message-ID folded and spaced", lambda plant: _with(plant, "Message-ID", f"<\r\n {plant.message_id.strip('<>')} >"), "success"),
    ("no Message-ID", lambda plant: _bare(_without(plant, "Message-ID"), _BODY.encode()), "success"),
    ("dates that are none", lambda plant: _with(plant, "Date", "Foo, 99 Smarch 99999 25:61:61 +99999"), "success"),
    ("10,000 references", lambda plant: _with(plant, "References", "\r\n ".join(f"<{number}.{plant.token}@x.example>" for number in range(10_000))), "success"),
    ("a line of a megabyte", lambda plant: _typed(plant, "text/plain", _BODY.encode() + b"lift " * 200_000), "success"),
    ("a subject of 200,000 characters", lambda plant: _with(plant, "Subject", plant.subject + " lift" * 40_000), "success"),
    ("field name of 70,000 characters", lambda plant: _with(plant, "X" * 70_000, "y"), "success"),
    ("false traceparent", lambda plant: _with(plant, "traceparent", f"00-{'0' * 32}-{'0' * 16}-zz {plant.token}"), "success"),
    ("HTML of 20,000 levels", lambda plant: _html(plant, "<div>" * 20_000 + _BODY), "success"),
    ("HTML with 50,000 open tables", lambda plant: _html(plant, "<table><tr><td>" * 50_000 + _BODY), "any"),
    ("HTML of entities", lambda plant: _html(plant, f"<p>{_BODY}</p>&#x110000;&#0;&#55296;&nosuch;&" + "&amp" * 5_000), "success"),
    ("HTML cut in a tag", lambda plant: _html(plant, f"<html><body><p>{_BODY}</p><a href='{plant.link}"), "success"),
    ("HTML of scripts", lambda plant: _html(plant, f"<script>x('{plant.token}')</script><p onclick=x()>{_BODY}</p><svg onload=x()><a href='javascript:x()'>go</a>"), "success"),
    ("HTML without text", lambda plant: _html(plant, "<html><body><img src='https://track.example/p.gif'></body></html>"), "any"),
    ("HTML that declares another charset", lambda plant: _typed(plant, "text/html; charset=utf-8", b"<meta charset=koi8-r><p>" + "Лифт не работает до среды.".encode("koi8-r")), "success"),
    ("message/rfc822 in base64", lambda plant: mail(plant, multipart(plant, "mixed", [text(_BODY), attachment(mail(plant, text(_BODY)), "message/rfc822", "a.eml")])), "success"),
    ("message/partial", lambda plant: _typed(plant, 'message/partial; id="x"; number=2; total=3'), "any"),
    ("message/external-body", lambda plant: _typed(plant, 'message/external-body; access-type=URL; URL="file:///etc/passwd"', b"Content-Type: text/plain\r\n\r\n"), "any"),
)  # fmt: skip


def _of(kind: str, make: Callable[[Plant], bytes], expected: Expected) -> Callable[[Plant], Sample]:
    return lambda plant: plant.sample(kind, make(plant), expected)


KINDS: tuple[Callable[[Plant], Sample], ...] = tuple(_of(*case) for case in CASES)
