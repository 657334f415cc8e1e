"""The FastAPI application."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

# The stable names of HTTP have to be chosen before the instrumentation is loaded.
os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http")

from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.trace import Span
from starlette.middleware import Middleware
from starlette.types import Receive, Scope, Send

from otel_autopilot import __version__
from otel_autopilot.local.viewer.app import include_viewer
from otel_autopilot.local.viewer.source import Source
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.service import emails, health, metrics, runs
from otel_autopilot.service.ports import EmailEngine
from otel_autopilot.settings import Settings
from otel_autopilot.web import problems
from otel_autopilot.web.access import AccessPolicy
from otel_autopilot.web.guard import Guard

#: Paths without spans and request metrics: probes, and whoever looks at the traces, would drown the rest.
UNTRACED = "/health/.*,/metrics$,/view/.*"
#: Attributes of a server span that a client writes, or that say who it is.
_CLIENTS_WORDS = {"url.path", "url.query", "url.full", "user_agent.original", "client.address", "network.peer.address"}
#: Headers that would let anybody choose our trace ids, our sampling and our baggage.
_CONTEXT_HEADERS = frozenset({b"traceparent", b"tracestate", b"baggage"})


class Service(FastAPI):
    """A FastAPI application whose server spans are traces of their own, whatever context a request brings."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Drop trace context and baggage, then go on."""
        if scope["type"] == "http":
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] not in _CONTEXT_HEADERS]
        await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The schema, with the problems that routes refer to."""
        if self.openapi_schema is None:
            schema = super().openapi()
            schema.setdefault("components", {}).setdefault("schemas", {})["Problem"] = problems.ProblemDetails.model_json_schema()
        return self.openapi_schema or {}


def create_app(
    engine: EmailEngine,
    settings: Settings,
    blobs: BlobStore,
    gateway_alive: Callable[[], bool] | None = None,
    source: Source | None = None,
) -> FastAPI:
    """The API over an engine that has been started, and the viewer over ``source``.

    ``gateway_alive`` tells whether the SMTP gateway beside it runs. Raises SettingsError when the settings would open it to others
    without a token.
    """
    policy = AccessPolicy.from_settings(settings)
    guard = Middleware(Guard, policy=policy, max_body_bytes=settings.http_max_body_bytes)
    app = Service(
        title="otel-autopilot",
        version=__version__,
        summary="Send mails into the pipeline and see what became of them.",
        middleware=[guard],
        # Their pages load scripts of others; the schema is at /openapi.json.
        docs_url=None,
        redoc_url=None,
        exception_handlers=problems.HANDLERS,
    )
    app.include_router(emails.router(engine, blobs))
    app.include_router(runs.router(engine))
    app.include_router(health.router(engine, settings.directory, gateway_alive))
    app.include_router(metrics.router())
    include_viewer(app, policy, source or Source(settings))
    FastAPIInstrumentor.instrument_app(
        app, excluded_urls=UNTRACED, exclude_spans=["receive", "send"], server_request_hook=_without_what_a_client_writes
    )
    return app


def _without_what_a_client_writes(current: Span, _scope: Scope) -> None:
    """What may hold anything, a name as well, or says who asked: the route and the status tell what is worth knowing."""
    attributes = getattr(current, "attributes", None) or {}
    for name in _CLIENTS_WORDS & set(attributes):
        current.set_attribute(name, "[removed]")
