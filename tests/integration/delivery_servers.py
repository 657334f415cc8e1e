"""Servers on loopback that take digests, refuse them, or break off at a given point."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class Taken:
    """A mail as the server got it."""

    sender: str
    recipients: list[str]
    content: bytes
    options: list[str]
    tls: bool
    user: str | None


@dataclass
class MailServer:
    """A real SMTP server (aiosmtpd). ``answers`` are given to RCPT in order, then 250; ``after_data`` to the end of DATA."""

    port: int = 0
    taken: list[Taken] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=dict)
    after_data: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Every recipient of a RCPT."""
    quits: int = 0

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]) -> str:
        self.asked.append(address)
        waiting = self.answers.get(address, [])
        answer = waiting.pop(0) if waiting else "250 OK"
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:
        answer = self.after_data.pop(0) if self.after_data else "250 taken"
        if answer.startswith("2"):
            content = envelope.content
            assert isinstance(content, bytes)
            self.taken.append(
                Taken(
                    envelope.mail_from or "", list(envelope.rcpt_tos), content, list(envelope.mail_options), session.ssl is not None,
                    str(session.auth_data) if session.auth_data else None,
                )
            )  # fmt: skip
        return answer

    async def handle_QUIT(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:
        self.quits += 1
        return "221 bye"


def authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
    """Takes the user grace with the password right."""
    assert isinstance(data, LoginPassword)
    good = (data.login, data.password) == (b"grace", b"right")
    return AuthResult(success=good, handled=False, auth_data=data.login.decode())


@contextlib.asynccontextmanager
async def mail_server(*, ssl_context: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[MailServer]:
    """A running `MailServer`; ``ssl_context`` is for TLS from the first byte, ``tls_context`` for STARTTLS."""
    handler = MailServer()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="mail.example.org", loop=loop, **options), "127.0.0.1", 0, ssl=ssl_context
    )
    handler.port = server.sockets[0].getsockname()[1]
    try:
        yield handler
    finally:
        server.close()
        await server.wait_closed()


#: Where a `Breaking` server breaks: before it says anything, instead of an answer to these, in the middle of the content, after
#: its end.
POINTS = ("banner", "EHLO", "MAIL", "RCPT", "DATA", "content", "end")


@dataclass
class Breaking:
    """A server that drops the connection, or falls silent, at one point of the first conversations, then behaves."""

    point: str
    times: int = 1_000_000
    stall: bool = False
    refusals: int = 0
    """Answers of 451 to RCPT, before anything breaks."""
    port: int = 0
    conversations: int = 0
    reached: bool = False
    """The point was."""
    contents: list[bytes] = field(default_factory=list)
    """Every content of which the end was seen, answered or not."""
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def _breaks(self, at: str, broken: bool) -> bool:
        if at != self.point or not broken:
            return False
        self.reached = True
        if self.stall:
            await self.release.wait()
        return True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.conversations += 1
        try:
            await self._converse(reader, writer, self.conversations <= self.times)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, broken: bool) -> None:
        if await self._breaks("banner", broken):
            return
        writer.write(b"220 mail.example.org\r\n")
        while line := await reader.readline():
            verb = line[:4].decode().upper().strip()
            if await self._breaks(verb, broken):
                return
            if self.point == "handshake":
                writer.write(b"250-mail.example.org\r\n250 STARTTLS\r\n" if verb == "EHLO" else b"220 go on\r\n")
                if verb == "STAR":
                    await self._breaks("handshake", broken)
                    return
                continue
            if self.point == "nonsense":
                writer.write(b"what?\r\n")
                continue
            if verb == "RCPT" and self.refusals:
                self.refusals -= 1
                writer.write(b"451 later\r\n")
                continue
            if verb != "DATA":
                writer.write(b"221 bye\r\n" if verb == "QUIT" else b"250 OK\r\n")
                continue
            writer.write(b"354 go on\r\n")
            if self.point == "content":
                await reader.readline()
                if await self._breaks("content", broken):
                    return
            self.contents.append(await reader.readuntil(b"\r\n.\r\n"))
            if await self._breaks("end", broken):
                return
            writer.write(b"250 taken\r\n")


@contextlib.asynccontextmanager
async def breaking_server(point: str, *, times: int = 1_000_000, stall: bool = False, refusals: int = 0) -> AsyncIterator[Breaking]:
    """A running `Breaking` server."""
    breaking = Breaking(point, times, stall, refusals)
    async with _stream_server(breaking.serve) as port:
        breaking.port = port
        try:
            yield breaking
        finally:
            breaking.release.set()


@contextlib.asynccontextmanager
async def _stream_server(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], ssl_context: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)  # type: ignore[arg-type]

    server = await asyncio.start_server(begin, "127.0.0.1", 0, ssl=ssl_context)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await asyncio.wait_for(asyncio.gather(*tasks), 20)
        await server.wait_closed()


@dataclass
class Request:
    """A request as the server got it; names of headers in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class WebServer:
    """A real HTTP server. ``answers`` are (status, headers) in order; the last one is given again and again.

    A status of 0 drops the connection instead; "endless" sends a body that never ends, "stall" nothing.
    """

    port: int = 0
    answers: list[tuple[int | str, dict[str, str]]] = field(default_factory=lambda: [(200, {})])
    requests: list[Request] = field(default_factory=list)
    bytes_sent: int = 0
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.requests.append(Request(head[0].split()[1], headers, body))
            await self._answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        status, headers = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if status == 0:
            return
        if status == "stall":
            await self.release.wait()
            return
        endless = status == "endless"
        lines = [f"HTTP/1.1 {200 if endless else status} said", *(f"{name}: {value}" for name, value in headers.items())]
        lines += ["Connection: close", "Transfer-Encoding: chunked" if endless else "Content-Length: 0", "", ""]
        writer.write("\r\n".join(lines).encode())
        while endless:
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            await writer.drain()
            self.bytes_sent += 65_536


@contextlib.asynccontextmanager
async def web_server(ssl_context: ssl.SSLContext | None = None) -> AsyncIterator[WebServer]:
    """A running `WebServer`."""
    web = WebServer()
    async with _stream_server(web.serve, ssl_context) as port:
        web.port = port
        try:
            yield web
        finally:
            web.release.set()
