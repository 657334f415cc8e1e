"""One walk through a workflow: the only code that takes an email from stage to stage.

Where it runs is somebody else's business: under the durable engine every stage is a checkpoint of DBOS and every attempt a
row in the run store; under `trace` both live in memory. The walk itself issues its calls in an order that depends on the
workflow's text alone, because a recovered run is replayed by call order.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import tenacity
from loguru import logger
from opentelemetry import trace
from opentelemetry.trace import Link, Span, Status, StatusCode

from otel_autopilot.errors import AutopilotError, EmailError, StageError, WorkError
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.email.stage import known_values
from otel_autopilot.pipeline.messages import Blob, Delivery, Digest, Email, Ingested, Message, RawEmail, RecipientOutcome
from otel_autopilot.pipeline.threads import in_thread
from otel_autopilot.telemetry import names
from otel_autopilot.telemetry import run as run_trace
from otel_autopilot.telemetry.known_values import KnownValues
from otel_autopilot.telemetry.propagation import mail_origin
from otel_autopilot.telemetry.pseudonyms import pseudonym
from otel_autopilot.telemetry.rarity import Rarity
from otel_autopilot.telemetry.redaction import Redactor, learn
from otel_autopilot.telemetry.run import RunIdentity
from otel_autopilot.workflow.definition import Workflow
from otel_autopilot.workflow.outcomes import row_of
from otel_autopilot.workflow.runs import BegunAttempt, EndedAttempt, RunError, RunState

#: What each agent hands on.
MESSAGES: dict[str, type[Message]] = {
    "email_agent": Email,
    "ingestion_agent": Ingested,
    "digest_agent": Digest,
    "delivery_agent": Delivery,
}

#: Agents whose message repeats the mail's words. It lives in a file and its checkpoint holds the hash, as with every body; the
#: other messages are names, numbers and hashes, and a file for each would cost more than the rest of the run.
WORDY = frozenset({"digest_agent"})

_REDACTOR = Redactor()
_RARITY = Rarity()

#: Runs a step of the walk, or hands back what the step returned before a crash.
Checkpoint = Callable[[str, Callable[[], Awaitable[dict[str, Any]]]], Awaitable[dict[str, Any]]]


class Journal(Protocol):
    """Keeps the attempts of a run. Ids are kept before the work starts."""

    async def begin_attempt(
        self,
        run_id: str,
        stage: str,
        *,
        span_id: str,
        ready_unix_nano: int,
        started_unix_nano: int,
        executor_id: str,
        after: EndedAttempt | None = None,
    ) -> BegunAttempt:
        """Store that an attempt starts and how the stage before ended; returns its number and the lost attempts before it."""

    async def retry(self, run_id: str, ended: EndedAttempt) -> None:
        """Store that an attempt failed and that another follows."""

    async def erased(self, run_id: str) -> bool:
        """Whether the run was erased: its files are gone."""


class Agents(Protocol):
    """Does the work of a stage."""

    async def work(self, agent: str, run: Walk) -> Message:
        """Do one agent's work on what the stages before it made; raises StageError or WorkError."""


@dataclass
class Walk:
    """A run under way: what came in and what each stage has made of it."""

    identity: RunIdentity
    raw: RawEmail
    workflow: Workflow
    conflict: bool = False
    links: tuple[Link, ...] = ()
    unreadable: EmailError | None = None
    """Why the mail's bytes could not be had."""
    made: dict[str, Message] = field(default_factory=dict)
    known: KnownValues = field(default_factory=KnownValues)
    """The mail's own values, which the redaction takes out of everything that is exported."""

    @property
    def email(self) -> Email | None:
        """The parsed mail, once the email stage is done."""
        message = self.made.get("email_agent")
        return message if isinstance(message, Email) else None


@dataclass(frozen=True)
class Finished:
    """How a run ended."""

    state: RunState
    ended_unix_nano: int
    error: RunError | None
    digest: Digest | None
    delivery: Delivery | None
    last: EndedAttempt | None = None
    """The last stage's last attempt, which the run store doesn't know yet."""


