"""The one middleware around every route: access, limits, security headers, and no exception out of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from loguru import logger
from opentelemetry import trace
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from otel_autopilot.telemetry.spans import fail
from otel_autopilot.web.access import AccessPolicy
from otel_autopilot.web.problems import problem_response

#: On every response that does not say otherwise: nothing here is meant to be a page, or to be seen by one of another site.
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
#: Paths that anybody may ask: probes come with the address of the machine as Host, and learn nothing. The viewer's pages hold
#: no data: they ask its API for it.
OPEN_PATHS = ("/health/", "/view/")
#: What a browser's session is good for, in spite of `OPEN_PATHS`: reading what the viewer shows.
SESSION_PATHS = ("/view/api/",)
#: Where a browser shows the token, once.
SESSION_PATH = "/view/api/session"
SESSION_COOKIE = "autopilot_session"
#: How long a request without an upload may take, in seconds.
REQUEST_SECONDS = 30.0
#: How long an upload may take, in seconds; `uploads` limits the pause between two pieces.
UPLOAD_SECONDS = 600.0
#: After a refusal: what a client still sends is thrown away, so that it reads the answer instead of meeting a reset. Common clients
#: send all of a body before they read; a local one sends 100 MB in half a second.
LINGER_BYTES = 256_000_000
LINGER_SECONDS = 10.0


class BodyTooLarge(Exception):
    """More bytes came than a body may have."""


class Guard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, policy: AccessPolicy, max_body_bytes: int) -> None:
        self._app = app
        self._policy = policy
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        body = _Body(receive, self._max_body_bytes)
        refused = self._refused(scope)
        if refused is None:
            refused = await self._guarded(scope, body, answer)
        if refused is not None and not answer.started:
            await self._refuse(refused, scope, body, answer)

    def _refused(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        authorization = headers.get("authorization")
        scope["state"]["authenticated"] = self._policy.authenticated(authorization)
        path = scope["path"]
        viewing = path.startswith(SESSION_PATHS) and path != SESSION_PATH
        if viewing or not (path == "/" or path.startswith(OPEN_PATHS)):
            reading = viewing and scope["method"] in ("GET", "HEAD")
            refusal = self._policy.refusal(
                host=headers.get("host"), origin=headers.get("origin"), fetch_site=headers.get("sec-fetch-site"),
                authorization=authorization, session=_cookie(headers.get("cookie", "")) if reading else None,
            )  # fmt: skip
            if refusal is not None:
                challenge = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else {}
                return problem_response(refusal.status, refusal.detail, headers=challenge)
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_body_bytes:
            return self._too_large()
        return None

    async def _guarded(self, scope: Scope, body: _Body, answer: _Answer) -> Response | None:
        upload = scope["method"] not in ("GET", "HEAD")
        try:
            async with asyncio.timeout(UPLOAD_SECONDS if upload else REQUEST_SECONDS):
                await self._app(scope, body.receive, answer.send)
        except BodyTooLarge:
            return self._too_large()
        except TimeoutError:
            return problem_response(408 if upload else 503, "this took too long and was given up; try again")
        except Exception as error:  # noqa: BLE001  # recorded on the span and in the log, and answered
            fail(trace.get_current_span(), error)
            logger.opt(exception=error).error("a request failed unexpectedly")
            return problem_response(500, f"unexpected {type(error).__qualname__}; the log of this trace says more")
        return None

    def _too_large(self) -> Response:
        return problem_response(413, f"expected a body of at most {self._max_body_bytes} bytes (AUTOPILOT_HTTP_MAX_BODY_BYTES)")

    @staticmethod
    async def _refuse(response: Response, scope: Scope, body: _Body, answer: _Answer) -> None:
        if body.ended or scope["method"] in ("GET", "HEAD"):
            await response(scope, body.receive, answer.send)
            return
        response.headers["Connection"] = "close"
        await answer.send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
        await answer.send({"type": "http.response.body", "body": bytes(response.body), "more_body": True})
        await body.linger()
        await answer.send({"type": "http.response.body", "body": b""})


class _Body:
    """Counts what comes in."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._bytes = 0
        self.ended = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            self.ended = not message.get("more_body", False)
            if self._bytes > self._limit:
                raise BodyTooLarge
        else:
            self.ended = True
        return message

    async def linger(self) -> None:
        """Throw away what still comes, up to a limit."""
        left = LINGER_BYTES
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while left > 0 and not self.ended:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    self.ended = message["type"] != "http.request" or not message.get("more_body", False)
        except TimeoutError:
            return


class _Answer:
    """Adds the security headers, and knows whether an answer has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in _items():
                headers.setdefault(name, value)
        await self._send(message)


def _cookie(header: str) -> str | None:
    """The session in a Cookie header (RFC 6265, section 5.4)."""
    pairs = (pair.strip().partition("=") for pair in header.split(";"))
    return next((value for name, _, value in pairs if name == SESSION_COOKIE), None)


def _items() -> Iterable[tuple[str, str]]:
    return SECURITY_HEADERS.items()
