"""Emails and spans for the tests of queries."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from otel_autopilot.local.model import LogRecordRow, MetricPoint, SpanRecord
from otel_autopilot.local.queries import Queries
from otel_autopilot.local.store import TraceStore
from otel_autopilot.telemetry.names import STAGES

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
#: When the emails of these tests begin to come in: 2026-11-21T10:00:00Z.
BEGAN = 1_795_255_200 * SECOND
RANGE = {"from_": "2026-11-21T10:00:00Z", "to": "2026-11-21T12:00:00Z"}


def span(name: str, number: int, parent: int | None = None, trace: int = 1, **more: Any) -> SpanRecord:
    """A span of service ``test``."""
    start = more.pop("start", BEGAN + number)
    more.setdefault("resource", {"service.name": "test"})
    return SpanRecord(
        f"{trace:032x}", f"{number:016x}", None if parent is None else f"{parent:016x}", name, more.pop("kind", "SPAN_KIND_INTERNAL"),
        start, more.pop("end", start + MILLISECOND), **more,
    )  # fmt: skip


def attempt(stage: str, number: int, parent: int, trace: int, start: int, work: int, **told: Any) -> SpanRecord:
    """An attempt at a stage; ``wait`` in seconds, ``attempt``, ``error``, ``lost``, ``outcome``."""
    attributes = {
        "autopilot.stage": stage, "autopilot.attempt": told.get("attempt", 1), "autopilot.stage.queue.duration": told.get("wait", 0.0),
        "autopilot.run.id": f"{trace:032x}", "autopilot.outcome": told.get("outcome", "failed" if told.get("error") else "success"),
    } | ({"autopilot.attempt.lost": True} if told.get("lost") else {})  # fmt: skip
    status = "STATUS_CODE_ERROR" if told.get("error") else "STATUS_CODE_UNSET"
    resource = told.get("resource", {"service.name": "test"})
    return span(
        stage, number, parent, trace, start=start, end=start + work, attributes=attributes, status_code=status, resource=resource
    )


@st.composite
def emails(draw: st.DrawFn, most: int = 12) -> list[list[SpanRecord]]:
    """The spans of some emails: under way and ended, well and badly, tried again and lost."""
    found = []
    for trace in range(1, draw(st.integers(0, most)) + 1):
        start = BEGAN + draw(st.integers(0, 3_600)) * SECOND
        resource = {"service.name": draw(st.sampled_from(["a", "b"])), "service.version": draw(st.sampled_from(["1", "2"]))}
        spans, now, number = [], start, 2
        for stage in STAGES[: draw(st.integers(0, 4))]:
            for again in range(1, draw(st.integers(1, 2)) + 1):
                wait, work = draw(st.integers(0, 2_000)), draw(st.integers(0, 10 * SECOND))
                error, lost = draw(st.sampled_from([(False, False), (True, False), (True, True), (False, False)]))
                now += wait * MILLISECOND
                told = {"attempt": again, "wait": wait / 1_000, "error": error, "lost": lost, "resource": resource}
                spans.append(attempt(stage, number, 1, trace, now, work, **told))
                now, number = now + work, number + 1
        if not spans or draw(st.booleans()):
            attributes = {
                "autopilot.run.id": f"{trace:032x}", "autopilot.workflow": draw(st.sampled_from(["w", "x"])),
                "autopilot.outcome": draw(st.sampled_from(["success", "failed", "rejected"])),
            }  # fmt: skip
            status = "STATUS_CODE_ERROR" if attributes["autopilot.outcome"] == "failed" else "STATUS_CODE_UNSET"
            end = now + draw(st.integers(0, SECOND))
            spans.append(
                span(
                    "email pipeline",
                    1,
                    None,
                    trace,
                    start=start,
                    end=end,
                    attributes=attributes,
                    resource=resource,
                    status_code=status,
                )
            )
        found.append(draw(st.permutations(spans)))
    return found


def stored(
    path: Path, spans: Sequence[SpanRecord] = (), logs: Sequence[LogRecordRow] = (), points: Sequence[MetricPoint] = ()
) -> Queries:
    """Queries on a store of these."""
    with closing(TraceStore.open(path)) as store:
        store.add_spans(spans)
        store.add_logs(logs)
        store.add_points(points)
    return Queries(path)


def strict_json(answer: Mapping[str, Any]) -> str:
    """The answer as JSON; fails where it isn't strict."""
    return json.dumps(answer, allow_nan=False).encode("utf-8").decode()
