"""The trace of one email: a root whose ids are chosen on arrival, and a span for each attempt at a stage.

The root span is emitted at the end, by whichever process finishes the run; until then the attempts hang under its promised
ids. `RunIdentity` is what has to be stored with the run for that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AttributeValue

from otel_autopilot.telemetry import ids, instruments, known_values, names
from otel_autopilot.telemetry.holding import HOLD, holding
from otel_autopilot.telemetry.known_values import KnownValues
from otel_autopilot.telemetry.propagation import parse_traceparent
from otel_autopilot.telemetry.spans import attributes_of, fail, tracer

Outcome = Literal["success", "failed", "rejected"]


@dataclass(frozen=True)
class RunIdentity:
    """Ids of a run and of its trace, chosen when the email arrives."""

    run_id: str
    trace_id: int
    root_span_id: int
    started_unix_nano: int
    """When the first byte of the email arrived: the start of the root span."""
    sampled: bool = True
    parent: SpanContext | None = None
    """The span of a trusted sender that the root hangs under, or None."""

    @classmethod
    def new(cls, run_id: str, started_unix_nano: int, parent: SpanContext | None = None) -> RunIdentity:
        """Choose ids. A trusted ``parent`` makes the email part of the sender's trace; anything else starts a new one."""
        generator = RandomIdGenerator()
        if parent is not None and parent.is_valid:
            return cls(run_id, parent.trace_id, generator.generate_span_id(), started_unix_nano, parent.trace_flags.sampled, parent)
        trace_id = generator.generate_trace_id()
        return cls(run_id, trace_id, generator.generate_span_id(), started_unix_nano, _sampled(trace_id))

    def to_carrier(self) -> dict[str, str]:
        """What has to be stored with the run besides its id and start; `from_carrier` reads it."""
        carrier = {"traceparent": _traceparent(self.context)}
        if self.parent is not None:
            carrier["parent"] = _traceparent(self.parent)
        return carrier

    @classmethod
    def from_carrier(cls, run_id: str, started_unix_nano: int, carrier: Mapping[str, str]) -> RunIdentity:
        """The identity that was stored; raises ValueError on a carrier that isn't ours."""
        root = parse_traceparent(carrier.get("traceparent", ""))
        if root is None:
            raise ValueError(f"run {run_id}: expected a W3C traceparent, got {carrier.get('traceparent')!r}")
        parent = parse_traceparent(carrier.get("parent", ""))
        return cls(run_id, root.trace_id, root.span_id, started_unix_nano, root.trace_flags.sampled, parent)

    @property
    def context(self) -> SpanContext:
        """The span context of the root."""
        flags = TraceFlags.SAMPLED if self.sampled else TraceFlags.DEFAULT
        return SpanContext(self.trace_id, self.root_span_id, is_remote=False, trace_flags=TraceFlags(flags))


def _sampled(trace_id: int) -> bool:
    sampler = getattr(trace.get_tracer_provider(), "sampler", None)
    if sampler is None:
        return True
    result = sampler.should_sample(None, trace_id, names.EMAIL_PIPELINE.name, SpanKind.CONSUMER)
    return bool(result.decision.is_sampled())


