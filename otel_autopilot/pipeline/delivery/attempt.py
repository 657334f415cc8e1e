"""One try after another at a target: backoff, a circuit breaker for each host, a span for each try."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import tenacity
from opentelemetry.trace import Span
from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

from otel_autopilot.errors import DeliveryError
from otel_autopilot.pipeline.delivery.targets import Target
from otel_autopilot.telemetry import names
from otel_autopilot.telemetry.pseudonyms import pseudonym
from otel_autopilot.telemetry.spans import set_attributes, span

#: Failures in a row that open a breaker, and how long it stays open, in seconds.
BREAKER_FAILURES = 5
BREAKER_SECONDS = 30
#: Longest wait between two tries, in seconds, whatever a server asks for.
LONGEST_WAIT_SECONDS = 60.0

_KINDS = {"smtp": names.SMTP_SEND, "webhook": names.WEBHOOK_SEND, "folder": names.FILE_WRITE, "maildir": names.FILE_WRITE}


class Refused(DeliveryError):
    """The target said no. ``retryable`` says whether it may say yes later; ``wait_seconds`` when, if it said so itself."""

    def __init__(self, message: str, *, retryable: bool, wait_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.wait_seconds = wait_seconds


class Uncertain(DeliveryError):
    """The bytes were sent and no answer came: nobody can tell whether they arrived."""


@dataclass
class Tries:
    """How often a target was tried."""

    count: int = 0


def new_breakers() -> AsyncCircuitBreakerFactory:
    """Breakers to share among the runs of a process. Only failures that may pass are the host's; a refused recipient is not."""
    return AsyncCircuitBreakerFactory(
        default_threshold=BREAKER_FAILURES,
        default_ttl=BREAKER_SECONDS,
        exclude=[(Refused, lambda error: not getattr(error, "retryable", True)), Uncertain],
    )


async def try_until_settled(
    target: Target,
    recipient: str,
    send: Callable[[Span], Awaitable[None]],
    *,
    breakers: AsyncCircuitBreakerFactory,
    attempts: int,
    tries: Tries,
    first_wait_seconds: float = 0.5,
) -> None:
    """Call ``send`` until it returns, raises what another try won't mend, or the tries are used up; each try has its span.

    Raises Refused (the last one) or Uncertain.
    """

    async def once() -> None:
        tries.count += 1
        values = {
            names.DELIVERY_TARGET: target.kind,
            names.DELIVERY_RECIPIENT: pseudonym(recipient) if recipient else None,
            names.DELIVERY_TRY: tries.count,
            names.SERVER_ADDRESS: target.host or None,
            names.SERVER_PORT: target.port or None,
        }
        with span(_KINDS[target.kind], values) as current:
            try:
                await _guarded(target, send, current, breakers)
            except DeliveryError as error:
                set_attributes(current, {names.DELIVERY_OUTCOME: "uncertain" if isinstance(error, Uncertain) else "failed"})
                raise
            set_attributes(current, {names.DELIVERY_OUTCOME: "delivered"})

    async for attempt in tenacity.AsyncRetrying(
        stop=tenacity.stop_after_attempt(attempts),
        wait=lambda state: _wait(state, first_wait_seconds),
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, Refused) and error.retryable),
        reraise=True,
    ):
        with attempt:
            await once()


async def _guarded(
    target: Target, send: Callable[[Span], Awaitable[None]], current: Span, breakers: AsyncCircuitBreakerFactory
) -> None:
    key = f"{target.kind} {target.host}:{target.port}" if target.host else target.name
    breaker = await breakers.get_breaker(key)
    set_attributes(current, {names.BREAKER_STATE: breaker.context.state})
    try:
        async with breaker:
            await send(current)
    except OpenedState as error:
        raise Refused(
            f"not tried: {BREAKER_FAILURES} tries in a row had failed at this target, which rests for {BREAKER_SECONDS} s",
            retryable=True,
        ) from error


def _wait(state: tenacity.RetryCallState, first_wait_seconds: float) -> float:
    backoff = tenacity.wait_exponential_jitter(multiplier=first_wait_seconds, max=30.0, jitter=first_wait_seconds)(state)
    error = state.outcome.exception() if state.outcome else None
    asked = getattr(error, "wait_seconds", None)
    return min(LONGEST_WAIT_SECONDS, max(backoff, asked or 0.0))


_ADDRESS = re.compile(r"<?[^\s<>@]+@[^\s<>@]+>?")


def without_addresses(text: str) -> str:
    """A server's words without the addresses that servers like to repeat."""
    return _ADDRESS.sub("<address>", " ".join(text.split()))[:300]
