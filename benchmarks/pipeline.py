"""Emails through the whole pipeline in this process: the ephemeral runner of `trace`, or the durable engine of `serve`.

    python -m benchmarks.pipeline once|durable --mails N --concurrency N --telemetry on|off --rate PER_SECOND

prints one JSON object. A process of its own for each condition: nothing of one is left for the next.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil

TEXT = (
    "The review of the third quarter is out. Delivery stayed above 99.9 % in every week but one, and the cost of a message fell by 18 %. "
    "Please send objections by 12 December. The certificate of the relay expires on 3 February and has to be renewed before. "
)


def text_mail(number: int) -> bytes:
    """A plain mail of 2 kB."""
    body = (TEXT * 8)[:1_800]
    return (
        f"Message-ID: <{number}.{os.getpid()}@bench.example>\r\nFrom: Grace <grace@example.com>\r\nTo: inbox@example.org\r\n"
        f"Subject: Review number {number} of the quarter\r\n\r\n{body}\r\n{number}\r\n"
    ).encode()


async def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from otel_autopilot import configure
    from otel_autopilot.pipeline.blobs import BlobStore
    from otel_autopilot.pipeline.delivery.outbox import MemoryOutbox
    from otel_autopilot.pipeline.messages import Envelope, RawEmail
    from otel_autopilot.pipeline.workers import WorkerPool
    from otel_autopilot.settings import Settings
    from otel_autopilot.telemetry import pseudonyms
    from otel_autopilot.workflow.agents import BuiltInAgents, parse_targets
    from otel_autopilot.workflow.engine import Engine
    from otel_autopilot.workflow.once import OnceRunner
    from otel_autopilot.workflow.outcomes import row_of
    from otel_autopilot.workflow.run_store import RunStore

    me = psutil.Process()
    start_bytes = me.memory_info().rss
    settings = Settings.load(data_dir=folder, deliver_to=(str(folder / "out"),))
    pseudonyms.use(pseudonyms.load_pseudonyms(folder))
    telemetry = configure(data_dir=folder, service_name="bench")
    blobs = BlobStore(folder / "blobs")
    seconds: list[float] = []
    stages: dict[str, list[float]] = defaultdict(list)
    failures = 0
    room = asyncio.Semaphore(arguments.concurrency)
    peak = start_bytes

    def raw(number: int) -> RawEmail:
        received = time.time_ns()
        blob = blobs.put(text_mail(number), durable=arguments.kind == "durable")
        return RawEmail(blob=blob, envelope=Envelope(source="file", received_unix_nano=received, stored_unix_nano=time.time_ns()))

    async with WorkerPool(processes=2, memory_bytes=1_000_000_000, timeout_seconds=60) as pool:
        idle_bytes = me.memory_info().rss
        if arguments.kind == "once":
            runner = OnceRunner(
                BuiltInAgents(settings, pool=pool, blobs=blobs, outbox=MemoryOutbox(), targets=parse_targets(settings.deliver_to)),
                blobs, stage_attempts=3,
            )  # fmt: skip

            async def one(number: int) -> str:
                once = await runner.run(raw(number))
                seconds.append((once.finished.ended_unix_nano - once.identity.started_unix_nano) / 1e9)
                return row_of(once.finished.state).outcome or "failed"

            store = engine = None
        else:
            store = await RunStore.open(folder / "runs.db")
            engine = Engine(
                BuiltInAgents(settings, pool=pool, blobs=blobs, outbox=store.outbox, targets=parse_targets(settings.deliver_to)),
                store, blobs, directory=folder, executor_id="bench", commit=telemetry.commit_spans if telemetry else None,
            )  # fmt: skip
            await engine.start()
            finish, ended = store.finish, defaultdict(asyncio.Event)

            async def told(run_id: str, *given: Any, **named: Any) -> bool:
                done = await finish(run_id, *given, **named)
                ended[run_id].set()
                return done

            store.finish = told  # type: ignore[method-assign]  # asking the store again and again would load what is measured

            async def one(number: int) -> str:
                assert engine is not None
                accepted = await engine.accept(raw(number))
                await ended.setdefault(accepted.run_id, asyncio.Event()).wait()
                run = await engine.store.get(accepted.run_id)
                assert run is not None
                assert run.finished_unix_nano is not None
                seconds.append((run.finished_unix_nano - run.received_unix_nano) / 1e9)
                for attempt in run.stages:
                    if attempt.ended_unix_nano is not None:
                        stages[attempt.stage].append((attempt.ended_unix_nano - attempt.started_unix_nano) / 1e6)
                if run.stages:
                    stages["started after"].append((run.stages[0].started_unix_nano - run.received_unix_nano) / 1e6)
                return run.outcome or "failed"

        async def limited(number: int) -> None:
            nonlocal failures, peak
            async with room:
                if await one(number) != "success":
                    failures += 1
            peak = max(peak, me.memory_info().rss)

        await asyncio.gather(*(limited(-number) for number in range(1, 9)))  # warm
        seconds.clear()
        stages.clear()
        failures = 0
        family = [me, *me.children(recursive=True)]
        cpu = sum(sum(process.cpu_times()[:2]) for process in family)
        began = time.perf_counter()
        tasks = []
        for number in range(arguments.mails):
            if arguments.rate:
                await asyncio.sleep(max(0.0, began + number / arguments.rate - time.perf_counter()))
            tasks.append(asyncio.create_task(limited(number)))
        await asyncio.gather(*tasks)
        took = time.perf_counter() - began
        cpu = sum(sum(process.cpu_times()[:2]) for process in family) - cpu
        if engine is not None and store is not None:
            await engine.drain(10)
            await engine.stop()
            await store.close()
    if telemetry is not None:
        telemetry.shutdown(10)
    return {
        "took": took, "cpu": cpu, "seconds": seconds, "stages": stages, "failures": failures,
        "memory": {"start": start_bytes, "idle": idle_bytes, "peak": peak},
        "spans": telemetry.spans.exported if telemetry else 0,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["once", "durable"])
    parser.add_argument("--mails", type=int, default=100)
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--telemetry", choices=["on", "off"], default="on")
    parser.add_argument("--rate", type=float, default=0.0)
    arguments = parser.parse_args()
    if arguments.telemetry == "off":
        os.environ["OTEL_SDK_DISABLED"] = "true"
    from loguru import logger

    logger.remove()
    with tempfile.TemporaryDirectory(prefix="autopilot-bench-") as folder:
        print(json.dumps(asyncio.run(measure(arguments, Path(folder)))))


if __name__ == "__main__":
    main()
