"""Personal data that a sloppy application sends: gone behind the Collector, from every surface that it can reach."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest, ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1 import metrics_pb2 as metrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from tests.stack.lab import CAPTURE, Collector, running, wait_until

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("binaries")]

#: What a sloppy application puts everywhere. Each holds the mark, so that what stays of it can be found and told apart.
SECRETS = {
    "address": "jane.{mark}@example.org",
    "percent": "jane.{mark}%40example.org",
    "quoted": '"jane {mark}"@example.org',
    "unicode": "jürgen.{mark}@bücher.example",
    "message-id": "<20261121.{mark}@mail.example.org>",
    "bearer": "Authorization: Bearer {mark}abcdefgh0123",
    "password": "password={mark}hunter2",
    "json": '{{"api_key": "{mark}k3y"}}',
    "jwt": "eyJhbGciOi.{mark}.c2ln",
    "userinfo": "postgresql://app:{mark}@db/mail",
    "github": "ghp_{mark}0123456789abcdefghij",
}
#: These can't carry a mark: the whole is looked for.
NUMBERS = {"phone": "+49 30 1234567", "card": "4111 1111 1111 1111", "card-plain": "5500005555555559"}

#: Surfaces that neither processor reaches (docs/collector.md says what to do about each).
OUT_OF_REACH = {
    "span.link.attribute", "span.link.trace_state", "schema_url", "metric.exemplar.attribute", "metric.metadata",
    "resource.bytes", "scope.bytes", "span.bytes", "event.bytes", "point.bytes", "histogram_point.bytes", "log.bytes",
}  # fmt: skip


def text(value: str) -> AnyValue:
    return AnyValue(string_value=value)


def pair(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=text(value))


def everywhere(secret: Any) -> tuple[bytes, bytes, bytes]:
    """Requests for traces, metrics and logs with what ``secret(surface)`` returns on every surface that OTLP has for text."""

    def attributes(surface: str) -> list[KeyValue]:
        inner = AnyValue(kvlist_value=KeyValueList(values=[pair("inner", secret(f"{surface}.map"))]))
        return [
            pair("note", secret(f"{surface}.attribute")),
            pair(secret(f"{surface}.key"), "x"),
            pair("http.request.method", secret(f"{surface}.known_key")),
            KeyValue(key="tags", value=AnyValue(array_value=ArrayValue(values=[text("a"), text(secret(f"{surface}.array"))]))),
            KeyValue(key="nested", value=inner),
            KeyValue(key="raw", value=AnyValue(bytes_value=secret(f"{surface}.bytes").encode())),
            pair("email.subject", f"SUBJECT{surface}"),
            pair("enduser.name", f"NAME{surface}"),
        ]

    resource = Resource(attributes=[pair("service.name", "sloppy"), *attributes("resource")])
    scope = InstrumentationScope(name=secret("scope.name"), version=secret("scope.version"), attributes=attributes("scope"))
    now = time.time_ns()
    span = Span(
        trace_id=b"\1" * 16, span_id=b"\2" * 8, name=secret("span.name"), start_time_unix_nano=now, end_time_unix_nano=now + 1,
        trace_state=f"vendor={secret('span.trace_state')}", attributes=attributes("span"),
        status=Status(code=Status.STATUS_CODE_ERROR, message=secret("span.status")),
        events=[Span.Event(time_unix_nano=now, name=secret("event.name"), attributes=attributes("event"))],
        links=[
            Span.Link(trace_id=b"\3" * 16, span_id=b"\4" * 8, trace_state=f"v={secret('span.link.trace_state')}",
                      attributes=[pair("note", secret("span.link.attribute"))])
        ],
    )  # fmt: skip
    traces = ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(resource=resource, scope_spans=[ScopeSpans(scope=scope, spans=[span], schema_url=secret("schema_url"))])
        ]
    )
    record = LogRecord(
        time_unix_nano=now, severity_number=9, severity_text=secret("log.severity_text"), body=text(secret("log.body")),
        event_name=secret("log.event_name"), attributes=attributes("log"),
    )  # fmt: skip
    structured = LogRecord(
        time_unix_nano=now, severity_number=9,
        body=AnyValue(kvlist_value=KeyValueList(values=[pair("to", secret("log.body.map")), pair(secret("log.body.key"), "x")])),
    )  # fmt: skip
    logs = ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(resource=resource, scope_logs=[ScopeLogs(scope=scope, log_records=[record, structured])])]
    )
    exemplar = metrics.Exemplar(
        as_double=1, time_unix_nano=now, filtered_attributes=[pair("note", secret("metric.exemplar.attribute"))]
    )
    point = metrics.NumberDataPoint(
        as_int=1, time_unix_nano=now, start_time_unix_nano=now - 10, attributes=attributes("point"), exemplars=[exemplar]
    )
    metric = metrics.Metric(
        name=secret("metric.name"), description=secret("metric.description"), unit=secret("metric.unit"),
        metadata=[pair("note", secret("metric.metadata"))],
        sum=metrics.Sum(data_points=[point], aggregation_temporality=2, is_monotonic=True),
    )  # fmt: skip
    histogram = metrics.Metric(
        name="h",
        histogram=metrics.Histogram(
            aggregation_temporality=2,
            data_points=[
                metrics.HistogramDataPoint(time_unix_nano=now, count=1, bucket_counts=[1], attributes=attributes("histogram_point"))
            ],
        ),
    )
    measured = ExportMetricsServiceRequest(
        resource_metrics=[
            metrics.ResourceMetrics(
                resource=resource, scope_metrics=[metrics.ScopeMetrics(scope=scope, metrics=[metric, histogram])]
            )
        ]
    )
    return traces.SerializeToString(), measured.SerializeToString(), logs.SerializeToString()


METHODS = (
    ("/opentelemetry.proto.collector.trace.v1.TraceService/Export", ExportTraceServiceResponse),
    ("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", ExportMetricsServiceResponse),
    ("/opentelemetry.proto.collector.logs.v1.LogsService/Export", ExportLogsServiceResponse),
)


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    folder = tmp_path_factory.mktemp("personal")
    running_one = Collector(folder, overlay=CAPTURE.format(path=folder / "capture.jsonl"))
    with running(running_one):
        yield running_one


def captured(collector: Collector, requests: tuple[bytes, bytes, bytes]) -> str:
    """What the Collector passes on of these requests."""
    file = collector.log.parent / "capture.jsonl"
    before = file.stat().st_size if file.exists() else 0
    with grpc.insecure_channel(collector.otlp) as channel:
        for (method, answer), request in zip(METHODS, requests, strict=True):
            call = channel.unary_unary(method, request_serializer=lambda content: content, response_deserializer=answer.FromString)
            call(request, timeout=10)

    def whole() -> str | None:
        content = file.read_bytes()[before:].decode(errors="replace") if file.exists() else ""
        return content if all(f'"{kind}"' in content for kind in ("resourceSpans", "resourceMetrics", "resourceLogs")) else None

    content: str | None = wait_until(whole)
    assert content, collector.log.read_text(errors="replace")[-2000:]
    raw = [base64.b64decode(value).decode(errors="replace") for value in re.findall(r'"bytesValue":"([^"]*)"', content)]
    return "\n".join([content, *raw])


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_gone_from_every_surface_in_reach(collector: Collector, kind: str) -> None:
    marks: dict[str, str] = {}

    def secret(surface: str) -> str:
        mark = marks.setdefault(surface, f"zq{len(marks):03d}qz{kind.replace('-', '')[:3]}")
        return SECRETS[kind].format(mark=mark)

    content = captured(collector, everywhere(secret))
    stayed = {surface for surface, mark in marks.items() if mark in content}
    assert sorted(stayed - OUT_OF_REACH) == []
    # Bytes are looked at as base64, which now and then happens to look like a secret.
    by_chance = {surface for surface in OUT_OF_REACH if surface.endswith(".bytes")}
    assert stayed | by_chance == OUT_OF_REACH, "what is documented as out of reach is"
    assert "SUBJECT" not in content
    assert "NAME" not in content


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_number_is_gone_from_every_surface_in_reach(collector: Collector, kind: str) -> None:
    number = NUMBERS[kind]
    content = captured(collector, everywhere(lambda surface: "harmless" if surface in OUT_OF_REACH else number))
    assert number not in content


def test_what_is_harmless_stays(collector: Collector) -> None:
    """Ids, names, numbers, pseudonyms and sentences pass unchanged."""
    kept = [
        "email pipeline", "pdf.extract", "GET /api/runs/{id}", "84fc2ff2ff26aabb", "2026-11-21T15:41:13.862Z", "3.11.7",
        "p6ad8_4b4b91622a679f81", "[email:p6ad8_4b4b91622a679f81]", "python", "the PDF has 12 pages", "10.0.0.12", "select 1 from runs",
        "https://example.org/a/b?page=2", "urn:uuid:0b46300b-ffcb-4c4e-9d6a-1b2c3d4e5f60", "1763739673862000000",
    ]  # fmt: skip
    for value in kept:
        content = captured(collector, everywhere(lambda surface, value=value: value))  # type: ignore[misc]
        spans = [json.loads(line) for line in content.splitlines() if '"resourceSpans"' in line]
        span = spans[0]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
        assert span["name"] == value
        assert span["status"]["message"] == value
        assert {"key": "note", "value": {"stringValue": value}} in span["attributes"]
