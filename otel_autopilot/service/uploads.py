"""Mail out of request bodies, written to the blob store as it comes: a body is never whole in memory.

No thread waits for a client: pieces gather on the event loop, and a thread is used for as long as one write takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from otel_autopilot.pipeline.blobs import BlobStore, BlobWriter
from otel_autopilot.pipeline.messages import Blob
from otel_autopilot.pipeline.threads import in_thread
from otel_autopilot.web.problems import Problem

ACCEPTED = "message/rfc822, multipart/form-data"
#: Bytes that gather before they are written.
PIECE_BYTES = 262_144
#: The longest pause between two pieces of a body, in seconds.
PAUSE_SECONDS = 30.0
#: Mails in one form, and bytes of a form field that is not a mail.
MOST_MAILS, MOST_FIELD_BYTES = 50, 4_096
#: Parts of one form.
MOST_PARTS = 1_100


@dataclass
class Upload:
    """What a request brought."""

    mails: list[Blob] = field(default_factory=list)
    fields: dict[str, list[str]] = field(default_factory=dict)


async def read_upload(request: Request, blobs: BlobStore) -> Upload:
    """Store the mails of a request durably: its body (message/rfc822), or each file of a form (multipart/form-data).

    Raises Problem: 415 for another type, 400 for a form that is broken or a client that went away, 408 for one that stopped
    sending, 422 for no mail or an empty one. Raises OSError when the disk does not take it.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind == b"message/rfc822":
        upload = Upload([await _store(request, blobs)])
    elif kind == b"multipart/form-data" and options.get(b"boundary"):
        upload = await _form(request, blobs, options[b"boundary"])
    else:
        raise Problem(
            415, "expected a mail as message/rfc822, or as files of multipart/form-data", headers={"Accept-Post": ACCEPTED}
        )
    if not upload.mails or any(mail.size_bytes == 0 for mail in upload.mails):
        raise Problem(422, "expected a mail, got nothing")
    return upload


async def _store(request: Request, blobs: BlobStore) -> Blob:
    writer = _Writer(await in_thread(blobs.writer))
    try:
        async for chunk in _pieces(request):
            await writer.write(chunk)
        return await writer.commit()
    except BaseException:
        writer.discard()
        raise


async def _form(request: Request, blobs: BlobStore, boundary: bytes) -> Upload:
    form = _Form(blobs, boundary)
    try:
        async for chunk in _pieces(request):
            await form.feed(chunk)
        return form.finish()
    finally:
        form.discard()


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """The body, each piece within the time a client may pause."""
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(PAUSE_SECONDS):
                yield await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise Problem(408, f"nothing came for {PAUSE_SECONDS:.0f} s", headers={"Connection": "close"}) from error
        except ClientDisconnect as error:
            raise Problem(400, "the client went away before the end of the body") from error


class _Writer:
    """A blob writer for the event loop."""

    def __init__(self, writer: BlobWriter) -> None:
        self._writer = writer
        self._pieces: list[bytes] = []
        self._waiting = 0

    async def write(self, chunk: bytes) -> None:
        self._pieces.append(chunk)
        self._waiting += len(chunk)
        if self._waiting >= PIECE_BYTES:
            await in_thread(self._write)

    async def commit(self) -> Blob:
        def work() -> Blob:
            self._write()
            return self._writer.commit(durable=True)

        return await in_thread(work)

    def discard(self) -> None:
        """Forget the file; does nothing after `commit`."""
        self._writer.discard()

    def _write(self) -> None:
        self._writer.write(b"".join(self._pieces))
        self._pieces.clear()
        self._waiting = 0


class _Form:
    """A form, read as it comes (RFC 7578). The parser calls back; what it says is acted on after each piece."""

    def __init__(self, blobs: BlobStore, boundary: bytes) -> None:
        self._blobs = blobs
        self._upload = Upload()
        self._events: list[tuple[str, bytes]] = []
        self._writer: _Writer | None = None
        self._field: tuple[str, bytearray] | None = None
        self._header = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._parts = 0
        self._ended = False

        def told(name: str) -> Callable[[bytes, int, int], None]:
            return lambda data, start, end: self._events.append((name, data[start:end]))

        def said(name: str) -> Callable[[], None]:
            return lambda: self._events.append((name, b""))

        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": said("begin"),
                "on_header_field": told("name"),
                "on_header_value": told("value"),
                "on_header_end": said("header"),
                "on_headers_finished": said("headers"),
                "on_part_data": told("data"),
                "on_part_end": said("end"),
                "on_end": said("last"),
            },
        )

    async def feed(self, chunk: bytes) -> None:
        """Read a piece."""
        try:
            self._parser.write(chunk)
        except MultipartParseError as error:
            raise Problem(400, "expected multipart/form-data as its boundary says, got something else") from error
        events, self._events = self._events, []
        for name, data in events:
            await self._act(name, data)

    def finish(self) -> Upload:
        """What came; raises Problem when the end is missing."""
        if not self._ended:
            raise Problem(400, "the form ends before its last boundary")
        return self._upload

    def discard(self) -> None:
        """Forget a mail that is not complete."""
        if self._writer is not None:
            self._writer.discard()

    async def _act(self, name: str, data: bytes) -> None:
        if name == "data":
            await self._data(data)
        elif name == "begin":
            self._parts += 1
            if self._parts > MOST_PARTS:
                raise Problem(413, f"expected at most {MOST_PARTS} parts in a form")
            self._headers, self._header, self._value = {}, b"", b""
        elif name == "name":
            self._header += data
        elif name == "value":
            self._value += data
        elif name == "header":
            self._headers[self._header.lower()] = self._value
            self._header, self._value = b"", b""
        elif name == "headers":
            await self._part()
        elif name == "end":
            await self._part_end()
        else:
            self._ended = True

    async def _part(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        is_mail = b"filename" in options or self._headers.get(b"content-type", b"").lower().startswith(b"message/rfc822")
        if not is_mail:
            self._field = (options.get(b"name", b"").decode("utf-8", "replace"), bytearray())
            return
        if len(self._upload.mails) == MOST_MAILS:
            raise Problem(413, f"expected at most {MOST_MAILS} mails in a form; send the others in another")
        self._writer = _Writer(await in_thread(self._blobs.writer))

    async def _data(self, data: bytes) -> None:
        if self._writer is not None:
            await self._writer.write(data)
        elif self._field is not None:
            self._field[1].extend(data)
            if len(self._field[1]) > MOST_FIELD_BYTES:
                raise Problem(413, f"expected at most {MOST_FIELD_BYTES} bytes in a field that is not a mail")

    async def _part_end(self) -> None:
        if self._writer is not None:
            self._upload.mails.append(await self._writer.commit())
            self._writer = None
        elif self._field is not None:
            self._upload.fields.setdefault(self._field[0], []).append(self._field[1].decode("utf-8", "replace").strip())
            self._field = None
