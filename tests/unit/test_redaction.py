"""What the redaction removes, what it leaves alone, and that it is stable."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_autopilot.telemetry import known_values, names
from otel_autopilot.telemetry.known_values import MAIL_TEXT, KnownValues, learn
from otel_autopilot.telemetry.pseudonyms import pseudonym
from otel_autopilot.telemetry.redaction import RedactingSpanExporter, RedactionRules, Redactor

REDACTOR = Redactor()

OURS = [
    "email pipeline", "pdf.extract", "smtp send", "POST /api/emails", "GET /api/runs/{id}", "connect", "SELECT otel.db",
    "SELECT runs.id, runs.state FROM runs WHERE runs.id = ? AND runs.state IN ('created', 'running') ORDER BY runs.created LIMIT 10",
    "INSERT INTO spans (trace_id, span_id, start_unix_nano) VALUES (?, ?, ?), (?, ?, ?) ON CONFLICT DO NOTHING RETURNING id",
    "UPDATE workflow_status SET status=%(status)s, recovery_attempts=(workflow_status.recovery_attempts + %(a_1)s) WHERE token = :token_1",
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000; PRAGMA wal_autocheckpoint=1000",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "550e8400-e29b-41d4-a716-446655440000", "01234567-0123-0123-0123-012345678901",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "sha256:9F86D081884C7D659A2FEAA0C55AD015", "4bf92f3577b34da6",
    "2026-11-21T06:55:29.123456Z", "2026-11-21 06:55:29,123", "21.11.2026 06:55", "03/11/2026", "2026-11-21T06:55:29+01:00", "20261121-065529",
    "Sat, 21 Nov 2026 06:55:29 +0000", "1763708129", "1763708129123456789", "start_unix_nano=1763708129123456789", "0.000123 s",
    "took 1234.567 ms", "1,234,567 spans in 12.345 s (100,005/s)", "10485760 bytes", "45 MB / 3600 pages", "4096", "1:02:03.456789",
    "127.0.0.1:54321", "10.0.0.1", "192.168.100.200:4318", "[::1]:4317", "2001:db8:85a3::8a2e:370:7334", "00:1a:2b:3c:4d:5e", "172.16.254.001",
    "v1.45.2", "0.66b1", "pypdfium2@5.1.0", "Python/3.11.7 aiohttp/3.9.1", "opentelemetry-exporter-otlp-proto-grpc==1.45.1",
    "http://127.0.0.1:4318/v1/traces", "https://api.example.com/v1/items?page=2&size=100&sort=name", "smtp://localhost:2525",
    "HTTPConnectionPool(host='127.0.0.1', port=4318): Max retries exceeded with url: /v1/traces (Caused by NewConnectionError(errno 111))",
    "[Errno 111] Connection refused", "ValueError: invalid literal for int() with base 10: 'abc'", "KeyError: 'token'", "Invalid token at line 3",
    "the worker used 1073741824 of 1000000000 bytes", "PDF: expected a trailer, got 10485760 bytes that end at offset 10485759",
    "File \"/app/otel_autopilot/pipeline/ingestion/pdf.py\", line 123, in extract\n    raise PdfTruncated(message)\n",
    "/usr/lib/python3.11/site-packages/opentelemetry/sdk/trace/export/__init__.py", "otel_autopilot.telemetry.known_values.KnownValues.scrub",
    "StatefulSet/otel-gateway-0", "otel-agent-7d9f8b6c5d-x2x4z", "serving_stale_while_revalidating_in_the_background_for_long", "a" * 64,
    "text/html; charset=utf-8", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "multipart/alternative",
    "MissingHeaderBodySeparatorDefect", "temporary failure in name resolution", "550 5.7.1 relaying denied", "250 2.0.0 Ok: queued as 4F2A81C0D3",
    "key=value", "Basic authentication failed", "the bearer of bad news", "secret: ?", "password = NULL", "0x7fd0e5aa2200", "1e-07", "-0.5", "100%",
    "attempts=20 timeout=30.0 size=4000", "a=b&c=d", "dict.get('x', None)", "pages 1-820", "0 of 12 parts", "v2026.11.21-rc.1", "(1, 2, 3)",
]  # fmt: skip


@pytest.mark.parametrize("text", OURS)
def test_what_our_own_telemetry_is_made_of_stays(text: str) -> None:
    assert REDACTOR.text(text) == text


@settings(deadline=None)
@given(st.datetimes(min_value=datetime(1970, 1, 1)), st.integers(0, 2**63), st.floats(0, 1e9), st.uuids(), st.ip_addresses())
def test_times_numbers_ids_and_network_addresses_stay(
    time: object, nanoseconds: int, seconds: float, uuid: object, address: object
) -> None:
    for text in (
        str(time),
        f"{seconds} s",
        f"{seconds:.6f}",
        str(uuid),
        f"{nanoseconds:032x}",
        f"{nanoseconds:016x}",
        f"at {address} port 25",
    ):
        assert REDACTOR.text(text) == text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("call +49 30 1234567 now", "call [phone] now"),
        ("Tel. 5551234", "Tel. [phone]"),
        ("paid by 4111 1111 1111 1111.", "paid by [card]."),
        ("order 4111111111111112", "order 4111111111111112"),
        ("Authorization: Bearer abc.def.ghi", "Authorization: [token]"),
        ("got Bearer abcdefgh12", "got Bearer [token]"),
        ("Basic dXNlcjpwYXNz", "Basic [token]"),
        ("https://user:pass@host.example:8080/p", "https://[token]@host.example:8080/p"),
        ("smtp://user@mail/", "smtp://[token]@mail/"),
        ("postgresql://u:p%40ss@db.example/x", "postgresql://[token]@db.example/x"),
        ("/unsubscribe?token=abc123&page=2", "/unsubscribe?token=[token]&page=2"),
        ("?api_key=abc&sig=def", "?api_key=[token]&sig=[token]"),
        ("password=hunter22, user=x", "password=[token], user=x"),
        ('{"client_secret": "abcdef"}', '{"client_secret": "[token]"}'),
        ("Cookie: session=abc; theme=dark", "Cookie: [token]"),
    ],
)
def test_secrets_and_numbers_are_replaced_and_what_is_around_them_stays(text: str, clean: str) -> None:
    assert REDACTOR.text(text) == clean


@pytest.mark.parametrize("text", ["to={}", "<{}>", "'{}'", "({})", "mailto:{}", "{}, next", "rcpt:{};", "/users/{}/x", "{}."])
def test_an_address_has_the_same_pseudonym_whatever_stands_around_it(text: str) -> None:
    assert REDACTOR.text(text.format("Ann.Lee@Example.org")) == text.format(f"[email:{pseudonym('ann.lee@example.org')}]")


any_text = st.one_of(
    st.text(),
    st.text("@.%=&;\\x0147abZ9 +-()/[]:<>?", max_size=60),
    st.lists(st.sampled_from([*OURS, "ann@x.org", "+49 30 1234567", "[phone]", "[email:", "4111 1111 1111 1111", "Bearer abcdef12", " "]), max_size=6).map("".join),
)  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(any_text, st.lists(any_text, max_size=3))
def test_what_is_redacted_stays_as_it_is_when_it_is_redacted_again(text: str, values: list[str]) -> None:
    known = KnownValues()
    known.add(*values)
    once = REDACTOR.text(text, known)
    assert REDACTOR.text(once, known) == once
    assert known.scrub(known.scrub(text)) == known.scrub(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None)
@given(json_values)
def test_values_of_any_type_survive(value: object) -> None:
    REDACTOR.value(value)


def test_values_without_anything_personal_are_the_same_objects() -> None:
    value = {"a": ["b", {"c": b"d"}], "n": 1}
    assert REDACTOR.value(value) is value


def test_a_value_that_cannot_be_looked_through_is_replaced_whole() -> None:
    class Hostile(Mapping[str, object]):
        def __getitem__(self, key: str) -> object:
            raise RuntimeError("ann@example.org")

        def __iter__(self) -> Iterator[str]:
            raise RuntimeError("ann@example.org")

        def __len__(self) -> int:
            return 1

    endless: list[object] = []
    endless.append(endless)
    assert REDACTOR.value(Hostile()) == MAIL_TEXT
    assert "..." not in str(REDACTOR.value(endless))


def test_long_integers_that_are_cards_are_replaced_and_timestamps_stay() -> None:
    assert REDACTOR.value(4111111111111111) == "[card]"
    assert REDACTOR.value(1763708129123456789) == 1763708129123456789


def test_long_texts_of_anything_are_looked_through() -> None:
    for piece in (
        "a",
        "1",
        "@",
        "a@",
        "=4",
        "%40",
        "+1 ",
        "aA1",
        "\\u0041",
        "=?utf-8?q?",
        "eyJ",
        "://",
        "0 1",
        "token-",
        "[phone] +1 ",
    ):
        REDACTOR.text(piece * (300_000 // len(piece)))


def test_users_add_patterns_and_keep_keys() -> None:
    rules = RedactionRules(patterns={"[customer]": r"\bC-\d{4}\b"}, keep_keys=["peer.contact"])
    redactor = Redactor(rules)
    assert redactor.text("order of C-1234") == "order of [customer]"
    assert redactor.text("order of C-1234") == redactor.text(redactor.text("order of C-1234"))
    assert redactor.attributes({"peer.contact": "ops@example.org"}) is None
    assert Redactor(RedactionRules(patterns=[r"C-\d+"])).text("C-1") == "[redacted]"


def test_our_own_safe_attributes_pass_untouched_and_the_span_is_not_copied() -> None:
    memory = InMemorySpanExporter()
    exporter = RedactingSpanExporter(memory)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    safe = {attribute.name: "4111 1111 1111 1111" for attribute in (names.RUN_ID, names.EMAIL_SENDER)}
    with provider.get_tracer("x").start_as_current_span("email", attributes={**safe, names.EMAIL_SIZE.name: 5}):
        pass
    (span,) = memory.get_finished_spans()
    assert dict(span.attributes or {}) == {**safe, names.EMAIL_SIZE.name: 5}
    exporter.export([span])
    assert memory.get_finished_spans()[-1] is span


# --- known values -----------------------------------------------------------------------------------------------------


def scrubbed(text: str, *values: str) -> str:
    known = KnownValues()
    known.add(*values)
    return known.scrub(text)


@pytest.mark.parametrize(
    ("value", "text", "clean"),
    [
        ("Quarterly figures", "no part of 'quarterly  FIGURES' read", "no part of '[mail text]' read"),
        ("Re: AW: [list] Quarterly figures", "quarterly figures", "[mail text]"),
        ("Doe, Jane", "by Jane Doe", "by [mail text]"),
        ("Jane Doe", "by JANE_DOE+x", "by [mail text]+x"),
        ("jane.doe@example.org", "no mailbox jane.doe here", "no mailbox [mail text] here"),
        ("joe@example.org", "no joe here", "no joe here"),
        ("offer 2026.pdf", "offer 2026 (1).pdf", "[mail text] (1).pdf"),
        ("Straße nach Köln", "STRASSE NACH KÖLN", "[mail text]"),
        ("Ko\u0308ln am Rhein", "K\u00f6ln am Rhein", "[mail text]"),
        ("An announcement of the greatest importance to us all", "An announcement of the greatest imp...", "[mail text]..."),
        ("件名テスト", "エラー件名テスト発生", "エラー[mail text]発生"),
        ("Anna", "annals of Anna", "annals of [mail text]"),
        ("Test", "a test of tests", "a test of tests"),
        ("Test", "TEST", "[mail text]"),
        ("Hi", "this is it", "this is it"),
        ("Hi", "hi", "[mail text]"),
        ("=?utf-8?q?J=C3=B6rg_M=C3=BCller?=", "Jörg Müller", "[mail text]"),
        ("", "anything", "anything"),
    ],
)
def test_known_values_are_found_by_the_rules(value: str, text: str, clean: str) -> None:
    assert scrubbed(text, value) == clean


def test_addresses_and_message_ids_become_the_pseudonyms_that_spans_carry() -> None:
    assert scrubbed("no <abc$1@mail>", "<abc$1@mail>") == f"no <[email:{pseudonym('<abc$1@mail>')}]>"
    assert scrubbed("for A@B.org", "Ann <a@b.org>") == f"for [email:{pseudonym('a@b.org')}]"


def test_our_own_words_are_never_removed_from_inside_a_text() -> None:
    for word in ("email", "digest", "pipeline", "Timeout", "None", "ingestion", "select"):
        assert scrubbed(f"the {word} of it", word) in (f"the {word} of it", "the [mail text] of it")
    assert REDACTOR.text("digest", _known("Digest")) == "digest"


def _known(*values: str) -> KnownValues:
    known = KnownValues()
    known.add(*values)
    return known


def test_rule_identity_base64_of_a_known_value_is_found_at_every_alignment_and_over_lines() -> None:
    for before in ("", "a", "ab"):
        hidden = base64.encodebytes(f"{before * 1}{'-' * 50} Quarterly figures {'+' * 50}".encode()).decode()
        assert "figures" not in base64.b64decode(scrubbed(hidden, "Quarterly figures").replace(MAIL_TEXT, "")).decode()


@settings(deadline=None)
@given(st.text(), st.lists(st.text(), max_size=4))
def test_scrub_never_raises(text: str, values: list[str]) -> None:
    assert isinstance(scrubbed(text, *values), str)


def test_what_is_learned_goes_to_the_mail_that_is_worked_on() -> None:
    learn("Nobody listens")
    assert known_values.current() is None
    with known_values.attach() as outer:
        learn("Quarterly figures")
        with known_values.attach() as inner:
            learn("Jane Doe", None, " ")
        assert known_values.current() is outer
    assert known_values.current() is None
    assert (outer.scrub("Quarterly figures"), outer.scrub("Jane Doe")) == (MAIL_TEXT, "Jane Doe")
    assert inner.scrub("Jane Doe") == MAIL_TEXT


async def test_mails_worked_on_at_the_same_time_do_not_share_their_values() -> None:
    async def work(subject: str) -> KnownValues:
        with known_values.attach() as known:
            await asyncio.sleep(0)
            learn(subject)
            await asyncio.sleep(0)
            return known

    first, second = await asyncio.gather(work("Quarterly figures"), work("Holiday pictures"))
    assert first.scrub("Holiday pictures") == "Holiday pictures"
    assert second.scrub("Holiday pictures") == MAIL_TEXT


def test_values_that_are_added_while_others_look_are_found_from_then_on() -> None:
    known = KnownValues()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            known.scrub("subject number 199 of them")

    thread = threading.Thread(target=look)
    thread.start()
    for number in range(200):
        known.add(f"subject number {number} of them")
        assert known.scrub(f"subject number {number} of them") == MAIL_TEXT
    done.set()
    thread.join()
    assert known.scrub("subject number 199 of them") == MAIL_TEXT
