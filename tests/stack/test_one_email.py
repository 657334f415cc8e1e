"""One email by SMTP into `serve`: its trace in Jaeger, its latencies in Prometheus, its log lines, and all of them agree."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.otlp_load import Sender, batch
from otel_autopilot.telemetry import names
from tests.stack.lab import CAPTURE, PATIENCE_SECONDS, Collector, Jaeger, Prometheus, get, running, telemetry_of, wait_until

pytestmark = [pytest.mark.timeout(240), pytest.mark.usefixtures("binaries")]

STAGES = ["email", "ingestion", "digest", "delivery"]
SERVICE = "mail-room"
#: What must be nowhere: words of the subject, the body and the addresses.
PERSONAL = ("mangosteen", "grace.hopper", "inbox.keeper", "example.com", "Rumpelstilz")


@dataclass
class OneEmail:
    """A mail that went through `serve`, and the backends that were told of it."""

    run: dict[str, Any]
    """The run as the application's API has it."""
    health: dict[str, Any]
    """What the application counted of its telemetry."""
    jaeger: Jaeger
    prometheus: Prometheus
    records: Path
    """The Collector's log file."""
    capture: Path
    """What the Collector took."""
    otlp: str
    """The Collector's address."""
    since: float

    @property
    def sent(self) -> list[dict[str, Any]]:
        """Every span that the Collector took."""
        return list(telemetry_of(self.capture, "resourceSpans", "scopeSpans", "spans"))

    @property
    def trace(self) -> list[dict[str, Any]]:
        """The email's trace, as Jaeger finds it by the run's id."""
        (trace,) = self.found({"autopilot.run.id": self.run["id"]}, operation="email pipeline")
        spans: list[dict[str, Any]] = trace["spans"]
        return spans

    def found(self, tags: dict[str, str], operation: str) -> list[dict[str, Any]]:
        """Traces that Jaeger's search finds."""
        asked = {
            "service": SERVICE,
            "operation": operation,
            "tags": json.dumps(tags),
            "start": int(self.since * 1e6),
            "end": int(time.time() * 1e6),
            "limit": 20,
        }
        answer = get(f"{self.jaeger.url}/api/traces?{urllib.parse.urlencode(asked)}")
        traces: list[dict[str, Any]] = (answer or {}).get("data") or []
        return traces


@pytest.fixture(scope="module")
def email(binaries: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneEmail]:
    """One mail, sent by swaks into `serve`, which has ended since; the backends run on."""
    folder = tmp_path_factory.mktemp("one")
    prometheus = Prometheus(folder / "prometheus")
    jaeger = Jaeger(folder / "jaeger", prometheus.url)
    capture = folder / "capture.jsonl"
    collector = Collector(folder / "collector", jaeger=jaeger.otlp, prometheus=prometheus.url, overlay=CAPTURE.format(path=capture))
    since = time.time() - 1
    with running(prometheus, jaeger, collector):
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "AUTOPILOT_", "XDG_"))},
            "XDG_DATA_HOME": str(folder / "data"), "OTEL_SERVICE_NAME": SERVICE, "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        }  # fmt: skip
        ready, log = folder / "ready.json", folder / "serve.log"
        with log.open("wb") as file:
            serve = subprocess.Popen(
                [
                    sys.executable, "-m", "otel_autopilot", "serve", "--http-port", "0", "--smtp-port", "0", "--collector",
                    collector.otlp, "--ready-file", str(ready), "--deliver-to", str(folder / "out"),
                ],
                env=environment, stdout=file, stderr=file,
            )  # fmt: skip
        try:
            assert wait_until(lambda: ready.exists() or serve.poll() is not None)
            assert serve.poll() is None, log.read_text()
            ports = json.loads(ready.read_text())
            run_id = swaks(ports["smtp_port"])
            run = wait_until(lambda: ended(ports["http_port"], run_id))
            assert run, log.read_text()
            delivered = f'autopilot_emails_delivered_total{{service_name="{SERVICE}"}}'
            assert wait_until(lambda: prometheus.value(delivered) >= 1), collector.log.read_text()[-2000:]
        finally:
            serve.terminate()
            assert serve.wait(PATIENCE_SECONDS) == 0, log.read_text()
        health = json.loads((folder / "data" / "otel-autopilot" / "telemetry-health" / f"{serve.pid}.json").read_text())
        result = OneEmail(run, health, jaeger, prometheus, collector.records, capture, collector.otlp, since)
        exported = health["signals"]["spans"]["exported"]
        assert wait_until(lambda: len(result.sent) >= exported), "the Collector has what was exported"
        assert wait_until(lambda: sum(count_by_name(prometheus).values()) >= exported), "span metrics have it"
        by_trace: dict[str, set[str]] = {}
        for span in result.sent:
            by_trace.setdefault(span["traceId"], set()).add(span["spanId"])
        assert jaeger.missing({trace: frozenset(spans) for trace, spans in by_trace.items()}) == {}
        yield result