def _traceparent(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def new_span_id() -> int:
    """A span id to promise."""
    return RandomIdGenerator().generate_span_id()


@contextmanager
def attempt(
    run: RunIdentity,
    stage: str,
    number: int,
    *,
    span_id: int,
    workflow: str,
    ready_unix_nano: int,
    started_unix_nano: int,
    executor: str = "",
    known: KnownValues | None = None,
) -> Iterator[Span]:
    """The span of one attempt at a stage, below the root; its inner spans are exported when it ends.

    ``known`` are the mail's values for the redaction; what is learned in the block is added to them.

    A block that sets ``autopilot.outcome`` on the span has the last word on it (some of a delivery's recipients got nothing).
    Records ``autopilot.stage.duration`` and ``autopilot.stage.queue.duration``. The exception of a failed attempt is
    recorded on the span and raised; an exception with a true ``rejected`` attribute counts as rejected.
    """
    queued = max(0.0, (started_unix_nano - ready_unix_nano) / 1e9)
    token = otel_context.attach(_below(run.context))
    try:
        with known_values.attach(known), holding():
            with ids.promise(span_id):
                span = tracer().start_span(
                    stage,
                    start_time=started_unix_nano,
                    attributes=attributes_of({
                        names.RUN_ID: run.run_id, names.STAGE: stage, names.ATTEMPT: number, names.WORKFLOW: workflow,
                        names.QUEUE_DURATION: queued, names.EXECUTOR: executor or None,
                    }),
                )  # fmt: skip
            outcome = "success"
            try:
                with trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
                    yield span
            except BaseException as error:
                outcome = "rejected" if getattr(error, "rejected", False) else "failed"
                fail(span, error)
                raise
            finally:
                ended = max(time.time_ns(), started_unix_nano)
                outcome = (getattr(span, "attributes", None) or {}).get(names.OUTCOME.name, outcome)
                span.set_attribute(names.OUTCOME.name, outcome)
                span.end(ended)
                instruments.record_duration(
                    names.STAGE_DURATION, (ended - started_unix_nano) / 1e9, stage=stage, outcome=outcome, workflow=workflow
                )
                instruments.record_duration(names.STAGE_QUEUE_DURATION, queued, stage=stage, workflow=workflow)
    finally:
        otel_context.detach(token)


def emit_lost_attempt(
    run: RunIdentity,
    stage: str,
    number: int,
    *,
    span_id: int,
    workflow: str,
    ready_unix_nano: int,
    started_unix_nano: int,
    lost_unix_nano: int,
    executor: str = "",
) -> None:
    """The span of an attempt whose process died: it ends when it was found out, with ``autopilot.attempt.lost``."""
    with ids.promise(span_id):
        span = tracer().start_span(
            stage,
            context=_below(run.context),
            start_time=started_unix_nano,
            attributes=attributes_of({
                names.RUN_ID: run.run_id, names.STAGE: stage, names.ATTEMPT: number, names.WORKFLOW: workflow,
                names.ATTEMPT_LOST: True, names.OUTCOME: "lost", names.EXECUTOR: executor or None,
                names.QUEUE_DURATION: max(0.0, (started_unix_nano - ready_unix_nano) / 1e9),
                names.ERROR_TYPE: "AttemptLost",
            }),
        )  # fmt: skip
    span.set_status(Status(StatusCode.ERROR, "the process that worked on this attempt died"))
    span.end(max(lost_unix_nano, started_unix_nano))


def emit_root(
    run: RunIdentity,
    *,
    ended_unix_nano: int,
    outcome: Outcome,
    workflow: str,
    state_name: str,
    error: tuple[str, str] | None = None,
    values: Mapping[names.Attribute, AttributeValue | None] | None = None,
    links: Sequence[Link] = (),
    known: KnownValues | None = None,
) -> None:
    """The root span with its promised ids, and ``autopilot.email.duration``.

    ``error`` is (type, message) of what failed. ``known`` are the mail's own values for the redaction: this may run in a
    process that has not seen the mail.
    """
    ended = max(ended_unix_nano, run.started_unix_nano)
    token = otel_context.attach(_below(run.parent))
    try:
        with known_values.attach(known), ids.promise(run.root_span_id, run.trace_id):
            span = tracer().start_span(
                names.EMAIL_PIPELINE.name,
                kind=SpanKind.CONSUMER,
                start_time=run.started_unix_nano,
                links=links,
                attributes=attributes_of({
                    names.RUN_ID: run.run_id, names.WORKFLOW: workflow, names.OUTCOME: outcome, names.RUN_STATE: state_name,
                    names.ERROR_TYPE: error[0] if error else None, **(values or {}),
                }),
            )  # fmt: skip
            if error is not None:
                span.set_status(Status(StatusCode.ERROR, error[1]))
            span.end(ended)
    finally:
        otel_context.detach(token)
    instruments.record_duration(names.EMAIL_DURATION, (ended - run.started_unix_nano) / 1e9, outcome=outcome, workflow=workflow)


@contextmanager
def logs_of(run: RunIdentity, span_id: int | None = None, known: KnownValues | None = None) -> Iterator[None]:
    """What is logged in this block belongs to the span of this id (default: the root), though that isn't the current one."""
    context = SpanContext(run.trace_id, span_id or run.root_span_id, is_remote=False, trace_flags=run.context.trace_flags)
    token = otel_context.attach(_below(context))
    try:
        with known_values.attach(known):
            yield
    finally:
        otel_context.detach(token)


def _below(parent: SpanContext | None) -> otel_context.Context:
    """A fresh context (nothing that came from outside) below ``parent``, with the hold of a run that lives in one process."""
    context = otel_context.Context()
    if parent is not None:
        context = trace.set_span_in_context(NonRecordingSpan(parent), context)
    hold = otel_context.get_value(HOLD)
    return context if hold is None else otel_context.set_value(HOLD, hold, context)
