"""Digest mail, sent to real SMTP servers on loopback that take it, refuse it, break off or fall silent."""

from __future__ import annotations

import asyncio
import email
import email.policy
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from otel_autopilot.pipeline.delivery.attempt import Refused, new_breakers
from otel_autopilot.pipeline.delivery.outbox import MemoryOutbox
from otel_autopilot.pipeline.delivery.stage import DeliveryFailed, DeliveryOptions, deliver
from otel_autopilot.pipeline.delivery.targets import parse_target
from otel_autopilot.pipeline.messages import Address, Delivery, Digest, Email
from otel_autopilot.telemetry.pseudonyms import pseudonym
from tests.conftest import Spans
from tests.integration.delivery_servers import POINTS, authenticate, breaking_server, mail_server

DIGEST = Digest(title="Budget", markdown="**words**", html="<p>words</p>", text="words\n.\n..dots\n")
MAIL = Email(message_id="<original@example.org>", subject="Budget", sender=Address(name="Ann Lee", address="ann.lee@example.org"))
LOCAL_ADDRESS = "127.1"
PRIVATE = (
    "ann.lee",
    "bob.ray",
    "eve.poe",
    "ann.lee@example.org",
    "bob.ray@example.org",
    "eve.poe@example.org",
    "Ann Lee",
    "Budget",
)


def options(**more: Any) -> DeliveryOptions:
    return DeliveryOptions(**{"sender": "digest@example.org", "first_wait_seconds": 0.01, "timeout_seconds": 10.0, **more})


async def send(
    port: int, *recipients: str, outbox: MemoryOutbox | None = None, run_id: str = "run-1", mail: Email = MAIL, scheme: str = "smtp",
    verified: bool = True, **more: Any,
) -> Delivery:  # fmt: skip
    query = f"?to={','.join(recipients)}" if recipients else ""
    target = parse_target(f"{scheme}://127.0.0.1:{port}{query}")
    return await deliver(
        DIGEST, mail, [target], run_id=run_id, outbox=outbox or MemoryOutbox(), options=options(**more), sender_verified=verified
    )


def exported(spans: Spans) -> str:
    """Everything that left with the spans: attributes, events with stack traces, status."""
    return " ".join(span.to_json() for span in spans.all)


def nothing_private_in(*texts: object) -> None:
    said = " ".join(str(text) for text in texts)
    assert [word for word in PRIVATE if word in said] == []


# --- taken ------------------------------------------------------------------------------------------------------------


async def test_a_digest_is_sent_whole_and_the_client_says_quit(spans: Spans) -> None:
    async with mail_server() as server:
        (outcome,) = (await send(server.port, "bob.ray@example.org")).outcomes
    assert (outcome.outcome, outcome.attempts, outcome.error) == ("delivered", 1, None)
    (taken,) = server.taken
    assert (taken.sender, taken.recipients, server.quits) == ("digest@example.org", ["bob.ray@example.org"], 1)
    body = email.message_from_bytes(taken.content, policy=email.policy.default).get_body(("plain",))
    assert body is not None
    assert body.get_content().replace("\r\n", "\n") == DIGEST.text, "lines that begin with a dot arrive as they were"
    sent = spans.one("smtp send")
    assert dict(sent.attributes or {}) == {
        "autopilot.delivery.target": "smtp", "autopilot.delivery.recipient": pseudonym("bob.ray@example.org"),
        "autopilot.delivery.outcome": "delivered", "autopilot.delivery.try": 1, "autopilot.breaker.state": "closed",
        "server.address": "127.0.0.1", "server.port": server.port, "autopilot.smtp.response.status_code": 250,
    }  # fmt: skip


async def test_rule_mail_manners_answers_carry_auto_submitted_and_a_null_envelope_sender() -> None:
    async with mail_server() as server:
        await send(server.port, reply_to_sender=True, allowed_recipients=("@example.org",))
    (taken,) = server.taken
    head = email.message_from_bytes(taken.content)
    assert (taken.sender, taken.recipients) == ("<>", ["ann.lee@example.org"])
    assert (head["Auto-Submitted"], head["In-Reply-To"], head["References"]) == (
        "auto-replied", "<original@example.org>", "<original@example.org>",
    )  # fmt: skip


async def test_rule_mail_manners_recipients_are_allow_listed_and_the_others_are_never_mentioned_to_the_server() -> None:
    async with mail_server() as server:
        delivery = await send(server.port, reply_to_sender=True, allowed_recipients=("@example.com",))
    assert [outcome.outcome for outcome in delivery.outcomes] == ["suppressed"]
    assert server.asked == []


