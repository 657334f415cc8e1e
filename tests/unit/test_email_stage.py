"""The email stage: parsed in a child, verified for real, routed, and told to the redaction."""

from __future__ import annotations

import base64
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import dkim
import pytest
import pytest_asyncio

from otel_autopilot.errors import EmailError
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.email.routing import Routes, Rule
from otel_autopilot.pipeline.email.stage import known_values, read_email
from otel_autopilot.pipeline.email.verify import is_trusted, matches
from otel_autopilot.pipeline.messages import Address, Email, Envelope, Part, RawEmail
from otel_autopilot.pipeline.workers import WorkerPool
from otel_autopilot.telemetry.known_values import attach
from otel_autopilot.telemetry.redactor import Redactor
from tests.conftest import Spans

MAIL = b"From: Grace Hopper <grace@example.org>\r\nTo: inbox@example.net\r\nSubject: Quarterly figures\r\nMessage-ID: <1@example.org>\r\n\r\nwords\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[WorkerPool]:
    async with WorkerPool(processes=1, memory_bytes=1_000_000_000, timeout_seconds=60.0) as made:
        yield made


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def stored(blobs: BlobStore, content: bytes, *, authenticated: bool = False, sender: str | None = "grace@example.org") -> RawEmail:
    now = time.time_ns()
    envelope = Envelope(source="smtp", sender=sender, authenticated=authenticated, received_unix_nano=now, stored_unix_nano=now)
    return RawEmail(blob=blobs.put(content), envelope=envelope)


class Keys:
    """A domain's DKIM key: signs mails, and answers for its TXT record."""

    def __init__(self) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        made = subprocess.run(["openssl", "genrsa", "-traditional", "2048"], check=True, capture_output=True).stdout
        public = subprocess.run(
            ["openssl", "rsa", "-pubout", "-outform", "DER"], input=made, check=True, capture_output=True
        ).stdout
        self._private = made
        self._record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
        self.asked: list[str] = []

    def sign(self, content: bytes, domain: str, *, length: bool = False) -> bytes:
        return bytes(dkim.sign(content, b"s1", domain.encode(), self._private, length=length)) + content

    def resolve(self, name: bytes | str, timeout: float = 5) -> bytes | None:
        assert timeout > 0
        text = name.decode() if isinstance(name, bytes) else name
        self.asked.append(text)
        return self._record if text.startswith("s1._domainkey.") else None


@pytest.fixture(scope="module")
def keys() -> Keys:
    return Keys()


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        ("grace@example.org", True),
        ("@example.org", True),
        ("example.org", True),
        ("@EXAMPLE.org", True),
        ("@ample.org", False),
        ("", False),
        ("@", False),
    ],
)
def test_an_allow_list_holds_addresses_and_domains(allowed: str, expected: bool) -> None:
    assert matches("Grace@Example.org", [allowed]) is expected


async def test_rule_mail_manners_from_alone_is_never_trusted(blobs: BlobStore, keys: Keys) -> None:
    assert not await is_trusted(stored(blobs, MAIL), ["@example.org"], keys.resolve)


async def test_rule_mail_manners_an_allow_listed_sender_with_smtp_auth_is_trusted(blobs: BlobStore) -> None:
    assert await is_trusted(stored(blobs, MAIL, authenticated=True), ["@example.org"])
    assert not await is_trusted(stored(blobs, MAIL, authenticated=True), ["@example.com"])
    assert not await is_trusted(stored(blobs, MAIL, authenticated=True, sender="other@example.org"), ["@example.org"])
    assert not await is_trusted(stored(blobs, MAIL, authenticated=True), [])


@pytest.mark.parametrize(("domain", "expected"), [("example.org", True), ("evil.example", False), ("sub.example.org", False)])
async def test_rule_mail_manners_a_dkim_signature_counts_when_its_domain_is_that_of_from(
    blobs: BlobStore, keys: Keys, domain: str, expected: bool
) -> None:
    assert await is_trusted(stored(blobs, keys.sign(MAIL, domain)), ["@example.org"], keys.resolve) is expected


