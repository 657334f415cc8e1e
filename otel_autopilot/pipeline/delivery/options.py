"""How digests are delivered: what the settings say, with secrets read."""

from __future__ import annotations

from dataclasses import dataclass, field

from purgatory import AsyncCircuitBreakerFactory

from otel_autopilot.pipeline.delivery.attempt import new_breakers


@dataclass(frozen=True)
class DeliveryOptions:
    """Options of all targets; the breakers are shared by the runs that share these options."""

    sender: str = "digest@localhost"
    """From address of digest mail."""
    recipients: tuple[str, ...] = ()
    """Who gets the digest from an smtp target that names nobody."""
    allowed_recipients: tuple[str, ...] = ()
    """Addresses and @domains that may be answered."""
    reply_to_sender: bool = False
    replies_per_recipient_per_hour: int = 20
    trace_header_domains: tuple[str, ...] = ()
    smtp_user: str | None = None
    smtp_password: str | None = field(default=None, repr=False)
    webhook_secret: str | None = field(default=None, repr=False)
    attempts: int = 4
    """Tries per target and recipient."""
    timeout_seconds: float = 30.0
    """Limit of one try."""
    first_wait_seconds: float = 0.5
    """Wait before the second try; it doubles."""
    breakers: AsyncCircuitBreakerFactory = field(default_factory=new_breakers, repr=False, compare=False)
