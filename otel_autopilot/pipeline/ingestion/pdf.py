"""PDF to text with pypdfium2, in child processes and in pieces of consecutive pages.

The file is opened by its path in each piece: the parent holds neither the file nor its text, both processes can work on one
document, and a piece that hurts is stopped at its limit.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from otel_autopilot.errors import PdfEncrypted, PdfMalformed, PdfTruncated, WorkLimit
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.messages import Blob

#: Pages in a piece of work.
PIECE_PAGES = 100
#: Most text kept of one page, in characters.
PAGE_LIMIT = 1_000_000
#: How far from its end a complete PDF has its trailer, in bytes: generous, for mail gateways append to files.
_TAIL_BYTES = 65_536


@dataclass(frozen=True)
class PdfFacts:
    """What is known of a PDF before its pages are read."""

    pages: int
    title: str


@dataclass(frozen=True)
class PdfPiece:
    """Text of consecutive pages, joined by form feeds, in a blob, and when it was read (``time.time_ns()``)."""

    first: int
    last: int
    text: Blob
    characters: int
    pictures: int
    """Pages without text that have a picture."""
    start_unix_nano: int
    end_unix_nano: int


def open_pdf(path: Path, *, max_bytes: int, max_pages: int) -> PdfFacts:
    """Look a PDF over; raises WorkLimit, PdfEncrypted, PdfTruncated or PdfMalformed, each saying what was expected."""
    size = path.stat().st_size
    if size > max_bytes:
        raise WorkLimit(f"expected a PDF of at most {max_bytes} bytes, got {size}")
    with path.open("rb") as file:
        if b"%PDF-" not in file.read(1024):
            raise PdfMalformed("expected a PDF, got a file without the %PDF- header")
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
    whole = b"%%EOF" in tail and b"startxref" in tail
    try:
        document = pdfium.PdfDocument(path)
    except pdfium.PdfiumError as error:
        raise _refused(error, whole, size) from error
    try:
        if not whole:
            raise PdfTruncated(
                f"expected a PDF with its trailer (startxref, %%EOF) at the end, got {size} bytes that stop before it"
            )
        pages = len(document)
        if pages > max_pages:
            raise WorkLimit(f"expected a PDF of at most {max_pages} pages, got {pages}")
        if pages == 0:
            raise PdfMalformed("expected a PDF with pages, got one without")
        return PdfFacts(pages, _title(document))
    finally:
        document.close()


def _refused(error: pdfium.PdfiumError, whole: bool, size: int) -> Exception:
    code = getattr(error, "err_code", None)
    if code in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY) or "password" in str(error).lower():
        return PdfEncrypted("the PDF needs a password")
    if not whole:
        return PdfTruncated(f"expected a PDF with its trailer (startxref, %%EOF) at the end, got {size} bytes that stop before it")
    return PdfMalformed("the PDF can't be read: its structure is broken")


def _title(document: pdfium.PdfDocument) -> str:
    try:
        title = document.get_metadata_value("Title")
    except (pdfium.PdfiumError, ValueError, KeyError):
        return ""
    return " ".join(str(title).split())[:300]


def read_pages(path: Path, first: int, last: int, blobs_root: Path) -> PdfPiece:
    """Text of the pages ``first`` to ``last`` (from 1, inclusive); raises PdfMalformed for a page that can't be read."""
    started = time.time_ns()
    document = pdfium.PdfDocument(path)
    try:
        texts = []
        pictures = 0
        for number in range(first - 1, last):
            try:
                page = document[number]
                text_page = page.get_textpage()
                text = text_page.get_text_bounded(errors="replace") if text_page.count_chars() else ""
                text_page.close()
                if not text.strip() and any(page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=5)):
                    pictures += 1
                page.close()
            except pdfium.PdfiumError as error:
                raise PdfMalformed(f"page {number + 1} of the PDF can't be read") from error
            texts.append(_readable(text[:PAGE_LIMIT]))
    finally:
        document.close()
    text = "\f".join(texts)
    characters = sum(len(item) for item in texts)
    blob = BlobStore(blobs_root).put_text(text)
    return PdfPiece(first, last, blob, characters, pictures, started, time.time_ns())


def _readable(text: str) -> str:
    """Line ends made one; words that were hyphenated at a line's end joined; pdfium's markers taken out."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n").replace("\x00", "")
    text = re.sub(r"[\ufffe\u0002]\n?", "", text)
    return "\n".join(line.rstrip() for line in text.split("\n")).strip()


def join_pieces(pieces: list[Blob], blobs_root: Path) -> Blob:
    """One blob of all pieces in order, pages separated by form feeds; written without holding it in memory."""

    def chunks() -> Iterator[bytes]:
        for index, piece in enumerate(pieces):
            if index:
                yield b"\f"
            yield piece.read_bytes()

    return BlobStore(blobs_root).put(chunks())
