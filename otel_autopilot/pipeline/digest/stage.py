"""The digest stage: what a mail says, short."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import httpx

from otel_autopilot.errors import DigestError, WorkError
from otel_autopilot.pipeline.digest.compose import Composed, compose, compose_answer, model_input
from otel_autopilot.pipeline.digest.model import INPUT_CHARACTERS, ModelDigest, ModelOptions, ask_model
from otel_autopilot.pipeline.messages import Digest, Email, Ingested
from otel_autopilot.pipeline.workers import WorkerPool
from otel_autopilot.telemetry import names
from otel_autopilot.telemetry.spans import record_span, set_attributes, span

__all__ = ["DigestOptions", "ModelOptions", "make_digest"]


@dataclass(frozen=True)
class DigestOptions:
    """How a digest is made."""

    key_points: int = 7
    """Most key points, from 1."""
    model: ModelOptions | None = None
    """A language model to ask first, or None."""
    timeout_seconds: float | None = None
    """Limit of the work in a child process; None: the pool's."""


async def make_digest(email: Email, ingested: Ingested, *, pool: WorkerPool, options: DigestOptions) -> Digest:
    """Make the digest of a mail.

    Raises DigestError when the mail has neither a subject nor text, WorkTimeout, WorkLimit or WorkCrashed when the work in the
    child process did not end well. With a model set it is asked; whatever goes wrong there, the extractive digest stands, and
    `Digest.fallback_reason` says why.
    """
    if options.model is None:
        return await _extractive(email, ingested, pool, options)
    return await _by_model(email, ingested, pool, options, options.model)


async def _extractive(email: Email, ingested: Ingested, pool: WorkerPool, options: DigestOptions) -> Digest:
    """One visit to a worker; its two spans are recorded with the times measured there."""
    started = time.time_ns()
    try:
        composed = await _composed(email, ingested, pool, options)
    except Exception as error:
        record_span(names.DIGEST_SUMMARIZE, started, time.time_ns(), {names.DIGEST_METHOD: "extractive"}, error)
        raise
    record_span(
        names.DIGEST_SUMMARIZE, composed.start_unix_nano, composed.summarized_unix_nano,
        {
            names.DIGEST_METHOD: "extractive",
            names.DIGEST_SENTENCES: composed.sentences,
            names.DIGEST_KEY_POINTS: len(composed.digest.key_points),
        },
    )  # fmt: skip
    record_span(names.DIGEST_RENDER, composed.summarized_unix_nano, composed.end_unix_nano)
    return composed.digest


async def _by_model(email: Email, ingested: Ingested, pool: WorkerPool, options: DigestOptions, model: ModelOptions) -> Digest:
    reason: str | None = None
    with span(names.DIGEST_SUMMARIZE) as current:
        composed = await _composed(email, ingested, pool, options)
        answer: ModelDigest | None = None
        try:
            text = await pool.run(
                model_input,
                email.subject,
                _author(email),
                ingested.documents,
                INPUT_CHARACTERS,
                timeout_seconds=options.timeout_seconds,
            )
            async with asyncio.timeout(model.timeout_seconds):
                answer = await ask_model(model, text, options.key_points)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, UnicodeError, DigestError, WorkError) as error:
            reason = type(error).__qualname__
        set_attributes(
            current,
            {
                names.DIGEST_METHOD: "model" if answer else "extractive",
                names.DIGEST_SENTENCES: composed.sentences,
                names.DIGEST_KEY_POINTS: len(answer.key_points if answer else composed.digest.key_points),
                names.DIGEST_FALLBACK: reason,
            },
        )
    if answer is None:
        record_span(names.DIGEST_RENDER, composed.summarized_unix_nano, composed.end_unix_nano)
        return composed.digest.model_copy(update={"fallback_reason": reason})
    with span(names.DIGEST_RENDER):
        return await pool.run(
            compose_answer, answer, composed.digest, ingested.documents, ingested.skipped, timeout_seconds=options.timeout_seconds
        )


async def _composed(email: Email, ingested: Ingested, pool: WorkerPool, options: DigestOptions) -> Composed:
    composed: Composed = await pool.run(
        compose, email.subject, _author(email), ingested.documents, ingested.skipped, options.key_points,
        timeout_seconds=options.timeout_seconds,
    )  # fmt: skip
    if not composed.digest.title and not composed.digest.key_points:
        raise DigestError("expected a mail with a subject, a text or a readable attachment, got none: there is nothing to digest")
    return composed


def _author(email: Email) -> str:
    return email.sender.name if email.sender else ""
