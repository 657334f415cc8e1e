"""One SMTP client's conversation (RFC 5321), on aiosmtpd; the bytes of a mail go to disk as they come.

aiosmtpd gathers a mail in memory line by line before it hands it on. Here DATA writes to the blob store instead, so that a
large mail costs neither memory nor a pause of the others, and a client that keeps sending isn't cut off by the idle limit.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from typing import Any, Protocol

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword, Session
from aiosmtpd.smtp import Envelope as SmtpEnvelope

from otel_autopilot.pipeline.blobs import BlobStore, BlobWriter
from otel_autopilot.pipeline.messages import Blob
from otel_autopilot.pipeline.threads import in_thread

#: Recipients of one mail (RFC 5321 section 4.5.3.1.8 asks for at least 100).
RECIPIENT_LIMIT = 1_000
#: Bytes gathered before they are written.
_CHUNK_BYTES = 262_144
#: Longest time for one mail, in seconds, however steadily it dribbles.
_DATA_SECONDS = 3_600.0
#: AUTH commands of one connection; every other command: more than anyone sends.
COMMAND_LIMITS = {"AUTH": 5, "*": 100_000}

#: A path in angle brackets; a quoted local part may hold anything.
_MAIL = re.compile(r'FROM:\s*<(?:"[^"]*"|[^<>\s"])*>(?:\s|$)', re.IGNORECASE)
_RCPT = re.compile(r'TO:\s*<(?:"[^"]*"|[^<>\s"])+>(?:\s|$)', re.IGNORECASE)

TOO_LARGE = "552 5.3.4 the mail is larger than this server takes"
SHUTTING_DOWN = "421 4.3.2 shutting down, try again later"


class Intake(Protocol):
    """What a conversation needs of the server."""

    blobs: BlobStore
    max_bytes: int
    has_users: bool

    @property
    def stopping(self) -> bool:
        """Whether no more mail is taken."""

    def joined(self, conversation: Conversation) -> None:
        """A client is there."""

    def left(self, conversation: Conversation) -> None:
        """It is gone."""

    def recipient_allowed(self, address: str) -> bool:
        """Whether mail is taken for this recipient: never for others to pass on."""

    def password_is_good(self, user: bytes, password: bytes) -> bool:
        """Whether the password is the user's; blocks."""

    async def take(self, blob: Blob, envelope: SmtpEnvelope, session: Session, started_unix_nano: int) -> str:
        """Ask the parent to take a stored mail, and return the reply for the client."""


