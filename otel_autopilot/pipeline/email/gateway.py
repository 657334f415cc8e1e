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
        self._process: BaseProcess | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._lock = threading.Lock()
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
        await self._start()
        self._watching = asyncio.create_task(self._watch(), name="autopilot-gateway-watch")

    async def _watch(self) -> None:
        """A child that died is replaced; what it had not handed over, its clients keep."""
        wait, longest = RESTART_SECONDS
        while True:
            await asyncio.shield(self._gone)
            logger.error("the SMTP gateway's process has died; it is started again")
            await asyncio.sleep(wait)
            try:
                await self._start()
                wait = RESTART_SECONDS[0]
            except AutopilotError as error:
                wait = min(longest, 2 * wait)
                logger.error("the SMTP gateway can't be started again: {}", error)

    async def _start(self) -> None:
        listening = self._bind()
        self.port = self._port = int(listening.getsockname()[1])
        context = children.spawn()
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=smtp_server.main, args=(self._options, listening, theirs), name="autopilot-gateway", daemon=True
        )
        await in_thread(self._process.start)
        theirs.close()
        listening.close()
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        self._gone: asyncio.Future[None] = loop.create_future()
        threading.Thread(
            target=self._listen, args=(self._connection, loop, ready, self._gone), name="autopilot-gateway", daemon=True
        ).start()
        await asyncio.wait((ready, self._gone), timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            self._process.kill()
            self._process = None
            raise AutopilotError(f"the SMTP gateway did not start within {START_SECONDS:g} s, or its process died")

    async def stop(self, grace_seconds: float = 10.0) -> None:
        """Take no more mail; what is under way is answered within the grace. A second call does nothing."""
        process, self._process = self._process, None
        if process is None:
            return
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        self._send(Stop(grace_seconds))
        try:
            await asyncio.wait_for(self._gone, grace_seconds + 5.0)
        except TimeoutError:
            process.kill()
        await in_thread(process.join)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._connection.close()

    @property
    def alive(self) -> bool:
        """Whether the child runs."""
        return self._process is not None and self._process.is_alive()

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

    def _send(self, message: object) -> None:
        with self._lock:
            try:
                self._connection.send(message)
            except (OSError, ValueError):
                logger.debug("the gateway's process is gone")

    def _listen(
        self, connection: Connection, loop: asyncio.AbstractEventLoop, ready: asyncio.Future[None], gone: asyncio.Future[None]
    ) -> None:
        while True:
            try:
                message = connection.recv()
            except (EOFError, OSError):
                break
            if isinstance(message, Taken):
                loop.call_soon_threadsafe(self._take, message)
            else:
                loop.call_soon_threadsafe(_settle, ready)
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, gone)

    def _take(self, taken: Taken) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(taken))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, taken: Taken) -> None:
        try:
            accepted = await self._accept(taken.raw, Received(taken.started_unix_nano))
            reply = f"250 2.0.0 {'accepted' if accepted.created else 'already accepted'} as {accepted.run_id}"
        except AutopilotError as error:
            logger.warning("a mail was not accepted: {}", error)
            reply = "451 4.3.0 not accepted, try again later"
        except Exception as error:  # noqa: BLE001  # whatever it is, the client keeps the mail and tries again
            logger.opt(exception=error).error("a mail could not be accepted")
            reply = "451 4.3.0 not accepted, try again later"
        await in_thread(self._send, Answer(taken.number, reply))


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