async def test_rule_mail_manners_a_sender_by_from_alone_is_not_answered() -> None:
    async with mail_server() as server:
        delivery = await send(server.port, reply_to_sender=True, allowed_recipients=("@example.org",), verified=False)
    assert [outcome.outcome for outcome in delivery.outcomes] == ["suppressed"]
    assert server.asked == []


@pytest.mark.parametrize("reason", ["null_sender", "list", "auto_submitted", "bulk"])
async def test_rule_mail_manners_automatic_mail_is_not_answered_and_the_named_still_get_their_digest(reason: str) -> None:
    async with mail_server() as server:
        automatic = MAIL.model_copy(update={"automatic": reason})
        await send(server.port, "bob.ray@example.org", mail=automatic, reply_to_sender=True, allowed_recipients=("@example.org",))
    assert server.asked == ["bob.ray@example.org"]


async def test_rule_mail_manners_a_rate_per_recipient_holds_when_all_answers_are_sent_at_once() -> None:
    outbox = MemoryOutbox()
    async with mail_server() as server:
        deliveries = await asyncio.gather(
            *(
                send(server.port, outbox=outbox, run_id=f"run-{number}", reply_to_sender=True, replies_per_recipient_per_hour=3,
                     allowed_recipients=("@example.org",))
                for number in range(10)
            )
        )  # fmt: skip
    outcomes = [delivery.outcomes[0] for delivery in deliveries]
    assert sorted(outcome.outcome for outcome in outcomes) == ["delivered"] * 3 + ["suppressed"] * 7
    assert len(server.taken) == 3
    assert {outcome.error for outcome in outcomes} == {None, "more than 3 mails to this recipient within an hour"}


async def test_recipients_whom_the_operator_named_have_no_rate() -> None:
    outbox = MemoryOutbox()
    async with mail_server() as server:
        for number in range(3):
            await send(server.port, "bob.ray@example.org", outbox=outbox, run_id=f"run-{number}", replies_per_recipient_per_hour=1)
    assert len(server.taken) == 3


async def test_addresses_beyond_ascii_ask_for_smtputf8_and_get_it() -> None:
    async with mail_server(enable_SMTPUTF8=True) as server:
        await send(server.port, "jörg@bücher.example")
    (taken,) = server.taken
    assert taken.recipients == ["jörg@bücher.example"]
    assert "SMTPUTF8" in taken.options
    assert "jörg@bücher.example".encode() in taken.content


async def test_a_server_without_smtputf8_is_named_as_the_reason_and_not_tried_again() -> None:
    async with mail_server(enable_SMTPUTF8=False) as server:
        with pytest.raises(DeliveryFailed, match="SMTPUTF8, which addresses beyond ASCII need") as raised:
            await send(server.port, "jörg@example.org")
        await send(server.port, "ann@bücher.example")
    assert raised.value.retryable is False
    assert server.asked == ["ann@xn--bcher-kva.example"], "a domain alone needs no extension"


async def test_text_beyond_ascii_arrives_at_a_server_without_8bitmime() -> None:
    text = "Grüße, 世界 🌍\n"
    async with mail_server(enable_SMTPUTF8=False) as server:
        target = parse_target(f"smtp://127.0.0.1:{server.port}?to=bob.ray@example.org")
        digest = Digest(title="Größe", markdown=text, html=f"<p>{text}</p>", text=text)
        await deliver(digest, MAIL, [target], run_id="run-1", outbox=MemoryOutbox(), options=options())
    (taken,) = server.taken
    taken.content.decode("ascii")
    parsed = email.message_from_bytes(taken.content, policy=email.policy.default)
    body = parsed.get_body(("plain",))
    assert body is not None
    assert (str(parsed["Subject"]), body.get_content().strip()) == ("Digest: Größe", text.strip())
    assert taken.options == []


# --- refused ----------------------------------------------------------------------------------------------------------


async def test_what_is_refused_for_now_is_tried_again_and_taken(spans: Spans) -> None:
    async with mail_server() as server:
        server.answers["bob.ray@example.org"] = ["451 4.7.1 <bob.ray@example.org> greylisted", "450 bob.ray: try later"]
        (outcome,) = (await send(server.port, "bob.ray@example.org")).outcomes
    assert (outcome.outcome, outcome.attempts, len(server.taken)) == ("delivered", 3, 1)
    tries = spans.named("smtp send")
    assert [span.attributes["autopilot.delivery.try"] for span in tries if span.attributes] == [1, 2, 3]
    assert [span.attributes["autopilot.smtp.response.status_code"] for span in tries if span.attributes] == [451, 450, 250]
    assert [span.attributes["autopilot.delivery.outcome"] for span in tries if span.attributes] == ["failed", "failed", "delivered"]
    assert {span.attributes["autopilot.breaker.state"] for span in tries if span.attributes} == {"closed"}
    nothing_private_in(exported(spans))


