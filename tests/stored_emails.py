"""Traces as a pipeline leaves them in the embedded store, for tests of what reads it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from otel_autopilot.local.model import LinkRecord, LogRecordRow, SpanRecord
from otel_autopilot.local.store import TraceStore
from otel_autopilot.telemetry.names import STAGES

MILLISECOND = 1_000_000
RESOURCE = {"service.name": "mail", "service.version": "1.2.0", "service.instance.id": "one"}


def email(number: int, *, start: int | None = None, failed: str | None = None, **more: Any) -> list[SpanRecord]:
    """The spans of one email: a root, and 1 ms of wait and 10 ms of work in each stage; ``failed`` names a stage that fails."""
    at = start if start is not None else time.time_ns() - 60_000 * MILLISECOND - number * MILLISECOND
    trace_id, run = f"{number + 1:032x}", {"autopilot.run.id": f"{number + 1:032x}", "autopilot.workflow": "email-digest"}
    resource = {**RESOURCE, **more.get("resource", {})}
    spans, moment = [], at
    for place, stage in enumerate(STAGES):
        moment += MILLISECOND
        wrong = stage == failed
        attributes = {
            **run, "autopilot.stage": stage, "autopilot.attempt": 1, "autopilot.stage.queue.duration": 0.001,
            "autopilot.outcome": "failed" if wrong else "success",
        }  # fmt: skip
        spans.append(
            SpanRecord(
                trace_id, f"{place + 2:016x}", f"{1:016x}", stage, "SPAN_KIND_INTERNAL", moment, moment + 10 * MILLISECOND,
                status_code="STATUS_CODE_ERROR" if wrong else "STATUS_CODE_UNSET", status_message="it broke" if wrong else "",
                attributes=attributes, resource=resource,
            )
        )  # fmt: skip
        moment += 10 * MILLISECOND
        if wrong:
            break
    root = SpanRecord(
        trace_id, f"{1:016x}", None, "email pipeline", "SPAN_KIND_CONSUMER", at, moment,
        status_code="STATUS_CODE_ERROR" if failed else "STATUS_CODE_UNSET",
        attributes={**run, "autopilot.outcome": "failed" if failed else "success"}, resource=resource,
        links=tuple(LinkRecord(f"{other:032x}", f"{1:016x}") for other in more.get("links", ())),
    )  # fmt: skip
    return [root, *spans]


def log_of(number: int, body: str, severity: int = 9) -> LogRecordRow:
    """A log record in an email's first stage."""
    words = {9: "INFO", 13: "WARN", 17: "ERROR"}
    return LogRecordRow(
        time.time_ns() - 60_000 * MILLISECOND, severity, words[severity], body, f"{number + 1:032x}", f"{2:016x}", resource=RESOURCE
    )


def fill(path: Path, emails: int, *, failed: int = 0) -> None:
    """Store so many emails of the last minutes, the first ``failed`` of them with a digest that fails."""
    store = TraceStore.open(path)
    for number in range(emails):
        store.add_spans(email(number, failed="digest" if number < failed else None))
    store.add_logs([log_of(0, "the model was away", 13)] if emails else [])
    store.close()
