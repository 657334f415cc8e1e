"""Parsing: whatever arrives as mail becomes an `Email`, and nothing but EmailError is ever raised."""

from __future__ import annotations

import base64
import binascii
import random
from email.message import EmailMessage
from pathlib import Path

import pytest
import test.test_email
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_autopilot.errors import EmailError
from otel_autopilot.pipeline.email.parse import ParseLimits, parse
from otel_autopilot.pipeline.messages import Email

CPYTHON = sorted((Path(test.test_email.__file__).parent / "data").glob("msg_*.txt"))
needs_corpus = pytest.mark.skipif(not CPYTHON, reason="this Python has no test.test_email/data (Debian: libpython3.11-testsuite)")


def read(tmp_path: Path, content: bytes | str, *, sender: str | None = None, limits: ParseLimits | None = None) -> Email:
    path = tmp_path / "mail"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape"))
    found = parse(path, tmp_path / "blobs", sender, limits)
    assert Email.model_validate_json(found.model_dump_json()) == found
    return found


def text(found: Email) -> str:
    return "\n".join(body.blob.read_text() for body in found.bodies)


def multipart(*parts: str, kind: str = "mixed", head: str = "") -> str:
    inner = "".join(f"--=b\n{part}\n" for part in parts)
    return f'From: a@example.org\n{head}Content-Type: multipart/{kind}; boundary="=b"\n\n{inner}--=b--\n'


@needs_corpus
@pytest.mark.parametrize("path", CPYTHON, ids=lambda path: path.name)
def test_every_mail_of_cpython_s_corpus_is_parsed(path: Path, tmp_path: Path) -> None:
    found = read(tmp_path, path.read_bytes())
    assert found.bodies or found.attachments or found.forwarded or found.skipped


@needs_corpus
@settings(max_examples=300, deadline=5_000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_mutated_mail_raises_nothing_but_email_error(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(CPYTHON)).read_bytes())
    for _ in range(data.draw(st.integers(1, 12))):
        if not content:
            break
        at = data.draw(st.integers(0, len(content) - 1))
        piece = data.draw(
            st.one_of(st.binary(max_size=8), st.sampled_from([b"\n\n", b"=?", b"?=", b"--", b"\x00", b'"', b";", b"(", b"<"]))
        )
        content[at : at + data.draw(st.integers(0, 20))] = piece
    try:
        read(tmp_path, bytes(content))
    except EmailError:
        assert not bytes(content).strip(b"\x00\r\n\t ")


@settings(max_examples=300, deadline=5_000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=400), head=st.sampled_from([b"", b"Subject: ", b"From: ", b"To: a@b\nContent-Type: ", b"Date: "]))
def test_arbitrary_bytes_raise_nothing_but_email_error(tmp_path: Path, content: bytes, head: bytes) -> None:
    try:
        read(tmp_path, head + content)
    except EmailError:
        assert not content.strip(b"\x00\r\n\t ")


@settings(max_examples=200, deadline=5_000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(
        ["From", "To", "Subject", "Date", "Message-ID", "References", "Content-Type", "Content-Disposition",
         "Content-Transfer-Encoding", "Auto-Submitted", "traceparent"]
    ),
    value=st.text(st.sampled_from('=?utf-8?b?q?"\\;,<>()@:*\'% \t.a1é\x00\x0b'), max_size=120),
)  # fmt: skip
def test_a_hostile_header_raises_nothing(tmp_path: Path, name: str, value: str) -> None:
    found = read(tmp_path, f"X-First: 1\n{name}: {value}\n\nbody\n")
    for part in (found.subject, found.message_id or "", *found.references):
        assert not set("\x00\r\n") & set(part)


