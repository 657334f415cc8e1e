"""Ten thousand emails, counted span by span: the application, the Collector, Jaeger and the span metrics agree exactly.

The one long test. With sampling: test_tiers.py, where every span is counted whatever is kept.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.stack.lab import CAPTURE, Collector, Jaeger, Prometheus, get, running, telemetry_of, wait_until

pytestmark = [pytest.mark.timeout(1800), pytest.mark.usefixtures("binaries")]

EMAILS = 10_000
STAGES = ("email", "ingestion", "digest", "delivery")
SERVICE = "exact"
#: Jaeger is asked for traces in windows of this length, in seconds, and for so many at most in one.
WINDOW_SECONDS, TRACES_A_WINDOW = 10, 5_000

#: A span's trace id and its own.
Ids = tuple[str, str]


def mail(number: int) -> bytes:
    """A small mail, unlike all others."""
    message = EmailMessage()
    message["From"] = f"Ann Lee <ann.{number}@example.com>"
    message["To"] = "orders@example.org"
    message["Subject"] = f"Order {number}"
    message["Date"] = "Sat, 21 Nov 2026 10:00:00 +0000"
    message["Message-ID"] = f"<order-{number}@example.com>"
    message.set_content(
        f"Hello,\n\norder {number} was shipped on Monday. It holds {number % 7 + 1} boxes and arrives on Thursday.\n\nRegards\n"
    )
    return message.as_bytes()


def mbox(path: Path, numbers: range) -> Path:
    with path.open("wb") as file:
        for number in numbers:
            file.write(b"From ann@example.com Sat Nov 21 10:00:00 2026\n" + mail(number) + b"\n")
    return path


def folder(path: Path, numbers: range) -> Path:
    path.mkdir()
    for number in numbers:
        (path / f"{number:05}.eml").write_bytes(mail(number))
    return path


@dataclass
class Views:
    """The same emails as each part saw them."""

    application: list[Ids]
    stages: Counter[str]
    """Stage spans by name, as the application has them."""
    collector: list[Ids]
    jaeger: Jaeger
    prometheus: Prometheus
    since: float


@pytest.fixture(scope="module")
def views(binaries: None) -> Iterator[Views]:
    """All emails traced by two processes side by side, an mbox and a folder; what they print is the application's view."""
    with tempfile.TemporaryDirectory(prefix="autopilot-exact-") as name:
        home = Path(name)
        prometheus = Prometheus(home / "prometheus")
        jaeger = Jaeger(home / "jaeger", prometheus.url)
        capture = home / "capture.jsonl"
        collector = Collector(
            home / "collector", jaeger=jaeger.otlp, prometheus=prometheus.url, overlay=CAPTURE.format(path=capture)
        )
        sources = [mbox(home / "mails.mbox", range(EMAILS // 2)), folder(home / "mails", range(EMAILS // 2, EMAILS))]
        since = time.time()
        with running(prometheus, jaeger, collector):
            printed = traced(home, sources, collector, jaeger)
            application, stages = [], Counter[str]()
            for file in printed:
                with file.open() as lines:
                    for line in lines:
                        trace = json.loads(line)
                        assert trace["outcome"] == "success"
                        application += [(span["trace_id"], span["span_id"]) for span in trace["spans"]]
                        stages.update(span["name"] for span in trace["spans"] if span["name"] in STAGES)

            def taken() -> list[Ids]:
                spans = telemetry_of(capture, "resourceSpans", "scopeSpans", "spans")
                return [(span["traceId"], span["spanId"]) for span in spans]

            wait_until(lambda: len(taken()) >= len(application), every=2.0)
            yield Views(application, stages, taken(), jaeger, prometheus, since)


def traced(home: Path, sources: list[Path], collector: Collector, jaeger: Jaeger) -> list[Path]:
    """Run `trace` on each source; the files of its JSON lines. Each ends well, as Jaeger has each trace whole by then."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "AUTOPILOT_"))},
        "OTEL_SERVICE_NAME": SERVICE, "AUTOPILOT_WORKER_PROCESSES": "1",
    }  # fmt: skip
    commands, printed = [], []
    try:
        for number, source in enumerate(sources):
            printed.append(home / f"{number}.jsonl")
            arguments = [
                *("trace", str(source), "--json", "--collector", collector.otlp, "--jaeger", jaeger.url),
                *("--deliver-to", str(home / "digests")),
            ]
            own = {**environment, "XDG_DATA_HOME": str(home / f"data-{number}")}
            with printed[-1].open("wb") as out, (home / f"{number}.log").open("wb") as log:
                commands.append(
                    subprocess.Popen([sys.executable, "-m", "otel_autopilot", *arguments], env=own, stdout=out, stderr=log)
                )
        for number, command in enumerate(commands):
            assert command.wait() == 0, (home / f"{number}.log").read_text()
            told = (home / f"{number}.log").read_text().splitlines()[-1]
            assert told.startswith(f"Jaeger has all {EMAILS // 2:,} traces whole: ")
    finally:
        for command in commands:
            command.kill()
            command.wait()
    return printed


def of_jaeger(jaeger: Jaeger, since: float) -> set[Ids]:
    """Every span of our service that Jaeger finds by time alone, whoever sent it."""
    found: set[Ids] = set()
    start = since
    while start < time.time():
        asked = {
            "service": SERVICE,
            "start": int(start * 1e6),
            "end": int((start + WINDOW_SECONDS) * 1e6),
            "limit": TRACES_A_WINDOW,
        }
        traces = (get(f"{jaeger.url}/api/traces?{urllib.parse.urlencode(asked)}") or {}).get("data") or []
        assert len(traces) < TRACES_A_WINDOW, "a window holds more than one answer does"
        found |= {(span["traceID"], span["spanID"]) for trace in traces for span in trace["spans"]}
        start += WINDOW_SECONDS
    return found


def test_the_application_the_collector_and_jaeger_have_the_same_spans(views: Views) -> None:
    application = set(views.application)
    assert len({trace for trace, _ in application}) == EMAILS
    assert len(views.application) == len(application), "each span once"
    assert len(views.collector) == len(set(views.collector)), "each span once"
    for name, others in (("the Collector", set(views.collector)), ("Jaeger", of_jaeger(views.jaeger, views.since))):
        assert len(others) == len(application), name
        assert others == application, name


def test_span_metrics_count_each_span_once(views: Views) -> None:
    selector = f'traces_span_metrics_calls_total{{service_name="{SERVICE}"}}'
    assert wait_until(lambda: views.prometheus.value(f"sum({selector})") >= len(views.application))
    assert views.prometheus.value(f"sum({selector})") == len(views.application)
    durations = selector.replace("calls_total", "duration_seconds_count")
    assert views.prometheus.value(f"sum({durations})") == len(views.application)


def test_each_stage_is_counted_once_an_email(views: Views) -> None:
    """By the application's own histograms too, which objectives rest on."""
    assert views.stages == dict.fromkeys(STAGES, EMAILS)
    for metric in ("traces_span_metrics_calls_total", "autopilot_stage_duration_seconds_count"):
        selector = f'{metric}{{service_name="{SERVICE}", autopilot_stage!=""}}'
        counted = views.prometheus.query(f"sum by (autopilot_stage) (last_over_time({selector}[1h]))")
        assert {sample["metric"]["autopilot_stage"]: float(sample["value"][1]) for sample in counted} == dict.fromkeys(
            STAGES, float(EMAILS)
        ), metric
