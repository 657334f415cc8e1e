"""What the API needs of the engine."""

from __future__ import annotations

from typing import Protocol

from otel_autopilot.pipeline.messages import RawEmail
from otel_autopilot.workflow.run_store import RunStore
from otel_autopilot.workflow.runs import Accepted


class EmailEngine(Protocol):
    """Takes mail and knows its runs; `otel_autopilot.workflow.engine.Engine` is one."""

    store: RunStore
    draining: bool
    """True once no more mail is taken."""

    async def accept(self, raw: RawEmail) -> Accepted:
        """Take responsibility for a stored mail; links the current span. Raises EngineError when it can't."""

    @property
    def active_runs(self) -> int:
        """Runs being worked on in this process."""

    @property
    def waiting_runs(self) -> int:
        """Runs accepted and not yet started."""
