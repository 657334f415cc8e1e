"""What `demo --fault` breaks: real servers that misbehave on loopback."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiosmtpd.controller import Controller


class _Refuses:
    """An SMTP handler that has no room, for ever."""

    async def handle_RCPT(self, *_: object) -> str:  # aiosmtpd's name
        return "451 4.3.2 system not accepting mail"


@contextmanager
def refusing_smtp_server() -> Iterator[int]:
    """An SMTP server that answers 451 to every recipient; yields its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    controller = Controller(_Refuses(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


class _Hangs(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        """Read, and never answer."""
        while self.request.recv(65_536):
            pass


@contextmanager
def hanging_model() -> Iterator[str]:
    """An HTTP endpoint that takes requests and never answers; yields its base URL."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Hangs)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def unused_port() -> Iterator[int]:
    """A port that is bound and not listened on: connections are refused, and nobody else takes it meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield int(bound.getsockname()[1])
