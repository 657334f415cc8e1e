"""The one table of outcomes: what a run's state means to everybody who asks.

`docs/outcomes.md` is written from it; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from otel_autopilot.workflow.runs import RunState

Verdict = Literal["good", "bad"]


@dataclass(frozen=True)
class Row:
    """One state of a run. What is None is not decided yet, or not an event of that indicator."""

    state: RunState
    meaning: str
    outcome: Literal["success", "failed", "rejected"] | None
    span_status: Literal["UNSET", "ERROR"] | None
    email_delivered: Verdict | None
    digest_made: Verdict | None
    delivery_made: Verdict | None
    exit_code: Literal[0, 1] | None


TABLE: tuple[Row, ...] = (
    Row("created", "accepted, not started", None, None, None, None, None, None),
    Row("running", "under way", None, None, None, None, None, None),
    Row("retry", "waiting for another attempt", None, None, None, None, None, None),
    Row("success", "every recipient has the digest", "success", "UNSET", "good", "good", "good", 0),
    Row("partial_success", "some recipients have it, some do not", "success", "UNSET", "bad", "good", "bad", 0),
    Row("uncertain", "sent, and no telling whether it arrived; not sent again by itself", "failed", "ERROR", "bad", "good", "bad", 1),
    Row("failed", "a stage failed for good", "failed", "ERROR", "bad", "bad", "bad", 1),
    Row("rejected", "policy refused the mail", "rejected", "ERROR", None, None, None, 1),
    Row("cancelled", "somebody stopped it", "failed", "ERROR", None, None, None, 1),
)
_BY_STATE = {row.state: row for row in TABLE}

#: States that a run does not leave.
FINISHED: frozenset[str] = frozenset(row.state for row in TABLE if row.outcome is not None)


def row_of(state: str) -> Row:
    """The row of a state; raises KeyError for one that doesn't exist."""
    return _BY_STATE[state]  # type: ignore[index]


def as_markdown() -> str:
    """The table for the documentation."""
    head = ["run state", "meaning", "outcome", "root span status", "email delivered", "digest made", "delivery made", "exit code"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in TABLE:
        cells = (
            f"`{row.state}`", row.meaning, row.outcome, row.span_status, row.email_delivered, row.digest_made, row.delivery_made,
            row.exit_code,
        )  # fmt: skip
        lines.append("| " + " | ".join("–" if cell is None else str(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


assert set(_BY_STATE) == set(get_args(RunState)), "every state has its row"