class Walker:
    """Takes runs through their workflow.

    Arguments:
        attempts: how often a stage that fails in a way that may pass is tried.
        commit: called when an attempt's spans have ended and before its checkpoint is written: makes them safe.
        backoff_seconds: the wait before the second attempt; it doubles, up to 30 s.
    """

    def __init__(
        self,
        agents: Agents,
        journal: Journal,
        blobs: BlobStore,
        *,
        attempts: int = 3,
        executor_id: str = "",
        commit: Callable[[], Awaitable[None]] | None = None,
        backoff_seconds: float = 0.5,
    ) -> None:
        self._agents = agents
        self._journal = journal
        self._blobs = blobs
        self._attempts = attempts
        self._executor_id = executor_id
        self._commit = commit
        self._backoff_seconds = backoff_seconds

    async def walk(self, walk: Walk, checkpoint: Checkpoint) -> Finished:
        """Take the run through its stages; the root span is `finish`'s to emit."""
        ready = walk.raw.envelope.stored_unix_nano
        error: RunError | None = None
        last: EndedAttempt | None = None
        for step in walk.workflow.steps:
            result = await checkpoint(step.id, functools.partial(self._stage, walk, step.id, step.agent, ready, last))
            last = EndedAttempt(**result["attempt"])
            ready = last.ended_unix_nano
            if "error" in result:
                error = RunError(**result["error"])
                if result.get("outcomes"):
                    walk.made["delivery_agent"] = Delivery.model_validate({"outcomes": result["outcomes"]})
                break
            if step.agent not in walk.made:
                walk.made[step.agent] = self._load(step.agent, result)
        return self._ended(walk, ready, error, last)

    async def _stage(self, walk: Walk, stage: str, agent: str, ready: int, after: EndedAttempt | None) -> dict[str, Any]:
        """All attempts at one stage; what it returns is the checkpoint."""
        outcome: dict[str, Any] = {}
        tries = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=tenacity.wait_exponential_jitter(multiplier=self._backoff_seconds, max=30.0, jitter=self._backoff_seconds),
            retry=tenacity.retry_if_result(lambda result: bool(result.get("retryable"))),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else outcome,
        )
        numbers = itertools.count(1)

        async def attempt() -> dict[str, Any]:
            return await self._attempt(walk, stage, agent, ready, next(numbers), after)

        outcome = await tries(attempt)
        outcome.pop("retryable", None)
        return outcome

    async def _attempt(
        self, walk: Walk, stage: str, agent: str, ready: int, number: int, after: EndedAttempt | None
    ) -> dict[str, Any]:
        run, workflow = walk.identity, walk.workflow.name
        span_id = run_trace.new_span_id()
        started = time.time_ns()
        begun = await self._journal.begin_attempt(
            run.run_id, stage, span_id=f"{span_id:016x}", ready_unix_nano=ready, started_unix_nano=started,
            executor_id=self._executor_id, after=after,
        )  # fmt: skip
        for lost in begun.lost:
            run_trace.emit_lost_attempt(
                run, stage, lost.number, span_id=int(lost.span_id, 16), workflow=workflow,
                ready_unix_nano=lost.ready_unix_nano, started_unix_nano=lost.started_unix_nano,
                lost_unix_nano=lost.ended_unix_nano or started, executor=lost.executor_id,
            )  # fmt: skip
            with run_trace.logs_of(run, int(lost.span_id, 16), walk.known):
                logger.bind(stage=stage, attempt=lost.number).warning(
                    "attempt {} at {} was lost: its process died", lost.number, stage
                )
        result: dict[str, Any] = {}
        outcome = ""
        try:
            with run_trace.attempt(
                run, stage, begun.number, span_id=span_id, workflow=workflow, ready_unix_nano=begun.ready_unix_nano,
                started_unix_nano=started, executor=self._executor_id, known=walk.known,
            ) as span:  # fmt: skip
                if walk.email is not None:
                    learn(*known_values(walk.email))
                if walk.unreadable is not None:
                    raise walk.unreadable
                message = await self._agents.work(agent, walk)
                if isinstance(message, Delivery):
                    message = Delivery(outcomes=tuple(_told(outcome, walk.known) for outcome in message.outcomes))
                    outcome = _judge(span, message)
                self._check_workflow(message, walk)
                walk.made[agent] = message
                content = message.model_dump_json()
                if agent in WORDY:
                    result["blob"] = (await in_thread(self._blobs.put, content.encode())).sha256
                else:
                    result["message"] = content
            outcome = "success" if outcome == "" else outcome
        except (StageError, WorkError) as error:
            rejected = getattr(error, "rejected", False)
            outcome = "rejected" if rejected else "failed"
            result = {
                "error": {
                    "type": type(error).__qualname__, "message": _REDACTOR.text(str(error), walk.known), "stage": stage,
                    "rejected": rejected,
                },
                "retryable": getattr(error, "retryable", False),
                "outcomes": [_told(outcome, walk.known).model_dump() for outcome in getattr(error, "outcomes", ())],
            }  # fmt: skip
            again = result["retryable"] and number < self._attempts
            with run_trace.logs_of(run, span_id, walk.known):
                logger.bind(stage=stage, attempt=begun.number).warning(
                    "{} {}: {}{}", stage, outcome, type(error).__qualname__, "; it will be tried again" if again else ""
                )
        except Exception as error:  # noqa: BLE001  # a fault of ours fails this run, with its trace, and no other
            with run_trace.logs_of(run, span_id, walk.known):
                log = logger.bind(stage=stage, attempt=begun.number)
                if await self._journal.erased(run.run_id):
                    log.warning("{} failed: the run was erased meanwhile", stage)
                else:
                    log.opt(exception=error).error("{} failed unexpectedly", stage)
            kind, outcome = type(error).__qualname__, "failed"
            result = {
                "error": {"type": kind, "message": f"unexpected {kind} in {stage}", "stage": stage, "rejected": False},
                "retryable": isinstance(error, OSError),
            }
        made = walk.made.get(agent)
        ended = EndedAttempt(
            stage, begun.number, time.time_ns(), outcome,
            blobs=(*blobs_of(made), *([result["blob"]] if "blob" in result else [])),
            sender_key=pseudonym(made.sender.address) if isinstance(made, Email) and made.sender is not None else None,
        )  # fmt: skip
        if self._commit is not None:
            await self._commit()
        if result.get("retryable") and number < self._attempts:
            await self._journal.retry(run.run_id, ended)
        result["attempt"] = asdict(ended)
        return result

    @staticmethod
    def _check_workflow(message: Message, walk: Walk) -> None:
        if isinstance(message, Email) and message.workflow != walk.workflow.name:
            raise EmailError(f"routing rule {message.rule!r} names workflow {message.workflow!r}: expected {walk.workflow.name!r}")

    def _load(self, agent: str, result: dict[str, Any]) -> Message:
        if "message" in result:
            return MESSAGES[agent].model_validate_json(result["message"])
        try:
            return MESSAGES[agent].model_validate_json(self._blobs.path_of(result["blob"]).read_bytes())
        except FileNotFoundError as error:
            raise AutopilotError(f"{agent}: its result {result['blob'][:12]} was erased; the run can't go on") from error

    @staticmethod
    def _ended(walk: Walk, ended: int, error: RunError | None, last: EndedAttempt | None) -> Finished:
        digest, delivery = walk.made.get("digest_agent"), walk.made.get("delivery_agent")
        state: RunState = "success"
        if error is not None:
            state = "rejected" if error.rejected else "failed"
        elif isinstance(delivery, Delivery):
            uncertain = sum(item.outcome == "uncertain" for item in delivery.outcomes)
            failed = sum(item.outcome == "failed" for item in delivery.outcomes)
            if uncertain:
                state = "uncertain"
                error = RunError("Uncertain", f"{uncertain} deliveries may or may not have arrived", "delivery")
            elif failed:
                state = "partial_success"
                error = RunError("PartialSuccess", f"{failed} of {len(delivery.outcomes)} deliveries failed", "delivery")
        return Finished(
            state,
            ended,
            error,
            digest if isinstance(digest, Digest) else None,
            delivery if isinstance(delivery, Delivery) else None,
            last,
        )


