"""One try after another at a target: backoff, a circuit breaker for each host, a span for each try."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import tenacity
from opentelemetry.trace import Span
from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import Context, OpenedState

from otel_autopilot.errors import DeliveryError
from otel_autopilot.pipeline.delivery.outbox import Known
from otel_autopilot.pipeline.delivery.targets import Target
from otel_autopilot.telemetry import names
from otel_autopilot.telemetry.pseudonyms import pseudonym
from otel_autopilot.telemetry.spans import set_attributes, span

#: Failures in a row that open a breaker, and how long it stays open, in seconds.
BREAKER_FAILURES = 5
BREAKER_SECONDS = 30.0
#: Longest wait between two tries, in seconds, whatever a server asks for.
LONGEST_WAIT_SECONDS = 60.0

_KINDS = {"smtp": names.SMTP_SEND, "webhook": names.WEBHOOK_SEND, "folder": names.FILE_WRITE, "maildir": names.FILE_WRITE}
_STATES = {"closed": "closed", "opened": "open", "half-opened": "half-open"}


class Refused(DeliveryError):
    """The target has not taken the digest, that much is known.

    ``retryable`` says whether it may take it later; ``wait_seconds`` when, if it said so itself; ``host`` that it isn't this
    mail's or this recipient's matter: whatever comes next at this host will likely fail, too.
    """

    def __init__(self, message: str, *, retryable: bool, wait_seconds: float | None = None, host: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.wait_seconds = wait_seconds
        self.host = host


class Resting(Refused):
    """Not tried: the breaker of the host is open."""


class Uncertain(DeliveryError):
    """The bytes were sent and no answer came: nobody can tell whether they arrived."""


@dataclass
class Tries:
    """How often a target was tried. A try that the breaker held back is none."""

    count: int = 0


def new_breakers(failures: int = BREAKER_FAILURES, seconds: float = BREAKER_SECONDS) -> AsyncCircuitBreakerFactory:
    """Breakers to share among the runs of a process, one for each host.

    A host that can't be reached, breaks off or does not answer counts against it. An answer does not, also one that refuses
    the recipient for now (greylisting): the host is well.
    """
    return AsyncCircuitBreakerFactory(
        default_threshold=failures, default_ttl=seconds, exclude=[(Exception, lambda error: not _is_the_hosts(error))]
    )


def _is_the_hosts(error: Exception) -> bool:
    return isinstance(error, Uncertain) or (isinstance(error, Refused) and error.host)


async def try_until_settled(
    target: Target,
    recipient: str,
    send: Callable[[Span], Awaitable[Known]],
    *,
    breakers: AsyncCircuitBreakerFactory,
    attempts: int,
    tries: Tries,
    first_wait_seconds: float,
) -> Known:
    """Call ``send`` until it returns, raises what another try won't mend, or the tries are used up; each try has its span.

    Returns what ``send`` did. Raises Refused (the last one) or Uncertain.
    """

    async def once() -> Known:
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
                outcome = await _guarded(target, send, current, breakers)
            except DeliveryError as error:
                if isinstance(error, Resting):
                    tries.count -= 1
                set_attributes(current, {names.DELIVERY_OUTCOME: "uncertain" if isinstance(error, Uncertain) else "failed"})
                raise
            set_attributes(current, {names.DELIVERY_OUTCOME: outcome})
            return outcome

    async for attempt in tenacity.AsyncRetrying(
        stop=tenacity.stop_after_attempt(attempts),
        wait=lambda state: _wait(state, first_wait_seconds),
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, Refused) and error.retryable),
        reraise=True,
    ):
        with attempt:
            return await once()
    raise AssertionError("unreachable: tenacity raises what the last try raised")


async def _guarded(
    target: Target, send: Callable[[Span], Awaitable[Known]], current: Span, breakers: AsyncCircuitBreakerFactory
) -> Known:
    breaker = await breakers.get_breaker(f"{target.kind} {target.host}:{target.port}" if target.host else target.key)
    try:
        async with breaker:
            set_attributes(current, {names.BREAKER_STATE: _STATES[breaker.context.state]})
            return await send(current)
    except OpenedState as error:
        error.__traceback__ = None  # the breaker raises this one object again and again
        set_attributes(current, {names.BREAKER_STATE: _STATES[breaker.context.state]})
        raise _resting(breaker.context) from None


def _resting(breaker: Context) -> Resting:
    left = max(0.0, (breaker.opened_at or 0.0) + breaker.ttl - time.time())
    return Resting(
        f"not tried: {breaker.threshold} tries in a row had failed there; it rests for {breaker.ttl:g} s",
        retryable=True, wait_seconds=left,
    )  # fmt: skip


def _wait(state: tenacity.RetryCallState, first_wait_seconds: float) -> float:
    """Exponential backoff with jitter, or what the server asked for (with jitter, too: many were told the same)."""
    backoff: float = tenacity.wait_exponential_jitter(multiplier=first_wait_seconds, max=30.0, jitter=first_wait_seconds)(state)
    error = state.outcome.exception() if state.outcome else None
    asked: float | None = getattr(error, "wait_seconds", None)
    if asked is None:
        return backoff
    return min(LONGEST_WAIT_SECONDS, max(backoff, asked + random.uniform(0, first_wait_seconds)))  # noqa: S311  # nosec B311  # jitter
