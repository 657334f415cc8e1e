"""A trace in a list."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class TraceSummary:
    """What a list says of a trace; ``stages`` holds seconds of work by stage."""

    trace_id: str
    name: str
    service: str
    start_unix_nano: int
    end_unix_nano: int
    spans: int
    errors: int
    run_id: str | None = None
    workflow: str | None = None
    outcome: str | None = None
    under_way: bool = False
    stages: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The form of ``list --json``."""
        return asdict(self)
