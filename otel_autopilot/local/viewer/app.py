"""The viewer by itself: its pages and its API behind the same guard as the service has."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware import Middleware

from otel_autopilot import __version__
from otel_autopilot.local.viewer import api, pages
from otel_autopilot.local.viewer.source import Source
from otel_autopilot.settings import Settings
from otel_autopilot.web import problems
from otel_autopilot.web.access import AccessPolicy
from otel_autopilot.web.guard import Guard

#: The viewer takes nothing but a token.
MOST_BODY_BYTES = 4_096


def create_viewer(settings: Settings, source: Source) -> FastAPI:
    """The application of `view`; raises SettingsError when it would be open to others without a token."""
    policy = AccessPolicy.from_settings(settings)
    app = FastAPI(
        title="otel-autopilot viewer",
        version=__version__,
        middleware=[Middleware(Guard, policy=policy, max_body_bytes=MOST_BODY_BYTES)],
        docs_url=None,
        redoc_url=None,
        exception_handlers=problems.HANDLERS,
    )
    include_viewer(app, policy, source)
    return app


def include_viewer(app: FastAPI, policy: AccessPolicy, source: Source) -> None:
    """Add the viewer's pages and its API to an application that stands behind the guard."""
    app.include_router(api.router(policy, source))
    app.include_router(pages.router())
