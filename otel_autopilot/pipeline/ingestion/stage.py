"""The ingestion stage: every readable part of a mail becomes a document of Markdown.

What fails the mail and what does not: an encrypted or image-only PDF is a fact about an attachment, noted among the skipped
parts as long as there is other text to read. A truncated or malformed PDF, a bomb, a timeout or a crash means that something
which should have been read was not: the mail fails, with the error on the span.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from otel_autopilot.errors import IngestionError, PdfEmpty, PdfEncrypted, PdfImageOnly, WorkError
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.ingestion.html import extract_html
from otel_autopilot.pipeline.ingestion.pdf import PIECE_PAGES, PdfPiece, join_pieces, open_pdf, read_pages
from otel_autopilot.pipeline.ingestion.text import extract_text
from otel_autopilot.pipeline.messages import Document, Email, Ingested, Part, SkippedPart
from otel_autopilot.pipeline.threads import in_thread
from otel_autopilot.pipeline.workers import WorkerPool
from otel_autopilot.telemetry import names
from otel_autopilot.telemetry.spans import record_span, set_attributes, span

#: Called as pages are read: the part's number, pages done, pages in all.
Progress = Callable[[str, int, int], None]

#: Pieces of one PDF that may wait for a worker at once: a long document leaves room for others.
_PIECES_AT_ONCE = 2


@dataclass(frozen=True)
class IngestionLimits:
    """How much is read of one part."""

    pdf_max_bytes: int = 100_000_000
    pdf_max_pages: int = 10_000
    timeout_seconds: float = 60.0
    """Of one part, from the moment its first piece is handed to a worker."""


@dataclass(frozen=True)
class _Found:
    number: str
    part: Part
    forwarded: bool


async def ingest(
    email: Email, *, pool: WorkerPool, blobs: BlobStore, limits: IngestionLimits, progress: Progress | None = None
) -> Ingested:
    """Read every part; raises IngestionError or WorkError when one that should be readable can't be read."""
    documents: list[Document] = []
    skipped = list(email.every_skipped())
    unread: IngestionError | None = None
    for found in _parts(email):
        try:
            document = await _read(found, pool, blobs, limits, progress)
        except (PdfEncrypted, PdfImageOnly) as error:
            unread = error
            reason: Literal["encrypted", "image_only"] = "encrypted" if isinstance(error, PdfEncrypted) else "image_only"
            skipped.append(
                SkippedPart(
                    number=found.number, content_type=found.part.content_type, size_bytes=found.part.blob.size_bytes, reason=reason
                )
            )
            continue
        documents.append(document)
    if unread is not None and not any(document.characters for document in documents):
        raise unread
    return Ingested(documents=tuple(documents), skipped=tuple(skipped))


def _parts(email: Email, prefix: str = "", forwarded: bool = False) -> Iterator[_Found]:
    for part in (*email.bodies, *email.attachments):
        yield _Found(prefix + part.number, part, forwarded)
    for index, inner in enumerate(email.forwarded, 1):
        yield from _parts(inner, f"{prefix}f{index}.", forwarded=True)


async def _read(found: _Found, pool: WorkerPool, blobs: BlobStore, limits: IngestionLimits, progress: Progress | None) -> Document:
    part = found.part
    if part.content_type == "application/pdf":
        document = await _pdf(found, pool, blobs, limits, progress)
    else:
        rich = part.content_type == "text/html"
        with span(names.HTML_EXTRACT if rich else names.TEXT_EXTRACT, _facts(found, "html" if rich else "text")) as current:
            work = extract_html if rich else extract_text
            document = await pool.run(
                work, part.blob, found.number, part.filename, blobs.root, timeout_seconds=limits.timeout_seconds
            )
            set_attributes(current, _results(document))
    return document.model_copy(update={"forwarded": found.forwarded})


async def _pdf(found: _Found, pool: WorkerPool, blobs: BlobStore, limits: IngestionLimits, progress: Progress | None) -> Document:
    part, path = found.part, found.part.blob.path
    with span(names.PDF_EXTRACT, _facts(found, "pdf")) as current:
        deadline = asyncio.get_running_loop().time() + limits.timeout_seconds
        facts = await pool.run(
            open_pdf, path, max_bytes=limits.pdf_max_bytes, max_pages=limits.pdf_max_pages, timeout_seconds=limits.timeout_seconds
        )
        set_attributes(current, {names.DOCUMENT_PAGES: facts.pages})
        pieces = await _pieces(found, pool, blobs, facts.pages, deadline, progress)
        characters = sum(piece.characters for piece in pieces)
        if characters == 0:
            told = f"the PDF has {facts.pages} {'page' if facts.pages == 1 else 'pages'}"
            if any(piece.pictures for piece in pieces):
                raise PdfImageOnly(f"{told} and no text: it holds pictures only")
            raise PdfEmpty(f"{told} and neither text nor pictures that could be read")
        text = await in_thread(join_pieces, [piece.text for piece in pieces], blobs.root)
        document = Document(
            part=found.number,
            kind="pdf",
            title=facts.title,
            filename=part.filename,
            text=text,
            characters=characters,
            pages=facts.pages,
        )
        set_attributes(current, _results(document))
        return document


async def _pieces(
    found: _Found, pool: WorkerPool, blobs: BlobStore, pages: int, deadline: float, progress: Progress | None
) -> list[PdfPiece]:
    """Read all pages, a few pieces at once; the first failure ends the rest."""
    ranges = [(first, min(first + PIECE_PAGES - 1, pages)) for first in range(1, pages + 1, PIECE_PAGES)]
    room = asyncio.Semaphore(_PIECES_AT_ONCE)
    loop = asyncio.get_running_loop()
    done = 0

    async def piece(first: int, last: int) -> PdfPiece:
        nonlocal done
        async with room:
            left = max(0.1, deadline - loop.time())
            try:
                read = await pool.run(read_pages, found.part.blob.path, first, last, blobs.root, timeout_seconds=left)
            except WorkError as error:
                raise type(error)(f"pages {first} to {last} of the PDF could not be read: {error}") from error
        record_span(
            names.PDF_PAGES, read.start_unix_nano, read.end_unix_nano,
            {names.PDF_FIRST_PAGE: first, names.PDF_LAST_PAGE: last, names.DOCUMENT_CHARACTERS: read.characters},
        )  # fmt: skip
        done += last - first + 1
        if progress is not None:
            progress(found.number, done, pages)
        return read

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(piece(first, last)) for first, last in ranges]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


def _facts(found: _Found, kind: str) -> dict[names.Attribute, str | int]:
    return {names.DOCUMENT_PART: found.number, names.DOCUMENT_KIND: kind, names.DOCUMENT_SIZE: found.part.blob.size_bytes}


def _results(document: Document) -> dict[names.Attribute, str | int]:
    return {
        names.DOCUMENT_CHARACTERS: document.characters,
        names.DOCUMENT_TABLES: document.tables,
        names.DOCUMENT_LINKS: len(document.links),
    }