@pytest.mark.parametrize("content", [b"", b"\x00\x00\x00", b"\r\n\r\n"])
def test_an_empty_file_is_an_email_error_that_says_so(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(EmailError, match="empty file"):
        read(tmp_path, content)


def test_a_mail_without_headers_keeps_its_text(tmp_path: Path) -> None:
    found = read(tmp_path, "Just some words, no header at all.\nSecond line.\n")
    assert "Second line" in text(found)
    assert found.sender is None


def test_a_mail_without_a_body_is_a_mail(tmp_path: Path) -> None:
    found = read(tmp_path, "From: a@example.org\nSubject: nothing\n")
    assert (found.subject, [part.reason for part in found.skipped]) == ("nothing", ["empty"])


@pytest.mark.parametrize(
    ("charset", "words"),
    [("windows-1251", "Привет, мир"), ("koi8-r", "Новости недели"), ("gb2312", "本周新闻"), ("iso-2022-jp", "今週のニュース"),
     ("shift_jis", "今週のニュース"), ("euc-kr", "이번 주 소식"), ("big5", "本週新聞"), ("utf-16", "Wörter"), ("iso-8859-15", "10 € für dich")],
)  # fmt: skip
def test_a_charset_is_decoded_in_body_and_subject(tmp_path: Path, charset: str, words: str) -> None:
    word = f"=?{charset}?B?{base64.b64encode(words.encode(charset)).decode()}?="
    body = base64.b64encode(words.encode(charset))
    head = f"Subject: {word}\nContent-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: base64\n\n"
    found = read(tmp_path, head.encode() + body)
    assert (found.subject, text(found)) == (words, words)


@pytest.mark.parametrize(
    ("declared", "content", "expected"),
    [("x-unknown", "Grüße".encode(), "Grüße"), ("us-ascii", "Grüße".encode(), "Grüße"), ("iso-8859-1", "Grüße".encode(), "Grüße"),
     ("utf-8", "Grüße".encode("cp1252"), "Grüße"), ("gb2312", "镕".encode("gb18030"), "镕"), ("base64", b"plain", "plain"),
     ("punycode", b"plain-", "plain-"), ("iso-8859-1", "“quoted”".encode("cp1252"), "“quoted”")],
)  # fmt: skip
def test_a_wrong_charset_is_survived(tmp_path: Path, declared: str, content: bytes, expected: str) -> None:
    found = read(tmp_path, f"Subject: x\nContent-Type: text/plain; charset={declared}\n\n".encode() + content)
    assert text(found) == expected


def test_html_says_its_own_charset_when_the_header_does_not(tmp_path: Path) -> None:
    page = '<html><head><meta charset="koi8-r"></head><body>Новости</body></html>'.encode("koi8-r")
    assert "Новости" in text(read(tmp_path, b"Subject: x\nContent-Type: text/html\n\n" + page))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"), ("=?utf-8?b?R3I=?= =?utf-8?b?w7zDn2U=?=", "Grüße"),
     ("=?utf-8?q?Gr=C3?= =?utf-8?q?=BC=C3=9Fe?=", "Grüße"), ("=?utf-8?b?R3LDvMOfZQ?=", "Grüße"), ("=?utf-8*de?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
     ("=?nonsense?q?abc?=", "abc"), ("=?utf-8?b?!!!?= after", "after"), ("=?utf-8?q?broken", "=?utf-8?q?broken"),
     ("=?utf-8?q?a=0D=0ABcc:_x=00?=", "a Bcc: x")],
)  # fmt: skip
def test_encoded_words_are_decoded_the_broken_ones_too(tmp_path: Path, raw: str, expected: str) -> None:
    assert read(tmp_path, f"Subject: {raw}\n\nbody").subject == expected


@pytest.mark.parametrize("charset", ["utf-8", "cp1252"])
def test_raw_eight_bit_headers_are_read(tmp_path: Path, charset: str) -> None:
    found = read(tmp_path, "Subject: Grüße\nFrom: Jürgen <j@example.org>\n\nx".encode(charset))
    assert (found.subject, found.sender and found.sender.name) == ("Grüße", "Jürgen")


def test_of_alternatives_the_html_is_taken(tmp_path: Path) -> None:
    found = read(
        tmp_path, multipart("Content-Type: text/plain\n\nplain", "Content-Type: text/html\n\n<p>rich</p>", kind="alternative")
    )
    assert [body.content_type for body in found.bodies] == ["text/html"]


