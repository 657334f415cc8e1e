"""The SMTP gateway as its parent sees it: a child process that hands over stored mails and waits for a yes."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Protocol

from loguru import logger

from otel_autopilot.errors import AutopilotError, SettingsError
from otel_autopilot.pipeline import children
from otel_autopilot.pipeline.email import smtp_server
from otel_autopilot.pipeline.email.passwords import read_users
from otel_autopilot.pipeline.email.smtp_server import Answer, ServerOptions, Stop, Taken
from otel_autopilot.pipeline.messages import RawEmail
from otel_autopilot.pipeline.threads import in_thread

if TYPE_CHECKING:
    from otel_autopilot.settings import Settings

#: How long the child may take to start, in seconds.
START_SECONDS = 30.0
#: How long it waits before it starts another child after one that died, in seconds: the first, and the longest wait.
RESTART_SECONDS = (0.5, 30.0)


@dataclass(frozen=True)
class Received:
    """What the server span of a mail needs: when its first byte came."""

    started_unix_nano: int


class AcceptedRun(Protocol):
    """What the gateway has to know of the run that a mail became."""

    @property
    def run_id(self) -> str:
        """Id for the client's log."""

    @property
    def created(self) -> bool:
        """False when the mail was there already."""


#: Takes responsibility for a stored mail, or raises.
Accept = Callable[[RawEmail, Received], Awaitable[AcceptedRun]]


class _Child:
    """One process of the gateway and the pipe to it.

    An answer goes to the child that asked: the next one counts its mails anew, and would take it for another's.
    """

    def __init__(self, process: BaseProcess, connection: Connection) -> None:
        self.process = process
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: object) -> None:
        """Send, or nothing where the process is gone. Blocking."""
        with self._lock:
            try:
                self._connection.send(message)
            except (OSError, ValueError):
                logger.debug("the gateway's process is gone")

    def listen(self, loop: asyncio.AbstractEventLoop, take: Callable[[_Child, Taken], None]) -> None:
        """Hand on what the child says until it is gone. Blocking: runs in a thread of its own."""
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                break
            if isinstance(message, Taken):
                loop.call_soon_threadsafe(take, self, message)
            else:
                loop.call_soon_threadsafe(_settle, self.ready)
        with self._lock:
            self._connection.close()
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, self.gone)


class Gateway:
    """Listens on ``host:port`` (0 takes a free port, see `port`) and passes each stored mail to ``accept``.

    The client gets ``250 2.0.0 accepted as RUN_ID`` only after ``accept`` returned; when it raises, a 451, and the client
    tries again later.
    """

    def __init__(self, options: ServerOptions, *, host: str, port: int, accept: Accept) -> None:
        self._options = options
        self._host = host
        self._port = port
        self._accept = accept
        self._child: _Child | None = None
        self._watching: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = port

    @classmethod
    def from_settings(cls, settings: Settings, *, accept: Accept) -> Gateway:
        """A gateway as the settings say."""
        options = ServerOptions(
            blobs_root=settings.blobs_dir,
            max_bytes=settings.smtp_max_bytes,
            recipients=settings.smtp_recipients,
            tls_certificate=settings.smtp_tls_certificate,
            tls_key=settings.smtp_tls_key,
            users_file=settings.smtp_users_file,
            require_auth=settings.smtp_require_auth,
        )
        return cls(options, host=settings.smtp_host, port=settings.smtp_port, accept=accept)

    async def start(self) -> None:
        """Bind, start the child and wait until it answers; raises SettingsError for a busy port, bad users or certificates."""
        self._check()
        child = await self._start()
        self._watching = asyncio.create_task(self._watch(child), name="autopilot-gateway-watch")

    async def stop(self, grace_seconds: float = 10.0) -> None:
        """Take no more mail; what is under way is answered within the grace. A second call does nothing."""
        watching, self._watching = self._watching, None
        if watching is None:
            return
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        child, self._child = self._child, None
        if child is not None:
            child.send(Stop(grace_seconds))
            try:
                await asyncio.wait_for(asyncio.shield(child.gone), grace_seconds + 5.0)
            except TimeoutError:
                child.process.kill()
            await in_thread(child.process.join)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, child: _Child) -> None:
        """A child that died is replaced; what it had not handed over, its clients keep."""
        wait, longest = RESTART_SECONDS
        while True:
            await asyncio.shield(child.gone)
            logger.error("the SMTP gateway's process has died; it is started again")
            await asyncio.sleep(wait)
            try:
                child = await self._start()
                wait = RESTART_SECONDS[0]
            except (AutopilotError, OSError) as error:
                wait = min(longest, 2 * wait)
                logger.error("the SMTP gateway can't be started again: {}", error)

    async def _start(self) -> _Child:
        context = children.spawn()
        connection, theirs = context.Pipe()
        with self._bind() as listening, theirs:
            self.port = self._port = int(listening.getsockname()[1])
            process = context.Process(
                target=smtp_server.main, args=(self._options, listening, theirs), name="autopilot-gateway", daemon=True
            )
            await in_thread(process.start)
        child = self._child = _Child(process, connection)
        threading.Thread(
            target=child.listen, args=(asyncio.get_running_loop(), self._take), name="autopilot-gateway", daemon=True
        ).start()
        await asyncio.wait((child.ready, child.gone), timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not child.ready.done():
            process.kill()
            self._child = None
            raise AutopilotError(f"the SMTP gateway did not start within {START_SECONDS:g} s, or its process died")
        return child

    @property
    def alive(self) -> bool:
        """Whether the child runs."""
        return self._child is not None and self._child.process.is_alive()

    def _check(self) -> None:
        options = self._options
        if options.users_file is not None:
            read_users(options.users_file)
        elif options.require_auth:
            raise SettingsError("AUTOPILOT_SMTP_REQUIRE_AUTH: expected AUTOPILOT_SMTP_USERS_FILE too, which is not set")
        try:
            smtp_server._tls_context(options)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"AUTOPILOT_SMTP_TLS_CERTIFICATE: {options.tls_certificate}: {error.strerror or error}") from error

    def _bind(self) -> socket.socket:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)[0]
            listening = socket.socket(family, kind, protocol)
        except socket.gaierror as error:
            raise SettingsError(f"AUTOPILOT_SMTP_HOST: expected an address of this machine, got {self._host!r}") from error
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
            listening.listen(256)
        except OSError as error:
            listening.close()
            raise SettingsError(
                f"the SMTP gateway can't listen on {self._host}:{self._port} ({error.strerror}); "
                "stop what listens there, or set AUTOPILOT_SMTP_PORT (--smtp-port)"
            ) from error
        return listening

    def _take(self, child: _Child, taken: Taken) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(child, taken))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, child: _Child, taken: Taken) -> None:
        try:
            accepted = await self._accept(taken.raw, Received(taken.started_unix_nano))
            reply = f"250 2.0.0 {'accepted' if accepted.created else 'already accepted'} as {accepted.run_id}"
        except AutopilotError as error:
            logger.warning("a mail was not accepted: {}", error)
            reply = "451 4.3.0 not accepted, try again later"
        except Exception as error:  # noqa: BLE001  # whatever it is, the client keeps the mail and tries again
            logger.opt(exception=error).error("a mail could not be accepted")
            reply = "451 4.3.0 not accepted, try again later"
        await in_thread(child.send, Answer(taken.number, reply))


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
