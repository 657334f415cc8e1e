"""The delivery stage: the digest to each target, with an outcome for each recipient.

An intent is stored at the last moment before the digest itself is sent, and settled after. An intent without a result means
that a process died in between: for a file its name tells what happened, for a mail or a webhook nobody can, so it is shown as
uncertain and not sent again by itself. While a connection is made and between two tries there is no intent: a process that
dies then has sent nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from opentelemetry.trace import Span

from otel_autopilot.errors import DeliveryError
from otel_autopilot.pipeline.delivery.attempt import Refused, Tries, Uncertain, try_until_settled
from otel_autopilot.pipeline.delivery.compose import compose
from otel_autopilot.pipeline.delivery.folder import remove_left_drafts, write_folder, write_maildir, written
from otel_autopilot.pipeline.delivery.manners import Recipient, recipients_of
from otel_autopilot.pipeline.delivery.options import DeliveryOptions
from otel_autopilot.pipeline.delivery.outbox import Known, Outbox
from otel_autopilot.pipeline.delivery.smtp import send_mail
from otel_autopilot.pipeline.delivery.targets import Target
from otel_autopilot.pipeline.delivery.webhook import post
from otel_autopilot.pipeline.messages import Delivery, Digest, Email, RecipientOutcome
from otel_autopilot.pipeline.threads import in_thread

__all__ = ["DeliveryFailed", "DeliveryOptions", "deliver"]

_DIED = "an earlier process died while it sent this; it is not sent again by itself"


class DeliveryFailed(DeliveryError):
    """No recipient got the digest. ``retryable`` when another attempt may reach one of them."""

    def __init__(self, message: str, outcomes: Sequence[RecipientOutcome], *, retryable: bool) -> None:
        super().__init__(message)
        self.outcomes = tuple(outcomes)
        self.retryable = retryable


async def deliver(
    digest: Digest, email: Email, targets: Sequence[Target], *, run_id: str, outbox: Outbox, options: DeliveryOptions,
    sender_verified: bool = False,
) -> Delivery:  # fmt: skip
    """Deliver to every target, side by side; without targets the digest is just kept, and that is a success.

    ``sender_verified`` says that SMTP AUTH or DKIM vouches for the address in From: without it nobody is answered.
    Who is named twice gets it once for each server. Raises DeliveryFailed when every recipient failed; when some did, the
    outcomes say which. What the outbox raises is raised when all that was begun has ended.
    """
    jobs: dict[tuple[str, str], _Job] = {}
    outcomes: list[RecipientOutcome] = []
    may_pass = False
    for target in targets:
        recipients = _recipients(target, email, options, sender_verified)
        if not recipients:
            outcomes.append(_nobody(target, options))
        for recipient in recipients:
            job = _Job(target, recipient, digest, email, run_id, outbox, options)
            jobs.setdefault((target.key, job.address.casefold()), job)
    for result in await asyncio.gather(*(job.deliver() for job in jobs.values()), return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
        outcomes.append(result.outcome)
        may_pass = may_pass or result.may_pass
    owed = [outcome for outcome in outcomes if outcome.outcome != "suppressed"]
    if owed and all(outcome.outcome == "failed" for outcome in owed):
        more = f" (and {len(owed) - 1} more)" if len(owed) > 1 else ""
        raise DeliveryFailed(f"{owed[0].target}: {owed[0].error}{more}", outcomes, retryable=may_pass)
    return Delivery(outcomes=tuple(outcomes))


def _recipients(target: Target, email: Email, options: DeliveryOptions, sender_verified: bool) -> Sequence[Recipient | None]:
    if target.kind != "smtp":
        return [None]
    return recipients_of(
        email, target, configured=options.recipients, allowed=options.allowed_recipients, reply_to_sender=options.reply_to_sender,
        own_addresses=(options.sender, *options.own_addresses), sender_verified=sender_verified,
    )  # fmt: skip


def _nobody(target: Target, options: DeliveryOptions) -> RecipientOutcome:
    if options.reply_to_sender:
        return RecipientOutcome(target=target.name, outcome="suppressed", error="the mail names no sender who could be answered")
    return RecipientOutcome(
        target=target.name, outcome="failed",
        error="nobody to send to: add ?to=ADDRESS to the target, or set AUTOPILOT_DIGEST_RECIPIENTS",
    )  # fmt: skip


@dataclass(frozen=True)
class _Result:
    outcome: RecipientOutcome
    may_pass: bool = False
    """It failed, and another attempt may do better."""


@dataclass
class _Job:
    """One digest for one recipient of one target."""

    target: Target
    recipient: Recipient | None
    digest: Digest
    email: Email
    run_id: str
    outbox: Outbox
    options: DeliveryOptions
    intended: bool = False
    held: Known | None = None

    @property
    def address(self) -> str:
        return self.recipient.address if self.recipient else ""

    async def deliver(self) -> _Result:
        if self.recipient is not None and self.recipient.suppressed is not None:
            return self._told("suppressed", 0, self.recipient.suppressed)
        known = await self.outbox.known(self.run_id, self.target.key, self.address)
        if known == "uncertain":
            known = await self._look()
            self.intended = known == "new"
        if known != "new":
            return await self._known(known, 0)
        tries = Tries()
        try:
            outcome = await try_until_settled(
                self.target, self.address, self._send, breakers=self.options.breakers, attempts=self.options.attempts, tries=tries,
                first_wait_seconds=self.options.first_wait_seconds,
            )  # fmt: skip
        except Uncertain as error:
            return await self._settled("uncertain", tries.count, str(error))
        except Refused as error:
            if not error.retryable:
                return await self._settled("failed", tries.count, str(error))
            await self._retract()
            return self._told("failed", tries.count, str(error), may_pass=True)
        if outcome != "delivered":  # held back: nothing was sent
            return await self._known(outcome, tries.count - 1)
        return await self._settled("delivered", tries.count, None)

    async def _may_send(self) -> bool:
        """Store the intent. Another mail may have taken the last place within the rate, or another process this delivery."""
        if self.intended:
            return True
        self.intended = True  # also when the wait is cut short: what may be stored by then is taken back
        limit = self.options.replies_per_recipient_per_hour if self.recipient is not None and self.recipient.is_reply else None
        known = await self.outbox.intend(self.run_id, self.target.key, self.address, hourly_limit=limit)
        if known != "new":
            self.intended, self.held = False, known
        return self.intended

    async def _retract(self) -> None:
        if self.intended:
            self.intended = False
            await self.outbox.retract(self.run_id, self.target.key, self.address)

    async def _look(self) -> Known:
        """What became of an intent without a result: "new" when it is known that nothing was written."""
        if self.target.path is None:
            if await self.outbox.reason(self.run_id, self.target.key, self.address) is None:
                await self.outbox.settle(self.run_id, self.target.key, self.address, "uncertain", _DIED)
            return "uncertain"
        if self.target.kind == "folder":
            await in_thread(remove_left_drafts, self.target.path, self.run_id)
        if not await in_thread(written, self.target.path, self.target.kind, self.run_id):
            return "new"
        await self.outbox.settle(self.run_id, self.target.key, self.address, "delivered", None)
        return "delivered"

    async def _known(self, known: Known, tries: int) -> _Result:
        assert known != "new"
        error = None if known == "delivered" else await self.outbox.reason(self.run_id, self.target.key, self.address)
        return self._told(known, tries, error)

    async def _settled(self, outcome: Literal["delivered", "failed", "uncertain"], tries: int, error: str | None) -> _Result:
        await self.outbox.settle(self.run_id, self.target.key, self.address, outcome, error)
        return self._told(outcome, tries, error)

    def _told(
        self,
        outcome: Literal["delivered", "failed", "suppressed", "uncertain"],
        tries: int,
        error: str | None,
        *,
        may_pass: bool = False,
    ) -> _Result:
        told = RecipientOutcome(target=self.target.name, recipient=self.address, outcome=outcome, attempts=tries, error=error)
        return _Result(told, may_pass)

    async def _send(self, current: Span) -> Known:
        """One try. What is known not to have been taken, and may be taken later, has no intent from then on."""
        try:
            if self.recipient is not None:
                mail = await in_thread(compose, self.digest, self.email, self.recipient, run_id=self.run_id, options=self.options)
                await send_mail(mail, self.target, self.recipient, self.options, current, self._may_send)
            elif self.target.path is None:
                await post(self.digest, self.target, self.options, self.run_id, current, self._may_send)
            elif not await self._may_send():
                pass
            elif self.target.kind == "folder":
                await in_thread(write_folder, self.target.path, self.digest, self.run_id)
            else:
                await in_thread(write_maildir, self.target.path, self.digest, self.email, self.run_id, self.options)
        except Refused as error:
            if error.retryable:
                await self._retract()
            raise
        return self.held or "delivered"
