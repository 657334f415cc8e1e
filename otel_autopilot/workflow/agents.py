"""The built-in agents: each stage's function with the tools and settings it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from otel_autopilot.errors import SettingsError
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.delivery.attempt import new_breakers
from otel_autopilot.pipeline.delivery.outbox import Outbox
from otel_autopilot.pipeline.delivery.stage import DeliveryOptions, deliver
from otel_autopilot.pipeline.delivery.targets import Target, parse_target
from otel_autopilot.pipeline.digest.stage import DigestOptions, ModelOptions, make_digest
from otel_autopilot.pipeline.email.routing import Routes
from otel_autopilot.pipeline.email.stage import read_email
from otel_autopilot.pipeline.email.verify import is_trusted
from otel_autopilot.pipeline.ingestion.stage import IngestionLimits, ingest
from otel_autopilot.pipeline.messages import Digest, Email, Ingested, Message, RawEmail
from otel_autopilot.pipeline.workers import WorkerPool
from otel_autopilot.settings import Settings
from otel_autopilot.workflow.definition import built_in
from otel_autopilot.workflow.walk import Walk

M = TypeVar("M", bound=Message)

#: Failures that open no breaker.
NEVER = 1_000_000_000
#: Called as pages are read: the part's number, pages done, pages in all.
Progress = Callable[[str, int, int], None]


class BuiltInAgents:
    """Email, ingestion, digest and delivery as the settings say."""

    def __init__(
        self,
        settings: Settings,
        *,
        pool: WorkerPool,
        blobs: BlobStore,
        outbox: Outbox,
        targets: Sequence[Target],
        progress: Progress | None = None,
        patient: bool = True,
    ) -> None:
        """``patient``: sit out the rest of a host that keeps failing; a command that somebody waits for doesn't."""
        self._pool = pool
        self._blobs = blobs
        self._outbox = outbox
        self._targets = tuple(targets)
        self._progress = progress
        self._trusted_senders = settings.trusted_senders
        self._routes = Routes.load(settings.routes_file) if settings.routes_file else Routes.default()
        if unknown := [name for name in self._routes.workflows if built_in(name) is None]:
            raise SettingsError(
                f"{settings.routes_file}: expected workflows that there are (email-digest), got {', '.join(unknown)}"
            )
        self._limits = IngestionLimits(
            pdf_max_bytes=settings.pdf_max_bytes,
            pdf_max_pages=settings.pdf_max_pages,
            timeout_seconds=settings.worker_timeout_seconds,
        )
        self._digest = DigestOptions(key_points=settings.digest_key_points, model=_model(settings))
        self._delivery = delivery_options(settings)
        if not patient:
            self._delivery = replace(self._delivery, breakers=new_breakers(failures=NEVER))

    async def work(self, agent: str, run: Walk) -> Message:
        """Do one agent's work; raises StageError or WorkError, and SettingsError for an agent that doesn't exist."""
        match agent:
            case "email_agent":
                return await read_email(
                    run.raw, pool=self._pool, blobs=self._blobs, routes=self._routes, trusted_senders=self._trusted_senders
                )
            case "ingestion_agent":
                return await ingest(
                    _made(run, "email_agent", Email),
                    pool=self._pool,
                    blobs=self._blobs,
                    limits=self._limits,
                    progress=self._progress,
                )
            case "digest_agent":
                return await make_digest(
                    _made(run, "email_agent", Email), _made(run, "ingestion_agent", Ingested), pool=self._pool, options=self._digest
                )
            case "delivery_agent":
                email = _made(run, "email_agent", Email)
                return await deliver(
                    _made(run, "digest_agent", Digest),
                    email,
                    self._targets,
                    run_id=run.identity.run_id,
                    outbox=self._outbox,
                    options=self._delivery,
                    sender_verified=await self._verified(email, run.raw),
                )
            case _:
                raise SettingsError(f"workflow {run.workflow.name}: expected a built-in agent, got {agent!r}")

    async def _verified(self, email: Email, raw: RawEmail) -> bool:
        """Whether the sender is who From says, where that matters: a DKIM key is looked up in DNS."""
        if not self._delivery.reply_to_sender or email.sender is None or email.automatic is not None:
            return False
        return await is_trusted(raw, (email.sender.address,))


def _made(run: Walk, agent: str, kind: type[M]) -> M:
    message = run.made.get(agent)
    if not isinstance(message, kind):
        raise SettingsError(f"workflow {run.workflow.name}: {agent} has to come before the step that needs {kind.__name__}")
    return message


def _model(settings: Settings) -> ModelOptions | None:
    if settings.model_url is None:
        return None
    return ModelOptions(
        url=settings.model_url,
        name=settings.model_name,
        key=read_secret(settings.model_key_file, "model_key_file"),
        timeout_seconds=settings.model_timeout_seconds,
    )


def delivery_options(settings: Settings) -> DeliveryOptions:
    """What delivery needs of the settings, secrets read from their files."""
    return DeliveryOptions(
        sender=settings.digest_from,
        own_addresses=tuple(address for address in settings.smtp_recipients if not address.startswith("@")),
        recipients=settings.digest_recipients,
        allowed_recipients=settings.allowed_recipients,
        reply_to_sender=settings.reply_to_sender,
        replies_per_recipient_per_hour=settings.replies_per_recipient_per_hour,
        trace_header_domains=settings.trace_header_domains,
        smtp_user=settings.smtp_user,
        smtp_password=read_secret(settings.smtp_password_file, "smtp_password_file"),
        webhook_secret=read_secret(settings.webhook_secret_file, "webhook_secret_file"),
        attempts=settings.delivery_attempts,
        timeout_seconds=settings.delivery_timeout_seconds,
    )


def parse_targets(texts: Sequence[str]) -> tuple[Target, ...]:
    """The targets that the user named; raises SettingsError for one that isn't any."""
    return tuple(parse_target(text) for text in texts)


def read_secret(path: Path | None, setting: str) -> str | None:
    """The first line of a secret's file, or None when none is set; raises SettingsError when it can't be read or is empty."""
    if path is None:
        return None
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"AUTOPILOT_{setting.upper()}: {path}: {error.strerror or error}") from error
    if not secret:
        raise SettingsError(f"AUTOPILOT_{setting.upper()}: {path}: expected a secret, got an empty file")
    return secret
