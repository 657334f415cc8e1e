"""Digests posted to a real HTTP server on loopback."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import shutil
import ssl
import subprocess
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from otel_autopilot.errors import SettingsError
from otel_autopilot.pipeline.delivery import tls
from otel_autopilot.pipeline.delivery.attempt import new_breakers
from otel_autopilot.pipeline.delivery.outbox import MemoryOutbox
from otel_autopilot.pipeline.delivery.stage import DeliveryFailed, DeliveryOptions, deliver
from otel_autopilot.pipeline.delivery.targets import parse_target
from otel_autopilot.pipeline.delivery.webhook import retry_after
from otel_autopilot.pipeline.messages import Delivery, Digest, Email, KeyPoint
from tests.conftest import Spans
from tests.integration.delivery_servers import breaking_server, web_server

DIGEST = Digest(title="Größe", key_points=(KeyPoint(text="one"),), keywords=("k",), markdown="**w**", html="<p>w</p>", text="w")
KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


def options(**more: Any) -> DeliveryOptions:
    return DeliveryOptions(**{"first_wait_seconds": 0.01, "timeout_seconds": 10.0, **more})


async def send(
    port: int, path: str = "/hook", *, outbox: MemoryOutbox | None = None, run_id: str = "run-1", **more: Any
) -> Delivery:
    target = parse_target(f"http://127.0.0.1:{port}{path}")
    return await deliver(DIGEST, Email(), [target], run_id=run_id, outbox=outbox or MemoryOutbox(), options=options(**more))


@pytest.mark.parametrize(("secret", "key"), [(SECRET, KEY), ("plain words", b"plain words")])
async def test_a_digest_is_posted_as_json_and_its_signature_verifies(spans: Spans, secret: str, key: bytes) -> None:
    async with web_server() as web:
        (outcome,) = (await send(web.port, webhook_secret=secret)).outcomes
    assert (outcome.outcome, outcome.attempts, outcome.target) == ("delivered", 1, f"http://127.0.0.1:{web.port}/hook")
    (request,) = web.requests
    content = json.loads(request.body)
    assert (content["type"], content["run_id"], content["digest"]["title"]) == ("digest.created", "run-1", "Größe")
    # As the verifiers of Standard Webhooks do it.
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert hmac.compare_digest(request.headers["webhook-signature"], expected)
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 300
    assert (spans.one("webhook send").attributes or {})["http.response.status_code"] == 200


async def test_without_a_secret_there_is_no_signature() -> None:
    async with web_server() as web:
        await send(web.port)
    assert "webhook-signature" not in web.requests[0].headers


def test_a_secret_whose_base64_is_broken_is_a_setting_that_is_wrong_and_not_shown() -> None:
    with pytest.raises(SettingsError, match="AUTOPILOT_WEBHOOK_SECRET_FILE: expected base64 after whsec_") as raised:
        options(webhook_secret="whsec_n0t base64!")
    assert "n0t" not in str(raised.value)


async def test_every_try_has_the_same_idempotency_key_and_body_and_another_run_another_key() -> None:
    async with web_server() as web:
        web.answers = [(503, {}), (429, {}), (200, {})]
        (outcome,) = (await send(web.port, webhook_secret=SECRET)).outcomes
        await send(web.port, run_id="run-2")
    assert (outcome.outcome, outcome.attempts) == ("delivered", 3)
    keys = [request.headers["idempotency-key"] for request in web.requests]
    assert keys == ["run-1"] * 3 + ["run-2"]
    assert len({request.body for request in web.requests[:3]}) == 1
    assert [request.headers["webhook-id"] for request in web.requests] == keys


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_a_yes(status: int) -> None:
    async with web_server() as web:
        web.answers = [(status, {})]
        assert (await send(web.port)).outcomes[0].outcome == "delivered"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_what_may_pass_is_tried_again(status: int, spans: Spans) -> None:
    async with web_server() as web:
        web.answers = [(status, {}), (200, {})]
        assert (await send(web.port)).outcomes[0].outcome == "delivered"
    assert [span.attributes["http.response.status_code"] for span in spans.named("webhook send") if span.attributes] == [
        status,
        200,
    ]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 413, 415, 422])
async def test_other_refusals_are_not_tried_again(status: int) -> None:
    async with web_server() as web:
        web.answers = [(status, {})]
        with pytest.raises(DeliveryFailed, match=f"the webhook answered {status}$") as raised:
            await send(web.port)
    assert len(web.requests) == 1
    assert raised.value.retryable is False


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_refused_and_not_followed(status: int) -> None:
    async with web_server() as web, web_server() as elsewhere:
        web.answers = [(status, {"Location": f"http://127.0.0.1:{elsewhere.port}/"})]
        with pytest.raises(DeliveryFailed, match="redirects are not followed, set the target to where it leads"):
            await send(web.port)
    assert (len(web.requests), len(elsewhere.requests)) == (1, 0)


async def test_retry_after_is_honoured(spans: Spans) -> None:
    async with web_server() as web:
        web.answers = [(503, {"Retry-After": "1"}), (200, {})]
        await send(web.port)
    first, second = spans.named("webhook send")
    assert first.end_time is not None
    assert second.start_time is not None
    assert second.start_time - first.end_time >= 900_000_000, "the server asked for a second; the first wait is 0.01 s"


def test_retry_after_is_read_as_seconds_or_a_date_and_nonsense_is_not_read() -> None:
    assert retry_after("120") == 120.0
    assert 50 < (retry_after(formatdate(time.time() + 60, usegmt=True)) or 0) <= 61
    assert retry_after(formatdate(time.time() - 60, usegmt=True)) == 0.0
    for nonsense in (None, "", "soon", "-5", "²", "1e9", "Fri, 99 Foo 2026 00:00:00 GMT", "9" * 5000 + "x"):
        assert retry_after(nonsense) is None
    assert retry_after("9" * 5000) == 999_999_999.0


async def test_a_server_that_asks_for_a_day_is_not_waited_for_that_long() -> None:
    import tenacity

    from otel_autopilot.pipeline.delivery.attempt import LONGEST_WAIT_SECONDS, Refused, _wait

    state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    state.set_exception((Refused, Refused("later", retryable=True, wait_seconds=86_400.0), None))  # type: ignore[arg-type]
    assert _wait(state, 0.5) == LONGEST_WAIT_SECONDS


async def test_of_an_endless_answer_only_the_head_is_read() -> None:
    async with web_server() as web:
        web.answers = [("endless", {})]
        (outcome,) = (await send(web.port)).outcomes
    assert outcome.outcome == "delivered"
    assert web.bytes_sent < 20_000_000, "what the sockets hold, and no more"


async def test_rule_durability_no_answer_to_a_digest_that_was_sent_is_uncertain_and_it_is_not_sent_again(spans: Spans) -> None:
    outbox = MemoryOutbox()
    async with web_server() as web:
        web.answers = [(0, {})]
        (outcome,) = (await send(web.port, outbox=outbox)).outcomes
        web.answers = [(200, {})]
        (again,) = (await send(web.port, outbox=outbox)).outcomes
    assert (outcome.outcome, again.outcome, len(web.requests)) == ("uncertain", "uncertain", 1)
    assert outcome.error == again.error is not None
    assert (spans.one("webhook send").attributes or {})["autopilot.delivery.outcome"] == "uncertain"


async def test_a_server_that_falls_silent_is_uncertain_after_the_limit() -> None:
    async with web_server() as web:
        web.answers = [("stall", {})]
        (outcome,) = (await send(web.port, timeout_seconds=0.3)).outcomes
        web.release.set()
    assert (outcome.outcome, len(web.requests)) == ("uncertain", 1)


async def test_where_nobody_listens_another_attempt_may_help() -> None:
    async with breaking_server("banner") as closed:
        port = closed.port
    with pytest.raises(DeliveryFailed, match=r"the webhook can't be reached \(Connection refused\)") as raised:
        await send(port, attempts=2)
    assert raised.value.retryable


async def test_two_webhooks_apart_only_in_their_query_each_get_the_digest_and_the_query_shows_nowhere(spans: Spans) -> None:
    outbox = MemoryOutbox()
    async with web_server() as web:
        targets = [parse_target(f"http://127.0.0.1:{web.port}/hook?token={token}") for token in ("s3cret-a", "s3cret-b")]
        delivery = await deliver(DIGEST, Email(), targets, run_id="run-1", outbox=outbox, options=options())
    assert [outcome.outcome for outcome in delivery.outcomes] == ["delivered", "delivered"]
    assert sorted(request.path for request in web.requests) == ["/hook?token=s3cret-a", "/hook?token=s3cret-b"]
    shown = delivery.model_dump_json() + repr(targets) + " ".join(span.to_json() for span in spans.all)
    assert "s3cret" not in shown
    assert "s3cret" not in "".join(target.key for target in targets)


async def test_a_failing_webhook_shows_no_query_in_its_error_and_span(spans: Spans) -> None:
    async with breaking_server("banner") as closed:
        port = closed.port
    with pytest.raises(DeliveryFailed) as raised:
        await send(port, "/hook?token=s3cret", attempts=1)
    assert "s3cret" not in str(raised.value) + " ".join(span.to_json() for span in spans.all)


async def test_a_host_that_keeps_answering_5xx_rests_and_one_that_refuses_does_not() -> None:
    async with web_server() as web:
        web.answers = [(404, {})]
        shared: dict[str, Any] = {"breakers": new_breakers(failures=2, seconds=600), "attempts": 1}
        for number in range(4):
            with pytest.raises(DeliveryFailed, match="404"):
                await send(web.port, run_id=f"run-{number}", **shared)
        web.answers = [(500, {})]
        for number in range(2):
            with pytest.raises(DeliveryFailed, match="500"):
                await send(web.port, run_id=f"run-5-{number}", **shared)
        with pytest.raises(DeliveryFailed, match="not tried: 2 tries in a row"):
            await send(web.port, run_id="run-6", **shared)
    assert len(web.requests) == 6


async def test_a_host_that_takes_the_connection_and_never_shakes_hands_was_sent_nothing() -> None:
    async with breaking_server("banner", stall=True) as silent:
        target = parse_target(f"https://127.0.0.1:{silent.port}/hook")
        with pytest.raises(DeliveryFailed, match=r"the webhook can't be reached \(ConnectTimeout\)") as raised:
            await deliver(
                DIGEST, Email(), [target], run_id="run-1", outbox=MemoryOutbox(), options=options(timeout_seconds=0.5, attempts=1)
            )
        silent.release.set()
    assert raised.value.retryable


async def test_an_https_webhook_is_posted_to_where_its_certificate_is_vouched_for_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    tls.for_webhooks.cache_clear()
    async with web_server(ssl_context=context) as web:
        target = parse_target(f"https://localhost:{web.port}/hook")
        with pytest.raises(DeliveryFailed, match=r"the webhook's certificate isn't trusted \(self-signed certificate\)") as raised:
            await deliver(DIGEST, Email(), [target], run_id="run-1", outbox=MemoryOutbox(), options=options(attempts=1))
        assert web.requests == []
        assert not raised.value.retryable
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        tls.for_webhooks.cache_clear()
        await deliver(DIGEST, Email(), [target], run_id="run-1", outbox=MemoryOutbox(), options=options(attempts=1))
    tls.for_webhooks.cache_clear()
    assert len(web.requests) == 1