async def test_a_changed_mail_a_foreign_key_and_a_silent_resolver_are_not_trusted(blobs: BlobStore, keys: Keys) -> None:
    signed = keys.sign(MAIL, "example.org")
    assert not await is_trusted(stored(blobs, signed.replace(b"words", b"other")), ["@example.org"], keys.resolve)
    assert not await is_trusted(stored(blobs, signed.replace(b"Quarterly", b"Yearly")), ["@example.org"], keys.resolve)
    assert not await is_trusted(stored(blobs, signed), ["@example.org"], Keys().resolve)
    assert not await is_trusted(stored(blobs, signed), ["@example.org"], lambda *_a, **_k: None)


async def test_a_signature_over_a_part_of_the_body_is_not_trusted(blobs: BlobStore, keys: Keys) -> None:
    signed = keys.sign(MAIL, "example.org", length=True)
    assert not await is_trusted(stored(blobs, signed + b"added by another\r\n"), ["@example.org"], keys.resolve)


@pytest.mark.parametrize(
    "content",
    [b"From: grace@example.org\r\nFrom: evil@example.com\r\n\r\nx", b"From: grace@example.org, evil@example.com\r\n\r\nx",
     b"no header at all", b"From: grace@example.org\r\nDKIM-Signature: nonsense\r\n\r\nx", b"\xff\xfe\x00broken\r\n\r\n"],
)  # fmt: skip
async def test_what_can_not_be_verified_is_not_trusted_and_raises_nothing(blobs: BlobStore, keys: Keys, content: bytes) -> None:
    assert not await is_trusted(stored(blobs, content), ["@example.org"], keys.resolve)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_mail_is_parsed_verified_and_routed_under_a_span_each(
    pool: WorkerPool, blobs: BlobStore, keys: Keys, spans: Spans
) -> None:
    routes = Routes((Rule(name="figures", workflow="mine", subject_regex=r"^quarterly \w+"),), "email-digest")
    raw = stored(blobs, keys.sign(MAIL, "example.org"))
    email = await read_email(raw, pool=pool, blobs=blobs, routes=routes, trusted_senders=["@example.org"], resolver=keys.resolve)
    assert (email.subject, email.trusted, email.rule, email.workflow) == ("Quarterly figures", True, "figures", "mine")
    assert [span.name for span in spans.all] == ["email.parse", "email.verify", "email.route"]
    assert (spans.one("email.verify").attributes or {})["autopilot.email.trusted"] is True


@pytest.mark.asyncio(loop_scope="module")
async def test_after_parsing_the_redaction_knows_the_mail_s_values(pool: WorkerPool, blobs: BlobStore, spans: Spans) -> None:
    with attach() as known:
        await read_email(stored(blobs, MAIL), pool=pool, blobs=blobs, routes=Routes.default())
    assert spans.named("email.verify") == []
    cleaned = Redactor(None).text("Grace Hopper sent Quarterly figures", known)
    assert "Grace" not in cleaned
    assert "Quarterly figures" not in cleaned


@pytest.mark.asyncio(loop_scope="module")
async def test_a_mail_that_is_none_fails_its_span_without_content(pool: WorkerPool, blobs: BlobStore, spans: Spans) -> None:
    with pytest.raises(EmailError, match="empty file"):
        await read_email(stored(blobs, b"\r\n"), pool=pool, blobs=blobs, routes=Routes.default())
    assert (spans.one("email.parse").attributes or {})["error.type"] == "EmailError"


def test_known_values_hold_everything_that_names_someone_forwarded_mails_too(blobs: BlobStore) -> None:
    inner = Email(subject="inner subject", sender=Address(name="Ada", address="ada@example.org"))
    part = Part(number="2", content_type="text/plain", filename="salaries.csv", attachment=True, blob=blobs.put(b"x"))
    email = Email(
        message_id="<1@x>", subject="outer", sender=Address(address="a@x"), cc=(Address(name="C", address="c@x"),), in_reply_to="<0@x>",
        references=("<r@x>",), attachments=(part,), forwarded=(inner,),
    )  # fmt: skip
    assert set(known_values(email)) == {
        "outer", "<1@x>", "<0@x>", "<r@x>", "a@x", "C", "c@x", "salaries.csv", "inner subject", "Ada", "ada@example.org",
    }  # fmt: skip
