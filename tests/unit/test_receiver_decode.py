"""OTLP's messages become what the SDK's own objects become."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    SummaryDataPoint,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from otel_autopilot.local.model import SpanRecord, points_of
from otel_autopilot.local.receiver.attributes import Room, any_value, attributes
from otel_autopilot.local.receiver.decode import LATEST_UNIX_NANO, logs, spans
from otel_autopilot.local.receiver.decode_metrics import points
from otel_autopilot.local.receiver.refusals import TooLarge
from otel_autopilot.local.values import encode

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
SCALARS = st.booleans() | INT64 | st.floats(allow_nan=False) | TEXT | st.binary(max_size=20)
VALUES = st.recursive(
    st.none() | SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def message(value: Any) -> AnyValue:
    """A value as OTLP has it."""
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=map(message, value)))
    return AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key=key, value=message(item)) for key, item in value.items()]))


@given(VALUES)
def test_every_kind_of_value_comes_back_as_it_was(value: Any) -> None:
    sent = AnyValue.FromString(message(value).SerializeToString())
    found = any_value(sent, Room())
    assert found == value
    assert type(found) is type(value)
    assert attributes([KeyValue(key="k", value=sent)], Room()) == {"k": value}


@pytest.mark.parametrize("levels", [10, 32, 33, 45])
def test_values_nested_however_deep_are_decoded_and_can_be_stored(levels: int) -> None:
    value = AnyValue(string_value="innermost")
    for _ in range(levels):  # more than that, protobuf itself doesn't take apart
        value = AnyValue(array_value=ArrayValue(values=[value]))
    assert ("(nested deeper)" in encode(any_value(value, Room()))) == (levels > 32)


def test_a_kind_of_value_that_is_not_known_yet_is_nothing() -> None:
    assert attributes([KeyValue(key="k", value=AnyValue(string_value_strindex=7))], Room()) == {"k": None}


IDS = st.integers(1, (1 << 128) - 1)
SPAN_IDS = st.integers(1, (1 << 64) - 1)
MOMENTS = st.integers(1, LATEST_UNIX_NANO)
ATTRIBUTES = st.dictionaries(TEXT.filter(bool), SCALARS.filter(lambda value: not isinstance(value, bytes)), max_size=3)
SPANS = st.builds(
    lambda trace, own, parent, name, kind, start, end, status, attributes, events, links, resource: ReadableSpan(
        name, SpanContext(trace, own, False), None if parent is None else SpanContext(trace, parent, True), Resource(resource),
        attributes, events, links, kind, status=status, start_time=start, end_time=end,
        instrumentation_scope=InstrumentationScope("lib", "1.2", attributes={"scope": 1}),
    ),
    IDS, SPAN_IDS, st.none() | SPAN_IDS, TEXT, st.sampled_from(SpanKind), MOMENTS, MOMENTS,
    st.sampled_from(StatusCode).flatmap(lambda code: st.builds(Status, st.just(code), TEXT if code is StatusCode.ERROR else st.none())),
    ATTRIBUTES, st.lists(st.builds(Event, TEXT, ATTRIBUTES, MOMENTS), max_size=2),
    st.lists(st.builds(lambda trace, own, more: Link(SpanContext(trace, own, True), more), IDS, SPAN_IDS, ATTRIBUTES), max_size=2),
    ATTRIBUTES,
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(SPANS, max_size=4))
def test_spans_are_the_same_whether_they_come_by_otlp_or_from_the_sdk(sent: list[ReadableSpan]) -> None:
    request = ExportTraceServiceRequest.FromString(encode_spans(sent).SerializeToString())
    decoded = spans(request, Room())
    assert not decoded.rejected
    key = repr
    assert sorted(decoded.items, key=key) == sorted(map(SpanRecord.from_readable, sent), key=key)


def request(**fields: Any) -> ExportTraceServiceRequest:
    span = Span(
        **{"trace_id": b"t" * 16, "span_id": b"s" * 8, "name": "n", "start_time_unix_nano": 1, "end_time_unix_nano": 2} | fields
    )
    made = ExportTraceServiceRequest()
    made.resource_spans.add().scope_spans.add().spans.append(span)
    return made


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"trace_id": b""}, "trace id"), ({"trace_id": b"t" * 15}, "trace id"), ({"trace_id": bytes(16)}, "trace id"),
        ({"span_id": b""}, "span id"), ({"span_id": b"s" * 9}, "span id"), ({"span_id": bytes(8)}, "span id"),
        ({"parent_span_id": b"p" * 7}, "parent span id"),
        ({"start_time_unix_nano": 1 << 63}, "time"), ({"end_time_unix_nano": (1 << 64) - 1}, "time"),
        ({"events": [Span.Event(time_unix_nano=1 << 63)]}, "time"),
        ({"links": [Span.Link(trace_id=b"t", span_id=b"s" * 8)]}, "link"),
    ],
)  # fmt: skip
def test_a_span_that_cannot_be_kept_is_rejected_alone_with_its_reason(fields: dict[str, Any], reason: str) -> None:
    made = request(**fields)
    made.resource_spans[0].scope_spans[0].spans.extend(request().resource_spans[0].scope_spans[0].spans)
    decoded = spans(made, Room())
    assert (len(decoded.items), dict(decoded.rejected)) == (1, {reason: 1})


def test_what_a_later_version_may_add_degrades() -> None:
    made = request(parent_span_id=bytes(8), end_time_unix_nano=0)
    span = made.resource_spans[0].scope_spans[0].spans[0]
    span.kind = 99  # type: ignore[assignment]
    span.status.code = 77  # type: ignore[assignment]
    (record,) = spans(ExportTraceServiceRequest.FromString(made.SerializeToString()), Room()).items
    assert (record.kind, record.status_code, record.parent_span_id) == ("SPAN_KIND_UNSPECIFIED", "STATUS_CODE_UNSET", None)
    assert record.duration_nano == 0


def test_log_records_without_valid_ids_severity_or_time_are_kept() -> None:
    made = ExportLogsServiceRequest()
    record = made.resource_logs.add().scope_logs.add().log_records.add()
    record.observed_time_unix_nano = 5
    record.severity_number = 200  # type: ignore[assignment]
    record.trace_id, record.span_id = b"short", bytes(8)
    late = made.resource_logs[0].scope_logs[0].log_records.add()
    late.time_unix_nano = 1 << 63
    decoded = logs(made, Room())
    (row,) = decoded.items
    assert (row.time_unix_nano, row.severity_number, row.trace_id, row.span_id, row.body) == (5, 0, None, None, None)
    assert dict(decoded.rejected) == {"time": 1}


def test_a_log_record_without_any_time_has_that_of_its_receipt() -> None:
    made = ExportLogsServiceRequest()
    made.resource_logs.add().scope_logs.add().log_records.add()
    before = time.time_ns()
    (row,) = logs(made, Room()).items
    assert before <= row.time_unix_nano <= time.time_ns()


def test_log_records_are_the_same_whether_they_come_by_otlp_or_from_the_sdk() -> None:
    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.sdk._logs import ReadableLogRecord

    from otel_autopilot.local.model import LogRecordRow

    record = ReadableLogRecord(
        LogRecord(
            timestamp=7, observed_timestamp=8, severity_text="WARN", severity_number=SeverityNumber.WARN,
            body={"a": [1, "x", None, {"b": b"bytes"}]}, event_name="event", attributes={"k": "v"},
        ),
        Resource({"service.name": "s"}),
        InstrumentationScope("lib", "1"),
    )  # fmt: skip
    sent = ExportLogsServiceRequest.FromString(encode_logs([record]).SerializeToString())
    assert logs(sent, Room()).items == [LogRecordRow.from_readable(record)]


def test_metric_points_are_the_same_whether_they_come_by_otlp_or_from_the_sdk() -> None:
    reader = InMemoryMetricReader()
    view = View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())
    provider = MeterProvider([reader], Resource({"service.name": "s"}), shutdown_on_exit=False, views=[view])
    meter = provider.get_meter("lib", "1")
    meter.create_counter("counter", "1", "counts").add(3, {"k": "v"})
    meter.create_up_down_counter("updown").add(-2.5)
    meter.create_gauge("gauge").set(0.5)
    for name in ("plain", "exponential"):
        for value in (0.0, 0.1, 5.0, 70.0):
            meter.create_histogram(name, "s").record(value, {"n": 1})
    data = reader.get_metrics_data()
    assert data is not None
    decoded = points(ExportMetricsServiceRequest.FromString(encode_metrics(data).SerializeToString()), Room())
    assert (decoded.items, dict(decoded.rejected)) == (list(points_of(data)), {})
    assert len(decoded.items) == 5
    provider.shutdown()


def of_metric(metric: Metric) -> Any:
    made = ExportMetricsServiceRequest()
    made.resource_metrics.add().scope_metrics.add().metrics.append(metric)
    return points(made, Room())


def histogram(**fields: Any) -> Metric:
    metric = Metric(name="h")
    metric.histogram.data_points.append(HistogramDataPoint(**fields))
    return metric


def number(**fields: Any) -> Metric:
    metric = Metric(name="g")
    metric.gauge.data_points.append(NumberDataPoint(**fields))
    return metric


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (histogram(explicit_bounds=[1, 2], bucket_counts=[1, 2]), "buckets that don't fit their bounds"),
        (histogram(explicit_bounds=[], bucket_counts=[1, 2]), "buckets that don't fit their bounds"),
        (histogram(explicit_bounds=[2, 1], bucket_counts=[1, 2, 3]), "bounds that don't ascend"),
        (histogram(explicit_bounds=[math.nan], bucket_counts=[1, 2]), "bounds that don't ascend"),
        (number(), "point without a value"),
        (number(as_int=1, time_unix_nano=1 << 63), "time"),
        (Metric(gauge=number(as_int=1).gauge), "metric without a name"),
    ],
)
def test_a_point_that_cannot_be_kept_is_rejected_with_its_reason(metric: Metric, reason: str) -> None:
    assert dict(of_metric(metric).rejected) == {reason: 1}


def test_a_histogram_without_buckets_a_summary_and_the_end_of_a_series_are_taken() -> None:
    assert of_metric(histogram(count=2, sum=3.0)).items[0].distribution == {
        "count": 2, "sum": 3.0, "min": None, "max": None, "bounds": [], "bucket_counts": [],
    }  # fmt: skip
    summary = Metric(name="s")
    quantile = SummaryDataPoint.ValueAtQuantile(quantile=0.5, value=2)
    summary.summary.data_points.append(SummaryDataPoint(count=1, sum=2, quantile_values=[quantile]))
    (point,) = of_metric(summary).items
    assert (point.type, point.distribution["quantiles"]) == ("summary", [[0.5, 2.0]])
    assert of_metric(number(flags=1)).items == []
    exponential = Metric(name="e")
    exponential.exponential_histogram.data_points.append(ExponentialHistogramDataPoint(count=1, scale=20))
    assert of_metric(exponential).items[0].type == "exponential_histogram"
    assert of_metric(Metric(name="nothing")).items == []


def test_of_too_many_attributes_the_first_are_kept_and_the_others_counted() -> None:
    pairs = [KeyValue(key=f"k{number}", value=AnyValue(int_value=1)) for number in range(1_030)]
    found = attributes(pairs, Room())
    assert (len(found), found["otel.dropped_attributes_count"], "k1023" in found, "k1024" in found) == (1_025, 6, True, False)
    listed = any_value(AnyValue(array_value=ArrayValue(values=[pair.value for pair in pairs])), Room())
    assert (len(listed), listed[-1]) == (1_025, "(cut: 6 more)")
    assert any_value(AnyValue(kvlist_value=KeyValueList(values=pairs)), Room())["otel.dropped_attributes_count"] == 6


@pytest.mark.parametrize("field", ["attributes", "events", "links"])
def test_a_request_that_unfolds_into_too_many_values_is_refused(field: str) -> None:
    fields: dict[str, Any] = {
        "attributes": [KeyValue(key=f"k{number}") for number in range(11)],
        "events": [Span.Event()] * 11,
        "links": [Span.Link(trace_id=b"t" * 16, span_id=b"s" * 8)] * 11,
    }
    made = request(**{field: fields[field]})
    assert len(spans(made, Room(11)).items) == 1
    with pytest.raises(TooLarge, match="at most 10 attributes"):
        spans(made, Room(10))
