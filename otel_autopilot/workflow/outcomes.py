"""The one table of outcomes: what a run's state means to everybody who asks.

An outcome of "success", a good email and exit code 0 are the same thing; so histograms by outcome, the counters and a script
agree. `docs/outcomes.md` is written from the table by ``make generated``; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from otel_autopilot.workflow.runs import RunOutcome, RunState

Verdict = Literal["good", "bad"]


@dataclass(frozen=True)
class Row:
    """One state of a run. What is None is not decided yet, or not an event of that indicator."""

    state: RunState
    meaning: str
    outcome: RunOutcome | None
    span_status: Literal["UNSET", "ERROR"] | None
    """UNSET is what instrumentation leaves on success (OpenTelemetry, Trace API, "Set Status")."""
    email_delivered: Verdict | None
    digest_made: Verdict | None
    delivery_made: Verdict | None
    exit_code: Literal[0, 1] | None
    at_stage: str | None = None
    """The stage that failed, where it makes a difference."""


TABLE: tuple[Row, ...] = (
    Row("created", "accepted, not started", None, None, None, None, None, None),
    Row("running", "under way", None, None, None, None, None, None),
    Row("retry", "waiting for another attempt", None, None, None, None, None, None),
    Row("success", "every recipient has the digest", "success", "UNSET", "good", "good", "good", 0),
    Row("partial_success", "some recipients have it, some do not", "failed", "ERROR", "bad", "good", "bad", 1),
    Row("uncertain", "sent, arrival unknown; not sent again by itself", "failed", "ERROR", "bad", "good", "bad", 1),
    Row("failed", "a stage before delivery failed for good", "failed", "ERROR", "bad", "bad", None, 1),
    Row("failed", "no recipient could be given the digest", "failed", "ERROR", "bad", "good", "bad", 1, at_stage="delivery"),
    Row("rejected", "policy refused the mail", "rejected", "ERROR", None, None, None, 1),
    # Bad, or stopping what hangs would heal the objective.
    Row("cancelled", "somebody stopped it, or erased it before its end", "failed", "ERROR", "bad", None, None, 1),
)
_BY_STATE = {(row.state, row.at_stage): row for row in TABLE}

#: States that a run does not leave.
FINISHED: frozenset[str] = frozenset(row.state for row in TABLE if row.outcome is not None)


def row_of(state: str, failed_stage: str | None = None) -> Row:
    """The row of a state, of a run that failed in ``failed_stage``; raises KeyError for a state that doesn't exist."""
    row = _BY_STATE.get((state, failed_stage))  # type: ignore[arg-type]
    return row if row is not None else _BY_STATE[state, None]  # type: ignore[index]


def as_markdown() -> str:
    """The table for the documentation."""
    head = (
        "run state", "failed in", "meaning", "outcome", "root span status", "email delivered", "digest made", "delivery made",
        "exit code",
    )  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in TABLE:
        cells = (
            f"`{row.state}`", row.at_stage, row.meaning, row.outcome, row.span_status, row.email_delivered, row.digest_made,
            row.delivery_made, row.exit_code,
        )  # fmt: skip
        lines.append("| " + " | ".join("-" if cell is None else str(cell) for cell in cells) + " |")
    return _INTRODUCTION + "\n".join(lines) + "\n"


_INTRODUCTION = """\
# Outcomes

What the state of a run means for its trace, for the indicators and for a script. Written from
`otel_autopilot/workflow/outcomes.py` by `make generated`.

- *Outcome* is `autopilot.outcome` on the root span and on `autopilot.email.duration`, and `outcome` in `trace --json`.
- *Email delivered*, *digest made* and *delivery made* say how the run counts for an indicator; `-` is not an event of it.
- A recipient that mail manners suppress (RFC 3834) does not make a run worse: nothing was owed to it.
- An unfinished email past its limit (`late_after_seconds`) counts as bad already, as `autopilot.emails.overdue`.

"""

assert {row.state for row in TABLE} == set(get_args(RunState)), "every state has its row"
