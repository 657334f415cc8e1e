"""All benchmarks: each condition in a process of its own, what is compared in turn, the result appended to the baseline.

python -m benchmarks [--quick] [--keep] [--only pipeline|store|collector|receiver]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from statistics import median
from typing import Any

from benchmarks.report import append, distribution, environment


def child(module: str, *arguments: str) -> dict[str, Any]:
    """One measurement in a process of its own."""
    done = subprocess.run([sys.executable, "-m", f"benchmarks.{module}", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"benchmarks.{module} {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def throughput(rounds: int, mails: int) -> dict[str, Any]:
    """Emails a second with telemetry on and off, in turn."""
    rates: dict[str, list[float]] = {"on": [], "off": []}
    failures = 0
    for number in range(rounds):
        for telemetry in ("on", "off") if number % 2 else ("off", "on"):
            result = child("pipeline", "durable", "--mails", str(mails), "--concurrency", "20", "--telemetry", telemetry)
            rates[telemetry].append(mails / result["took"])
            failures += result["failures"]
    ratios = [on / off for on, off in zip(rates["on"], rates["off"], strict=True)]
    return {
        "emails_per_second_on": distribution(rates["on"], "1/s", failures), "emails_per_second_off": distribution(rates["off"], "1/s"),
        "on_to_off": round(median(ratios), 3), "goal": ">= 0.97",
    }  # fmt: skip


def latency(mails: int) -> dict[str, Any]:
    """End to end and per stage, one at a time; and what DBOS by itself needs for a run of four empty steps."""
    result = child("pipeline", "durable", "--mails", str(mails), "--concurrency", "1")
    bare = child("engine", "bare", "--runs", str(mails), "--concurrency", "1")
    return {
        "bare_dbos_mean_ms": round(1000 / bare["per_second"], 3),
        "end_to_end": distribution([value * 1000 for value in result["seconds"]], "ms", result["failures"]), "goal": "p95 < 50 ms",
        "stages": {name: distribution(values, "ms") for name, values in result["stages"].items()},
    }  # fmt: skip


def engine(rounds: int, runs: int) -> dict[str, Any]:
    """Our runs against bare DBOS, in turn."""
    rates: dict[str, list[float]] = {"ours": [], "bare": []}
    for number in range(rounds):
        for kind in ("ours", "bare") if number % 2 else ("bare", "ours"):
            rates[kind].append(child("engine", kind, "--runs", str(runs))["per_second"])
    ratios = [ours / bare for ours, bare in zip(rates["ours"], rates["bare"], strict=True)]
    return {
        "ours_per_second": distribution(rates["ours"], "1/s"), "bare_dbos_per_second": distribution(rates["bare"], "1/s"),
        "ours_to_bare": round(median(ratios), 3), "goal": ">= 0.8",
    }  # fmt: skip


def collector(rounds: int, spans: int) -> dict[str, Any]:
    """The Collector with our local configuration on one core, beside one that only passes on from memory, in turn."""
    results = child("collector", "--rounds", str(rounds), "--spans", str(spans))
    rates = {kind: [result["per_second"] for result in runs] for kind, runs in results.items()}
    cpu = {kind: [result["cpu_seconds_per_10000"] for result in runs] for kind, runs in results.items()}
    return {
        "spans_per_second": {kind: distribution(values, "1/s") for kind, values in rates.items()},
        "cpu_seconds_per_10000_spans": {kind: distribution(values, "s") for kind, values in cpu.items()},
        "peak_bytes": {kind: max(result["peak_bytes"] for result in runs) for kind, runs in results.items()},
        "local_to_bare": round(median(ours / bare for ours, bare in zip(rates["local"], rates["bare"], strict=True)), 3),
        "cpu_local_to_bare": round(median(ours / bare for ours, bare in zip(cpu["local"], cpu["bare"], strict=True)), 3),
    }


def receiver(rounds: int, spans: int) -> dict[str, Any]:
    """Our receiver into its store, beside Jaeger into its memory, in turn; the load on the same cores."""
    results = child("receiver", "--rounds", str(rounds), "--spans", str(spans))
    rates = {kind: [result["per_second"] for result in runs] for kind, runs in results.items()}
    measured: dict[str, Any] = {"spans_per_second": {kind: distribution(values, "1/s") for kind, values in rates.items()}}
    for name in ("cpu_seconds_per_million", "memory_bytes_per_million", "memory_bytes", "disk_bytes_per_million"):
        measured[name] = {
            kind: round(median(result[name] for result in runs), 1) for kind, runs in results.items() if name in runs[0]
        }
    if "jaeger" in rates:
        measured["ours_to_jaeger"] = round(
            median(ours / theirs for ours, theirs in zip(rates["ours"], rates["jaeger"], strict=True)), 3
        )
    return measured


def store(spans: int) -> dict[str, Any]:
    """The embedded store by itself: writing, and what is asked of it."""
    result = child("store", "--spans", str(spans))
    for key in ("trace_ms", "find_ms", "list_ms"):
        result[key] = distribution(result[key], "ms")
    result["queries_ms"] = {question: distribution(took, "ms") for question, took in result["queries_ms"].items()}
    return {**result, "goal": ">= 50000 spans/s, one trace < 50 ms"}


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer samples, to see that everything runs")
    parser.add_argument("--keep", action="store_true", help="append to docs/performance/PERFORMANCE_BASELINE.json")
    parser.add_argument("--only", choices=["pipeline", "store", "collector", "receiver"], help="just this part")
    arguments = parser.parse_args()
    quick = arguments.quick
    results: dict[str, Any] = {"environment": environment()}
    wanted = {arguments.only} if arguments.only else {"pipeline", "store", "collector", "receiver"}
    if "pipeline" in wanted:
        pipeline(results, quick=quick)
    if "store" in wanted:
        say("embedded store")
        results["store"] = store(100_000 if quick else 1_000_000)
    if "collector" in wanted:
        say("the Collector on one core")
        results["collector"] = collector(1 if quick else 5, 50_000 if quick else 200_000)
    if "receiver" in wanted:
        say("the receiver beside Jaeger")
        results["receiver"] = receiver(1 if quick else 5, 100_000 if quick else 500_000)
    if arguments.keep:
        append(results)
    print(json.dumps(results, indent=1))


def pipeline(results: dict[str, Any], *, quick: bool) -> None:
    """What runs in Python."""
    say("throughput, telemetry on and off")
    results["throughput"] = throughput(1 if quick else 5, 60 if quick else 200)
    say("latency, one at a time")
    results["latency"] = latency(40 if quick else 200)
    say("engine against bare DBOS")
    results["engine"] = engine(1 if quick else 5, 100 if quick else 300)
    say("CPU at five emails a second")
    steady = child("pipeline", "durable", "--mails", "50" if quick else "150", "--concurrency", "20", "--rate", "5")
    results["cpu_at_5_per_second"] = {
        "share_of_one_core": round(steady["cpu"] / steady["took"], 3),
        "seconds": round(steady["took"], 1),
        "goal": "< 0.40",
    }
    say("memory at 1, 10 and 50 at once")
    results["memory_bytes"] = {
        str(count): child("pipeline", "durable", "--mails", str(max(20, 4 * count)), "--concurrency", str(count))["memory"]
        for count in (1, 10, 50)
    }
    say("PDFs")
    results["pdf"] = {}
    for megabytes in (1, 5, 10, 45):
        result = child("pdf", str(megabytes), "--rounds", "1" if quick else "3")
        ours, alone = result.pop("seconds"), result.pop("bare_seconds")
        results["pdf"][f"{megabytes} MB"] = {
            **result, "seconds": distribution(ours, "s"), "bare_pypdfium2_seconds": distribution(alone, "s"),
            "time_to_bare": round(median(a / b for a, b in zip(ours, alone, strict=True)), 3),
            "goal": {10: "< 2 s", 45: "< 10 s"}.get(megabytes, ""),
        }  # fmt: skip


if __name__ == "__main__":
    main()