async def test_one_refused_recipient_does_not_stop_the_others() -> None:
    async with mail_server() as server:
        server.answers["bob.ray@example.org"] = ["550 5.1.1 bob.ray@example.org: no such user bob.ray"]
        delivery = await send(server.port, "ann.lee@example.org", "bob.ray@example.org", "eve.poe@example.org")
    assert [(outcome.recipient[:3], outcome.outcome, outcome.attempts) for outcome in delivery.outcomes] == [
        ("ann", "delivered", 1), ("bob", "failed", 1), ("eve", "delivered", 1),
    ]  # fmt: skip
    assert delivery.outcomes[1].error == "the SMTP server answered 550: 5.1.1 … no such user …"
    assert sorted(taken.recipients[0] for taken in server.taken) == ["ann.lee@example.org", "eve.poe@example.org"]


@pytest.mark.parametrize(("answer", "tries", "retryable"), [("550 no", 1, False), ("450 later", 3, True)])
async def test_when_every_recipient_is_refused_the_stage_fails_and_says_whether_another_attempt_may_help(
    spans: Spans, answer: str, tries: int, retryable: bool
) -> None:
    async with mail_server() as server:
        server.answers = {name: [answer] * 5 for name in ("ann.lee@example.org", "bob.ray@example.org")}
        with pytest.raises(DeliveryFailed) as raised:
            await send(server.port, *server.answers, attempts=3)
    assert raised.value.retryable is retryable
    assert f"smtp://127.0.0.1:{server.port}: the SMTP server answered {answer[:3]}: {answer[4:]} (and 1 more)" == str(raised.value)
    assert len(server.asked) == 2 * tries
    nothing_private_in(raised.value, exported(spans))


@pytest.mark.parametrize(("answer", "outcome", "tries"), [("554 spam", "failed", 1), ("451 later", "delivered", 2)])
async def test_a_refusal_after_the_content_is_an_answer_like_any_other(answer: str, outcome: str, tries: int) -> None:
    async with mail_server() as server:
        server.after_data = [answer]
        delivery = await send(server.port, "ann.lee@example.org", "bob.ray@example.org")
    assert sorted((item.outcome, item.attempts) for item in delivery.outcomes) == sorted([("delivered", 1), (outcome, tries)])


# --- broken -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", [point for point in POINTS if point not in ("content", "end")])
async def test_a_connection_that_breaks_before_the_content_is_tried_again(spans: Spans, point: str) -> None:
    async with breaking_server(point, times=2) as server:
        (outcome,) = (await send(server.port, "bob.ray@example.org")).outcomes
    assert (outcome.outcome, outcome.attempts, len(server.contents)) == ("delivered", 3, 1)
    nothing_private_in(exported(spans))


@pytest.mark.parametrize("point", ["content", "end"])
async def test_rule_durability_a_connection_that_breaks_before_the_final_reply_is_uncertain_and_never_sent_again(
    spans: Spans, point: str
) -> None:
    outbox = MemoryOutbox()
    async with breaking_server(point, times=1) as server:
        (outcome,) = (await send(server.port, "bob.ray@example.org", outbox=outbox)).outcomes
        assert (outcome.outcome, outcome.attempts) == ("uncertain", 1)
        (again,) = (await send(server.port, "bob.ray@example.org", outbox=outbox)).outcomes
        assert (again.outcome, again.error, again.attempts) == ("uncertain", outcome.error, 0)
        assert server.conversations == 1
        assert len(server.contents) == (point == "end")
    assert outcome.error is not None
    assert outcome.error.startswith("the connection broke after the mail was sent and before the server answered")
    assert (spans.one("smtp send").attributes or {})["autopilot.delivery.outcome"] == "uncertain"
    nothing_private_in(outcome.error, exported(spans))


@pytest.mark.parametrize("point", ["banner", "EHLO", "RCPT", "DATA"])
async def test_a_server_that_falls_silent_before_the_content_is_a_timeout_that_may_pass(spans: Spans, point: str) -> None:
    async with breaking_server(point, stall=True) as server:
        with pytest.raises(DeliveryFailed, match=r"can't be reached or broke off \(timeout\)") as raised:
            await send(server.port, "bob.ray@example.org", timeout_seconds=0.3, attempts=2)
        assert server.conversations == 2
        server.release.set()
    assert raised.value.retryable
    assert server.contents == []
    nothing_private_in(raised.value, exported(spans))


