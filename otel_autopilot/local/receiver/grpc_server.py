"""OTLP over gRPC on loopback.

A process with this server may fork; the child has none of gRPC's threads and must not use it. A child that lives on without exec
keeps the port busy after its parent; our own children come from a fork server, which has no handle of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

# gRPC looks at this as it is imported. Its support of forks is for clients; beside a server it does nothing, and says so on stderr.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from loguru import logger

from otel_autopilot.errors import SettingsError
from otel_autopilot.local.receiver.receiver import Receiver
from otel_autopilot.local.receiver.refusals import Busy, Malformed, Refused, TooLarge, Unavailable
from otel_autopilot.local.receiver.signals import SIGNALS, Signal
from otel_autopilot.web.server import bind

SETTING = "AUTOPILOT_OTLP_GRPC_PORT"
#: Requests that are worked on at once, each in a thread: one decodes while another waits for the disk.
THREADS = 6
#: Requests that may wait for a thread.
MOST_REQUESTS = 2_048
#: Of one connection; a client that has more waits.
MOST_STREAMS = 16

_CODES: dict[type[Refused], tuple[grpc.StatusCode, int]] = {
    Malformed: (grpc.StatusCode.INVALID_ARGUMENT, code_pb2.INVALID_ARGUMENT),
    TooLarge: (grpc.StatusCode.RESOURCE_EXHAUSTED, code_pb2.RESOURCE_EXHAUSTED),
    Busy: (grpc.StatusCode.RESOURCE_EXHAUSTED, code_pb2.RESOURCE_EXHAUSTED),
    Unavailable: (grpc.StatusCode.UNAVAILABLE, code_pb2.UNAVAILABLE),
}


class GrpcServer:
    """Serves a receiver until it is stopped; ``port`` is the real one after `start`, also where 0 asked for a free one."""

    def __init__(self, receiver: Receiver, host: str, port: int) -> None:
        self._receiver = receiver
        self._host = host
        self.port = port
        self._pool: ThreadPoolExecutor | None = None
        self._server: grpc.Server | None = None

    def start(self) -> None:
        """Bind and serve; raises SettingsError, naming port and setting, when the port is taken."""
        # gRPC doesn't say why it can't bind.
        bind(self._host, self.port, SETTING).close()
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="autopilot-otlp-grpc")
        server = grpc.server(
            pool,
            handlers=[_Services(self._receiver)],
            maximum_concurrent_rpcs=MOST_REQUESTS,
            options=[
                ("grpc.so_reuseport", 0),  # else a second receiver shares the port, and each gets half
                ("grpc.max_receive_message_length", self._receiver.limits.request_bytes),  # decompressed too
                ("grpc.max_concurrent_streams", MOST_STREAMS),
                ("grpc.max_metadata_size", 16_384),
            ],
        )
        try:
            self.port = server.add_insecure_port(f"{self._host}:{self.port}")
        except RuntimeError as error:
            pool.shutdown()
            raise SettingsError(
                f"port {self.port} on {self._host} is in use by another program; stop it, set {SETTING} (0 takes a free port), "
                "or, if that is a Collector, send telemetry there with --collector"
            ) from error
        server.start()
        self._server, self._pool = server, pool

    def stop(self, grace_seconds: float = 5.0) -> None:
        """Take no more requests, and let those under way end; a second call does nothing."""
        server, self._server = self._server, None
        if server is not None and self._pool is not None:
            server.stop(grace_seconds).wait()
            self._pool.shutdown()


class _Services(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """The three services on raw bytes: what can't be read is the sender's fault, and generated code would call it ours."""

    def __init__(self, receiver: Receiver) -> None:
        self._handlers = {
            signal.method: grpc.unary_unary_rpc_method_handler(_export(receiver, signal), response_serializer=_serialized)
            for signal in SIGNALS
        }

    def service(self, handler_call_details: Any) -> Any:
        return self._handlers.get(handler_call_details.method)


def _serialized(message: Message) -> bytes:
    content: bytes = message.SerializeToString()
    return content


def _export(receiver: Receiver, signal: Signal) -> Callable[[bytes, Any], Message]:
    def export(content: bytes, context: Any) -> Message:
        try:
            receiver.under_way.take(len(content))
        except Busy as refusal:
            receiver.refused(signal, refusal)
            _abort(context, refusal)
        try:
            return receiver.accept(signal, content)
        except Refused as refusal:
            _abort(context, refusal)
        except Exception as error:  # noqa: BLE001  # logged, and answered
            logger.opt(exception=error).error("an OTLP request failed unexpectedly")
            context.abort(grpc.StatusCode.INTERNAL, f"unexpected {type(error).__qualname__}; the log says more")
        finally:
            receiver.under_way.give_back(len(content))

    return export


def _abort(context: Any, refusal: Refused) -> NoReturn:
    """Answer a refusal. With RetryInfo a client knows that, and when, it is to send again."""
    code, number = _CODES[type(refusal)]
    if refusal.retry_seconds is not None:
        nanos = round(refusal.retry_seconds * 1e9)
        info = AnyMessage()
        info.Pack(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)))
        status = status_pb2.Status(code=number, message=refusal.detail, details=[info])
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, refusal.detail)
    raise AssertionError("abort raises")
