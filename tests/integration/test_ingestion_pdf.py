"""PDFs in real worker processes: what can be read is read page by page, what can't is told apart, and nothing else suffers."""

from __future__ import annotations

import io
import os
import signal
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pikepdf
import psutil
import pytest
from PIL import Image

from otel_autopilot.cli.demo_pdf import assemble, write_pdf
from otel_autopilot.errors import (
    PdfEmpty,
    PdfEncrypted,
    PdfImageOnly,
    PdfMalformed,
    PdfTruncated,
    WorkCrashed,
    WorkLimit,
    WorkTimeout,
)
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.ingestion.stage import IngestionLimits, ingest
from otel_autopilot.pipeline.messages import Document, Email, Ingested, Part
from otel_autopilot.pipeline.workers import WorkerPool
from tests.conftest import Spans

PAGES = [["# Review", "Delivery met its objective."], ["Costs fell by 18 %."], ["Please object by Friday."]]


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    """Two children with 300 MB and 20 s each."""
    async with WorkerPool(processes=2, memory_bytes=300_000_000, timeout_seconds=20) as workers:
        yield workers


class Reader:
    """Puts a PDF into a mail and reads it."""

    def __init__(self, folder: Path, pool: WorkerPool) -> None:
        self.blobs = BlobStore(folder / "blobs")
        self.pool = pool
        self.progress: list[tuple[str, int, int]] = []

    def part(self, content: bytes, number: str = "2") -> Part:
        return Part(number=number, content_type="application/pdf", attachment=True, filename="a.pdf", blob=self.blobs.put(content))

    async def read(self, *contents: bytes, **limits: float) -> Ingested:
        email = Email(attachments=tuple(self.part(content, str(number + 2)) for number, content in enumerate(contents)))
        return await ingest(
            email, pool=self.pool, blobs=self.blobs, limits=IngestionLimits(**limits),  # type: ignore[arg-type]
            progress=lambda *told: self.progress.append(told),
        )  # fmt: skip

    async def one(self, content: bytes) -> Document:
        (document,) = (await self.read(content)).documents
        return document


@pytest.fixture
def reader(tmp_path: Path, pool: WorkerPool) -> Reader:
    """A reader with its own blobs."""
    return Reader(tmp_path, pool)


