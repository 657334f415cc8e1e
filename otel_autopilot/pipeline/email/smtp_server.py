"""The SMTP server of the gateway, in a process of its own.

Taking a mail in costs this process memory and time, not the pipeline: one slow or huge mail delays neither the others nor
the API. The bytes are synced to disk here; then the parent is asked to take responsibility, and only its yes is a 250.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword, Session
from aiosmtpd.smtp import Envelope as SmtpEnvelope

from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.email.passwords import check_password, read_users
from otel_autopilot.pipeline.email.verify import matches
from otel_autopilot.pipeline.messages import Envelope, RawEmail

#: Recipients of one mail (RFC 5321 section 4.5.3.1.8 asks for at least 100).
RECIPIENT_LIMIT = 1_000
#: Connections at once; the next gets 421.
CONNECTION_LIMIT = 200
#: How long the parent may take to answer for a mail, in seconds.
ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class ServerOptions:
    """What the server takes and from whom."""

    blobs_root: Path
    max_bytes: int
    recipients: tuple[str, ...]
    """Addresses and @domains that mail is taken for; empty: any on loopback, none elsewhere."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    users_file: Path | None = None
    require_auth: bool = False
    idle_seconds: float = 300.0


@dataclass(frozen=True)
class Taken:
    """A stored mail that waits for the parent's answer."""

    number: int
    raw: RawEmail
    started_unix_nano: int


@dataclass(frozen=True)
class Answer:
    """What the client is told."""

    number: int
    reply: str


@dataclass(frozen=True)
class Stop:
    """The parent's wish to end; mails under way may end within ``grace_seconds``."""

    grace_seconds: float