@pytest.mark.parametrize(
    "html",
    ["<html><body></body></html>", "<html><head><title>T</title><style>p{color:red}</style></head><body>&nbsp;<img src=x></body>"],
)
def test_of_alternatives_the_plain_one_is_taken_when_the_html_says_nothing(tmp_path: Path, html: str) -> None:
    found = read(tmp_path, multipart("Content-Type: text/plain\n\nplain", f"Content-Type: text/html\n\n{html}", kind="alternative"))
    assert [body.content_type for body in found.bodies] == ["text/plain"]


def test_inline_images_are_skipped_and_the_text_around_them_is_kept(tmp_path: Path) -> None:
    found = read(tmp_path, multipart("Content-Type: text/html\n\n<p>see</p>", "Content-Type: image/png\n\nPNG", kind="related"))
    assert len(found.bodies) == 1
    assert [(part.content_type, part.reason) for part in found.skipped] == [("image/png", "unsupported_type")]


def test_of_a_signed_mail_the_content_is_used_and_the_signature_skipped(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        multipart("Content-Type: text/plain\n\nsigned words", "Content-Type: application/pgp-signature\n\nx", kind="signed"),
    )
    assert "signed words" in text(found)
    assert [part.reason for part in found.skipped] == ["signature"]


@pytest.mark.parametrize(
    ("part", "reason"),
    [("Content-Type: application/ms-tnef\n\nx", "tnef"),
     ('Content-Type: application/octet-stream; name="WINMAIL.DAT"\n\nx', "tnef"),
     ("Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nx", "encrypted"),
     ("Content-Type: application/x-strange\n\nx", "unsupported_type"),
     ("Content-Type: message/delivery-status\n\nReporting-MTA: dns; x\n", "unsupported_type"),
     ("Content-Type: text/calendar\n\nBEGIN:VCALENDAR", "unsupported_type")],
)  # fmt: skip
def test_what_can_not_be_read_is_skipped_with_its_reason(tmp_path: Path, part: str, reason: str) -> None:
    found = read(tmp_path, multipart("Content-Type: text/plain\n\nwords", part))
    assert [skipped.reason for skipped in found.skipped] == [reason]
    assert "words" in text(found)


def test_an_encrypted_mail_is_recorded_as_encrypted(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        multipart(
            "Content-Type: application/pgp-encrypted\n\nVersion: 1", "Content-Type: application/octet-stream\n\nx", kind="encrypted"
        ),
    )
    assert [skipped.reason for skipped in found.skipped] == ["encrypted"]


def test_a_pdf_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    found = read(tmp_path, multipart('Content-Type: application/octet-stream; name="a.bin"\n\n%PDF-1.7 ...'))
    assert [part.content_type for part in found.attachments] == ["application/pdf"]


@pytest.mark.parametrize(
    ("name", "kind"), [("a.txt", "text/plain"), ("a.md", "text/plain"), ("a.csv", "text/plain"), ("a.HTML", "text/html")]
)
def test_text_attachments_are_readable_whatever_their_type_says(tmp_path: Path, name: str, kind: str) -> None:
    found = read(
        tmp_path, multipart(f'Content-Type: application/octet-stream\nContent-Disposition: attachment; filename="{name}"\n\na,b')
    )
    assert [(part.filename, part.content_type, part.attachment) for part in found.attachments] == [(name, kind, True)]


def test_a_file_name_holds_no_path(tmp_path: Path) -> None:
    found = read(tmp_path, multipart('Content-Type: text/plain\nContent-Disposition: attachment; filename="../../etc/passwd"\n\nx'))
    assert "/" not in found.attachments[0].filename


def forwarded_mail(depth: int) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["Subject"] = f"f{depth}@example.org", f"level {depth}"
    mail.set_content(f"text {depth}")
    if depth:
        mail.add_attachment(forwarded_mail(depth - 1))
    return mail


def test_forwarded_mails_are_parsed_the_same_way(tmp_path: Path) -> None:
    found = read(tmp_path, bytes(forwarded_mail(2)))
    inner = found.forwarded[0].forwarded[0]
    assert (inner.subject, text(inner).strip()) == ("level 0", "text 0")