class Conversation(SMTP):
    """One connection. `receiving` is true from DATA to its reply."""

    #: RFC 5321 says 1,000; mail programs send paragraphs in one line all the same, and other servers take them.
    line_length_limit = 65_536

    def __init__(self, intake: Intake, **options: Any) -> None:
        super().__init__(_Answers(intake), command_call_limit=COMMAND_LIMITS, **options)
        self._intake = intake
        self.receiving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called again after STARTTLS, with the encrypted transport."""
        self._intake.joined(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """The client or the network ended it."""
        self._intake.left(self)
        super().connection_lost(error)

    def dismiss(self) -> None:
        """Tell the client to come again later, and close."""
        self._last_word(SHUTTING_DOWN)

    def _last_word(self, reply: str) -> None:
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.write(reply.encode() + b"\r\n")
            self.transport.close()

    async def auth_PLAIN(self, _: Any, args: list[str]) -> Any:
        """AUTH PLAIN, the password checked off the event loop."""
        return await self._checked(await super().auth_PLAIN(_, args))

    async def auth_LOGIN(self, _: Any, args: list[str]) -> Any:
        """AUTH LOGIN, the password checked off the event loop."""
        return await self._checked(await super().auth_LOGIN(_, args))

    async def _checked(self, result: Any) -> Any:
        if not isinstance(result, AuthResult) or not isinstance(result.auth_data, LoginPassword):
            return result
        good = await in_thread(self._intake.password_is_good, result.auth_data.login, result.auth_data.password)
        return AuthResult(success=good, handled=False, auth_data=result.auth_data)

    async def smtp_MAIL(self, arg: str | None) -> None:
        """MAIL, with the address in angle brackets as RFC 5321 section 4.1.1.2 has it."""
        if _MAIL.match(arg or ""):
            await super().smtp_MAIL(arg)
        else:
            await self.push("501 5.5.4 Syntax: MAIL FROM:<address>")

    async def smtp_RCPT(self, arg: str | None) -> None:
        """RCPT, the same."""
        if _RCPT.match(arg or "") or self.envelope is None or self.envelope.mail_from is None:
            await super().smtp_RCPT(arg)
        else:
            await self.push("501 5.5.4 Syntax: RCPT TO:<address>")

    async def smtp_DATA(self, arg: str) -> None:
        """DATA: receive, store, ask, answer."""
        if await self.check_helo_needed() or await self.check_auth_needed("DATA"):
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        if self.envelope is None or not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 need RCPT before DATA")
            return
        if self._intake.stopping:
            self.dismiss()
            return
        self.receiving = True
        try:
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            await self.push(await self._receive())
            self.envelope = self._create_envelope()
        finally:
            self.receiving = False
            if self._intake.stopping:
                self.dismiss()

    async def _receive(self) -> str:
        assert self.envelope is not None  # aiosmtpd sets both when the client connects
        assert self.session is not None
        started = time.time_ns()
        incoming = _Incoming(self._intake.blobs)
        try:
            size = await self._read_lines(incoming)
            self._reset_timeout(_DATA_SECONDS)  # the client waits for us now
            if size > self._intake.max_bytes:
                return TOO_LARGE
            blob = await incoming.stored()
            if isinstance(blob, str):
                return blob
            return await self._intake.take(blob, self.envelope, self.session, started)
        finally:
            incoming.discard()
            if self.transport is not None:
                self._reset_timeout()

    async def _read_lines(self, incoming: _Incoming) -> int:
        """Read to the lone dot, undoing dot-stuffing (RFC 5321 section 4.5.2); a bare LF never ends a line. Returns the size."""
        size, line_begins = 0, True
        now = asyncio.get_running_loop().time
        deadline, alive = now() + _DATA_SECONDS, now()
        while True:
            try:
                line = await self._reader.readuntil(b"\r\n")
            except asyncio.LimitOverrunError as overrun:
                line = await self._reader.read(overrun.consumed)
            if line_begins and line == b".\r\n":
                return size
            if alive + 1.0 < now() < deadline:
                alive = now()
                self._reset_timeout()
            if line_begins and line.startswith(b"."):
                line = line[1:]
            line_begins = line.endswith(b"\r\n")
            size += len(line)
            if size > self._intake.max_bytes:
                incoming.discard()
                if size > 2 * self._intake.max_bytes + _CHUNK_BYTES:  # no end to it: no more of it is read
                    self._last_word(TOO_LARGE)
                    raise ConnectionResetError
            else:
                await incoming.add(line)


class _Incoming:
    """A mail on its way to disk. A disk that fails is told at the end: the client has to be listened to until then."""

    def __init__(self, blobs: BlobStore) -> None:
        self._buffer = bytearray()
        self._writer: BlobWriter | None = None
        self._failure: str | None = None
        try:
            self._writer = blobs.writer()
        except OSError as error:
            self._fail(error)

    async def add(self, line: bytes) -> None:
        self._buffer += line
        if len(self._buffer) >= _CHUNK_BYTES:
            await self._flush()

    async def _flush(self) -> None:
        chunk, self._buffer = bytes(self._buffer), bytearray()
        if self._writer is None:
            return
        try:
            await in_thread(self._writer.write, chunk)
        except OSError as error:
            self._fail(error)

    async def stored(self) -> Blob | str:
        """The blob, synced to disk, or the reply that says why there is none."""
        await self._flush()
        if self._writer is not None:
            try:
                return await in_thread(self._writer.commit, durable=True)
            except OSError as error:
                self._fail(error)
        return self._failure or "451 4.3.0 could not be stored, try again later"

    def _fail(self, error: OSError) -> None:
        self._failure = f"451 4.3.0 could not be stored ({error.strerror or 'I/O error'}), try again later"
        self.discard()

    def discard(self) -> None:
        """Leave no file behind; does nothing after the blob was stored."""
        writer, self._writer = self._writer, None
        self._buffer.clear()
        if writer is not None:
            try:
                writer.discard()
            except OSError as error:  # a full disk again, when the last bytes are flushed: the file goes all the same
                self._failure = self._failure or f"451 4.3.0 could not be stored ({error.strerror}), try again later"


class _Answers:
    """The hooks that aiosmtpd calls."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def handle_EHLO(
        self, _server: SMTP, session: Session, _envelope: SmtpEnvelope, hostname: str, responses: list[str]
    ) -> Sequence[str]:
        session.host_name = hostname
        offered = [line for line in responses if self._intake.has_users or not line.startswith("250-AUTH")]
        return [*offered[:-1], "250-PIPELINING", offered[-1]]

    async def handle_MAIL(self, _server: SMTP, _session: Session, envelope: SmtpEnvelope, address: str, options: list[str]) -> str:
        if self._intake.stopping:
            return SHUTTING_DOWN
        if refusal := _refusal(address):
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: SmtpEnvelope, address: str, options: list[str]) -> str:
        if refusal := _refusal(address):
            return refusal
        if "@" not in address and address.lower() != "postmaster":  # RFC 5321, 4.5.1: the only one without a domain
            return "553 5.1.3 expected an address with a domain"
        if not self._intake.recipient_allowed(address):
            return "550 5.7.1 mail for this recipient is not taken here"
        if len(envelope.rcpt_tos) >= RECIPIENT_LIMIT:
            return "452 4.5.3 too many recipients"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_exception(self, _error: Exception) -> str:
        """Whatever went wrong here is ours, and may pass: the client keeps the mail."""
        return "451 4.3.0 an error of this server, try again later"


def _refusal(address: str) -> str | None:
    """Why an address can't be taken down: it has bytes that are not UTF-8, or control characters."""
    if any(0xD800 <= ord(char) <= 0xDFFF or ord(char) < 0x20 or ord(char) == 0x7F for char in address):
        return "553 5.1.3 expected an address in ASCII or UTF-8"
    return None


class Refusal(asyncio.Protocol):
    """What a client gets when there are too many already."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say so, and close."""
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(b"421 4.3.2 too many connections, try again later\r\n")
            transport.close()
