"""Digests by HTTP POST, signed after the Standard Webhooks specification, so that existing verifiers work."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime

import httpx
from opentelemetry.trace import Span

from otel_autopilot.pipeline.delivery import tls
from otel_autopilot.pipeline.delivery.attempt import Refused, Uncertain
from otel_autopilot.pipeline.delivery.options import DeliveryOptions
from otel_autopilot.pipeline.delivery.outbox import MaySend
from otel_autopilot.pipeline.delivery.targets import Target
from otel_autopilot.pipeline.messages import Digest
from otel_autopilot.pipeline.threads import in_thread
from otel_autopilot.telemetry import names
from otel_autopilot.telemetry.spans import set_attributes

#: Answers besides 5xx that may be another next time: Request Timeout, Too Early, Too Many Requests.
_MAY_PASS = frozenset({408, 425, 429})
#: Share of a try's time that connecting, and then the TLS handshake, may take: cut short from outside, the library leaks its socket.
_CONNECT_SHARE = 0.45


def body_of(digest: Digest, run_id: str) -> bytes:
    """What is posted: the run's id and the digest in its three forms, as UTF-8 JSON."""
    content = {
        "type": "digest.created",
        "run_id": run_id,
        "digest": {
            "title": digest.title, "markdown": digest.markdown, "html": digest.html, "text": digest.text,
            "key_points": [point.text for point in digest.key_points], "keywords": list(digest.keywords),
        },
    }  # fmt: skip
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """``webhook-signature``: HMAC-SHA256 of "id.timestamp.body" (Standard Webhooks, symmetric)."""
    digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"


class _Held(Exception):
    """The digest must not be sent after all."""


async def post(digest: Digest, target: Target, options: DeliveryOptions, run_id: str, current: Span, may_send: MaySend) -> bool:
    """One try. Redirects are refused: a digest goes where the operator said. Of the answer, only its head is read.

    ``may_send`` is asked once the connection stands, before the body; False is returned when it says no.

    Raises Refused (408, 425, 429 and 5xx may pass) and Uncertain when the connection broke after the body was on its way.
    """
    body = body_of(digest, run_id)
    sent = False

    async def content() -> AsyncIterator[bytes]:
        nonlocal sent
        if not await may_send():
            raise _Held
        sent = True
        yield body

    try:
        async with asyncio.timeout(options.timeout_seconds):
            # A bare transport: a client would log each URL, secrets and all, and could follow redirects.
            async with httpx.AsyncHTTPTransport(verify=await in_thread(tls.for_webhooks), trust_env=False) as transport:
                request = httpx.Request(
                    "POST", target.url, content=content(), headers=_headers(body, options, run_id),
                    extensions={"timeout": {"connect": options.timeout_seconds * _CONNECT_SHARE}},
                )  # fmt: skip
                response = await transport.handle_async_request(request)
                try:
                    set_attributes(current, {names.HTTP_STATUS: response.status_code})
                    _judge(response)
                finally:
                    await response.aclose()
    except _Held:
        return False
    # What the library says may hold the URL, and the URL a secret: it doesn't become the cause of ours.
    except httpx.InvalidURL:
        raise Refused("the webhook's URL can't be used: write it as https://host/path", retryable=False) from None
    except (httpx.HTTPError, OSError, TimeoutError) as error:
        if sent:
            raise Uncertain(
                f"the connection broke after the digest was sent and before an answer ({type(error).__name__})"
            ) from None
        raise _unreachable(error) from None
    return True


def _unreachable(error: Exception) -> Refused:
    """What the operating system or TLS said, deep in the chain of causes, in words that hold no URL."""
    cause: BaseException | None = error
    why = type(error).__name__
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Refused(f"the webhook's certificate isn't trusted ({cause.verify_message})", retryable=False, host=True)
        if isinstance(cause, ssl.SSLError):
            why = cause.reason or why
        elif isinstance(cause, socket.gaierror):
            why = "its host isn't known"
        elif isinstance(cause, OSError) and cause.errno:
            why = os.strerror(cause.errno)
        cause = cause.__cause__ or cause.__context__
    return Refused(f"the webhook can't be reached ({why})", retryable=True, host=True)


def _headers(body: bytes, options: DeliveryOptions, run_id: str) -> dict[str, str]:
    now = int(time.time())
    headers = {
        "content-type": "application/json", "content-length": str(len(body)), "user-agent": "otel-autopilot",
        "webhook-id": run_id, "webhook-timestamp": str(now), "idempotency-key": run_id,
    }  # fmt: skip
    key = options.webhook_key()
    if key is not None:
        headers["webhook-signature"] = sign(key, run_id, now, body)
    return headers


def _judge(response: httpx.Response) -> None:
    code = response.status_code
    if 200 <= code < 300:
        return
    if 300 <= code < 400:
        raise Refused(f"the webhook answered {code}: redirects are not followed, set the target to where it leads", retryable=False)
    raise Refused(
        f"the webhook answered {code}", retryable=code >= 500 or code in _MAY_PASS, host=code >= 500,
        wait_seconds=retry_after(response.headers.get("retry-after")),
    )  # fmt: skip


def retry_after(value: str | None) -> float | None:
    """Seconds that a server asks to wait (RFC 9110 section 10.2.3), or None when it doesn't say so in a way that is understood."""
    if not value:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
