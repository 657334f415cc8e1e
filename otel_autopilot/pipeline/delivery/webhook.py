"""Digests by HTTP POST, signed after the Standard Webhooks specification, so that existing verifiers work."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from email.utils import parsedate_to_datetime

import httpx
from opentelemetry.trace import Span

from otel_autopilot.pipeline.delivery.attempt import Refused, Uncertain
from otel_autopilot.pipeline.delivery.options import DeliveryOptions
from otel_autopilot.pipeline.delivery.targets import Target
from otel_autopilot.pipeline.messages import Digest
from otel_autopilot.telemetry import names
from otel_autopilot.telemetry.spans import set_attributes

#: Most of an answer that is read, in bytes.
ANSWER_BYTES = 65_536
_MAY_PASS = {408, 425, 429, 500, 502, 503, 504}


def body_of(digest: Digest, run_id: str) -> bytes:
    """What is posted: the run's id and the digest in its three forms."""
    content = {
        "type": "digest.created",
        "run_id": run_id,
        "digest": {
            "title": digest.title, "markdown": digest.markdown, "html": digest.html, "text": digest.text,
            "key_points": [point.text for point in digest.key_points], "keywords": list(digest.keywords),
        },
    }  # fmt: skip
    return json.dumps(content, ensure_ascii=False).encode()


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """``webhook-signature``: HMAC-SHA256 of "id.timestamp.body"; a secret that begins with ``whsec_`` is base64."""
    key = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


async def post(digest: Digest, target: Target, options: DeliveryOptions, run_id: str, current: Span) -> None:
    """One try. Redirects are refused: a digest goes where the operator said.

    Raises Refused (408, 425, 429 and 5xx may pass) and Uncertain when the connection broke after the body was sent.
    """
    body = body_of(digest, run_id)
    now = int(time.time())
    headers = {
        "content-type": "application/json", "webhook-id": run_id, "webhook-timestamp": str(now), "idempotency-key": run_id,
        "user-agent": "otel-autopilot",
    }  # fmt: skip
    if options.webhook_secret:
        headers["webhook-signature"] = sign(options.webhook_secret, run_id, now, body)
    limits = httpx.Timeout(options.timeout_seconds)
    try:
        async with (
            asyncio.timeout(options.timeout_seconds),
            httpx.AsyncClient(timeout=limits, follow_redirects=False, trust_env=False) as client,
            client.stream("POST", target.url, content=body, headers=headers) as response,
        ):
            set_attributes(current, {names.HTTP_STATUS: response.status_code})
            _judge(response)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
        raise Refused(f"the webhook can't be reached ({type(error).__name__})", retryable=True) from error
    except (httpx.HTTPError, TimeoutError) as error:
        raise Uncertain(f"the connection broke after the digest was sent and before an answer ({type(error).__name__})") from error


def _judge(response: httpx.Response) -> None:
    code = response.status_code
    if 200 <= code < 300:
        return
    if 300 <= code < 400:
        raise Refused(f"the webhook answered {code}: redirects are not followed, set the target to where it leads", retryable=False)
    raise Refused(
        f"the webhook answered {code}", retryable=code in _MAY_PASS, wait_seconds=_retry_after(response.headers.get("retry-after"))
    )


def _retry_after(value: str | None) -> float | None:
    """Seconds that the server asks to wait (RFC 9110 section 10.2.3), or None."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
