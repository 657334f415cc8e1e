"""`/metrics`: the process's own meter provider as Prometheus text.

The reader has to be given to the meter provider (`configure(metric_readers=[prometheus_reader()])`); the names then are those
that Prometheus makes of the same metrics over OTLP, so rules and dashboards fit both.
"""

from __future__ import annotations

import functools

from fastapi import APIRouter, Request
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.responses import Response

from otel_autopilot.pipeline.threads import in_thread

#: Not the client's global one: what a library of the user registers there is none of ours.
_REGISTRY = CollectorRegistry()


@functools.cache
def prometheus_reader() -> PrometheusMetricReader:
    """The reader of this process; one however often it is asked for."""
    return PrometheusMetricReader(scope_info_enabled=False, registry=_REGISTRY)


def router() -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["health"])

    @routes.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
    async def metrics(request: Request) -> Response:
        """Prometheus text, or OpenMetrics where ``Accept`` asks for it."""
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        # Observable counters are read from the store: off the event loop.
        return Response(await in_thread(encode, _REGISTRY), headers={"Content-Type": media_type})

    return routes
