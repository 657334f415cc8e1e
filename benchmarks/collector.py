"""The Collector with our local configuration on one core, against the least it can do: receive and pass on, from memory.

python -m benchmarks.collector --rounds 5 --spans 200000

Both on core 0 (GOMAXPROCS=1); the load, and the server that stands where Jaeger does and throws everything away, on the other. The time
runs from the first request until the last span has been passed on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.otlp_load import Batch, Sender, batch
from otel_autopilot.stack.build import binary_of
from tests.stack.lab import Collector, Server, free_ports, running, wait_until

BARE = """\
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{otlp}"}}}}}}}}
exporters: {{otlp_grpc: {{endpoint: "{sink}", tls: {{insecure: true}}}}}}
extensions: {{health_check: {{endpoint: "127.0.0.1:{health}"}}}}
service:
  extensions: [health_check]
  pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_grpc]}}}}
  telemetry: {{metrics: {{readers: [{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {metrics}}}}}}}}}]}}}}
"""
#: Takes OTLP and throws it away.
SINK = """\
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{otlp}"}}, http: {{endpoint: "127.0.0.1:{http}"}}}}}}}}
exporters: {{debug: {{verbosity: basic, sampling_initial: 1, sampling_thereafter: 1000000}}}}
extensions: {{health_check: {{endpoint: "127.0.0.1:{health}"}}}}
service:
  extensions: [health_check]
  pipelines:
    traces: {{receivers: [otlp], exporters: [debug]}}
    metrics: {{receivers: [otlp], exporters: [debug]}}
  telemetry: {{metrics: {{level: none}}}}
"""
CORE = {0}


def plain(folder: Path, name: str, text: str, **more: str) -> tuple[Server, dict[str, int]]:
    """A Collector with a configuration of this file."""
    folder.mkdir(parents=True, exist_ok=True)
    ports = dict(zip(("otlp", "http", "health", "metrics"), free_ports(4), strict=True))
    (folder / f"{name}.yaml").write_text(text.format(**ports, **more))
    command = [str(binary_of("otelcol")), "--config", str(folder / f"{name}.yaml")]
    return Server(name, command, {"GOMAXPROCS": "1"}, f"http://127.0.0.1:{ports['health']}/", folder), ports


def once(kind: str, batches: list[Batch], spans: int) -> dict[str, Any]:
    """One run: spans a second, CPU seconds, the most memory."""
    with tempfile.TemporaryDirectory(prefix="autopilot-bench-") as name:
        folder = Path(name)
        sink, ports = plain(folder, "sink", SINK)
        target = f"127.0.0.1:{ports['otlp']}"
        under_test: Server
        if kind == "local":
            under_test = Collector(folder, jaeger=target, prometheus=f"http://127.0.0.1:{ports['http']}", GOMAXPROCS="1")
            under_test.environment["PROMETHEUS_OTLP_ENDPOINT"] = f"http://127.0.0.1:{ports['http']}"
            under_test.environment["OTELCOL_SPAN_METRICS_INTERVAL"] = "15s"
            otlp, metrics, exporter = under_test.otlp, under_test.metrics_port, "otlp_grpc/jaeger"
        else:
            under_test, own = plain(folder, "bare", BARE, sink=target)
            otlp, metrics, exporter = f"127.0.0.1:{own['otlp']}", own["metrics"], "otlp_grpc"
        with running(sink, under_test):
            process = psutil.Process(under_test.pid)
            os.sched_setaffinity(under_test.pid, CORE)
            for thread in process.threads():
                os.sched_setaffinity(thread.id, CORE)
            before = sum(process.cpu_times()[:2])
            sender = Sender(otlp, timeout_seconds=60)
            done = threading.Event()
            peak = [0]
            threading.Thread(target=watch, args=(process, done, peak), daemon=True).start()
            began = time.perf_counter()
            sent = 0
            for item in itertools.cycle(batches):
                while not sender.send(item.content):
                    time.sleep(0.01)
                sent += item.count
                if sent >= spans:
                    break
            assert wait_until(lambda: passed_on(metrics, exporter) >= sent, 120, 0.02), "not everything came through"
            took = time.perf_counter() - began
            cpu = sum(process.cpu_times()[:2]) - before
            done.set()
            sender.close()
        return {"per_second": sent / took, "cpu_seconds_per_10000": cpu / sent * 10_000, "peak_bytes": peak[0], "spans": sent}


def watch(process: psutil.Process, done: threading.Event, peak: list[int]) -> None:
    """Look at the memory while it runs."""
    while not done.wait(0.1):
        peak[0] = max(peak[0], process.memory_info().rss)


def passed_on(port: int, exporter: str) -> float:
    """Spans that an exporter has sent, by the Collector's own count."""
    text = subprocess.run(["curl", "-s", f"http://127.0.0.1:{port}/metrics"], capture_output=True, text=True, check=False).stdout
    lines = [
        line for line in text.splitlines() if line.startswith("otelcol_exporter_sent_spans") and f'exporter="{exporter}"' in line
    ]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def measure(rounds: int, spans: int) -> dict[str, list[dict[str, Any]]]:
    """Both kinds in turn."""
    batches = [batch(200) for _ in range(40)]
    results: dict[str, list[dict[str, Any]]] = {"local": [], "bare": []}
    for number in range(rounds):
        for kind in ("local", "bare") if number % 2 else ("bare", "local"):
            results[kind].append(once(kind, batches, spans))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--spans", type=int, default=200_000)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, set(range(os.cpu_count() or 1)) - CORE or CORE)
    print(json.dumps(measure(arguments.rounds, arguments.spans)))


if __name__ == "__main__":
    main()
