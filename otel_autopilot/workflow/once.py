"""One run that lives and dies with this process: what `trace` does with each mail.

The same walk as under the durable engine, with its journal and outbox in memory. All spans of the run wait for its root, so
a killed process leaves nothing behind rather than half a trace.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from otel_autopilot.errors import EmailError
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.messages import RawEmail
from otel_autopilot.pipeline.threads import in_thread
from otel_autopilot.telemetry.holding import holding
from otel_autopilot.telemetry.run import RunIdentity
from otel_autopilot.workflow.definition import EMAIL_DIGEST, read_workflow
from otel_autopilot.workflow.intake import identity_of, read_header
from otel_autopilot.workflow.runs import BegunAttempt, EndedAttempt
from otel_autopilot.workflow.walk import Agents, Finished, Walk, Walker, emit_root


class MemoryJournal:
    """Numbers attempts; nothing outlives the process, so none is ever lost."""

    def __init__(self) -> None:
        self._numbers: defaultdict[tuple[str, str], int] = defaultdict(int)

    async def begin_attempt(
        self,
        run_id: str,
        stage: str,
        *,
        span_id: str,  # noqa: ARG002  # the durable journal stores it
        ready_unix_nano: int,
        started_unix_nano: int,  # noqa: ARG002
        executor_id: str,  # noqa: ARG002
        after: EndedAttempt | None = None,  # noqa: ARG002
    ) -> BegunAttempt:
        """The next number."""
        self._numbers[run_id, stage] += 1
        return BegunAttempt(number=self._numbers[run_id, stage], lost=(), ready_unix_nano=ready_unix_nano)

    async def retry(self, run_id: str, ended: EndedAttempt) -> None:
        """Nothing to keep."""

    async def erased(self, run_id: str) -> bool:  # noqa: ARG002
        """Nothing outlives the run that an erasure could find."""
        return False

    def forget(self, run_id: str) -> None:
        """Forget a finished run."""
        for key in [key for key in self._numbers if key[0] == run_id]:
            del self._numbers[key]


@dataclass(frozen=True)
class Once:
    """A run that has ended."""

    identity: RunIdentity
    walk: Walk
    finished: Finished


class OnceRunner:
    """Takes mails through the built-in workflow, each as a fresh run."""

    def __init__(self, agents: Agents, blobs: BlobStore, *, stage_attempts: int, trusted_senders: Sequence[str] = ()) -> None:
        self._journal = MemoryJournal()
        self._walker = Walker(agents, self._journal, blobs, attempts=stage_attempts)
        self._trusted_senders = trusted_senders

    async def run(self, raw: RawEmail, unreadable: EmailError | None = None) -> Once:
        """Run one mail to its end; a failure of the mail is in the result, never raised.

        ``unreadable`` says why the bytes could not be had: the run then fails in its email stage, with a trace like any other.
        """
        header = await in_thread(read_header, raw.blob.path)
        identity = await identity_of(raw, header, self._trusted_senders)
        walk = Walk(identity=identity, raw=raw, workflow=read_workflow(EMAIL_DIGEST), unreadable=unreadable)
        with holding():
            finished = await self._walker.walk(walk, _straight)
            emit_root(walk, finished)
        self._journal.forget(identity.run_id)
        return Once(identity, walk, finished)


async def _straight(_name: str, work: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    return await work()
