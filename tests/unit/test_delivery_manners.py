"""Who gets a digest by mail, and who must not: tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_autopilot.pipeline.delivery.addresses import is_address, on_list, with_ascii_domain
from otel_autopilot.pipeline.delivery.manners import MOST_ANSWERS, Recipient, recipients_of
from otel_autopilot.pipeline.delivery.targets import parse_target
from otel_autopilot.pipeline.messages import Address, Email

REMOTE = parse_target("smtp://mail.example.org")
OPS = parse_target("smtp://mail.example.org?to=ops@example.org")


def mail(sender: str | None = "ann@example.org", *, reply_to: tuple[str, ...] = (), **more: object) -> Email:
    return Email(
        sender=Address(name="Ann", address=sender) if sender is not None else None,
        reply_to=tuple(Address(address=address) for address in reply_to), **more,
    )  # fmt: skip


def chosen(email: Email, target: str = "smtp://mail.example.org", **more: object) -> tuple[Recipient, ...]:
    options = {
        "configured": (),
        "allowed": ("@example.org",),
        "reply_to_sender": True,
        "own_addresses": ("digest@example.org",),
        "sender_verified": True,
    }
    return recipients_of(email, parse_target(target), **{**options, **more})  # type: ignore[arg-type]


def why(email: Email, **more: object) -> str | None:
    (recipient,) = chosen(email, **more)
    return recipient.suppressed


@pytest.mark.parametrize("reason", ["null_sender", "list", "auto_submitted", "bulk"])
def test_rule_mail_manners_null_senders_lists_and_automatic_mail_are_never_answered(reason: str) -> None:
    assert why(mail(automatic=reason)) == f"the mail is automatic ({reason}) and must not be answered"
    assert why(mail(automatic=reason, reply_to=("bob@example.org",))) is not None, "whatever Reply-To says"
    assert why(mail()) is None


def test_rule_mail_manners_replying_to_the_sender_is_off_by_default() -> None:
    from otel_autopilot.pipeline.delivery.options import DeliveryOptions
    from otel_autopilot.settings import Settings
    from otel_autopilot.workflow.agents import delivery_options

    assert DeliveryOptions().reply_to_sender is False
    assert delivery_options(Settings.load()).reply_to_sender is False
    assert chosen(mail(), reply_to_sender=False) == ()


@pytest.mark.parametrize(
    ("sender", "allowed", "answered"),
    [
        ("ann@example.org", ("ann@example.org",), True),
        ("Ann@Example.ORG", ("ann@example.org",), True),
        ("ann@example.org", ("@EXAMPLE.org",), True),
        ("ann@example.org", (), False),
        ("ann@example.org", ("bob@example.org",), False),
        ("ann@sub.example.org", ("@example.org",), False),
        ("ann@badexample.org", ("@example.org",), False),
        ("ann@example.org.evil.net", ("@example.org",), False),
        ("ann@example.org", ("example.org",), False),
        ("ann@example.org", ("@",), False),
    ],
)
def test_rule_mail_manners_recipients_are_allow_listed(sender: str, allowed: tuple[str, ...], answered: bool) -> None:
    said = why(mail(sender), allowed=allowed)
    assert said == (None if answered else "the sender is not among the allowed recipients")


def test_rule_mail_manners_no_relaying_the_mail_names_nobody_but_an_allowed_sender() -> None:
    """Neither the envelope nor To, Cc or a forwarded mail make a recipient."""
    email = mail(
        "ann@example.org", to=(Address(address="victim@example.org"),), cc=(Address(address="other@example.org"),),
        forwarded=(mail("third@example.org"),),
    )  # fmt: skip
    assert [recipient.address for recipient in chosen(email)] == ["ann@example.org"]
    assert [recipient.address for recipient in chosen(email, reply_to_sender=False, configured=("ops@example.org",))] == [
        "ops@example.org"
    ]
    assert chosen(email, reply_to_sender=False) == ()


@pytest.mark.parametrize(
    "address",
    [
        "victim%evil.net@example.org", "evil.net!victim@example.org", "@hop.example.org:victim@example.org", '"victim@evil.net"@example.org',
        "victim@evil.net@example.org", "victim@evil.net,ann@example.org", "<victim@evil.net>ann@example.org",
    ],
)  # fmt: skip
def test_rule_mail_manners_no_relaying_a_route_in_an_address_of_an_allowed_domain_is_refused(address: str) -> None:
    assert why(mail(address)) in ("not an address", "that address asks the server to relay")


def test_rule_mail_manners_an_allow_listed_sender_counts_only_when_verified_never_by_from_alone() -> None:
    assert why(mail(), sender_verified=False) == "neither SMTP AUTH nor DKIM says that the mail is the sender's"
    assert why(mail(reply_to=("desk@example.org",)), sender_verified=False) is not None
    assert why(mail(), sender_verified=False, reply_to_sender=False, configured=("ops@example.org",)) is None, "the operator's own"


def test_reply_to_is_honoured_over_from_and_has_to_be_allowed_too() -> None:
    assert [item.address for item in chosen(mail(reply_to=("desk@example.org",)))] == ["desk@example.org"]
    assert why(mail(reply_to=("desk@elsewhere.net",))) == "the sender is not among the allowed recipients"


def test_a_reply_to_of_a_hundred_addresses_is_no_mailing() -> None:
    assert len(chosen(mail(reply_to=tuple(f"p{number}@example.org" for number in range(100))))) == MOST_ANSWERS


@pytest.mark.parametrize(
    "local",
    [
        "noreply", "no-reply", "No-Reply", "no_reply", "no.reply", "noreply+1234", "noreply-accounts", "donotreply", "do-not-reply",
        "do_not_reply", "MAILER-DAEMON", "mailerdaemon", "bounces", "bounce+ann=example.org", "news-noreply", "github.noreply",
    ],
)  # fmt: skip
def test_addresses_that_nobody_reads_are_not_written_to(local: str) -> None:
    assert why(mail(f"{local}@example.org")) == "nobody reads that address"
    assert why(mail(), reply_to_sender=False, configured=(f"{local}@example.org",)) == "nobody reads that address"


@pytest.mark.parametrize("local", ["owner-things", "things-request", "things-owner", "LISTSERV", "majordomo"])
def test_the_addresses_of_lists_are_not_answered_but_may_be_named(local: str) -> None:
    assert why(mail(f"{local}@example.org")) == "that address is a list's or a program's"
    assert why(mail(), reply_to_sender=False, configured=(f"{local}@example.org",)) is None


@pytest.mark.parametrize("local", ["ann", "noreen", "reply", "nora.reply.smith", "bouncer", "request", "listservice"])
def test_people_whose_names_look_like_it_are_answered(local: str) -> None:
    assert why(mail(f"{local}@example.org")) is None


def test_the_digests_own_addresses_never_get_a_digest() -> None:
    own = ("digest@example.org", "inbox@example.org")
    for address in (*own, "Digest@Example.org"):
        assert why(mail(address), own_addresses=own) == "the digest's own address: a loop"
        assert why(mail(), own_addresses=own, reply_to_sender=False, configured=(address,)) == "the digest's own address: a loop"


def test_a_digest_that_finds_its_way_back_goes_to_nobody() -> None:
    said = chosen(mail("digest@example.org"), reply_to_sender=False, configured=("ops@example.org",))
    assert [item.suppressed for item in said] == ["the mail comes from the digest's own address: a loop"]


def test_the_gateways_own_recipients_are_own_addresses_and_its_domains_are_not() -> None:
    from otel_autopilot.settings import Settings
    from otel_autopilot.workflow.agents import delivery_options

    options = delivery_options(Settings.load(smtp_recipients=("inbox@example.org", "@example.com")))
    assert options.own_addresses == ("inbox@example.org",)


def test_each_address_is_written_to_once_and_first_as_it_was_named() -> None:
    said = chosen(mail("OPS@example.org"), "smtp://mail.example.org?to=ops@example.org,ops@EXAMPLE.org")
    assert said == (Recipient("ops@example.org", is_reply=False),)


def test_on_loopback_the_local_user_gets_what_names_nobody_and_elsewhere_nobody_does() -> None:
    (local,) = chosen(mail(), "smtp://127.0.0.1:25", reply_to_sender=False)
    assert local.address.endswith("@localhost")
    assert chosen(mail(), "smtp://mail.example.org", reply_to_sender=False) == ()


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["ann@example.org", "o'brien+tag@example.org", "ann=x@example.org", "jörg@example.org", "ann@bücher.example", "a@localhost"],
)
def test_a_plain_address_is_one(text: str) -> None:
    assert is_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "ann", "@example.org", "ann@", "ann @example.org", "ann@example.org\r\nBcc: x@y.z", "ann@example.org\nRCPT TO:<x@y.z>",
        "ann@example.org>", "<ann@example.org>", "Ann <ann@example.org>", "ann@example.org,bob@example.org", "a\tb@example.org",
        "ann@example.org\x00", "ann(comment)@example.org", "ann@[127.0.0.1]", "ann@-example.org", "a..b@example.org",
        "ann@example.org\u2028x", "ann\udc80@example.org", "a" * 250 + "@example.org", "ann@example.org SIZE=1",
    ],
)  # fmt: skip
def test_what_could_smuggle_something_is_no_address(text: str) -> None:
    assert not is_address(text)


@given(st.text(max_size=40))
def test_whatever_is_an_address_ends_neither_a_header_nor_a_command(text: str) -> None:
    if is_address(text):
        assert not set(text) & set('\r\n\x00 <>,;:"()[]\\')
        assert text.count("@") == 1
        assert not any(char.isspace() for char in text)


def test_a_domain_beyond_ascii_is_written_as_dns_has_it() -> None:
    assert with_ascii_domain("ann@bücher.example") == "ann@xn--bcher-kva.example"
    assert with_ascii_domain("jörg@bücher.example") == "jörg@bücher.example"


def test_a_list_of_nothing_holds_nobody() -> None:
    assert not on_list("ann@example.org", [])