def _judge(span: Span, delivery: Delivery) -> str:
    """The outcome of a delivery that did not fail as a whole; said on its span when it is not all well."""
    missed = [item.outcome for item in delivery.outcomes if item.outcome in ("failed", "uncertain")]
    if not missed:
        return "success"
    span.set_attribute(names.OUTCOME.name, "failed")
    span.set_status(
        Status(StatusCode.ERROR, f"{len(missed)} of {len(delivery.outcomes)} deliveries {' and '.join(sorted(set(missed)))}")
    )
    return "failed"


def _told(outcome: RecipientOutcome, known: KnownValues) -> RecipientOutcome:
    """An outcome whose error repeats nothing of the mail: servers quote what they refuse."""
    return outcome.model_copy(update={"error": _REDACTOR.text(outcome.error, known)}) if outcome.error else outcome


def blobs_of(value: object) -> Iterator[str]:
    """Hashes of the blobs that a message refers to."""
    if isinstance(value, Blob):
        yield value.sha256
    elif isinstance(value, Message):
        for name in type(value).model_fields:
            yield from blobs_of(getattr(value, name))
    elif isinstance(value, tuple):
        for item in value:
            yield from blobs_of(item)


def emit_root(walk: Walk, finished: Finished) -> None:
    """Emit the root span of a finished run."""
    email, raw = walk.email, walk.raw
    links: Sequence[Link] = walk.links
    if email is not None:
        walk.known.add(*known_values(email))
        origin = mail_origin(email.traceparent, email.tracestate, trusted=walk.identity.parent is not None)
        links = (*links, origin.link) if origin.link is not None else links
    run_trace.emit_root(
        walk.identity,
        ended_unix_nano=finished.ended_unix_nano,
        outcome=row_of(finished.state, finished.error.stage if finished.error else None).outcome or "failed",
        workflow=walk.workflow.name,
        state_name=finished.state,
        error=(finished.error.type, finished.error.message) if finished.error else None,
        links=links,
        known=walk.known,
        values={
            names.EMAIL_SOURCE: raw.envelope.source,
            names.EMAIL_SIZE: raw.blob.size_bytes,
            names.EMAIL_MESSAGE_ID: pseudonym(email.message_id) if email is not None and email.message_id else None,
            names.EMAIL_SENDER: pseudonym(email.sender.address) if email is not None and email.sender is not None else None,
            names.EMAIL_CONFLICT: walk.conflict or None,
            names.RARE: _RARITY.is_rare(_kind(walk, finished)) or None,
        },
    )
    with run_trace.logs_of(walk.identity, known=walk.known):
        seconds = (finished.ended_unix_nano - walk.identity.started_unix_nano) / 1e9
        logger.bind(run=walk.identity.run_id, state=finished.state).info("{} after {:.3f} s", finished.state, seconds)


def _kind(walk: Walk, finished: Finished) -> Hashable:
    """What makes emails alike for sampling: the path they took, how it ended, and what they consist of."""
    email = walk.email
    parts = frozenset(part.content_type for part in (*email.bodies, *email.attachments)) if email is not None else frozenset()
    error = (finished.error.stage, finished.error.type) if finished.error else None
    return walk.workflow.name, walk.raw.envelope.source, finished.state, error, parts


def current_link() -> tuple[Link, ...]:
    """A link to the current span (the server span that took the mail in), or none."""
    context = trace.get_current_span().get_span_context()
    return (Link(context),) if context.is_valid else ()
