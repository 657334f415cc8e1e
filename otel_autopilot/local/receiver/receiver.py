"""Takes decoded requests into the store, whichever way they came, and counts what became of them.

An answer of success follows the commit. What the store can't take now is refused whole, so that the client keeps it and sends it
again: nothing is lost, and nothing that is lost is called a success.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from contextlib import ExitStack
from typing import Any

from google.protobuf.message import DecodeError, Message

from otel_autopilot.errors import StoreError
from otel_autopilot.local.receiver import otlp_json
from otel_autopilot.local.receiver.attributes import Room
from otel_autopilot.local.receiver.decode import Decoded, count
from otel_autopilot.local.receiver.group_commit import GroupCommit
from otel_autopilot.local.receiver.limits import Limits, TokenBucket, UnderWay, Unfolded
from otel_autopilot.local.receiver.redaction import Redaction
from otel_autopilot.local.receiver.refusals import Malformed, Refused, TooLarge, Unavailable
from otel_autopilot.local.receiver.signals import SIGNALS, Signal
from otel_autopilot.local.store import TraceStore
from otel_autopilot.telemetry.redactor import RedactionRules

#: What a client is told to wait when the store can't take anything, in seconds.
STORE_PAUSE_SECONDS = 2.0
#: SQLite's words for data that it will never take.
_NEVER = (sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)


class Receiver:
    """Safe to use from several threads.

    Arguments:
        store: where everything goes.
        limits: what is taken at once.
        rules: what a user adds to the redaction.
    """

    def __init__(self, store: TraceStore, limits: Limits | None = None, rules: RedactionRules | None = None) -> None:
        self.limits = limits or Limits()
        self.under_way = UnderWay(self.limits.under_way_bytes)
        self._unfolded = Unfolded(2 * self.limits.request_items)
        self._redaction = Redaction(rules)
        rate = self.limits.items_per_second
        self._bucket = None if rate is None else TokenBucket(rate)
        self._commits = {signal.name: GroupCommit(lambda items, signal=signal: signal.store(store, items)) for signal in SIGNALS}  # type: ignore[misc]
        # Python runs one of them at a time anyway, and so only one holds memory for what a small request unfolds into. Redaction takes
        # longer, and takes turns: nobody waits for the whole of another's request.
        self._decoding = threading.Lock()
        # JSON takes ten times as long; those who send it wait for each other.
        self._parsing_json = threading.Lock()
        self._lock = threading.Lock()
        self._counts = {signal.name: _Counts() for signal in SIGNALS}

    def accept(self, signal: Signal, content: bytes, *, as_json: bool = False) -> Message:
        """Store what one request carries, and return the answer to it, which names what was rejected.

        ``content`` is decompressed; whoever calls has room for it among the bytes `under_way`. Raises Refused.
        """
        try:
            if len(content) > self.limits.request_bytes:
                raise self.too_large()
            decoded = self._take(signal, content, as_json)
        except Refused as refusal:
            self.refused(signal, refusal)
            raise
        with self._lock:
            counts = self._counts[signal.name]
            counts.requests += 1
            counts.bytes += len(content)
            counts.accepted += len(decoded.items)
            counts.rejected += decoded.rejected
        return _answer(signal, decoded)

    def _take(self, signal: Signal, content: bytes, as_json: bool) -> Decoded[Any]:
        with ExitStack() as held:
            request = signal.request()
            with ExitStack() as parsing:
                if as_json:
                    parsing.enter_context(self._parsing_json)
                    otlp_json.parse(content, request)
                parsing.enter_context(self._decoding)
                if not as_json:
                    try:
                        request.ParseFromString(content)
                    except DecodeError as error:
                        raise Malformed(f"expected {request.DESCRIPTOR.full_name} in protobuf, got other bytes") from error
                held.enter_context(self._unfolded.holding(count(request, signal.below, self.limits.request_items)))
                decoded = signal.decode(request, Room(self.limits.request_values))
                del request
            decoded.items = signal.redact(self._redaction, decoded.items)
            if decoded.items:
                if self._bucket is not None:
                    self._bucket.take(len(decoded.items))
                self._store(signal, decoded.items)
            return decoded

    def _store(self, signal: Signal, items: list[Any]) -> None:
        try:
            self._commits[signal.name].store(items)
        except StoreError as error:
            if isinstance(error.__cause__, _NEVER):
                raise Malformed(f"the store can't hold these {signal.items}") from error
            raise Unavailable("the store can't take anything now; try again", retry_seconds=STORE_PAUSE_SECONDS) from error

    def too_large(self) -> TooLarge:
        """What to say of a request with too many bytes."""
        return TooLarge(f"expected at most {self.limits.request_bytes} bytes in one request, decompressed")

    def refused(self, signal: Signal, refusal: Refused) -> None:
        """Count a request that was refused."""
        with self._lock:
            counts = self._counts[signal.name]
            counts.requests += 1
            counts.refused[refusal.reason] += 1

    def counts(self) -> dict[str, dict[str, Any]]:
        """By signal: items accepted, items rejected by reason, requests, bytes of those taken, requests refused by reason."""
        with self._lock:
            return {name: counts.to_json() for name, counts in self._counts.items()}


class _Counts:
    def __init__(self) -> None:
        self.accepted = self.requests = self.bytes = 0
        self.rejected: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def to_json(self) -> dict[str, Any]:
        return {
            "accepted": self.accepted, "rejected": dict(self.rejected), "requests": self.requests, "bytes": self.bytes,
            "refused": dict(self.refused),
        }  # fmt: skip


def _answer(signal: Signal, decoded: Decoded[Any]) -> Message:
    answer = signal.response()
    if decoded.rejected:
        partial: Any = getattr(answer, "partial_success")  # noqa: B009  # the base class of messages doesn't know it
        setattr(partial, signal.rejected, decoded.rejected.total())
        reasons = ", ".join(f"{reason} ({count})" for reason, count in decoded.rejected.most_common())
        partial.error_message = f"{signal.items} that can't be stored, by what is wrong in them: {reasons}"
    return answer
