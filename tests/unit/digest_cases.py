"""The mails of tests/data/digest: what they say, and what a person would want of their digests."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.digest.compose import compose
from otel_autopilot.pipeline.ingestion.html import extract_html
from otel_autopilot.pipeline.ingestion.text import extract_text
from otel_autopilot.pipeline.messages import Digest, Document

DIRECTORY = Path(__file__).parents[1] / "data" / "digest"


@dataclass(frozen=True)
class Case:
    """One mail; in lists of what is wanted, `a|b` means that one of both will do."""

    name: str
    subject: str
    author: str
    documents: tuple[dict[str, Any], ...]
    expect: dict[str, Any]


def load_cases() -> list[Case]:
    """All mails, by name."""
    cases = []
    for path in sorted(DIRECTORY.glob("*.toml")):
        mail = tomllib.loads(path.read_text(encoding="utf-8"))
        cases.append(Case(path.stem, mail["subject"], mail.get("author", ""), tuple(mail["documents"]), mail["expect"]))
    return cases


def documents_of(case: Case, directory: Path) -> tuple[Document, ...]:
    """The mail's documents, as ingestion makes them."""
    return tuple(document_of(item, BlobStore(directory), str(index)) for index, item in enumerate(case.documents, 1))


def document_of(item: dict[str, Any], blobs: BlobStore, part: str) -> Document:
    """One document from its source: HTML and text through the real extraction, a PDF as the text of its pages."""
    source = item["source"].lstrip("\n").replace("----- page -----\n", "\f")
    blob = blobs.put_text(source)
    if item["kind"] == "html":
        return extract_html(blob, part, "", blobs.root)
    if item["kind"] == "text":
        return extract_text(blob, part, "", blobs.root)
    return Document(
        part=part,
        kind="pdf",
        title=item.get("title", ""),
        filename=item["filename"],
        text=blob,
        characters=len(source),
        pages=source.count("\f") + 1,
    )


def digest_case(case: Case, directory: Path, key_points: int = 7) -> Digest:
    """The extractive digest of a mail."""
    return compose(case.subject, case.author, documents_of(case, directory), (), key_points).digest


def complaints(case: Case, digest: Digest) -> list[str]:
    """What a person would miss in the digest, or wish away."""
    expect = case.expect
    points = "\n".join(point.text for point in digest.key_points)
    values = " ; ".join(f"{figure.value} ({figure.context})" for figure in digest.figures)
    found = []
    if expect.get("title", digest.title) != digest.title:
        found.append(f"title {digest.title!r}, not {expect['title']!r}")
    found += [f"no key point with {wanted!r}" for wanted in expect.get("points", []) if not _has(points, wanted)]
    parts = {point.part for point in digest.key_points}
    found += [f"no key point from part {part}" for part in expect.get("points_from", []) if part not in parts]
    found += [f"{unwanted!r} is in the digest" for unwanted in expect.get("nowhere", []) if unwanted.lower() in digest.text.lower()]
    figures = " ; ".join(figure.value for figure in digest.figures)
    found += [f"no figure {wanted!r}" for wanted in expect.get("figures", []) if not _has(figures, wanted)]
    found += [f"no table figure {wanted!r}" for wanted in expect.get("tables", []) if not _has(values, wanted)]
    exact = {figure.value for figure in digest.figures}
    found += [f"figure {value!r}" for value in expect.get("not_figures", []) if value in exact]
    urls = [link.url for link in digest.links]
    found += [f"no link {url}" for url in expect.get("links", []) if url not in urls]
    return found


def _has(text: str, wanted: str) -> bool:
    return any(choice.lower() in text.lower() for choice in wanted.split("|"))
