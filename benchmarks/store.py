"""The embedded store: spans accepted a second, one trace out of a million spans, the list, bytes a span.

python -m benchmarks.store --spans 1000000
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from pathlib import Path

from otel_autopilot.local.model import SpanRecord
from otel_autopilot.local.store import TraceStore

RESOURCE = {"service.name": "bench", "service.instance.id": "one", "telemetry.sdk.name": "opentelemetry"}
STAGES = ("email", "ingestion", "digest", "delivery")


def trace_of(number: int) -> list[SpanRecord]:
    """Ten spans as a run has them."""
    trace_id, root, now = os.urandom(16).hex(), os.urandom(8).hex(), 1_700_000_000_000_000_000 + number * 1_000_000
    run = {"autopilot.run.id": trace_id, "autopilot.workflow": "email-digest"}
    spans = [
        SpanRecord(
            trace_id,
            root,
            None,
            "email pipeline",
            "SPAN_KIND_CONSUMER",
            now,
            now + 90_000_000,
            resource=RESOURCE,
            attributes={
                **run,
                "autopilot.outcome": "success",
                "autopilot.email.message_id": f"p1_{number:016x}",
                "autopilot.email.size": 2048,
            },
        )
    ]
    for index, stage in enumerate(STAGES):
        span_id, start = os.urandom(8).hex(), now + index * 20_000_000
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
                start + 19_000_000,
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
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="autopilot-bench-") as folder:
        print(json.dumps(measure(arguments.spans, Path(folder))))


if __name__ == "__main__":
    main()
