"""Spans accepted a second over gRPC: our receiver into its store, and Jaeger into its memory, in turn.

python -m benchmarks.receiver --rounds 3 --spans 200000

The load comes from a process of its own, over four connections with requests of 500 spans; each counts once it is acknowledged.
Jaeger has the binary that `make stack` builds; without it only ours is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

CONNECTIONS = 4
#: Emails of five spans each in a request: 500 spans, as the SDK's batches have at most 512.
EMAILS = 100

JAEGER = """\
service:
  extensions: [jaeger_storage, jaeger_query, healthcheckv2]
  pipelines: {{traces: {{receivers: [otlp], processors: [], exporters: [jaeger_storage_exporter]}}}}
  telemetry: {{metrics: {{level: none}}, logs: {{level: error}}}}
extensions:
  healthcheckv2: {{use_v2: true, http: {{endpoint: "127.0.0.1:{health}"}}}}
  jaeger_storage: {{backends: {{some: {{memory: {{max_traces: 10000000}}}}}}}}
  jaeger_query:
    storage: {{traces: some}}
    grpc: {{endpoint: "127.0.0.1:{query_grpc}"}}
    http: {{endpoint: "127.0.0.1:{query_http}"}}
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{otlp}"}}}}}}}}
exporters: {{jaeger_storage_exporter: {{trace_storage: some}}}}
"""


def load(endpoint: str, spans: int) -> dict[str, Any]:
    """Send so many spans, made beforehand; returns the seconds it took and what was acknowledged."""
    from benchmarks.otlp_load import Sender, batch

    contents = [batch(EMAILS).content for _ in range(spans // (EMAILS * 5))]
    senders = [Sender(endpoint, timeout_seconds=60) for _ in range(CONNECTIONS)]
    waiting, lock, refused = iter(contents), threading.Lock(), [0]

    def send(sender: Sender) -> int:
        sent = 0
        while True:
            with lock:
                content = next(waiting, None)
            if content is None:
                return sent
            while not sender.send(content):
                refused[0] += 1
                time.sleep(0.01)
            sent += EMAILS * 5

    began = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        sent = sum(pool.map(send, senders))
    took = time.perf_counter() - began
    for sender in senders:
        sender.close()
    return {"spans": sent, "seconds": took, "refused": refused[0]}


async def serve(folder: Path) -> None:
    """Our receiver, until its standard input is closed."""
    from otel_autopilot.local.receiver.embedded import EmbeddedReceiver
    from otel_autopilot.local.store import TraceStore

    store = TraceStore.open(folder / "telemetry.db")
    async with EmbeddedReceiver(store, folder, grpc_port=0, http_port=0) as receiver:
        where = receiver.where()
        assert where is not None
        print(where["grpc"], flush=True)
        await asyncio.to_thread(sys.stdin.read)
    print(store.span_count(), flush=True)
    store.close()


def _send(endpoint: str, spans: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.receiver", "--load", endpoint, "--spans", str(spans)]
    result: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return result


def _measured(sent: dict[str, Any], before: psutil.Process, rss: int, cpu: float) -> dict[str, Any]:
    millions = sent["spans"] / 1e6
    return {
        "per_second": sent["spans"] / sent["seconds"], "refused": sent["refused"],
        "cpu_seconds_per_million": (sum(before.cpu_times()[:2]) - cpu) / millions,
        "memory_bytes_per_million": (before.memory_info().rss - rss) / millions, "memory_bytes": before.memory_info().rss,
    }  # fmt: skip


def ours(spans: int) -> dict[str, Any]:
    """One run of our receiver."""
    with tempfile.TemporaryDirectory(prefix="autopilot-bench-") as folder:
        pipe = subprocess.PIPE
        command = [sys.executable, "-m", "benchmarks.receiver", "--serve", folder]
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as server:
            assert server.stdout is not None
            endpoint, process = server.stdout.readline().strip(), psutil.Process(server.pid)
            rss, cpu = process.memory_info().rss, sum(process.cpu_times()[:2])
            sent = _send(endpoint, spans)
            result = _measured(sent, process, rss, cpu)
            stored = int(server.communicate()[0])
        assert stored == sent["spans"], f"{stored} of {sent['spans']} were stored"
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        return {**result, "disk_bytes_per_million": size / sent["spans"] * 1e6}


def jaeger(spans: int) -> dict[str, Any]:
    """One run of Jaeger with its memory store."""
    from otel_autopilot.stack.build import binary_of
    from tests.stack.lab import Server, free_ports, running

    with tempfile.TemporaryDirectory(prefix="autopilot-bench-") as folder:
        ports = dict(zip(("otlp", "health", "query_grpc", "query_http"), free_ports(4), strict=True))
        configuration = Path(folder) / "jaeger.yaml"
        configuration.write_text(JAEGER.format(**ports))
        command = [str(binary_of("jaeger")), "--config", str(configuration)]
        server = Server("jaeger", command, {}, f"http://127.0.0.1:{ports['health']}/status", Path(folder))
        with running(server):
            process = psutil.Process(server.pid)
            rss, cpu = process.memory_info().rss, sum(process.cpu_times()[:2])
            return _measured(_send(f"127.0.0.1:{ports['otlp']}", spans), process, rss, cpu)


def measure(rounds: int, spans: int) -> dict[str, list[dict[str, Any]]]:
    """Both in turn."""
    from otel_autopilot.stack.build import binary_of

    kinds = {"ours": ours, "jaeger": jaeger} if binary_of("jaeger").exists() else {"ours": ours}
    results: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    for number in range(rounds):
        for kind in sorted(kinds, reverse=number % 2 == 0):
            results[kind].append(kinds[kind](spans))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--spans", type=int, default=200_000)
    parser.add_argument("--load", help="send to this endpoint")
    parser.add_argument("--serve", type=Path, help="receive into this folder")
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.serve))
    elif arguments.load:
        print(json.dumps(load(arguments.load, arguments.spans)))
    else:
        print(json.dumps(measure(arguments.rounds, arguments.spans)))


if __name__ == "__main__":
    main()
