"""PDF text: 1, 5, 10 and 45 MB through the ingestion stage; seconds, by how much the parent grew, and pypdfium2 by itself.

python -m benchmarks.pdf MEGABYTES --rounds N
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from pathlib import Path

import psutil
import pypdfium2

from otel_autopilot.cli.demo_pdf import write_pdf
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.ingestion.stage import IngestionLimits, ingest
from otel_autopilot.pipeline.messages import Email, Part
from otel_autopilot.pipeline.workers import WorkerPool

WORDS = (
    "review quarter delivery message objective budget stage latency queue worker memory limit attachment digest pipeline trace span report "
    "incident certificate renewal engineer service platform week month cost storage retention customer archive scanner process relay"
).split()


def make_pdf(megabytes: float) -> bytes:
    """A PDF of about that size: pages of 12.5 kB of words, not compressed, as FACTS' own."""
    chance = random.Random(7)
    pages = []
    for number in range(max(1, round(megabytes * 1e6 / 12_500))):
        lines = [" ".join(chance.choices(WORDS, k=13)) for _ in range(120)]
        pages.append([f"# Page {number}", *lines])
    return write_pdf(pages)


def bare(path: str) -> int:
    """pypdfium2 in one process, with nothing around it; how many characters there were."""
    document = pypdfium2.PdfDocument(path)
    return sum(len(document[number].get_textpage().get_text_bounded()) for number in range(len(document)))


async def measure(megabytes: float, rounds: int, folder: Path) -> dict[str, object]:
    blobs = BlobStore(folder)
    content = make_pdf(megabytes)
    blob = blobs.put(content)
    size = len(content)
    del content
    email = Email(attachments=(Part(number="2", content_type="application/pdf", attachment=True, blob=blob),))
    seconds, bare_seconds = [], []
    me = psutil.Process()
    async with WorkerPool(processes=2, memory_bytes=1_000_000_000, timeout_seconds=120) as pool:
        await asyncio.gather(*(pool.run(bare, str(blob.path)) for _ in range(2)))  # the children are warm, the file is in memory
        before = me.memory_info().rss
        for _ in range(rounds):
            began = time.perf_counter()
            await pool.run(bare, str(blob.path))
            bare_seconds.append(time.perf_counter() - began)
            began = time.perf_counter()
            ingested = await ingest(email, pool=pool, blobs=blobs, limits=IngestionLimits(timeout_seconds=120))
            seconds.append(time.perf_counter() - began)
        grown = me.memory_info().rss - before
    document = ingested.documents[0]
    return {
        "bytes": size,
        "pages": document.pages,
        "characters": document.characters,
        "seconds": seconds,
        "bare_seconds": bare_seconds,
        "parent_grew_bytes": grown,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("megabytes", type=float)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="autopilot-bench-") as folder:
        print(json.dumps(asyncio.run(measure(arguments.megabytes, arguments.rounds, Path(folder)))))


if __name__ == "__main__":
    main()
