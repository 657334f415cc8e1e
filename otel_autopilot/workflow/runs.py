"""What the run store knows of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from otel_autopilot.pipeline.messages import RawEmail, RecipientOutcome

RunState = Literal["created", "running", "retry", "success", "partial_success", "uncertain", "failed", "rejected", "cancelled"]
RunOutcome = Literal["success", "failed", "rejected"]


@dataclass(frozen=True)
class RunError:
    """What failed: class name, message (no mail content) and stage."""

    type: str
    message: str
    stage: str
    rejected: bool = False


#: Why a run is cancelled.
ERASED = RunError("Cancelled", "the run was erased while it was under way", "")


@dataclass(frozen=True)
class Attempt:
    """One attempt at a stage; ``ended_unix_nano`` is None while it is under way."""

    stage: str
    number: int
    span_id: str
    ready_unix_nano: int
    started_unix_nano: int
    ended_unix_nano: int | None
    outcome: str | None
    executor_id: str


@dataclass(frozen=True)
class EndedAttempt:
    """How an attempt ended, which blobs it made, and (after the email stage) the pseudonym of whom the mail is from.

    A finished stage's is part of its checkpoint and is stored with whatever the run does next: one write less for each stage,
    and a process that dies in between loses nothing, for the checkpoint still has it.
    """

    stage: str
    number: int
    ended_unix_nano: int
    outcome: str
    blobs: tuple[str, ...] = ()
    sender_key: str | None = None


@dataclass(frozen=True)
class BegunAttempt:
    """An attempt whose ids are stored: its number, when the stage was ready, and the earlier attempts found lost."""

    number: int
    lost: tuple[Attempt, ...]
    ready_unix_nano: int


@dataclass(frozen=True)
class Accepted:
    """The run that an accepted mail belongs to.

    ``created`` is false when the same mail was there already; ``conflict`` says that its Message-ID was seen with another
    body or other recipients: senders choose Message-IDs.
    """

    run_id: str
    created: bool
    conflict: bool = False


@dataclass(frozen=True)
class Run:
    """A run as others see it: no content, no addresses."""

    id: str
    state: RunState
    outcome: RunOutcome | None
    """None while it is not finished."""
    workflow: str
    source: str
    trace_id: str
    root_span_id: str
    size_bytes: int
    received_unix_nano: int
    started_unix_nano: int | None
    finished_unix_nano: int | None
    message_id: str | None
    """Pseudonym of the Message-ID."""
    conflict: bool
    error: RunError | None = None
    stages: tuple[Attempt, ...] = ()
    deliveries: tuple[RecipientOutcome, ...] = ()
    """Recipients are pseudonyms."""


@dataclass(frozen=True)
class Work:
    """What a process needs to go on with a run."""

    state: RunState
    finished: bool
    raw: RawEmail
    workflow_text: str
    carrier: dict[str, str]
    conflict: bool


@dataclass(frozen=True)
class Counts:
    """Totals that the indicators are made of, by workflow."""

    received: dict[str, int] = field(default_factory=dict)
    delivered: dict[str, int] = field(default_factory=dict)
    failed: dict[tuple[str, str], int] = field(default_factory=dict)
    overdue: dict[str, int] = field(default_factory=dict)
    oldest_unfinished_seconds: float = 0.0


@dataclass(frozen=True)
class Erased:
    """What an erasure removed: runs whose content went, files and their bytes, checkpointed runs of the engine.

    ``sending`` deliveries were past their intent: they may arrive all the same.
    """

    runs: int = 0
    blobs: int = 0
    size_bytes: int = 0
    checkpoints: int = 0
    sending: int = 0