def swaks(port: int) -> str:
    """Send the mail; the id of its run, which the gateway's answer names."""
    done = subprocess.run(
        [
            "swaks", "--server", f"127.0.0.1:{port}", "--from", "grace.hopper@example.com", "--to", "inbox.keeper@example.com",
            "--header", "Subject: The mangosteen order of Rumpelstilz", "--body",
            "Dear keeper,\n\nthe mangosteen order was shipped on Monday. It holds seven boxes.\nIt arrives on Thursday.\n\nRumpelstilz",
        ],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    accepted = re.search(r"250 2\.0\.0 accepted as (\S+)", done.stdout)
    assert accepted, done.stdout + done.stderr
    return accepted.group(1)


def ended(port: int, run_id: str) -> dict[str, Any] | None:
    """The run, once it has an outcome."""
    run: dict[str, Any] | None = get(f"http://127.0.0.1:{port}/api/runs/{run_id}")
    return run if run and run["outcome"] is not None else None


def count_by_name(prometheus: Prometheus) -> dict[str, float]:
    """Spans of our service by name, as the Collector's span metrics counted them."""
    result = prometheus.query(f'sum by (span_name) (traces_span_metrics_calls_total{{service_name="{SERVICE}"}})')
    return {sample["metric"]["span_name"]: float(sample["value"][1]) for sample in result}


def parent_of(span: dict[str, Any]) -> str | None:
    """The id of the span above, as Jaeger has it."""
    return next((reference["spanID"] for reference in span["references"] if reference["refType"] == "CHILD_OF"), None)


def tags_of(span: dict[str, Any]) -> dict[str, Any]:
    """Its attributes, as Jaeger has them."""
    return {tag["key"]: tag["value"] for tag in span["tags"]}


def test_its_trace_is_found_by_run_id_with_every_span_under_its_parent(email: OneEmail) -> None:
    spans = {span["spanID"]: span for span in email.trace}
    assert {span["traceID"] for span in spans.values()} == {email.run["trace_id"]}
    sent = {span["spanId"]: span for span in email.sent if span["traceId"] == email.run["trace_id"]}
    assert {span_id: parent_of(span) for span_id, span in spans.items()} == {
        span_id: span.get("parentSpanId") or None for span_id, span in sent.items()
    }, "Jaeger has what the Collector took"
    root = spans.pop(email.run["root_span_id"])
    assert root["operationName"] == "email pipeline"
    assert parent_of(root) is None
    assert all(parent_of(span) in {*spans, root["spanID"]} for span in spans.values()), "no orphan, no second root"


def test_its_stages_are_the_attempts_that_the_api_tells_of(email: OneEmail) -> None:
    below = [span for span in email.trace if parent_of(span) == email.run["root_span_id"]]
    of_jaeger = [
        (tags["autopilot.stage"], tags["autopilot.attempt"], span["spanID"], tags["autopilot.outcome"], span["startTime"])
        for span in sorted(below, key=lambda span: span["startTime"])
        for tags in (tags_of(span),)
    ]
    of_api = [
        (stage["stage"], stage["number"], stage["span_id"], stage["outcome"], stage["started_unix_nano"] // 1000)
        for stage in email.run["stages"]
    ]
    assert of_jaeger == of_api
    assert [stage for stage, *_ in of_jaeger] == STAGES
    inner = {
        (stage["operationName"], span["operationName"])
        for stage in below
        for span in email.trace
        if parent_of(span) == stage["spanID"]
    }
    assert {
        ("email", "email.parse"),
        ("ingestion", "text.extract"),
        ("digest", "digest.summarize"),
        ("delivery", "file write"),
    } <= inner


def test_the_smtp_span_that_took_it_in_is_a_trace_of_its_own_and_linked(email: OneEmail) -> None:
    root = next(span for span in email.sent if span["spanId"] == email.run["root_span_id"])
    (link,) = root["links"]
    (receive,) = email.jaeger.spans(link["traceId"])
    assert (receive["spanID"], receive["operationName"]) == (link["spanId"], "smtp receive")
    in_jaeger = next(span for span in email.trace if span["spanID"] == email.run["root_span_id"])
    assert [(reference["traceID"], reference["spanID"]) for reference in in_jaeger["references"]] == [
        (link["traceId"], link["spanId"])
    ]


def test_every_span_is_counted_once_everywhere(email: OneEmail) -> None:
    """The application, the Collector, Jaeger and span metrics agree on all that `serve` did, its API's spans included."""
    ids = [(span["traceId"], span["spanId"]) for span in email.sent]
    assert len(ids) == len(set(ids)) == email.health["signals"]["spans"]["exported"]
    assert email.health["signals"]["spans"]["dropped"] == {}
    assert count_by_name(email.prometheus) == Counter(span["name"] for span in email.sent)
    by_stage = email.prometheus.query(
        f'sum by (autopilot_stage) (traces_span_metrics_calls_total{{service_name="{SERVICE}", autopilot_stage!=""}})'
    )
    assert {sample["metric"]["autopilot_stage"]: float(sample["value"][1]) for sample in by_stage} == dict.fromkeys(STAGES, 1.0)


@pytest.mark.parametrize("metric", [names.STAGE_DURATION, names.STAGE_QUEUE_DURATION], ids=lambda metric: metric.name)
def test_each_stage_has_its_histogram_in_prometheus(email: OneEmail, metric: names.Metric) -> None:
    for kind in ("count", "sum"):
        found = email.prometheus.query(f'{metric.in_prometheus}_{kind}{{service_name="{SERVICE}"}}')
        assert sorted(sample["metric"]["autopilot_stage"] for sample in found) == sorted(STAGES)
        assert {sample["metric"]["autopilot_workflow"] for sample in found} == {"email-digest"}
        if kind == "count":
            assert {sample["value"][1] for sample in found} == {"1"}
    for stage in STAGES:
        labels = f'service_name="{SERVICE}", autopilot_stage="{stage}"'
        buckets = email.prometheus.query(f"{metric.in_prometheus}_bucket{{{labels}}}")
        bounds = {float(sample["metric"]["le"]) for sample in buckets}
        assert {0.1, 1.0, 5.0, float("inf")} <= bounds


def test_a_stage_took_as_long_in_prometheus_as_its_span_in_jaeger(email: OneEmail) -> None:
    for span in email.trace:
        if span["operationName"] in STAGES:
            labels = f'{{service_name="{SERVICE}", autopilot_stage="{span["operationName"]}"}}'
            seconds = email.prometheus.value(f"autopilot_stage_duration_seconds_sum{labels}")
            assert seconds == pytest.approx(span["duration"] / 1e6, abs=2e-3)


def test_every_metric_is_in_prometheus_under_its_documented_name(email: OneEmail) -> None:
    found = {
        sample["metric"]["__name__"]
        for sample in email.prometheus.query(f'last_over_time({{service_name="{SERVICE}", __name__=~".+"}}[10m])')
    }
    missing = {
        metric.in_prometheus
        for metric in names.METRICS
        if (f"{metric.in_prometheus}_bucket" if metric.instrument == "histogram" else metric.in_prometheus) not in found
    }
    assert missing == set()
    assert email.prometheus.value(f'autopilot_emails_received_total{{service_name="{SERVICE}"}}') == 1
    assert email.prometheus.value(f'autopilot_emails_delivered_total{{service_name="{SERVICE}"}}') == 1
    assert email.prometheus.value(f'sum(autopilot_emails_failed_total{{service_name="{SERVICE}"}})') == 0


def test_its_log_lines_carry_its_trace_and_nothing_personal(email: OneEmail) -> None:
    def records() -> list[dict[str, Any]]:
        every = telemetry_of(email.records, "resourceLogs", "scopeLogs", "logRecords") if email.records.exists() else ()
        return [record for record in every if record.get("traceId") == email.run["trace_id"]]

    of_email = wait_until(records)
    assert of_email, "a log record of the email"
    spans = {span["spanID"] for span in email.trace}
    assert {record["spanId"] for record in of_email} <= spans
    assert any(record["body"]["stringValue"].startswith("success after ") for record in of_email)


def test_nothing_personal_left_the_process(email: OneEmail) -> None:
    for file in (email.records, email.capture):
        content = file.read_text()
        assert [word for word in PERSONAL if word.lower() in content.lower()] == [], file.name


@pytest.mark.parametrize("kind", ["latencies", "calls", "errors"])
def test_jaegers_monitor_has_the_stages(email: OneEmail, kind: str) -> None:
    """Its rates need more than one email, some of which failed."""
    asked = [
        ("service", "monitored"), ("groupByOperation", "true"), ("lookback", "600000"), ("step", "1000"), ("ratePer", "60000"),
        ("spanKind", "internal"), ("spanKind", "consumer"), ("quantile", "0.95"),
    ]  # fmt: skip
    url = f"{email.jaeger.url}/api/metrics/{kind}?{urllib.parse.urlencode(asked)}"
    sender = Sender(email.otlp)

    def last() -> dict[str, float]:
        """The latest figure of each operation; an operation that never failed has no error rate."""
        for failed in (False, True):
            sender.send(batch(20, service="monitored", failed=failed).content)
        figures = {
            label["value"]: [
                float(point["gaugeValue"]["doubleValue"])
                for point in metric["metricPoints"]
                if point.get("gaugeValue", {}).get("doubleValue", "NaN") != "NaN"
            ]
            for metric in (get(url) or {}).get("metrics") or ()
            for label in metric["labels"]
            if label["name"] == "operation"
        }
        return {operation: points[-1] for operation, points in figures.items() if points and points[-1] > 0}

    wanted = {"email pipeline", *(["delivery"] if kind == "errors" else STAGES)}
    figures = wait_until(lambda: found if wanted <= set(found := last()) else None, every=1.0)
    sender.close()
    assert figures, get(url)
    if kind == "latencies":
        assert 0.005 <= figures["email"] <= 0.1, "in seconds: the load's stages last 5 to 50 ms, in buckets"
    if kind == "errors":
        assert figures["delivery"] == pytest.approx(0.5, abs=0.2)
