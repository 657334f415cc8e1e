"""All the work of an extractive digest in one piece, for a child process."""

from __future__ import annotations

from collections.abc import Sequence

from otel_autopilot.pipeline.digest.render import render_html, render_markdown, render_text
from otel_autopilot.pipeline.digest.summarize import summarize
from otel_autopilot.pipeline.messages import Digest, Document, SkippedPart


def compose(subject: str, documents: Sequence[Document], skipped: Sequence[SkippedPart], key_points: int) -> Digest:
    summary = summarize(subject, documents, key_points)
    sources = {d.part: d.filename or d.title or "attachment" for d in documents if d.kind == "pdf"}
    markdown = render_markdown(summary.title, summary.key_points, summary.figures, summary.links, summary.keywords, skipped, sources)
    return Digest(title=summary.title, key_points=summary.key_points, keywords=summary.keywords, links=summary.links,
                  figures=summary.figures, markdown=markdown, html=render_html(markdown), text=render_text(markdown))
