"""Why a whole request isn't taken. gRPC and HTTP say each of these in their own way.

Refused
├── Malformed    it isn't what it says it is: sending it again is of no use
├── TooLarge     more bytes than a request may have: sending it again is of no use
├── Busy         too much at once: again after a while
└── Unavailable  the store can't take it now: again after a while
"""

from __future__ import annotations


class Refused(Exception):
    """A request that wasn't taken, not even in part."""

    reason = "refused"

    def __init__(self, detail: str, *, retry_seconds: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_seconds = retry_seconds
        """When it may be sent again; None: never."""


class Malformed(Refused):
    """It can't be read."""

    reason = "malformed"


class TooLarge(Refused):
    """It has more bytes than a request may have."""

    reason = "too large"


class Busy(Refused):
    """Too much is under way, or came in the last second."""

    reason = "busy"


class Unavailable(Refused):
    """The store can't take anything now."""

    reason = "store"
