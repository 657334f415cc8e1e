"""What the overlays send, seen by a server on loopback that stands where the vendor does."""

from __future__ import annotations

import gzip
import json
import os
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from tests.stack.lab import COLLECTOR, Collector, free_ports, running, wait_until

pytestmark = pytest.mark.usefixtures("binaries")

MESSAGES = {"traces": ExportTraceServiceRequest, "metrics": ExportMetricsServiceRequest, "logs": ExportLogsServiceRequest}
ADDRESS = "someone@example.com"
#: New Relic's, the smallest of the vendors' limits.
LARGEST_REQUEST_BYTES = 1_000_000


@dataclass
class Received:
    """A request that the vendor got."""

    path: str
    headers: dict[str, str]
    size: int
    """Bytes before compression."""
    message: Any

    @property
    def signal(self) -> str:
        """traces, metrics or logs."""
        return self.path.rpartition("/")[2]


@dataclass
class Vendor:
    """Takes OTLP over HTTP, or answers with an error as long as `status` is one."""

    status: int = 200
    received: list[Received] = field(default_factory=list)
    refused: int = 0
    url: str = ""

    def of(self, signal: str) -> list[Received]:
        """The requests of a signal."""
        return [request for request in self.received if request.signal == signal]

    def spans(self) -> list[Any]:
        """All spans so far."""
        return [
            span
            for request in self.of("traces")
            for resource in request.message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def sums(self, name: str) -> list[Any]:
        """All points of a counter so far, each with its temporality."""
        return [
            (metric.sum.aggregation_temporality, point.as_int)
            for request in self.of("metrics")
            for resource in request.message.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.sum.data_points
        ]


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    vendor = Vendor()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if vendor.status == 200:
                content = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                message = MESSAGES[self.path.rpartition("/")[2]].FromString(content)
                headers = {name.lower(): value for name, value in self.headers.items()}
                vendor.received.append(Received(self.path, headers, len(content), message))
            else:
                vendor.refused += 1
            self.send_response(vendor.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    vendor.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield vendor
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def overlay(name: str, vendor: Vendor) -> str:
    """An overlay whose fixed addresses are the vendor's here."""
    text = (COLLECTOR / "overlays" / f"{name}.yaml").read_text()
    return re.sub(r"https://otlp\.\$\{env:DD_SITE:-datadoghq\.com\}", vendor.url, text)


def post(collector: Collector, signal: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(
        f"{collector.otlp_http}/v1/{signal}", json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


RESOURCE = {"attributes": [{"key": "service.name", "value": {"stringValue": "probe"}}]}


def send_spans(collector: Collector, count: int, size: int = 0) -> None:
    now = time.time_ns()
    attributes = [
        {"key": "note", "value": {"stringValue": f"to {ADDRESS}"}},
        {"key": "filling", "value": {"stringValue": "x" * size}},
    ]
    spans = [
        {
            "traceId": os.urandom(16).hex(), "spanId": os.urandom(8).hex(), "name": "probe", "kind": 2, "attributes": attributes,
            "startTimeUnixNano": str(now - 1_000_000), "endTimeUnixNano": str(now),
        }
        for _ in range(count)
    ]  # fmt: skip
    post(collector, "traces", {"resourceSpans": [{"resource": RESOURCE, "scopeSpans": [{"spans": spans}]}]})


def send_sum(collector: Collector, value: int, began: int) -> None:
    point = {"startTimeUnixNano": str(began), "timeUnixNano": str(time.time_ns()), "asInt": str(value)}
    metric = {"name": "probe.count", "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [point]}}
    post(collector, "metrics", {"resourceMetrics": [{"resource": RESOURCE, "scopeMetrics": [{"metrics": [metric]}]}]})


def send_record(collector: Collector) -> None:
    record = {"timeUnixNano": str(time.time_ns()), "body": {"stringValue": f"from {ADDRESS}"}}
    post(collector, "logs", {"resourceLogs": [{"resource": RESOURCE, "scopeLogs": [{"logRecords": [record]}]}]})


@pytest.mark.parametrize(
    ("name", "variables", "header", "prefix"),
    [
        (
            "otlp",
            {"OTLP_VENDOR_ENDPOINT": "URL", "OTLP_VENDOR_HEADER_NAME": "x-key", "OTLP_VENDOR_HEADER_VALUE": "abc"},
            ("x-key", "abc"),
            "",
        ),
        ("newrelic", {"NEW_RELIC_OTLP_ENDPOINT": "URL", "NEW_RELIC_LICENSE_KEY": "0123"}, ("api-key", "0123"), ""),
        (
            "grafana-cloud",
            {"GRAFANA_CLOUD_OTLP_ENDPOINT": "URL/otlp", "GRAFANA_CLOUD_AUTHORIZATION": "Basic MTIzOmFiYw=="},
            ("authorization", "Basic MTIzOmFiYw=="),
            "/otlp",
        ),
        ("datadog", {"DD_API_KEY": "abc"}, ("dd-api-key", "abc"), ""),
    ],
)
def test_a_vendor_gets_every_signal_redacted_and_with_its_key(
    name: str, variables: dict[str, str], header: tuple[str, str], prefix: str, vendor: Vendor, tmp_path: Path
) -> None:
    environment = {key: value.replace("URL", vendor.url) for key, value in variables.items()}
    collector = Collector(tmp_path, overlay=overlay(name, vendor), **environment)
    with running(collector):
        began = time.time_ns()
        send_spans(collector, 10)
        send_sum(collector, 5, began)
        send_record(collector)
        assert wait_until(lambda: len({request.signal for request in vendor.received}) == 3)
        for request in vendor.received:
            assert request.path == f"{prefix}/v1/{request.signal}"
            assert request.headers[header[0]] == header[1]
            assert ADDRESS not in str(request.message)
        assert len(vendor.spans()) == 10


def test_datadog_gets_deltas_only(vendor: Vendor, tmp_path: Path) -> None:
    collector = Collector(tmp_path, overlay=overlay("datadog", vendor), DD_API_KEY="abc")
    with running(collector):
        began = time.time_ns()
        for number, value in enumerate((5, 12, 13), 1):
            send_sum(collector, value, began)
            # One after the other: four consumers of a queue would be free to change their order.
            assert wait_until(lambda number=number: len(vendor.sums("probe.count")) == number)
        delta = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
        assert vendor.sums("probe.count") == [(delta, 5), (delta, 7), (delta, 1)]
        (request, *_) = vendor.of("metrics")
        assert json.loads(request.headers["dd-otel-metric-config"])["resource_attributes_as_tags"] is True


def test_no_request_is_larger_than_a_vendor_takes(vendor: Vendor, tmp_path: Path) -> None:
    collector = Collector(
        tmp_path, overlay=overlay("newrelic", vendor), NEW_RELIC_OTLP_ENDPOINT=vendor.url, NEW_RELIC_LICENSE_KEY="0"
    )
    with running(collector):
        for _ in range(4):
            send_spans(collector, 1000, size=1000)
        assert wait_until(lambda: len(vendor.spans()) == 4000)
    assert len(vendor.of("traces")) > 4
    assert max(request.size for request in vendor.of("traces")) < LARGEST_REQUEST_BYTES


def test_what_a_vendor_could_not_take_arrives_after_both_were_away(vendor: Vendor, tmp_path: Path) -> None:
    collector = Collector(
        tmp_path, overlay=overlay("newrelic", vendor), NEW_RELIC_OTLP_ENDPOINT=vendor.url, NEW_RELIC_LICENSE_KEY="0"
    )
    vendor.status = 503
    with running(collector):
        send_spans(collector, 100)
        assert wait_until(lambda: vendor.refused)
        collector.kill()
        vendor.status = 200
        collector.start()
        assert wait_until(lambda: len({span.span_id for span in vendor.spans()}) == 100)


def test_logs_go_to_an_otlp_backend_and_to_the_file(vendor: Vendor, tmp_path: Path) -> None:
    collector = Collector(tmp_path, overlay=overlay("logs-otlp", vendor), LOGS_OTLP_ENDPOINT=f"{vendor.url}/otlp")
    with running(collector):
        send_record(collector)
        send_spans(collector, 1)
        assert wait_until(lambda: vendor.of("logs"))
        assert wait_until(lambda: collector.records.exists() and collector.records.read_text())
    assert {request.path for request in vendor.received} == {"/otlp/v1/logs"}


def test_metrics_can_be_scraped_with_exemplars_under_the_names_that_prometheus_gives_them(vendor: Vendor, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    collector = Collector(tmp_path, overlay=overlay("prometheus-scrape", vendor), OTELCOL_SCRAPE_PORT=str(port))

    patterns = (
        r'^probe_count_total\{.*service_name="probe".*\} 5',
        r'^traces_span_metrics_calls_total\{.*service_name="probe".*\} 3',
        r'^traces_span_metrics_duration_seconds_bucket\{.*\} 3.* # \{.*trace_id="[0-9a-f]{32}"',
    )

    def scraped() -> str:
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        with urllib.request.urlopen(
            urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers=accept), timeout=10
        ) as answer:
            return str(answer.read().decode())

    with running(collector):
        send_sum(collector, 5, time.time_ns())
        send_spans(collector, 3)
        seen = ""

        def all_of_it() -> bool:
            nonlocal seen
            seen += scraped()  # exemplars stay for one interval only
            return all(re.search(pattern, seen, re.MULTILINE) for pattern in patterns)

        assert wait_until(all_of_it), seen
