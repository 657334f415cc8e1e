"""How digests are delivered: what the settings say, with secrets read."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

from purgatory import AsyncCircuitBreakerFactory

from otel_autopilot.errors import SettingsError
from otel_autopilot.pipeline.delivery.addresses import is_address
from otel_autopilot.pipeline.delivery.attempt import new_breakers


@dataclass(frozen=True)
class DeliveryOptions:
    """Options of all targets; the breakers are shared by the runs that share these options.

    Raises SettingsError for a sender or recipient that is no address and for a webhook secret that can't be read.
    """

    sender: str = "digest@localhost"
    """From address of digest mail."""
    own_addresses: tuple[str, ...] = ()
    """Addresses that mail comes in by: besides ``sender``, none of them gets a digest."""
    recipients: tuple[str, ...] = ()
    """Who gets the digest from an smtp target that names nobody."""
    allowed_recipients: tuple[str, ...] = ()
    """Addresses and @domains that may be answered."""
    reply_to_sender: bool = False
    replies_per_recipient_per_hour: int = 20
    """Most answers to one recipient within an hour, by any run (RFC 3834). Recipients whom the operator named have no limit."""
    trace_header_domains: tuple[str, ...] = ()
    """Domains that outgoing mail may carry traceparent to."""
    smtp_user: str | None = None
    smtp_password: str | None = field(default=None, repr=False)
    webhook_secret: str | None = field(default=None, repr=False)
    """As it is, or ``whsec_`` and base64 (Standard Webhooks)."""
    attempts: int = 4
    """Tries per target and recipient."""
    timeout_seconds: float = 30.0
    """Limit of one try."""
    first_wait_seconds: float = 0.5
    """Wait before the second try; it doubles."""
    breakers: AsyncCircuitBreakerFactory = field(default_factory=new_breakers, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not is_address(self.sender):
            raise SettingsError("AUTOPILOT_DIGEST_FROM: expected an address such as digest@example.org, got something else")
        if wrong := sum(not is_address(recipient) for recipient in self.recipients):
            raise SettingsError(
                f"AUTOPILOT_DIGEST_RECIPIENTS: expected addresses such as ops@example.org, got {wrong} that are none"
            )
        self.webhook_key()

    def webhook_key(self) -> bytes | None:
        """The key that signs webhooks, or None when there is none; raises SettingsError when its base64 can't be read."""
        if self.webhook_secret is None:
            return None
        if not self.webhook_secret.startswith("whsec_"):
            return self.webhook_secret.encode()
        try:
            return base64.b64decode(self.webhook_secret.removeprefix("whsec_"), validate=True)
        except (binascii.Error, ValueError):
            raise SettingsError("AUTOPILOT_WEBHOOK_SECRET_FILE: expected base64 after whsec_, got something else") from None
