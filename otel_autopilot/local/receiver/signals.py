"""The three signals of OTLP: their messages, paths and methods, and what becomes of what they carry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest, ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

from otel_autopilot.local.receiver import decode, decode_metrics
from otel_autopilot.local.receiver.attributes import Room
from otel_autopilot.local.receiver.redaction import Redaction
from otel_autopilot.local.store import TraceStore


@dataclass(frozen=True)
class Signal:
    """One of them. Items are what it carries: spans, log records, data points."""

    name: str
    items: str
    path: str
    method: str
    request: type[Message]
    response: type[Message]
    rejected: str
    """The field of a partial success that counts what was rejected."""
    below: tuple[Callable[[Any], Any], ...]
    """What is inside of a request, level by level, down to the items."""
    decode: Callable[[Any, Room], decode.Decoded[Any]]
    redact: Callable[[Redaction, list[Any]], list[Any]]
    store: Callable[[TraceStore, list[Any]], None]


_SERVICE = "/opentelemetry.proto.collector"
SIGNALS = (
    Signal(
        "spans", "spans", "/v1/traces", f"{_SERVICE}.trace.v1.TraceService/Export", ExportTraceServiceRequest,
        ExportTraceServiceResponse, "rejected_spans", (attrgetter("resource_spans"), attrgetter("scope_spans"), attrgetter("spans")),
        decode.spans, Redaction.spans, TraceStore.add_spans,
    ),
    Signal(
        "metrics", "data points", "/v1/metrics", f"{_SERVICE}.metrics.v1.MetricsService/Export", ExportMetricsServiceRequest,
        ExportMetricsServiceResponse, "rejected_data_points", (attrgetter("resource_metrics"), attrgetter("scope_metrics"), attrgetter("metrics"), decode_metrics.data_points),
        decode_metrics.points, Redaction.points, TraceStore.add_points,
    ),
    Signal(
        "logs", "log records", "/v1/logs", f"{_SERVICE}.logs.v1.LogsService/Export", ExportLogsServiceRequest,
        ExportLogsServiceResponse, "rejected_log_records", (attrgetter("resource_logs"), attrgetter("scope_logs"), attrgetter("log_records")),
        decode.logs, Redaction.logs, TraceStore.add_logs,
    ),
)  # fmt: skip
