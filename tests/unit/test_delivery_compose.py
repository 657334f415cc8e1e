"""A digest as a mail: threading, marks, and that nothing can be put into its headers."""

from __future__ import annotations

import email
import email.policy
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_autopilot.errors import SettingsError
from otel_autopilot.pipeline.delivery.compose import compose, is_message_id, one_line
from otel_autopilot.pipeline.delivery.manners import Recipient
from otel_autopilot.pipeline.delivery.options import DeliveryOptions
from otel_autopilot.pipeline.messages import Digest, Email
from otel_autopilot.telemetry.spans import tracer
from tests.conftest import Spans

OPTIONS = DeliveryOptions(sender="digest@example.org")
HEADERS = {
    "From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted", "X-Auto-Response-Suppress",
    "MIME-Version", "Content-Type",
}  # fmt: skip
LONG_ID = f"<{'0123456789abcdef' * 12}.{'x' * 40}@mail.{'deep.' * 20}example.org>"


def digest(title: str = "Budget", text: str = "words", html: str = "<p>words</p>") -> Digest:
    return Digest(title=title, markdown=text, html=html, text=text)


def wire(
    made: Digest | None = None, original: Email | None = None, *, to: str = "ann@example.org", reply: bool = True,
    options: DeliveryOptions = OPTIONS,
) -> bytes:  # fmt: skip
    return compose(made or digest(), original or Email(), Recipient(to, is_reply=reply), run_id="run-1", options=options).as_bytes()


def header(content: bytes, name: str) -> str:
    """The header as it is on the wire, unfolded (RFC 5322 section 2.2.3) and nothing else."""
    found = re.search(rb"(?mi)^" + name.encode() + rb": ?((?:.*\r\n)(?:[ \t].*\r\n)*)", content.split(b"\r\n\r\n")[0] + b"\r\n")
    assert found is not None, name
    return found[1].replace(b"\r\n", b"").decode("ascii").strip()


def test_long_message_ids_are_intact_in_in_reply_to_and_references() -> None:
    older = tuple(f"<{number}.{'y' * 90}@mail.example.org>" for number in range(5))
    content = wire(original=Email(message_id=LONG_ID, references=older))
    assert header(content, "In-Reply-To") == LONG_ID
    assert header(content, "References").split() == [*older, LONG_ID]
    assert b"=?" not in content.split(b"\r\n\r\n")[0]


def test_references_are_folded_at_blanks_where_they_fit() -> None:
    ids = tuple(f"<{number}@example.org>" for number in range(15))
    head = wire(original=Email(message_id="<last@example.org>", references=ids)).split(b"\r\n\r\n")[0]
    assert max(len(line) for line in head.split(b"\r\n")) <= 78
    assert header(head + b"\r\n\r\n", "References").split() == [*ids, "<last@example.org>"]


@given(st.lists(st.from_regex(r"<[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,300}@[a-z.]{1,80}>", fullmatch=True), max_size=20, unique=True))
def test_whatever_the_message_ids_they_arrive_as_they_were(ids: list[str]) -> None:
    content = wire(original=Email(message_id="<last@example.org>", references=tuple(ids)))
    assert header(content, "References").split() == list(dict.fromkeys([*ids, "<last@example.org>"]))
    assert max(len(line) for line in content.split(b"\r\n")) <= 998


@pytest.mark.parametrize(
    "value",
    [
        None, "", "no brackets", "<two words@x>", "<a@b>\r\nBcc: victim@example.org", "<a@b>\n", "<\u00fc@b>", "<a@b> <c@d>", "<>",
        f"<{'x' * 1000}@b>", "<a\x00@b>",
    ],
)  # fmt: skip
def test_what_is_no_message_id_is_not_quoted(value: str | None) -> None:
    assert not is_message_id(value)
    head = wire(original=Email(message_id=value, references=(value or "",))).split(b"\r\n\r\n")[0]
    assert b"In-Reply-To" not in head
    assert b"References" not in head


def test_an_answer_says_re_and_auto_replied_and_another_digest_and_auto_generated() -> None:
    answer, other = wire(), wire(reply=False)
    assert (header(answer, "Subject"), header(answer, "Auto-Submitted")) == ("Re: Budget", "auto-replied")
    assert (header(other, "Subject"), header(other, "Auto-Submitted")) == ("Digest: Budget", "auto-generated")
    assert header(answer, "X-Auto-Response-Suppress") == header(other, "X-Auto-Response-Suppress") == "All"


