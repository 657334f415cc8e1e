"""OTLP over HTTP: an ASGI application. Who may talk to it is the business of the guard around it."""

from __future__ import annotations

import asyncio
import math
import zlib
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import code_pb2, status_pb2
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from otel_autopilot.local.receiver.receiver import Receiver
from otel_autopilot.local.receiver.refusals import Busy, Malformed, Refused, TooLarge, Unavailable
from otel_autopilot.local.receiver.signals import SIGNALS, Signal
from otel_autopilot.web.guard import LINGER_BYTES, LINGER_SECONDS

PROTOBUF, JSON = "application/x-protobuf", "application/json"
#: Requests that are worked on at once.
THREADS = 3
#: How long a client may be silent in the midst of a request, and how long it may take to send one, in seconds.
PAUSE_SECONDS = 10.0
BODY_SECONDS = 60.0

_STATUS: dict[type[Refused], tuple[int, int]] = {
    Malformed: (400, code_pb2.INVALID_ARGUMENT), TooLarge: (413, code_pb2.RESOURCE_EXHAUSTED),
    Busy: (429, code_pb2.RESOURCE_EXHAUSTED), Unavailable: (503, code_pb2.UNAVAILABLE),
}  # fmt: skip
_CODES = {404: code_pb2.NOT_FOUND, 405: code_pb2.UNIMPLEMENTED, 408: code_pb2.DEADLINE_EXCEEDED}


class _Answer(Exception):
    """The answer to a request that isn't taken for the way in which it was put."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


class OtlpHttp:
    """POST /v1/traces, /v1/metrics, /v1/logs; answers come in the encoding of the request, errors as google.rpc.Status."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._signals = {signal.path: signal for signal in SIGNALS}
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="autopilot-otlp-http")

    def close(self) -> None:
        """Wait for what is under way."""
        self._pool.shutdown()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = Headers(scope=scope)
        media = headers.get("content-type", "").partition(";")[0].strip().lower()
        body = _Body(receive, self._receiver, headers.get("content-length", ""))
        answer: Message
        more: dict[str, str] = {}
        try:
            answer = await self._export(self._signal(scope), media, headers.get("content-encoding", "identity"), body)
            status = 200
        except _Answer as error:
            status, more = error.status, error.headers
            answer = status_pb2.Status(code=_CODES.get(status, code_pb2.INVALID_ARGUMENT), message=error.message)
        except Refused as refusal:
            status, code = _STATUS[type(refusal)]
            answer = status_pb2.Status(code=code, message=refusal.detail)
            if refusal.retry_seconds is not None:
                more = {"Retry-After": str(max(1, math.ceil(refusal.retry_seconds)))}
        except ClientDisconnect:
            return
        finally:
            body.give_back()
        await _send(send, body, status, answer, PROTOBUF if media == PROTOBUF else JSON, more)

    def _signal(self, scope: Scope) -> Signal:
        signal = self._signals.get(scope["path"])
        if signal is None:
            raise _Answer(404, f"there is nothing at this path; expected one of {', '.join(self._signals)}")
        if scope["method"] != "POST":
            raise _Answer(405, f"expected POST at this path, got {scope['method']}", Allow="POST")
        return signal

    async def _export(self, signal: Signal, media: str, encoding: str, body: _Body) -> Message:
        encoding = encoding.strip().lower()
        if media not in (PROTOBUF, JSON):
            raise _Answer(415, f"expected Content-Type {PROTOBUF} or {JSON}")
        if encoding not in ("gzip", "identity", ""):
            raise _Answer(415, "expected Content-Encoding gzip or identity", **{"Accept-Encoding": "gzip"})
        try:
            content = await body.read()
        except Refused as refusal:
            self._receiver.refused(signal, refusal)
            raise
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._accept, signal, content, media == JSON, encoding == "gzip")

    def _accept(self, signal: Signal, content: bytes, as_json: bool, compressed: bool) -> Message:
        if not compressed:
            return self._receiver.accept(signal, content, as_json=as_json)
        try:
            content = gunzip(content, self._receiver.limits.request_bytes)
            room = self._receiver.under_way.holding(len(content))
            with room:
                return self._receiver.accept(signal, content, as_json=as_json)
        except Refused as refusal:
            self._receiver.refused(signal, refusal)
            raise


def gunzip(content: bytes, most: int) -> bytes:
    """The content of a gzip file of one or more members; raises Malformed, or TooLarge beyond ``most`` bytes."""
    if not content:
        raise Malformed("expected gzip data, as Content-Encoding says, got nothing")
    pieces, room = [], most
    try:
        while content:
            member = zlib.decompressobj(wbits=31)
            pieces.append(member.decompress(content, room + 1))
            room -= len(pieces[-1])
            if room < 0:
                raise TooLarge(f"expected at most {most} bytes in one request, decompressed")
            if not member.eof:
                raise Malformed("expected whole gzip data, got some that ends in the midst")
            content = member.unused_data
    except zlib.error as error:
        raise Malformed("expected gzip data, as Content-Encoding says, got something else") from error
    return b"".join(pieces)


class _Body:
    """Reads a request piece by piece; what it holds counts among the bytes under way until `give_back`."""

    def __init__(self, receive: Receive, receiver: Receiver, announced: str) -> None:
        self._receive = receive
        self._announced = int(announced) if announced.isdecimal() else 0
        self._receiver = receiver
        self._taken = 0
        self.ended = False

    async def read(self) -> bytes:
        """The whole of it; raises Refused."""
        if self._announced > self._receiver.limits.request_bytes:
            raise self._receiver.too_large()
        pieces = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while not self.ended:
                    async with asyncio.timeout(PAUSE_SECONDS):
                        piece = await self._piece()
                    self._receiver.under_way.take(len(piece))
                    self._taken += len(piece)
                    pieces += piece
                    if len(pieces) > self._receiver.limits.request_bytes:
                        raise self._receiver.too_large()
        except TimeoutError as error:
            raise _Answer(408, "the request didn't come in time; try again") from error
        return bytes(pieces)

    async def _piece(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        self.ended = not message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        return piece

    def give_back(self) -> None:
        """Nothing of it is held any more."""
        self._receiver.under_way.give_back(self._taken)
        self._taken = 0

    async def linger(self) -> None:
        """Throw away what still comes, up to a limit, so that the client reads the answer instead of meeting a reset."""
        left = LINGER_BYTES
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while left > 0 and not self.ended:
                    left -= len(await self._piece())
        except (TimeoutError, ClientDisconnect):
            return


async def _send(send: Send, body: _Body, status: int, answer: Message, media: str, headers: dict[str, str]) -> None:
    content = answer.SerializeToString() if media == PROTOBUF else json_format.MessageToJson(answer, indent=None).encode()
    fields = {
        "Content-Type": media,
        "Content-Length": str(len(content)),
        **headers,
        **({} if body.ended else {"Connection": "close"}),
    }
    start = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": int(HTTPStatus(status)), "headers": start})
    await send({"type": "http.response.body", "body": content, "more_body": not body.ended})
    if not body.ended:
        await body.linger()
        await send({"type": "http.response.body", "body": b""})
