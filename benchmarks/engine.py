"""Runs a second with empty stages, against bare DBOS with as many steps; each in a process of its own, in turn.

python -m benchmarks.engine ours|bare --runs N --concurrency N
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
import uuid
from pathlib import Path


async def ours(runs: int, concurrency: int, folder: Path) -> float:
    """Our engine: identity, attempts, four spans and a root, redacted and stored."""
    from otel_autopilot import configure
    from otel_autopilot.pipeline.blobs import BlobStore
    from otel_autopilot.pipeline.messages import Delivery, Digest, Email, Envelope, Ingested, Message, RawEmail
    from otel_autopilot.workflow.engine import Engine
    from otel_autopilot.workflow.run_store import RunStore
    from otel_autopilot.workflow.walk import Walk

    made: dict[str, Message] = {
        "email_agent": Email(subject="x"), "ingestion_agent": Ingested(),
        "digest_agent": Digest(title="x", markdown="", html="", text=""), "delivery_agent": Delivery(),
    }  # fmt: skip

    class Empty:
        async def work(self, agent: str, run: Walk) -> Message:
            return made[agent]

    telemetry = configure(data_dir=folder, service_name="bench", runtime_metrics=False)
    blobs, store = BlobStore(folder / "blobs"), await RunStore.open(folder / "runs.db")
    engine = Engine(
        Empty(), store, blobs, directory=folder, executor_id="bench", max_concurrent_runs=concurrency,
        commit=telemetry.commit_spans if telemetry else None,
    )  # fmt: skip
    await engine.start()
    now = time.time_ns()
    envelope = Envelope(source="api", received_unix_nano=now, stored_unix_nano=now)
    mails = [
        RawEmail(blob=blobs.put(f"Message-ID: <{number}>\r\n\r\n{number}".encode()), envelope=envelope)
        for number in range(runs + 20)
    ]

    async def batch(part: list[RawEmail]) -> None:
        await asyncio.gather(*(engine.accept(mail) for mail in part))
        while engine.waiting_runs or engine.active_runs:
            await asyncio.sleep(0.002)

    await batch(mails[:20])
    began = time.perf_counter()
    await batch(mails[20:])
    took = time.perf_counter() - began
    await engine.stop()
    await store.close()
    return took


async def bare(runs: int, concurrency: int, folder: Path) -> float:
    """DBOS itself: SQLite in WAL mode, every commit synced, four steps that return a small dictionary."""
    from dbos import DBOS, SetWorkflowID

    from otel_autopilot.workflow.engine import JsonSerializer, _sqlite_engine

    DBOS(
        config={
            "name": "bench",
            "system_database_url": f"sqlite:///{folder}/engine.db",
            "system_database_engine": _sqlite_engine(folder / "engine.db"),
            "serializer": JsonSerializer(),
            "log_level": "ERROR",
            "executor_id": "bench",
            "application_version": "1",
        }
    )

    async def step() -> dict[str, int]:
        return {"ended_unix_nano": time.time_ns()}

    @DBOS.workflow(name="bare")
    async def workflow(run_id: str) -> str:
        for name in ("email", "ingestion", "digest", "delivery"):
            await DBOS.run_step_async({"name": name}, step)
        return run_id

    DBOS.launch()
    room = asyncio.Semaphore(concurrency)

    async def one() -> None:
        async with room:
            run_id = uuid.uuid4().hex
            with SetWorkflowID(run_id):
                handle = await DBOS.start_workflow_async(workflow, run_id)
            await handle.get_result()

    await asyncio.gather(*(one() for _ in range(20)))
    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(runs)))
    took = time.perf_counter() - began
    DBOS.destroy()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["ours", "bare"])
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--concurrency", type=int, default=50)
    arguments = parser.parse_args()
    from loguru import logger

    logger.remove()
    work = ours if arguments.kind == "ours" else bare
    with tempfile.TemporaryDirectory(prefix="autopilot-bench-") as folder:
        took = asyncio.run(work(arguments.runs, arguments.concurrency, Path(folder)))
    print(json.dumps({"runs": arguments.runs, "seconds": took, "per_second": arguments.runs / took}))


if __name__ == "__main__":
    main()
