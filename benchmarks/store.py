"""The embedded store: spans accepted a second, bytes a span, and what the viewer asks of it: ten spans a trace over a day.

python -m benchmarks.store --spans 1000000
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from otel_autopilot.local.model import SpanRecord
from otel_autopilot.local.queries import Queries
from otel_autopilot.local.store import TraceStore

RESOURCE = {"service.name": "bench", "service.instance.id": "one", "telemetry.sdk.name": "opentelemetry"}
BEGAN = 1_700_000_000
#: So far apart that 100,000 traces come in a day.
APART_NANO = 864_000_000
CHANCE = random.Random(7)
STAGES = ("email", "ingestion", "digest", "delivery")


def trace_of(number: int) -> list[SpanRecord]:
    """Ten spans as a run has them: one in 50 fails, and some take much longer than most."""
    trace_id, root, now = os.urandom(16).hex(), os.urandom(8).hex(), BEGAN * 1_000_000_000 + number * APART_NANO
    failed, longer = number % 50 == 0, CHANCE.lognormvariate(0, 0.6)
    run = {"autopilot.run.id": trace_id, "autopilot.workflow": "email-digest"}
    spans = [
        SpanRecord(
            trace_id,
            root,
            None,
            "email pipeline",
            "SPAN_KIND_CONSUMER",
            now,
            now + int(90_000_000 * longer),
            "STATUS_CODE_ERROR" if failed else "STATUS_CODE_UNSET",
            resource=RESOURCE,
            attributes={
                **run,
                "autopilot.outcome": "failed" if failed else "success",
                "autopilot.email.message_id": f"p1_{number:016x}",
                "autopilot.email.size": 2048,
            },
        )
    ]
    for index, stage in enumerate(STAGES):
        span_id, start = os.urandom(8).hex(), now + int(index * 20_000_000 * longer)
        attributes = {
            **run,
            "autopilot.stage": stage,
            "autopilot.attempt": 1,
            "autopilot.stage.queue.duration": 0.001,
            "autopilot.outcome": "success",
        }
        spans.append(
            SpanRecord(
                trace_id,
                span_id,
                root,
                stage,
                "SPAN_KIND_INTERNAL",
                start,
                start + int(19_000_000 * longer * CHANCE.uniform(0.5, 1)),
                attributes=attributes,
                resource=RESOURCE,
            )
        )
        inner = {"autopilot.document.characters": 1200 + index, "autopilot.document.kind": "text"}
        spans.append(
            SpanRecord(
                trace_id,
                os.urandom(8).hex(),
                span_id,
                f"{stage}.work",
                "SPAN_KIND_INTERNAL",
                start,
                start + 9_000_000,
                attributes=inner,
                resource=RESOURCE,
            )
        )
    spans.append(
        SpanRecord(
            trace_id,
            os.urandom(8).hex(),
            spans[1].span_id,
            "email.route",
            "SPAN_KIND_INTERNAL",
            now,
            now + 50_000,
            resource=RESOURCE,
        )
    )
    return spans


def measure(total: int, folder: Path) -> dict[str, object]:
    store = TraceStore.open(folder / "telemetry.db")
    writing, stored, ids = 0.0, 0, []
    while stored < total:
        batch = [span for number in range(51) for span in trace_of(stored // 10 + number)]
        ids.append(batch[0].trace_id)
        began = time.perf_counter()
        store.add_spans(batch)
        writing += time.perf_counter() - began
        stored += len(batch)
    reads, lists, finds = [], [], []
    for trace_id in random.Random(3).sample(ids, min(200, len(ids))):
        began = time.perf_counter()
        spans, _ = store.trace(trace_id)
        reads.append((time.perf_counter() - began) * 1000)
        assert len(spans) == 10
        began = time.perf_counter()
        store.find(trace_id)
        finds.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        store.latest(limit=50)
        lists.append((time.perf_counter() - began) * 1000)
    store.close()
    size = sum(path.stat().st_size for path in folder.iterdir())
    return {
        "spans": stored,
        "per_second": stored / writing,
        "bytes_per_span": size / stored,
        "trace_ms": reads,
        "find_ms": finds,
        "list_ms": lists,
        "queries_ms": asked(folder / "telemetry.db", ids),
    }


def asked(path: Path, ids: list[str]) -> dict[str, list[float]]:
    """Milliseconds of each question of the viewer, five times each; what finds nothing has gone through everything."""
    queries = Queries(path)
    day = {"from_": BEGAN, "to": BEGAN + 86_400}
    half = {"a_from": BEGAN, "a_to": BEGAN + 43_200, "b_from": BEGAN + 43_200, "b_to": BEGAN + 86_400}
    one, other = ids[0], ids[-1]
    questions: dict[str, Callable[[], object]] = {
        "state": queries.state, "health": queries.health, "facets": queries.facets,
        **{f"list {asking}": partial(queries.traces, **asking) for asking in (
            {}, {"kind": "all"}, {"outcome": "failed"}, {"outcome": "none"}, {"service": "none"}, {"workflow": "none"}, {"version": "none"},
            {"errors": True}, {"min_ms": 300}, {"min_ms": 1e6}, {"stage": "digest", "min_ms": 100}, {"stage": "digest", "min_ms": 1e6},
            {"q": one}, {"q": "p1_" + "0" * 15 + "9"}, {"q": "email.route"}, {"q": "stands nowhere"},
        )},
        "trace": partial(queries.trace, one), "compare traces": partial(queries.compare_traces, one, other),
        "breakdown": partial(queries.breakdown, **day), "heat map": partial(queries.heatmap, **day),
        "heat map of digest": partial(queries.heatmap, stage="digest", **day), "compare ranges": partial(queries.compare_ranges, **half),
        "spans": partial(queries.spans, **day), "spans of an hour by name": partial(queries.spans, from_=BEGAN, to=BEGAN + 3_600, by="name"),
    }  # fmt: skip
    took: dict[str, list[float]] = {}
    for question, ask in questions.items():
        for _ in range(5):
            began = time.perf_counter()
            ask()
            took.setdefault(question, []).append((time.perf_counter() - began) * 1000)
    queries.close()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="autopilot-bench-") as folder:
        print(json.dumps(measure(arguments.spans, Path(folder))))


if __name__ == "__main__":
    main()