async def test_a_server_that_falls_silent_after_the_content_is_uncertain() -> None:
    async with breaking_server("end", stall=True) as server:
        (outcome,) = (await send(server.port, "bob.ray@example.org", timeout_seconds=0.5)).outcomes
        assert (outcome.outcome, server.conversations) == ("uncertain", 1)
        server.release.set()


async def test_a_server_that_does_not_answer_quit_changes_nothing() -> None:
    async with breaking_server("QUIT") as server:
        (outcome,) = (await send(server.port, "bob.ray@example.org")).outcomes
    assert (outcome.outcome, len(server.contents)) == ("delivered", 1)


async def test_where_nobody_listens_the_error_says_so(spans: Spans) -> None:
    async with breaking_server("banner") as server:
        port = server.port
    with pytest.raises(DeliveryFailed, match=r"can't be reached or broke off \(.+\)") as raised:
        await send(port, "bob.ray@example.org", attempts=1)
    assert raised.value.retryable
    nothing_private_in(raised.value, exported(spans))


# --- TLS and AUTH -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "both.pem", "-out", folder / "cert.pem",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    (folder / "both.pem").write_bytes((folder / "both.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return folder / "both.pem"


def server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_starttls_is_used_where_it_is_offered(certificate: Path) -> None:
    async with mail_server(tls_context=server_side(certificate)) as server:
        await send(server.port, "bob.ray@example.org")
    assert [taken.tls for taken in server.taken] == [True]


async def test_with_credentials_the_mail_goes_by_starttls_and_auth(certificate: Path) -> None:
    async with mail_server(tls_context=server_side(certificate), authenticator=authenticate, auth_required=True) as server:
        await send(server.port, "bob.ray@example.org", smtp_user="grace", smtp_password="right")
    assert [(taken.tls, taken.user) for taken in server.taken] == [(True, "grace")]


async def test_smtps_is_tls_from_the_first_byte(certificate: Path) -> None:
    async with mail_server(ssl_context=server_side(certificate), authenticator=authenticate, auth_require_tls=False) as server:
        await send(server.port, "bob.ray@example.org", scheme="smtps", smtp_user="grace", smtp_password="right")
    assert [taken.user for taken in server.taken] == ["grace"]


async def test_a_wrong_password_is_not_tried_again_and_not_shown(certificate: Path, spans: Spans) -> None:
    async with mail_server(tls_context=server_side(certificate), authenticator=authenticate, auth_required=True) as server:
        with pytest.raises(DeliveryFailed, match="the SMTP server answered 535") as raised:
            await send(server.port, "bob.ray@example.org", smtp_user="grace", smtp_password="wrong-secret")
    assert raised.value.retryable is False
    assert len(spans.named("smtp send")) == 1
    assert "wrong-secret" not in exported(spans) + str(raised.value)
    assert "grace" not in exported(spans) + str(raised.value)


async def test_credentials_never_go_to_a_server_without_starttls() -> None:
    async with mail_server(authenticator=authenticate, auth_require_tls=False) as server:
        with pytest.raises(DeliveryFailed, match="offers no STARTTLS, and credentials don't go unencrypted") as raised:
            await send(server.port, "bob.ray@example.org", smtp_user="grace", smtp_password="right")
    assert raised.value.retryable is False
    assert server.taken == []


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_server_that_never_shakes_hands_is_a_timeout_and_its_socket_is_closed(scheme: str) -> None:
    async with breaking_server("banner" if scheme == "smtps" else "handshake", stall=True) as server:
        with pytest.raises(DeliveryFailed, match=r"can't be reached or broke off") as raised:
            await send(server.port, "bob.ray@example.org", scheme=scheme, timeout_seconds=0.5, attempts=1)
        server.release.set()
    assert raised.value.retryable


async def test_a_certificate_that_nobody_vouches_for_is_refused_beyond_loopback(certificate: Path) -> None:
    """By a name of this machine that isn't loopback by its looks."""
    async with mail_server(tls_context=server_side(certificate)) as server:
        target = parse_target(f"smtp://127.0.0.1:{server.port}?to=bob.ray@example.org").model_copy(update={"host": LOCAL_ADDRESS})
        with pytest.raises(DeliveryFailed, match=r"certificate isn't trusted \(self.signed certificate") as raised:
            await deliver(DIGEST, MAIL, [target], run_id="run-1", outbox=MemoryOutbox(), options=options())
    assert raised.value.retryable is False
    assert server.taken == []