def main(options: ServerOptions, listening: socket.socket, parent: Connection) -> None:
    """Run the server until the parent says `Stop` or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    asyncio.run(_Server(options, parent).serve(listening))


class _Server:
    def __init__(self, options: ServerOptions, parent: Connection) -> None:
        self._options = options
        self._parent = parent
        self._blobs = BlobStore(options.blobs_root)
        self._users = read_users(options.users_file) if options.users_file else {}
        self._tls = _tls_context(options)
        self._answers: dict[int, asyncio.Future[str]] = {}
        self._stop: asyncio.Future[float]
        self._lock = threading.Lock()
        self._number = 0
        self.connections = 0
        self.under_way = 0

    async def serve(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._stop = loop.create_future()
        threading.Thread(target=self._listen_to_parent, args=(loop,), daemon=True).start()
        loopback = ip_address(listening.getsockname()[0]).is_loopback
        server = await loop.create_server(lambda: self._protocol(loop, loopback), sock=listening)
        self._send(Answer(0, "ready"))
        grace = await self._stop
        server.close()
        deadline = time.monotonic() + grace
        while self.under_way and time.monotonic() < deadline:
            await asyncio.sleep(0.02)  # a counter, looked at for a moment before the end
        os._exit(0)  # what is still open is a client that has had no answer: it sends again

    def _protocol(self, loop: asyncio.AbstractEventLoop, loopback: bool) -> SMTP:
        return _Protocol(
            _Handler(self, loopback),
            data_size_limit=self._options.max_bytes,
            enable_SMTPUTF8=True,
            hostname=socket.gethostname(),
            ident="otel-autopilot",
            tls_context=self._tls,
            auth_required=self._options.require_auth,
            auth_require_tls=not loopback,
            authenticator=self._authenticate if self._users else None,
            timeout=self._options.idle_seconds,
            loop=loop,
        )

    def _authenticate(self, _server: SMTP, _session: Session, _envelope: SmtpEnvelope, mechanism: str, data: Any) -> AuthResult:
        if mechanism not in ("LOGIN", "PLAIN") or not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        good = check_password(self._users, data.login.decode("utf-8", "replace"), data.password)
        return AuthResult(success=good, handled=False)

    def _listen_to_parent(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            try:
                message = self._parent.recv()
            except (EOFError, OSError):
                os._exit(0)  # nobody is left to take responsibility
            if isinstance(message, Stop):
                loop.call_soon_threadsafe(self._end, message.grace_seconds)
            elif isinstance(message, Answer):
                loop.call_soon_threadsafe(self._answered, message)

    def _end(self, grace_seconds: float) -> None:
        if not self._stop.done():
            self._stop.set_result(grace_seconds)

    def _answered(self, answer: Answer) -> None:
        waiting = self._answers.pop(answer.number, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer.reply)

    def _send(self, message: object) -> None:
        with self._lock:
            self._parent.send(message)

    async def take(self, content: bytes, envelope: SmtpEnvelope, session: Session, started: int) -> str:
        """Store a mail, ask the parent, and return the reply for the client."""
        if self._stop.done():
            return "421 4.3.2 shutting down, try again later"
        self.under_way += 1
        try:
            try:
                blob = await asyncio.to_thread(self._blobs.put, content, durable=True)
            except OSError as error:
                return f"451 4.3.0 could not be stored ({error.strerror or 'I/O error'}), try again later"
            raw = RawEmail(
                blob=blob,
                envelope=Envelope(
                    source="smtp", sender=envelope.mail_from, recipients=tuple(envelope.rcpt_tos),
                    authenticated=bool(session.authenticated), received_unix_nano=started, stored_unix_nano=time.time_ns(),
                ),
            )  # fmt: skip
            self._number += 1
            number = self._number
            self._answers[number] = asyncio.get_running_loop().create_future()
            answer = self._answers[number]
            await asyncio.to_thread(self._send, Taken(number, raw, started))
            try:
                return await asyncio.wait_for(answer, ANSWER_SECONDS)
            except TimeoutError:
                self._answers.pop(number, None)
                return "451 4.3.0 the pipeline does not answer, try again later"
        finally:
            self.under_way -= 1

    def recipient_allowed(self, address: str, loopback: bool) -> bool:
        """Whether mail is taken for this recipient: never for others to pass on."""
        if not self._options.recipients:
            return loopback
        return matches(address, self._options.recipients)


class _Protocol(SMTP):
    """Knows when a mail's first byte came, and how many clients there are."""

    #: RFC 5321 says 1,000; mail programs send paragraphs in one line all the same, and other servers take them.
    line_length_limit = 1_000_000

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.event_handler.server.connections += 1
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.event_handler.server.connections -= 1
        super().connection_lost(error)

    async def smtp_DATA(self, arg: str | None) -> None:  # aiosmtpd's name
        """DATA: from here on the mail is on its way."""
        self.event_handler.started_unix_nano = time.time_ns()
        await super().smtp_DATA(arg)


class _Handler:
    def __init__(self, server: _Server, loopback: bool) -> None:
        self.server = server
        self.started_unix_nano = 0
        self._loopback = loopback

    async def handle_EHLO(  # aiosmtpd's name
        self, _server: SMTP, session: Session, _envelope: SmtpEnvelope, hostname: str, responses: list[str]
    ) -> Sequence[str]:
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, _server: SMTP, _session: Session, envelope: SmtpEnvelope, address: str, options: list[str]) -> str:
        if self.server.connections > CONNECTION_LIMIT:
            return "421 4.3.2 too many connections, try again later"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: SmtpEnvelope, address: str, options: list[str]) -> str:
        if not self.server.recipient_allowed(address, self._loopback):
            return "550 5.7.1 mail for this recipient is not taken here"
        if len(envelope.rcpt_tos) >= RECIPIENT_LIMIT:
            return "452 4.5.3 too many recipients"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: SmtpEnvelope) -> str:
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        envelope.content = envelope.original_content = None  # the only other reference: a large mail is held once
        return await self.server.take(content, envelope, session, self.started_unix_nano or time.time_ns())


def _tls_context(options: ServerOptions) -> ssl.SSLContext | None:
    if options.tls_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(options.tls_certificate, options.tls_key)
    return context
