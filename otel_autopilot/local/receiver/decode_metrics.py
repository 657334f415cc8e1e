"""Metric points of OTLP as what the store holds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Exemplar,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    SummaryDataPoint,
)

from otel_autopilot.local.model import MetricPoint, Scope
from otel_autopilot.local.receiver.attributes import Room, attributes
from otel_autopilot.local.receiver.decode import LATEST_UNIX_NANO, Decoded, Unfit, identity

_TEMPORALITY = {1: "AGGREGATION_TEMPORALITY_DELTA", 2: "AGGREGATION_TEMPORALITY_CUMULATIVE"}
#: "No recorded value": says that a series has ended, and holds nothing to keep.
_NOTHING_RECORDED = 1

Point = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint | SummaryDataPoint


def data_points(metric: Metric) -> Sequence[Point]:
    """Those of a metric, whatever its kind."""
    kind = metric.WhichOneof("data")
    found: Sequence[Point] = () if kind is None else getattr(metric, kind).data_points
    return found


def points(request: ExportMetricsServiceRequest, room: Room) -> Decoded[MetricPoint]:
    """The data points of a request. Raises TooLarge."""
    decoded: Decoded[MetricPoint] = Decoded()
    for of_resource in request.resource_metrics:
        resource = attributes(of_resource.resource.attributes, room)
        for of_scope in of_resource.scope_metrics:
            scope = Scope(of_scope.scope.name, of_scope.scope.version, attributes(of_scope.scope.attributes, room))
            for metric in of_scope.metrics:
                for point in data_points(metric):
                    try:
                        decoded.items.extend(_point(metric, point, resource, scope, room))
                    except Unfit as why:
                        decoded.rejected[str(why)] += 1
    return decoded


def _point(metric: Metric, point: Point, resource: dict[str, Any], scope: Scope, room: Room) -> Iterator[MetricPoint]:
    if point.flags & _NOTHING_RECORDED:
        return
    if not metric.name:
        raise Unfit("metric without a name")
    if point.time_unix_nano > LATEST_UNIX_NANO or point.start_time_unix_nano > LATEST_UNIX_NANO:
        raise Unfit("time")
    kind = str(metric.WhichOneof("data"))
    data = getattr(metric, kind)
    value: int | float | None = None
    distribution: dict[str, Any] | None = None
    if isinstance(point, NumberDataPoint):
        value = _number(point)
    elif isinstance(point, HistogramDataPoint):
        distribution = _histogram(point)
    elif isinstance(point, ExponentialHistogramDataPoint):
        distribution = _exponential(point)
    else:
        distribution = _summary(point)
    yield MetricPoint(
        metric.name, kind, point.time_unix_nano, point.start_time_unix_nano, metric.unit, metric.description,
        _TEMPORALITY.get(getattr(data, "aggregation_temporality", 0), ""), getattr(data, "is_monotonic", False),
        value, distribution, () if isinstance(point, SummaryDataPoint) else tuple(_exemplars(point.exemplars, room)),
        attributes(point.attributes, room), resource, scope,
    )  # fmt: skip


def _number(point: NumberDataPoint) -> int | float:
    kind = point.WhichOneof("value")
    if kind is None:
        raise Unfit("point without a value")
    value: int | float = getattr(point, kind)
    return value


def _least(point: HistogramDataPoint | ExponentialHistogramDataPoint) -> dict[str, Any]:
    optional = {name: getattr(point, name) if point.HasField(name) else None for name in ("sum", "min", "max")}
    return {"count": point.count, **optional}


def _histogram(point: HistogramDataPoint) -> dict[str, Any]:
    bounds, counts = list(point.explicit_bounds), list(point.bucket_counts)
    if len(counts) != len(bounds) + 1 and (counts or bounds):
        raise Unfit("buckets that don't fit their bounds")
    if not _ascending(bounds):
        raise Unfit("bounds that don't ascend")
    return {**_least(point), "bounds": bounds, "bucket_counts": counts}


def _ascending(bounds: Sequence[float]) -> bool:
    return all(math.isfinite(bound) for bound in bounds) and all(low < high for low, high in pairwise(bounds))


def _exponential(point: ExponentialHistogramDataPoint) -> dict[str, Any]:
    sides = {
        side: {"offset": buckets.offset, "bucket_counts": list(buckets.bucket_counts)}
        for side, buckets in (("positive", point.positive), ("negative", point.negative))
    }
    return {**_least(point), "scale": point.scale, "zero_count": point.zero_count, **sides}


def _summary(point: SummaryDataPoint) -> dict[str, Any]:
    quantiles = [[one.quantile, one.value] for one in point.quantile_values]
    return {"count": point.count, "sum": point.sum, "min": None, "max": None, "quantiles": quantiles}


def _exemplars(exemplars: Sequence[Exemplar], room: Room) -> Iterator[dict[str, Any]]:
    room.take(len(exemplars))
    for exemplar in exemplars:
        kind = exemplar.WhichOneof("value")
        if kind is None:
            continue
        yield {
            "value": getattr(exemplar, kind), "time_unix_nano": exemplar.time_unix_nano, "trace_id": identity(exemplar.trace_id, 16),
            "span_id": identity(exemplar.span_id, 8), "attributes": attributes(exemplar.filtered_attributes, room),
        }  # fmt: skip
