"""The delivery stage: the digest to each target, with an outcome for each recipient.

An intent is stored before anything is sent and settled after. An intent without a result means that a process died in
between: for a file its name tells what happened, for a mail or a webhook nobody can, so it is shown as uncertain and not
sent again by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from opentelemetry.trace import Span

from otel_autopilot.errors import DeliveryError
from otel_autopilot.pipeline.delivery.attempt import Refused, Tries, Uncertain, try_until_settled
from otel_autopilot.pipeline.delivery.folder import write_folder, write_maildir, written
from otel_autopilot.pipeline.delivery.manners import HOUR_SECONDS, Recipient, recipients_of
from otel_autopilot.pipeline.delivery.options import DeliveryOptions
from otel_autopilot.pipeline.delivery.outbox import Outbox
from otel_autopilot.pipeline.delivery.smtp import compose, send_mail
from otel_autopilot.pipeline.delivery.targets import Target
from otel_autopilot.pipeline.delivery.webhook import post
from otel_autopilot.pipeline.messages import Delivery, Digest, Email, RecipientOutcome
from otel_autopilot.pipeline.threads import in_thread

__all__ = ["DeliveryOptions", "deliver"]


@dataclass(frozen=True)
class _Job:
    target: Target
    recipient: Recipient | None

    @property
    def address(self) -> str:
        return self.recipient.address if self.recipient else ""


class DeliveryFailed(DeliveryError):
    """No recipient got the digest."""


async def deliver(
    digest: Digest, email: Email, targets: Sequence[Target], *, run_id: str, outbox: Outbox, options: DeliveryOptions
) -> Delivery:
    """Deliver to every target, side by side; without targets the digest is just kept, and that is a success.

    Raises DeliveryError when every recipient failed; when some did, the outcomes say which.
    """
    jobs = [job for target in targets for job in _jobs(target, email, options)]
    outcomes = await asyncio.gather(*(_deliver(job, digest, email, run_id, outbox, options) for job in jobs))
    unmade = [_nobody(target) for target in targets if not any(job.target == target for job in jobs)]
    outcomes += unmade
    sent = [outcome for outcome in outcomes if outcome.outcome != "suppressed"]
    if sent and all(outcome.outcome == "failed" for outcome in sent):
        raise DeliveryFailed(f"{sent[0].target}: {sent[0].error}" + (f" (and {len(sent) - 1} more)" if len(sent) > 1 else ""))
    return Delivery(outcomes=tuple(outcomes))


def _jobs(target: Target, email: Email, options: DeliveryOptions) -> list[_Job]:
    if target.kind != "smtp":
        return [_Job(target, None)]
    recipients = recipients_of(
        email, target, configured=options.recipients, allowed=options.allowed_recipients, reply_to_sender=options.reply_to_sender,
        own_address=options.sender,
    )  # fmt: skip
    return [_Job(target, recipient) for recipient in recipients]


def _nobody(target: Target) -> RecipientOutcome:
    return RecipientOutcome(
        target=target.name, outcome="failed",
        error="nobody to send to: add ?to=ADDRESS to the target, or set AUTOPILOT_DIGEST_RECIPIENTS",
    )  # fmt: skip


async def _deliver(
    job: _Job, digest: Digest, email: Email, run_id: str, outbox: Outbox, options: DeliveryOptions
) -> RecipientOutcome:
    target, recipient = job.target, job.recipient

    def told(outcome: str, attempts: int = 0, error: str | None = None) -> RecipientOutcome:
        return RecipientOutcome(target=target.name, recipient=job.address, outcome=outcome, attempts=attempts, error=error)  # type: ignore[arg-type]

    if recipient is not None and recipient.suppressed is not None:
        return told("suppressed", error=recipient.suppressed)
    known = await outbox.intend(run_id, target.name, job.address)
    if known == "uncertain" and target.path is not None:
        there = await in_thread(written, target.path, target.kind, run_id)
        known = "delivered" if there else "new"
        if there:
            await outbox.settle(run_id, target.name, job.address, "delivered", None)
    if known == "uncertain":
        await outbox.settle(run_id, target.name, job.address, "uncertain", None)
        return told("uncertain", error="an earlier process died while it sent this; it is not sent again by itself")
    if known in ("delivered", "suppressed"):
        return told(known)
    if recipient is not None and await _too_many(recipient, outbox, options):
        error = f"more than {options.replies_per_recipient_per_hour} mails to this recipient within an hour"
        await outbox.settle(run_id, target.name, job.address, "suppressed", error)
        return told("suppressed", error=error)
    tries = Tries()
    send = _sender(job, digest, email, run_id, options)
    try:
        await try_until_settled(
            target, job.address, send, breakers=options.breakers, attempts=options.attempts, tries=tries,
            first_wait_seconds=options.first_wait_seconds,
        )  # fmt: skip
    except Uncertain as error:
        await outbox.settle(run_id, target.name, job.address, "uncertain", str(error))
        return told("uncertain", tries.count, str(error))
    except Refused as error:
        await outbox.settle(run_id, target.name, job.address, "failed", str(error))
        return told("failed", tries.count, str(error))
    await outbox.settle(run_id, target.name, job.address, "delivered", None)
    return told("delivered", tries.count)


async def _too_many(recipient: Recipient, outbox: Outbox, options: DeliveryOptions) -> bool:
    since = time.time_ns() - HOUR_SECONDS * 1_000_000_000
    return await outbox.sent_since(recipient.address, since) > options.replies_per_recipient_per_hour


def _sender(job: _Job, digest: Digest, email: Email, run_id: str, options: DeliveryOptions) -> Callable[[Span], Awaitable[None]]:
    target, recipient = job.target, job.recipient

    async def send(current: Span) -> None:
        if recipient is not None:
            mail = compose(digest, email, recipient, run_id=run_id, options=options)
            await send_mail(mail, target, recipient, options, current)
        elif target.kind == "webhook":
            await post(digest, target, options, run_id, current)
        elif target.path is not None and target.kind == "folder":
            await in_thread(write_folder, target.path, digest, run_id)
        elif target.path is not None:
            await in_thread(write_maildir, target.path, digest, email, run_id, options)

    return send
