"""uvicorn inside our event loop: a socket of our own, no signal handlers, and limits that it leaves to others."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import sys
from collections.abc import Iterator
from typing import Any

import h11
import orjson
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from otel_autopilot.errors import SettingsError
from otel_autopilot.web.guard import SECURITY_HEADERS
from otel_autopilot.web.problems import MEDIA_TYPE

#: A header larger than this is refused with 431, in bytes.
LARGEST_HEADER_BYTES = 32_768
#: How long a client may take to send a header, in seconds.
HEADER_SECONDS = 10.0
#: Connections at the same time; more are answered with 503.
MOST_CONNECTIONS = 2_000
#: Connections that wait to be accepted.
BACKLOG = 1_024


class HttpServer:
    """Serves an application until it is stopped.

    ``port`` is the real one after `start`, also where 0 asked for a free one; ``setting`` is what to change when it is taken.
    """

    def __init__(
        self, app: ASGIApp, host: str, port: int, *, drain_seconds: float = 10.0, setting: str = "AUTOPILOT_HTTP_PORT"
    ) -> None:
        self._host = host
        self.port = port
        self._setting = setting
        self._task: asyncio.Task[None] | None = None
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            # It warns of every client that sends garbage; what fails in the application is logged by the guard.
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=LARGEST_HEADER_BYTES,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=int(drain_seconds),
        )
        self._server = _Server(config)

    async def start(self) -> None:
        """Bind and serve; raises SettingsError when the port is taken or the address isn't ours."""
        listener = bind(self._host, self.port, self._setting)
        self.port = int(listener.getsockname()[1])
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="autopilot-http")
        while not self._server.started:
            if self._task.done():
                await self._task
                raise SettingsError(f"the HTTP server could not be started on {self._host}:{self.port}")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Accept no more connections, let the requests under way end within the drain time; a second call does nothing."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task
            self._task = None


def bind(host: str, port: int, setting: str = "AUTOPILOT_HTTP_PORT") -> socket.socket:
    """A listening socket; raises SettingsError, naming address and setting."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as error:
        raise SettingsError(f"AUTOPILOT_HTTP_HOST: {host}: expected an address of this machine ({error.strerror})") from error
    listener = socket.socket(family, kind, proto)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(
                f"port {port} on {host} is in use by another program; stop it, or set {setting} (0 takes a free port)"
            ) from error
        raise SettingsError(f"{host}:{port} can't be bound: {error.strerror}; set AUTOPILOT_HTTP_HOST and {setting}") from error
    listener.setblocking(False)
    return listener


class _Server(uvicorn.Server):
    """Signals belong to the command that runs us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Protocol(H11Protocol):
    """h11 with a limit on the time that a header takes, and problem details for what is no HTTP."""

    _header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._header_timer = self.loop.call_later(HEADER_SECONDS, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_header()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.trailing_data[0]:  # the next header has begun already
            self._watch_header()

    def _watch_header(self) -> None:
        """Start the clock of a header that has begun; stop it once the request is under way."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_timer()
        elif self._header_timer is None and not self.transport.is_closing():
            self._header_timer = self.loop.call_later(HEADER_SECONDS, self._too_slow)

    def send_400_response(self, msg: str) -> None:
        """Answer what h11 can't read."""
        hint = getattr(sys.exc_info()[1], "error_status_hint", 400)
        detail = f"expected a header of at most {LARGEST_HEADER_BYTES} bytes" if hint == 431 else msg
        self._answer(hint, detail)

    def _too_slow(self) -> None:
        self._header_timer = None
        if self.conn.our_state is h11.IDLE:
            self._answer(408, f"no whole header came within {HEADER_SECONDS:.0f} s")
        else:
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _answer(self, status: int, detail: str) -> None:
        title = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}.get(status, b"Error")
        body = orjson.dumps({"type": "about:blank", "title": title.decode(), "status": status, "detail": detail})
        headers: list[tuple[Any, Any]] = [
            ("content-type", MEDIA_TYPE), ("content-length", str(len(body))), ("connection", "close"),
            *((name.lower(), value) for name, value in SECURITY_HEADERS.items()),
        ]  # fmt: skip
        events = (h11.Response(status_code=status, headers=headers, reason=title), h11.Data(data=body), h11.EndOfMessage())
        try:
            for event in events:
                self.transport.write(self.conn.send(event) or b"")
        finally:
            self.transport.close()