def test_the_message_id_follows_from_the_run_and_the_recipient() -> None:
    def made(run_id: str, to: str) -> str:
        return str(compose(digest(), Email(), Recipient(to, is_reply=True), run_id=run_id, options=OPTIONS)["Message-ID"])

    assert made("run-1", "ann@example.org") == made("run-1", "ann@example.org")
    assert len({made("run-1", "ann@example.org"), made("run-2", "ann@example.org"), made("run-1", "bob@example.org")}) == 3
    assert is_message_id(made("run-1", "ann@example.org"))


@given(st.text(max_size=200), st.text(max_size=60), st.text(max_size=60))
def test_header_injection_is_impossible(title: str, message_id: str, reference: str) -> None:
    content = wire(digest(title), Email(message_id=message_id, references=(reference,)))
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    assert {name for name, _ in parsed.items()} <= HEADERS
    assert [str(item) for item in (parsed["To"],)] == ["ann@example.org"]
    assert len(parsed.get_all("Subject")) == 1
    assert parsed.get_content_type() == "multipart/alternative"


@pytest.mark.parametrize(
    "end", ["\r\n", "\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\x00", "=?utf-8?q?=0D=0A?= "]
)
def test_a_subject_with_an_end_of_line_is_one_line(end: str) -> None:
    content = wire(digest(f"Budget{end}Bcc: victim@example.org"))
    assert not re.search(rb"(?mi)^bcc:", content)
    assert set(email.message_from_bytes(content).keys()) <= HEADERS


def test_directional_marks_and_halves_of_characters_leave_the_subject() -> None:
    assert one_line("invoice\u202efdp.exe\ud83d") == "invoicefdp.exe"
    assert one_line(" a \r\n b ") == "a b"
    assert one_line("\u200d") == "\u200d"


def test_every_line_is_seven_bit_and_short_enough_whatever_the_text() -> None:
    text = "Grüße, 世界 🌍 \ud83d\x00 " + "long " * 500 + "\n.\n..\nFrom here\n" + "x" * 3000
    content = wire(digest("Grüße 🌍 " * 40, text, f"<p>{text}</p>"))
    content.decode("ascii")
    assert b"\x00" not in content
    assert max(len(line) for line in content.split(b"\r\n")) <= 998
    assert re.search(rb"(?<!\r)\n|\r(?!\n)", content) is None
    body = email.message_from_bytes(content, policy=email.policy.default).get_body(("plain",))
    assert body is not None
    assert body.get_content().startswith("Grüße, 世界 🌍 ")


def test_a_text_and_an_html_form_are_in_it_in_that_order() -> None:
    parsed = email.message_from_bytes(wire(), policy=email.policy.default)
    assert [part.get_content_type() for part in parsed.iter_parts()] == ["text/plain", "text/html"]


def test_a_name_beyond_ascii_is_written_as_dns_has_it_in_a_header_too() -> None:
    assert header(wire(to="ann@bücher.example"), "To") == "ann@xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("to", "domains", "carried"),
    [
        ("ann@example.org", ("example.org",), True),
        ("ann@EXAMPLE.org", ("@example.org",), True),
        ("ann@example.org", (), False),
        ("ann@sub.example.org", ("example.org",), False),
        ("ann@example.org.evil.net", ("example.org",), False),
    ],
)
def test_traceparent_goes_to_allow_listed_domains_only(spans: Spans, to: str, domains: tuple[str, ...], carried: bool) -> None:
    with tracer().start_as_current_span("now") as current:
        content = wire(to=to, options=DeliveryOptions(sender="digest@example.org", trace_header_domains=domains))
    context = current.get_span_context()
    if carried:
        assert header(content, "traceparent").startswith(f"00-{context.trace_id:032x}-{context.span_id:016x}-")
    else:
        assert b"traceparent" not in content
        assert f"{context.trace_id:032x}".encode() not in content


def test_a_sender_that_is_no_address_is_a_setting_that_is_wrong() -> None:
    with pytest.raises(SettingsError, match="AUTOPILOT_DIGEST_FROM: expected an address such as"):
        DeliveryOptions(sender="digest@example.org\r\nBcc: victim@example.org")


def test_a_recipient_in_the_settings_that_is_no_address_is_a_setting_that_is_wrong_and_not_repeated() -> None:
    with pytest.raises(SettingsError, match=r"AUTOPILOT_DIGEST_RECIPIENTS: expected addresses .*, got 2 that are none") as raised:
        DeliveryOptions(recipients=("ops@example.org", "ann.lee", "Bob <bob@example.org>"))
    assert "ann" not in str(raised.value)
