"""The whole receiver inside a process that has an event loop: the lease of the data directory, gRPC and HTTP, on one store."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import TracebackType

from otel_autopilot.local.receiver.grpc_server import GrpcServer
from otel_autopilot.local.receiver.http_app import OtlpHttp
from otel_autopilot.local.receiver.lease import Holder, ReceiverLease, holder
from otel_autopilot.local.receiver.limits import Limits
from otel_autopilot.local.receiver.receiver import Receiver
from otel_autopilot.local.store import TraceStore
from otel_autopilot.telemetry.redactor import RedactionRules
from otel_autopilot.web.access import AccessPolicy
from otel_autopilot.web.guard import Guard
from otel_autopilot.web.server import HttpServer

HOST = "127.0.0.1"
HTTP_SETTING = "AUTOPILOT_OTLP_HTTP_PORT"
#: How long requests under way may take to end, in seconds.
GRACE_SECONDS = 5.0
_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
#: The guard's own limit is no use here: the receiver counts bytes itself, with words of OTLP.
_NO_LIMIT = 1 << 62


class EmbeddedReceiver:
    """Receives on loopback between `start` and `stop`, or finds that another process does so for the same data directory.

    Arguments:
        store: where everything goes; it stays open when this stops.
        data_dir: the directory whose lease is taken.
        grpc_port, http_port: 0 takes a free one.
        limits: what is taken at once.
        rules: what a user adds to the redaction.
    """

    def __init__(
        self, store: TraceStore, data_dir: Path, *, grpc_port: int = 4317, http_port: int = 4318, limits: Limits | None = None,
        rules: RedactionRules | None = None,
    ) -> None:  # fmt: skip
        self.receiver = Receiver(store, limits, rules)
        self._data_dir = data_dir
        self._grpc = GrpcServer(self.receiver, HOST, grpc_port)
        self._app = OtlpHttp(self.receiver)
        guarded = Guard(self._app, policy=AccessPolicy(_NAMES, None), max_body_bytes=_NO_LIMIT)
        self._http = HttpServer(guarded, HOST, http_port, drain_seconds=GRACE_SECONDS, setting=HTTP_SETTING)
        self._lease: ReceiverLease | None = None

    @property
    def receiving(self) -> bool:
        """Whether this process is the one that receives."""
        return self._lease is not None

    def where(self) -> Holder | None:
        """Who receives for this data directory, this process or another; None when nobody does."""
        if self._lease is None:
            return holder(self._data_dir)
        return {"grpc": f"{HOST}:{self._grpc.port}", "http": f"{HOST}:{self._http.port}", "pid": os.getpid()}

    async def start(self) -> bool:
        """Receive; False when another process receives here already. Raises SettingsError when a port is taken.

        After either one may try again.
        """
        self._lease = await asyncio.to_thread(ReceiverLease.take, self._data_dir)
        if self._lease is None:
            return False
        try:
            self._grpc.start()
            await self._http.start()
        except BaseException:
            await self._leave()
            raise
        self._lease.publish(f"{HOST}:{self._grpc.port}", f"{HOST}:{self._http.port}")
        return True

    async def stop(self) -> None:
        """Take no more, answer what is under way, and let others receive; a second call does nothing. It can't be started again."""
        await self._leave()
        await asyncio.to_thread(self._app.close)

    async def _leave(self) -> None:
        await asyncio.gather(self._http.stop(), asyncio.to_thread(self._grpc.stop, GRACE_SECONDS))
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()

    async def __aenter__(self) -> EmbeddedReceiver:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()
