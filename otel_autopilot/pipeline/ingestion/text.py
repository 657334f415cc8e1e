"""Plain text to Markdown, in a child process."""

from __future__ import annotations

import re
from pathlib import Path

from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.messages import Blob, Document, Link

#: Most text kept of one part, in characters.
TEXT_LIMIT = 20_000_000
_URL = re.compile(r"https?://[^\s<>\"'\])}]{4,2000}")


def extract_text(blob: Blob, part: str, filename: str, blobs_root: Path) -> Document:
    """Read a text part: line ends made one, soft breaks of format=flowed joined (RFC 3676), form feeds as paragraph ends."""
    text = blob.read_text()[:TEXT_LIMIT].replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n\n")
    text = _unflow(text)
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    text = re.sub(r"\n{4,}", "\n\n\n", text).strip()
    links = tuple(Link(text="", url=url.rstrip(".,;:!?")) for url in dict.fromkeys(_URL.findall(text)))[:500]
    return Document(
        part=part, kind="text", filename=filename, text=BlobStore(blobs_root).put_text(text), characters=len(text), links=links
    )


def _unflow(text: str) -> str:
    """Join lines that end in a space, unless they are quoted or a signature separator."""
    lines = text.split("\n")
    flowed = sum(1 for line in lines if line.endswith(" ") and line.strip() and line != "-- ")
    if flowed < max(3, len(lines) // 10):
        return text
    joined: list[str] = []
    for line in lines:
        open_line = bool(joined) and joined[-1].endswith(" ") and joined[-1] != "-- " and not joined[-1].startswith(">")
        if open_line and line.strip() and line != "-- " and not line.startswith((">", " ")):
            joined[-1] += line
        else:
            joined.append(line)
    return "\n".join(joined)