def encrypted() -> bytes:
    """A PDF that asks for a password."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(write_pdf(PAGES))) as document:
        document.save(out, encryption=pikepdf.Encryption(owner="owner", user="reader", R=6))
    return out.getvalue()


def pictures() -> bytes:
    """A PDF of a scanned page."""
    out = io.BytesIO()
    Image.new("RGB", (200, 280), "white").save(out, format="PDF")
    return out.getvalue()


def bomb() -> bytes:
    """A page that unpacks to four gigabytes."""
    packed = zlib.compress(zlib.compress(bytes(100_000_000)) * 40)
    stream = f"<< /Length {len(packed)} /Filter [/FlateDecode /FlateDecode] >>\nstream\n".encode() + packed + b"\nendstream"
    return assemble([
        b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R >>", stream,
    ])  # fmt: skip


async def test_the_pages_are_read_in_order_with_progress_and_their_spans(reader: Reader, spans: Spans) -> None:
    document = await reader.one(write_pdf(PAGES * 100))
    pages = document.text.read_text().split("\f")
    assert (document.pages, len(pages)) == (300, 300)
    assert "Delivery met its objective." in pages[0]
    assert "Costs fell by 18 %." in pages[298]
    assert reader.progress[-1] == ("2", 300, 300)
    assert [done for _, done, _ in reader.progress] == sorted(done for _, done, _ in reader.progress)
    assert len(spans.named("pdf.pages")) == 3
    assert spans.one("pdf.extract").attributes["autopilot.document.pages"] == 300


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (encrypted(), PdfEncrypted),
        (pictures(), PdfImageOnly),
        (write_pdf([[], []]), PdfEmpty),
        (write_pdf(PAGES)[:-60], PdfTruncated),
        (write_pdf(PAGES * 50)[:5_000], PdfTruncated),
        (b"PK\x03\x04 a zip that says it is a PDF", PdfMalformed),
        (b"%PDF-1.7\n" + b"\x9c\x01 noise " * 500 + b"\nstartxref\n1\n%%EOF\n", PdfMalformed),
    ],
    ids=["encrypted", "pictures only", "blank pages", "cut at its end", "cut in the middle", "no PDF", "noise"],
)
async def test_what_can_not_be_read_is_told_apart_and_the_span_says_so(
    reader: Reader, spans: Spans, content: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error) as raised:
        await reader.read(content)
    span = spans.one("pdf.extract")
    assert span.attributes["error.type"] == error.__name__
    assert span.status.description == str(raised.value)
    assert "a.pdf" not in str(raised.value)


@pytest.mark.parametrize("unreadable", [encrypted(), pictures()], ids=["encrypted", "pictures only"])
async def test_beside_something_readable_it_is_left_out_with_its_reason(reader: Reader, unreadable: bytes) -> None:
    ingested = await reader.read(unreadable, write_pdf(PAGES))
    assert [document.part for document in ingested.documents] == ["3"]
    assert [(part.number, part.reason) for part in ingested.skipped] in ([("2", "encrypted")], [("2", "image_only")])


async def test_limits_on_bytes_and_pages_are_errors_that_say_what_came(reader: Reader) -> None:
    content = write_pdf(PAGES * 10)
    with pytest.raises(WorkLimit, match=f"at most 1000 bytes, got {len(content)}"):
        await reader.read(content, pdf_max_bytes=1_000)
    with pytest.raises(WorkLimit, match="at most 29 pages, got 30"):
        await reader.read(content, pdf_max_pages=29)


@pytest.mark.parametrize("memory_bytes", [150_000_000, 1_000_000_000])
async def test_a_bomb_fails_alone_whether_it_breaks_its_worker_or_unpacks_to_nothing(tmp_path: Path, memory_bytes: int) -> None:
    before = psutil.Process().memory_info().rss
    async with WorkerPool(processes=1, memory_bytes=memory_bytes, timeout_seconds=60) as pool:
        reader = Reader(tmp_path, pool)
        with pytest.raises((WorkLimit, WorkCrashed, WorkTimeout, PdfEmpty)) as raised:
            await reader.read(write_pdf(PAGES), bomb(), timeout_seconds=60)
        if isinstance(raised.value, WorkCrashed):
            assert "memory limit was 150 MB" in str(raised.value)
        assert (await reader.one(write_pdf(PAGES))).pages == 3
    assert psutil.Process().memory_info().rss - before < 60_000_000


def die(_path: Path) -> None:
    """As a parser that runs into its own fault."""
    os.kill(os.getpid(), signal.SIGSEGV)


async def test_a_crash_of_the_parser_is_one_error_and_its_place_is_taken_by_a_new_process(reader: Reader) -> None:
    with pytest.raises(WorkCrashed, match="SIGSEGV"):
        await reader.pool.run(die, Path())
    assert (await reader.one(write_pdf(PAGES))).pages == 3


async def test_reading_beyond_the_time_limit_is_a_timeout_that_names_it(reader: Reader) -> None:
    with pytest.raises(WorkTimeout, match="limit of"):
        await reader.read(write_pdf([["word " * 100] * 100] * 600), timeout_seconds=0.2)


async def test_the_parent_does_not_grow_by_the_size_of_a_pdf(reader: Reader) -> None:
    content = write_pdf([[f"{number} " + "word " * 20 for number in range(100)]] * 1_000)
    email = Email(attachments=(reader.part(content),))
    assert len(content) > 10_000_000
    del content
    before = psutil.Process().memory_info().rss
    await ingest(email, pool=reader.pool, blobs=reader.blobs, limits=IngestionLimits(timeout_seconds=100))
    assert psutil.Process().memory_info().rss - before < 20_000_000
