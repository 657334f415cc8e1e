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
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Session
from aiosmtpd.smtp import Envelope as SmtpEnvelope

from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.email.passwords import check_password, read_users
from otel_autopilot.pipeline.email.smtp_protocol import Conversation, Refusal
from otel_autopilot.pipeline.email.verify import matches
from otel_autopilot.pipeline.messages import Blob, Envelope, RawEmail
from otel_autopilot.pipeline.threads import in_thread

#: Connections at once; the next gets 421.
CONNECTION_LIMIT = 200
#: How long the parent may take to answer for a mail, in seconds.
ANSWER_SECONDS = 60.0
#: How long the last replies may take to reach their clients when the server ends, in seconds.
FLUSH_SECONDS = 1.0


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
    """The `Intake` of all conversations."""

    def __init__(self, options: ServerOptions, parent: Connection) -> None:
        self._options = options
        self._parent = parent
        self.blobs = BlobStore(options.blobs_root)
        self.max_bytes = options.max_bytes
        self._users = read_users(options.users_file) if options.users_file else {}
        self.has_users = bool(self._users)
        self._tls = _tls_context(options)
        self._answers: dict[int, asyncio.Future[str]] = {}
        self._stop: asyncio.Future[float]
        self._lock = threading.Lock()
        self._number = 0
        self._loopback = False
        self._conversations: set[Conversation] = set()
        self._nobody_left: asyncio.Event

    async def serve(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._stop = loop.create_future()
        self._nobody_left = asyncio.Event()
        self._loopback = ip_address(listening.getsockname()[0]).is_loopback
        threading.Thread(target=self._listen_to_parent, args=(loop,), daemon=True).start()
        server = await loop.create_server(lambda: self._protocol(loop), sock=listening)
        self._send(Answer(0, "ready"))
        grace = await self._stop
        server.close()
        await self._dismiss(lambda conversation: not conversation.receiving, grace)
        await self._dismiss(lambda _conversation: True, FLUSH_SECONDS)
        os._exit(0)

    async def _dismiss(self, which: Callable[[Conversation], bool], seconds: float) -> None:
        """Dismiss some clients, and wait until all are gone; those that receive dismiss themselves after their answer."""
        for conversation in list(filter(which, self._conversations)):
            conversation.dismiss()
        if not self._conversations:
            return
        self._nobody_left.clear()
        try:
            await asyncio.wait_for(self._nobody_left.wait(), seconds)
        except TimeoutError:
            return

    def joined(self, conversation: Conversation) -> None:
        """A client is there, or has switched to TLS."""
        self._conversations.add(conversation)

    def left(self, conversation: Conversation) -> None:
        """A client is gone."""
        self._conversations.discard(conversation)
        if not self._conversations:
            self._nobody_left.set()

    @property
    def stopping(self) -> bool:
        """Whether no more mail is taken."""
        return self._stop.done()

    def _protocol(self, loop: asyncio.AbstractEventLoop) -> asyncio.BaseProtocol:
        if len(self._conversations) >= CONNECTION_LIMIT or self.stopping:
            return Refusal()
        return Conversation(
            self,
            data_size_limit=self.max_bytes,
            enable_SMTPUTF8=True,
            hostname=socket.gethostname(),
            ident="otel-autopilot",
            tls_context=self._tls,
            auth_required=self._options.require_auth,
            auth_require_tls=self._tls is not None or not self._loopback,
            authenticator=_put_off if self.has_users else None,
            timeout=self._options.idle_seconds,
            loop=loop,
        )

    def password_is_good(self, user: bytes, password: bytes) -> bool:
        """Whether the password is the user's; takes the time that scrypt takes."""
        return check_password(self._users, user.decode("utf-8", "replace"), password)

    def recipient_allowed(self, address: str) -> bool:
        """Whether mail is taken for this recipient."""
        if not self._options.recipients:
            return self._loopback
        return matches(address, self._options.recipients)

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

    async def take(self, blob: Blob, envelope: SmtpEnvelope, session: Session, started_unix_nano: int) -> str:
        """Ask the parent to take a stored mail, and return the reply for the client."""
        raw = RawEmail(
            blob=blob,
            envelope=Envelope(
                source="smtp",
                sender=""
                if envelope.mail_from == "<>"
                else envelope.mail_from,  # the library keeps the brackets of the null sender
                recipients=tuple(envelope.rcpt_tos),
                authenticated=bool(session.authenticated),
                received_unix_nano=started_unix_nano,
                stored_unix_nano=time.time_ns(),
            ),
        )
        self._number += 1
        number = self._number
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            await in_thread(self._send, Taken(number, raw, started_unix_nano))
            return await asyncio.wait_for(answer, ANSWER_SECONDS)
        except TimeoutError:
            return "451 4.3.0 the pipeline does not answer, try again later"
        finally:
            self._answers.pop(number, None)


def _put_off(_server: SMTP, _session: Session, _envelope: SmtpEnvelope, _mechanism: str, data: Any) -> AuthResult:
    """No verdict yet: `Conversation` checks the password off the event loop."""
    return AuthResult(success=False, handled=False, auth_data=data)


def _tls_context(options: ServerOptions) -> ssl.SSLContext | None:
    if options.tls_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(options.tls_certificate, options.tls_key)
    return context
