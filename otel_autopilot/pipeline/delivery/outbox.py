"""What is stored about a delivery before its bytes are sent, so that a crash is detected and never silently repeated.

    (nothing) ──intend──▶ intent ──settle──▶ delivered, failed (for good) or uncertain
        ▲                   │
        └─────retract───────┘   it was not taken, and another try may follow

An intent that is found again without a result is *uncertain*. Only what stands at "nothing" is ever sent.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

from otel_autopilot.telemetry.pseudonyms import normalised

Known = Literal["new", "delivered", "failed", "suppressed", "uncertain"]
Settled = Literal["delivered", "failed", "suppressed", "uncertain"]

#: Stores the intent, at the last moment; False when the digest must not be sent after all.
MaySend = Callable[[], Awaitable[bool]]
#: The window of the rate per recipient: it slides.
WINDOW_NANOSECONDS = 3_600_000_000_000


def over_the_rate(limit: int) -> str:
    """Why a mail was suppressed that would have been one too many."""
    return f"more than {limit} mails to this recipient within an hour"


class Outbox(Protocol):
    """Intents and results of deliveries. Targets and recipients are given in the clear and stored as pseudonyms."""

    async def known(self, run_id: str, target: str, recipient: str) -> Known:
        """What is stored: "new" when there is nothing, the result when there is one, "uncertain" for an intent without."""

    async def intend(self, run_id: str, target: str, recipient: str, *, hourly_limit: int | None = None) -> Known:
        """Store the intent, durably, right before the digest is sent (for SMTP, before DATA).

        Returns "new" when there was none; the result when there is one; "uncertain" when an intent is there without a result:
        the process died between sending and recording, or just before sending, and nobody can tell which.

        With a limit, counting what this recipient was sent within the last hour (delivered, uncertain or under way, by any
        run) and storing the intent are one step, whatever others do at the same time; one too many is stored, and returned,
        as "suppressed".
        """

    async def settle(self, run_id: str, target: str, recipient: str, outcome: Settled, error: str | None) -> None:
        """Store the result of a delivery, intended or not (refused before it came to that)."""

    async def retract(self, run_id: str, target: str, recipient: str) -> None:
        """Take an intent back: it is known that nothing was sent, and another try may follow."""

    async def reason(self, run_id: str, target: str, recipient: str) -> str | None:
        """The error that was stored with a result."""


class MemoryOutbox:
    """An outbox that lives as long as the process: for runs that do, too."""

    def __init__(self) -> None:
        self._results: dict[tuple[str, str, str], tuple[Settled | None, str | None]] = {}
        self._intended: dict[str, dict[tuple[str, str, str], int]] = {}

    async def known(self, run_id: str, target: str, recipient: str) -> Known:
        """As `Outbox.known`."""
        result = self._results.get(_key(run_id, target, recipient))
        return "new" if result is None else result[0] or "uncertain"

    async def intend(self, run_id: str, target: str, recipient: str, *, hourly_limit: int | None = None) -> Known:
        """As `Outbox.intend`."""
        key = _key(run_id, target, recipient)
        if key in self._results:
            return self._results[key][0] or "uncertain"
        now = time.time_ns()
        sent = self._intended.setdefault(key[2], {})
        if hourly_limit is not None and sum(moment > now - WINDOW_NANOSECONDS for moment in sent.values()) >= hourly_limit:
            self._results[key] = ("suppressed", over_the_rate(hourly_limit))
            return "suppressed"
        self._results[key] = (None, None)
        sent[key] = now
        return "new"

    async def settle(self, run_id: str, target: str, recipient: str, outcome: Settled, error: str | None) -> None:
        """As `Outbox.settle`."""
        key = _key(run_id, target, recipient)
        self._results[key] = (outcome, error)
        if outcome in ("failed", "suppressed"):
            self._intended.get(key[2], {}).pop(key, None)

    async def retract(self, run_id: str, target: str, recipient: str) -> None:
        """As `Outbox.retract`."""
        key = _key(run_id, target, recipient)
        self._results.pop(key, None)
        self._intended.get(key[2], {}).pop(key, None)

    async def reason(self, run_id: str, target: str, recipient: str) -> str | None:
        """As `Outbox.reason`."""
        return self._results.get(_key(run_id, target, recipient), (None, None))[1]


def _key(run_id: str, target: str, recipient: str) -> tuple[str, str, str]:
    return run_id, target, normalised(recipient)