def test_a_forwarded_mail_in_base64_is_read(tmp_path: Path) -> None:
    inner = base64.b64encode(b"Subject: inner\n\ninner words").decode()
    found = read(tmp_path, multipart(f"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n{inner}"))
    assert (found.forwarded[0].subject, text(found.forwarded[0])) == ("inner", "inner words")


def test_forwarding_without_end_stops_at_the_limit_on_depth(tmp_path: Path) -> None:
    found = read(tmp_path, bytes(forwarded_mail(12)), limits=ParseLimits(depth=5))
    assert "too_deep" in found.model_dump_json()
    assert "text 12" in text(found)


def test_a_missing_closing_boundary_is_survived_and_named(tmp_path: Path) -> None:
    found = read(tmp_path, 'Content-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/plain\n\nkept words')
    assert "kept words" in text(found)
    assert found.defects == ("CloseBoundaryNotFoundDefect",)


def test_a_boundary_that_never_comes_leaves_the_text(tmp_path: Path) -> None:
    found = read(tmp_path, 'Content-Type: multipart/mixed; boundary="b"\n\nkept words')
    assert "kept words" in text(found)
    assert "StartBoundaryNotFoundDefect" in found.defects


def test_base64_with_junk_between_is_decoded(tmp_path: Path) -> None:
    body = "a2VwdC\n!!B3b\n3Jkcw==\n-- \nfooter"
    assert "kept words" in text(read(tmp_path, f"Subject: x\nContent-Transfer-Encoding: base64\n\n{body}"))


def test_of_duplicate_headers_the_first_counts(tmp_path: Path) -> None:
    found = read(tmp_path, "Subject: one\nSubject: two\nMessage-ID: <1@x>\nMessage-ID: <2@x>\n\nx")
    assert (found.subject, found.message_id) == ("one", "<1@x>")


def test_binary_noise_is_survived(tmp_path: Path) -> None:
    assert read(tmp_path, random.Random(7).randbytes(200_000)).sender is None


def test_addresses_dates_and_threads_are_read(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        'From: "Last, First" <first@example.org>\nTo: a@example.org, Group: b@example.org;\nCc: =?utf-8?q?J=C3=BC?= <j@example.org>\n'
        "Date: Tue, 3 Mar 2026 10:00:00 +0100\nMessage-ID: <1@x>\nIn-Reply-To: <0@x>\nReferences: <a@x>\n <0@x>\n\nx",
    )
    assert found.sender is not None
    assert (found.sender.name, found.sender.address) == ("Last, First", "first@example.org")
    assert [person.address for person in found.to] == ["a@example.org", "b@example.org"]
    assert found.cc[0].name == "Jü"
    assert (found.date, found.in_reply_to, found.references) == ("2026-03-03T10:00:00+01:00", "<0@x>", ("<a@x>", "<0@x>"))


@pytest.mark.parametrize(
    ("head", "sender", "expected"),
    [("From: a@x.org", "", "null_sender"), ("From: a@x.org\nReturn-Path: <>", None, "null_sender"), ("From: MAILER-DAEMON@x.org", "m@x.org", "null_sender"),
     ("From: No-Reply@x.org", "m@x.org", "null_sender"), ("From: a@x.org\nAuto-Submitted: auto-replied; x=y", "a@x.org", "auto_submitted"),
     ("From: a@x.org\nAuto-Submitted: no", "a@x.org", None), ("From: a@x.org\nList-Id: <l.x.org>", "a@x.org", "list"),
     ("From: a@x.org\nList-Unsubscribe: <mailto:u@x.org>", "a@x.org", "list"), ("From: a@x.org\nPrecedence: Bulk", "a@x.org", "bulk"),
     ("From: a@x.org\nX-Auto-Response-Suppress: All", "a@x.org", "bulk"), ("From: a@x.org", "a@x.org", None)],
)  # fmt: skip
def test_mail_that_must_not_be_answered_is_known(tmp_path: Path, head: str, sender: str | None, expected: str | None) -> None:
    assert read(tmp_path, head + "\n\nx", sender=sender).automatic == expected