async def test_nonsense_for_an_answer_is_no_answer() -> None:
    async with breaking_server("nonsense") as server:
        with pytest.raises(DeliveryFailed, match="its answer can't be understood") as raised:
            await send(server.port, "bob.ray@example.org", attempts=2)
    assert (raised.value.retryable, server.conversations) == (True, 2)


# --- the breaker ------------------------------------------------------------------------------------------------------


async def test_a_greylisted_recipient_does_not_open_the_breaker_of_its_host(spans: Spans) -> None:
    shared: dict[str, Any] = {"breakers": new_breakers(failures=2, seconds=600)}
    async with mail_server() as server:
        server.answers["bob.ray@example.org"] = ["451 greylisted"] * 8
        with pytest.raises(DeliveryFailed):
            await send(server.port, "bob.ray@example.org", attempts=8, **shared)
        (outcome,) = (await send(server.port, "eve.poe@example.org", run_id="run-2", **shared)).outcomes
    assert outcome.outcome == "delivered"
    assert {span.attributes["autopilot.breaker.state"] for span in spans.named("smtp send") if span.attributes} == {"closed"}


@pytest.mark.parametrize("point", ["banner", "DATA", "end"])
async def test_a_host_that_keeps_breaking_off_is_left_alone_for_a_while_by_every_run(spans: Spans, point: str) -> None:
    shared: dict[str, Any] = {"breakers": new_breakers(failures=3, seconds=600), "attempts": 1}
    async with breaking_server(point) as server:
        for number in range(3):
            try:
                await send(server.port, "bob.ray@example.org", run_id=f"run-{number}", **shared)
            except DeliveryFailed:
                assert point != "end"
        with pytest.raises(DeliveryFailed, match="not tried: 3 tries in a row had failed there; it rests for 600 s") as raised:
            await send(server.port, "bob.ray@example.org", run_id="run-9", **shared)
        assert server.conversations == 3
    assert raised.value.retryable
    assert (spans.named("smtp send")[-1].attributes or {})["autopilot.breaker.state"] == "open"


async def test_421_counts_against_the_host_wherever_it_is_said() -> None:
    shared: dict[str, Any] = {"breakers": new_breakers(failures=2, seconds=600), "attempts": 2}
    async with mail_server() as server:
        server.answers["bob.ray@example.org"] = ["421 4.3.2 going down"] * 2
        with pytest.raises(DeliveryFailed, match="421"):
            await send(server.port, "bob.ray@example.org", **shared)
        with pytest.raises(DeliveryFailed, match="not tried"):
            await send(server.port, "eve.poe@example.org", run_id="run-2", **(shared | {"attempts": 1}))
    assert server.asked == ["bob.ray@example.org"] * 2


async def test_after_its_rest_a_host_that_is_well_again_gets_the_mail_that_waited() -> None:
    async with breaking_server("banner", times=2) as server:
        (outcome,) = (
            await send(server.port, "bob.ray@example.org", breakers=new_breakers(failures=2, seconds=0.2), attempts=4)
        ).outcomes
    assert (outcome.outcome, server.conversations) == ("delivered", 3)
    assert outcome.attempts == 3, "what the breaker held back is no try"


async def test_the_rest_of_one_host_is_not_the_rest_of_another() -> None:
    shared: dict[str, Any] = {"breakers": new_breakers(failures=1, seconds=600), "attempts": 1}
    async with breaking_server("banner") as broken, mail_server() as well:
        with pytest.raises(DeliveryFailed):
            await send(broken.port, "bob.ray@example.org", **shared)
        assert (await send(well.port, "bob.ray@example.org", **shared)).outcomes[0].outcome == "delivered"


# --- what a server says -----------------------------------------------------------------------------------------------


def test_an_error_of_ours_has_no_cause_that_could_be_exported() -> None:
    error = Refused("no", retryable=False)
    assert error.__cause__ is None


@pytest.mark.parametrize(("domains", "carried"), [((), False), (("example.com",), False), (("example.org",), True)])
async def test_rule_trust_outgoing_mail_carries_the_trace_of_its_try_to_allow_listed_domains_only(
    spans: Spans, domains: tuple[str, ...], carried: bool
) -> None:
    async with mail_server() as server:
        server.answers["bob.ray@example.org"] = ["451 later"]
        await send(server.port, "bob.ray@example.org", trace_header_domains=domains)
    header = email.message_from_bytes(server.taken[0].content)["traceparent"]
    second = spans.named("smtp send")[-1].context
    assert second is not None
    assert (header or "")[:53] == (f"00-{second.trace_id:032x}-{second.span_id:016x}-" if carried else "")
