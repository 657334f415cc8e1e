"""The digest stage: what a mail says, short."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from otel_autopilot.errors import DigestError
from otel_autopilot.pipeline.digest.clean import new_text
from otel_autopilot.pipeline.digest.model import INPUT_CHARACTERS, ModelDigest, ModelOptions, ask_model
from otel_autopilot.pipeline.digest.render import render_html, render_markdown, render_text
from otel_autopilot.pipeline.digest.summarize import Summary, summarize
from otel_autopilot.pipeline.messages import Digest, Document, Email, Ingested, KeyPoint
from otel_autopilot.pipeline.workers import WorkerPool
from otel_autopilot.telemetry import names
from otel_autopilot.telemetry.spans import set_attributes, span

__all__ = ["DigestOptions", "ModelOptions", "make_digest"]


@dataclass(frozen=True)
class DigestOptions:
    """How a digest is made."""

    key_points: int = 7
    model: ModelOptions | None = None


async def make_digest(email: Email, ingested: Ingested, *, pool: WorkerPool, options: DigestOptions) -> Digest:
    """Make the digest of a mail; raises DigestError when it has neither a subject nor text.

    With a model set it is asked first; whatever goes wrong there, the extractive digest takes its place, and
    `Digest.fallback_reason` says why.
    """
    with span(names.DIGEST_SUMMARIZE) as current:
        summary: Summary = await pool.run(summarize, email.subject, ingested.documents, options.key_points)
        if not summary.title and not summary.key_points:
            raise DigestError("expected a mail with a subject or text, got neither: there is nothing to digest")
        answer: ModelDigest | None = None
        reason: str | None = None
        if options.model is not None:
            answer, reason = await _by_model(options.model, email, ingested.documents, pool, options.key_points)
        set_attributes(
            current,
            {
                names.DIGEST_METHOD: "model" if answer else "extractive",
                names.DIGEST_SENTENCES: summary.sentences,
                names.DIGEST_KEY_POINTS: len(answer.key_points if answer else summary.key_points),
                names.DIGEST_FALLBACK: reason,
            },
        )
    with span(names.DIGEST_RENDER):
        title = answer.title if answer else summary.title
        points = tuple(KeyPoint(text=point) for point in answer.key_points) if answer else summary.key_points
        keywords = tuple(answer.keywords[:8]) if answer and answer.keywords else summary.keywords
        sources = {
            document.part: document.filename or document.title or "attachment"
            for document in ingested.documents
            if document.kind == "pdf"
        }
        markdown = render_markdown(title, points, summary.figures, summary.links, keywords, ingested.skipped, sources)
        return Digest(
            title=title, key_points=points, keywords=keywords, links=summary.links, figures=summary.figures, markdown=markdown,
            html=render_html(markdown), text=render_text(markdown), method="model" if answer else "extractive", fallback_reason=reason,
        )  # fmt: skip


async def _by_model(
    model: ModelOptions, email: Email, documents: Sequence[Document], pool: WorkerPool, key_points: int
) -> tuple[ModelDigest | None, str | None]:
    text = await pool.run(model_input, email.subject, documents)
    try:
        async with asyncio.timeout(model.timeout_seconds):
            return await ask_model(model, text, key_points), None
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, DigestError) as error:
        return None, type(error).__qualname__


def model_input(subject: str, documents: Sequence[Document]) -> str:
    """The subject and the beginning of each document, in a child process."""
    share = INPUT_CHARACTERS // max(1, len(documents))
    pieces = [f"Subject: {subject}"]
    for document in documents:
        text = document.text.read_text()[: share * 4]
        pieces.append((text if document.kind == "pdf" else new_text(text))[:share])
    return "\n\n".join(pieces)