@pytest.mark.parametrize(
    ("head", "expected"),
    [("traceparent: 00-" + "a" * 32 + "-" + "b" * 16 + "-01\ntracestate: k=v", True), ("traceparent: nonsense\ntracestate: k=v", False),
     (("traceparent: 00-" + "a" * 32 + "-" + "b" * 16 + "-01\n") * 2, False)],
)  # fmt: skip
def test_only_one_well_formed_traceparent_is_taken(tmp_path: Path, head: str, expected: bool) -> None:
    found = read(tmp_path, head.strip() + "\n\nx")
    assert ((found.traceparent is not None), (found.tracestate is not None)) == (expected, expected and "tracestate" in head)


def test_defects_are_names_without_content(tmp_path: Path) -> None:
    found = read(tmp_path, "secret words that are no header\nSubject: secret\n\nx")
    assert found.defects
    assert all(name.isidentifier() for name in found.defects)


NESTED = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(100_000))
BOMBS = {
    "100,000 nested boundaries": b"Subject: s\n" + NESTED,
    "200 nested boundaries and long text": b"Subject: s\n" + NESTED[: NESTED.index(b"b200")] + b"line\n" * 400_000,
    "100,000 flat parts": b"Subject: s\nContent-Type: multipart/mixed; boundary=b\n\n" + b"--b\nA: b\n\nx\n" * 100_000,
    "50,000 headers": b"".join(b"X-%d: y\n" % n for n in range(50_000)) + b"Subject: s\n\nx",
    "a header of 10 MB": b"Subject: s\nX: " + b"a" * 10_000_000 + b"\n\nx",
    "a folded header of 10 MB": b"Subject: s\nX: " + b"aaaa\n " * 1_600_000 + b"\n\nx",
    "a million parameters": b"Subject: s\nContent-Type: text/plain" + b';a="' * 300_000 + b"\n\nx",
    "a million parameters in a part": b"Subject: s\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain" + b";a=b" * 1_000_000 + b"\n\nx",
    "nested comments": b"Subject: s\nFrom: " + b"(" * 900_000 + b"\n\nx",
    "a million recipients": b"Subject: s\nTo: " + b"a@b.c, " * 130_000 + b"\n\nx",
    "encoded words without end": b"Subject: s\nFrom: " + b"=?utf-8?q?" * 90_000 + b"\n\nx",
    "unclosed html": b"Subject: s\nContent-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/html\n\n" + b"<!--<style><" * 200_000,
    "nested mails": b"Subject: s\n" + b"Content-Type: message/rfc822\n\n" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_mime_bomb_ends_within_the_limits(name: str, tmp_path: Path) -> None:
    found = read(tmp_path, BOMBS[name])
    assert found.subject in ("s", "")
    assert len(found.skipped) <= 1_001
    assert len(found.bodies) <= 1_000


def test_more_parts_than_the_limit_are_left_out_with_a_reason(tmp_path: Path) -> None:
    found = read(tmp_path, multipart(*["Content-Type: text/plain\n\nx"] * 30), limits=ParseLimits(parts=10))
    assert (len(found.bodies), [(part.reason, part.count) for part in found.skipped]) == (9, [("too_many_parts", 21)])


def test_bytes_past_the_limit_are_left_out(tmp_path: Path) -> None:
    found = read(tmp_path, multipart(*["Content-Type: text/plain\n\n" + "x" * 1_000] * 5), limits=ParseLimits(decoded_bytes=2_500))
    assert len(found.bodies) == 2


def test_the_parser_leaves_the_recursion_limit_as_it_was(tmp_path: Path) -> None:
    import sys

    before = sys.getrecursionlimit()
    read(tmp_path, BOMBS["100,000 nested boundaries"])
    assert sys.getrecursionlimit() == before


@pytest.mark.parametrize(
    ("content", "defect"),
    [
        (b"Sub\0ject: hello\0 there\r\nFrom: a@b.c\r\n\r\nbody\r\n", "ZeroBytesInHeader"),
        (b"\xef\xbb\xbfSubject: hello there\nFrom: a@b.c\n\nbody\n", "SomethingBeforeHeader"),
        (b"\r\n\nSubject: hello there\nFrom: a@b.c\n\nbody\n", "SomethingBeforeHeader"),
        (b">From x Sat\nFrom: a@b.c\nSubject: hello there\n\nbody\n", "SomethingBeforeHeader"),
        (b"From: a@b.c\nDear all\nSubject: hello there\nX: y\n\nbody\n", "StrangeLineInHeader"),
        (b"From : a@b.c\nSubject \t: hello there\n\nbody\n", "SpaceBeforeColon"),
        (b"From: a@b.c\r\r\nSubject: hello there\r\r\n\r\r\nbody\r\r\n", "DoubledReturns"),
    ],
)
def test_a_header_that_a_parser_would_stop_in_is_read_to_its_end(tmp_path: Path, content: bytes, defect: str) -> None:
    found = read(tmp_path, content)
    assert (found.subject, text(found).strip(), found.defects) == ("hello there", "body", (defect,))
    assert found.sender is not None


def test_blank_lines_before_a_text_without_a_header_are_not_a_header(tmp_path: Path) -> None:
    found = read(tmp_path, b"\n\nonly text here\n")
    assert text(found).strip() == "only text here"


@pytest.mark.parametrize("charset", ["koi8-r", "windows-1251", "utf-8"])
@pytest.mark.parametrize("kind", ["text/plain", "multipart/mixed"])
def test_raw_bytes_in_a_header_are_read_as_the_text_says(tmp_path: Path, charset: str, kind: str) -> None:
    inner = f"Content-Type: text/plain; charset={charset}\n\nтекст\n"
    mail = f"From: Мария <m@example.org>\nSubject: Привет мир\n{inner}"
    if kind != "text/plain":
        mail = f"From: Мария <m@example.org>\nSubject: Привет мир\nContent-Type: {kind}; boundary==b\n\n--=b\n{inner}--=b--\n"
    found = read(tmp_path, mail.encode(charset))
    assert found.sender is not None
    assert (found.subject, found.sender.name, text(found).strip()) == ("Привет мир", "Мария", "текст")


def test_a_file_that_is_uuencoded_in_the_text_is_skipped_with_a_reason(tmp_path: Path) -> None:
    lines = b"".join(binascii.b2a_uu(random.Random(number).randbytes(45)) for number in range(40))
    found = read(tmp_path, b"Subject: s\n\nHere it is:\nbegin 644 data.bin\n" + lines + b"`\nend\nRegards, A.\n")
    assert text(found).split() == ["Here", "it", "is:", "Regards,", "A."]
    assert [(part.reason, part.content_type) for part in found.skipped] == [("unsupported_type", "application/octet-stream")]
    prose = read(tmp_path, b"Subject: s\n\nbegin 644 words\nand so on\n")
    assert (text(prose), prose.skipped) == ("begin 644 words\nand so on\n", ())


@pytest.mark.parametrize(("kind", "reason"), [("MESSAGE", "encrypted"), ("SIGNATURE", "signature")])
@pytest.mark.parametrize("end", ["-----END PGP {}-----\nAfter\n", ""])
def test_armour_of_openpgp_in_the_text_is_skipped_with_a_reason(tmp_path: Path, kind: str, reason: str, end: str) -> None:
    found = read(tmp_path, f"Subject: s\n\nBefore\n-----BEGIN PGP {kind}-----\n\nhQEMA1u9nGn+\n=abcd\n" + end.format(kind))
    assert text(found).split() == ["Before", *(["After"] if end else [])]
    assert [part.reason for part in found.skipped] == [reason]


def test_a_body_that_follows_the_header_without_a_blank_line_stays(tmp_path: Path) -> None:
    found = read(tmp_path, b"From: a@b.c\nSubject: hello\nDear all, this is it.\nMore of it.\n\nAnd more.\n")
    assert text(found) == "Dear all, this is it.\nMore of it.\n\nAnd more.\n"


def test_what_is_nested_too_deep_in_forwarded_mails_is_told_of_the_whole_mail(tmp_path: Path) -> None:
    content = b"Subject: innermost\n\ntext\n"
    for _ in range(30):
        content = b"Subject: outer\nContent-Type: message/rfc822\n\n" + content
    found = read(tmp_path, content)
    assert found.skipped == ()
    assert [part.reason for part in found.every_skipped()] == ["too_deep"]
