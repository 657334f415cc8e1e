"""How a person names a trace: by its id, its run's id, or the pseudonyms of a Message-ID or an address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

#: Digits of an id that are enough to name it.
FEWEST_DIGITS = 8

By = Literal["trace_id", "run_id", "pseudonym"]


@dataclass(frozen=True)
class Condition:
    """A condition on ``traces``, what kind of name it is about, and the index that serves it."""

    by: By
    index: str
    where: str
    values: tuple[Any, ...]


def named_by(key: str, candidates: Sequence[str] = ()) -> Iterator[Condition]:
    """The conditions under which a trace goes by this name; ``candidates`` are the key's pseudonyms under every retained key."""
    low = key.strip().lower()
    if len(low) >= FEWEST_DIGITS and set(low) <= set("0123456789abcdef"):
        if len(low) <= 32:
            first, last = bytes.fromhex(low.ljust(32, "0")), bytes.fromhex(low.ljust(32, "f"))
            yield Condition("trace_id", "sqlite_autoindex_traces_1", "trace_id BETWEEN ? AND ?", (first, last))
        yield Condition("run_id", "traces_run", "run_id BETWEEN ? AND ?", (low, low + "g"))
    yield Condition("run_id", "traces_run", "run_id = ?", (key.strip(),))
    for candidate in candidates:
        yield Condition("pseudonym", "traces_message", "message_id = ?", (candidate,))
        yield Condition("pseudonym", "traces_sender", "sender = ?", (candidate,))
