"""The instruments of the pipeline, made once for each meter provider."""

from __future__ import annotations

from functools import lru_cache

from opentelemetry import metrics

from otel_autopilot.telemetry import names
from otel_autopilot.telemetry.buckets import DURATION_BOUNDS


@lru_cache(maxsize=4)
def _histogram(provider: metrics.MeterProvider, metric: names.Metric) -> metrics.Histogram:
    meter = provider.get_meter(names.SCOPE, schema_url=names.SEMCONV_SCHEMA_URL)
    return meter.create_histogram(
        metric.name, unit=metric.unit, description=metric.brief, explicit_bucket_boundaries_advisory=DURATION_BOUNDS
    )


def record_duration(metric: names.Metric, seconds: float, **attributes: str) -> None:
    """Record a duration in seconds; attribute keys are field names of the schema: stage, outcome, workflow."""
    keys = {"stage": names.STAGE.name, "outcome": names.OUTCOME.name, "workflow": names.WORKFLOW.name}
    values = {keys[key]: value for key, value in attributes.items()}
    _histogram(metrics.get_meter_provider(), metric).record(max(0.0, seconds), values)
