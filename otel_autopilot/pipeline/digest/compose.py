"""The work of a digest, as functions for a child process: the parent never holds the text of a document."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from otel_autopilot.pipeline.digest.model import ModelDigest
from otel_autopilot.pipeline.digest.render import render_html, render_markdown, render_text
from otel_autopilot.pipeline.digest.summarize import Summary, readable_text, summarize
from otel_autopilot.pipeline.digest.words import STOP_WORDS
from otel_autopilot.pipeline.messages import Digest, Document, KeyPoint, SkippedPart

_URL = re.compile(r"https?://[^\s<>\"')\]]+")


@dataclass(frozen=True)
class Composed:
    """A digest, of how many sentences it was made, and when its parts were worked on (``time.time_ns()``)."""

    digest: Digest
    sentences: int
    start_unix_nano: int
    summarized_unix_nano: int
    end_unix_nano: int


def compose(subject: str, author: str, documents: Sequence[Document], skipped: Sequence[SkippedPart], key_points: int) -> Composed:
    """The extractive digest of a mail; without a title or a key point there was nothing to digest."""
    started = time.time_ns()
    summary = summarize(subject, author, documents, key_points)
    summarized = time.time_ns()
    digest = write(summary, documents, skipped)
    return Composed(digest, summary.sentences, started, summarized, time.time_ns())


def write(summary: Summary, documents: Sequence[Document], skipped: Sequence[SkippedPart]) -> Digest:
    """A summary in Markdown, HTML and plain text."""
    attachments = {document.part: _name_of(document) for document in documents if document.kind == "pdf" or document.filename}
    markdown = render_markdown(
        summary.title, summary.key_points, summary.figures, summary.links, summary.keywords, skipped, attachments
    )
    return Digest(
        title=summary.title, key_points=summary.key_points, keywords=summary.keywords, links=summary.links, figures=summary.figures,
        markdown=markdown, html=render_html(markdown), text=render_text(markdown),
    )  # fmt: skip


def compose_answer(
    answer: ModelDigest, extractive: Digest, documents: Sequence[Document], skipped: Sequence[SkippedPart]
) -> Digest:
    """What a model answered, as a digest: in it only links of the documents, beside the figures that were found in them."""
    urls = {link.url for link in extractive.links}
    wanted = [url for url in answer.links if url in urls]
    links = tuple(sorted(extractive.links, key=lambda link: wanted.index(link.url) if link.url in wanted else len(wanted)))
    points = tuple(KeyPoint(text=_known_urls(text, urls)) for text in answer.key_points)
    keywords = tuple(
        dict.fromkeys(word.strip()[:60] for word in answer.keywords if word.strip() and word.casefold() not in STOP_WORDS)
    )[:8]
    summary = Summary(
        title=extractive.title or answer.title,
        key_points=points,
        keywords=keywords or extractive.keywords,
        links=links,
        figures=extractive.figures,
        sentences=0,
    )
    return write(summary, documents, skipped).model_copy(update={"method": "model"})


def model_input(subject: str, author: str, documents: Sequence[Document], characters: int) -> str:
    """The subject and the readable text of each document, cut fairly to ``characters`` in all."""
    texts = [readable_text(document, subject, author) for document in documents]
    left, pieces = characters - len(subject) - 20, [f"Subject: {subject}"]
    for place, (text, document) in enumerate(sorted(zip(texts, documents, strict=True), key=lambda pair: len(pair[0]))):
        share = max(0, left // (len(texts) - place))
        piece = text[:share]
        left -= len(piece)
        pieces.append(f"[attachment]\n{piece}" if document.kind == "pdf" or document.filename else piece)
    return "\n\n".join(pieces)[:characters]


def _known_urls(text: str, urls: set[str]) -> str:
    """Without addresses that stand in no document."""
    return " ".join(_URL.sub(lambda match: match[0] if match[0].rstrip(".,;:") in urls else "", text).split())


def _name_of(document: Document) -> str:
    return document.filename or document.title or "attachment"
