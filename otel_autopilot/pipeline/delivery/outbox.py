"""What is stored about a delivery before its bytes are sent, so that a crash is detected and never silently repeated."""

from __future__ import annotations

import time
from typing import Literal, Protocol

Known = Literal["new", "delivered", "failed", "suppressed", "uncertain"]
Settled = Literal["delivered", "failed", "suppressed", "uncertain"]


class Outbox(Protocol):
    """Intents and results of deliveries. Targets and recipients are given in the clear and stored as pseudonyms."""

    async def intend(self, run_id: str, target: str, recipient: str) -> Known:
        """Store the intent, durably, before anything is sent.

        Returns "new" when there was none; the result when there is one; "uncertain" when an intent is there without a result:
        the process died between sending and recording, or before sending, and nobody can tell which.
        """

    async def settle(self, run_id: str, target: str, recipient: str, outcome: Settled, error: str | None) -> None:
        """Store the result of an intended delivery."""

    async def retract(self, run_id: str, target: str, recipient: str) -> None:
        """Take an intent back: it is known that nothing was sent, and another try may follow."""

    async def sent_since(self, recipient: str, unix_nano: int) -> int:
        """How many mails were intended for this recipient since then, by any run."""


class MemoryOutbox:
    """An outbox that lives as long as the process: for runs that do, too."""

    def __init__(self) -> None:
        self._results: dict[tuple[str, str, str], Settled | None] = {}
        self._sent: dict[str, list[int]] = {}

    async def intend(self, run_id: str, target: str, recipient: str) -> Known:
        """As `Outbox.intend`."""
        key = (run_id, target, recipient)
        if key in self._results:
            return self._results[key] or "uncertain"
        self._results[key] = None
        self._sent.setdefault(recipient, []).append(time.time_ns())
        return "new"

    async def settle(self, run_id: str, target: str, recipient: str, outcome: Settled, error: str | None) -> None:  # noqa: ARG002
        """As `Outbox.settle`."""
        self._results[run_id, target, recipient] = outcome

    async def retract(self, run_id: str, target: str, recipient: str) -> None:
        """As `Outbox.retract`."""
        self._results.pop((run_id, target, recipient), None)

    async def sent_since(self, recipient: str, unix_nano: int) -> int:
        """As `Outbox.sent_since`."""
        return sum(1 for moment in self._sent.get(recipient, ()) if moment >= unix_nano)
