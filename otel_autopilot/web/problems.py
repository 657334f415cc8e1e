"""Errors of the API as RFC 9457 problem details (``application/problem+json``)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from opentelemetry import trace
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from otel_autopilot.errors import EngineError, StoreError

MEDIA_TYPE = "application/problem+json"


class ProblemDetails(BaseModel):
    """RFC 9457, section 3.1, with the trace to look at and the fields that were wrong."""

    model_config = ConfigDict(
        title="Problem",
        json_schema_extra={
            "example": {
                "type": "about:blank", "title": "Not Found", "status": 404, "detail": "no run goes by this id",
                "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            }
        },
    )  # fmt: skip

    type: str = "about:blank"
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="What was expected, what came, what to do. Never mail content.")
    trace_id: str | None = Field(None, description="The trace of this request.")
    errors: list[dict[str, str]] | None = Field(None, description="Of a 422: each field, and what is wrong with it.")


class Problem(Exception):
    """Raised by a route, answered as a problem."""

    def __init__(self, status: int, detail: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


def problem_response(
    status: int, detail: str, *, headers: dict[str, str] | None = None, errors: list[dict[str, str]] | None = None
) -> Response:
    """The response for a problem, with the id of the current trace where there is one."""
    content: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        content["trace_id"] = f"{context.trace_id:032x}"
    if errors is not None:
        content["errors"] = errors
    return Response(orjson.dumps(content), status, headers, MEDIA_TYPE)


async def on_problem(_request: Request, error: Exception) -> Response:
    """Answer a `Problem`."""
    assert isinstance(error, Problem)
    return problem_response(error.status, error.detail, headers=error.headers)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what the router raises: 404 for a path that isn't there, 405 with ``Allow``."""
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = "there is nothing at this path; GET /openapi.json lists what there is"
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "another method")
        detail = f"expected {allowed} at this path, got {request.method}"
    else:
        detail = str(error.detail)
    return problem_response(error.status_code, detail, headers=dict(error.headers or {}))


async def on_store_error(_request: Request, error: Exception) -> Response:
    """Answer for a store that can't be used now."""
    return problem_response(503, f"{error}; try again", headers={"Retry-After": "5"})


async def on_invalid(_request: Request, error: Exception) -> Response:
    """Answer parameters that don't fit, field by field; what came is not repeated: it may be anything."""
    assert isinstance(error, RequestValidationError)
    errors = [{"field": ".".join(map(str, item["loc"])), "message": str(item["msg"])} for item in error.errors()]
    return problem_response(422, "some parameters are wrong: see errors", errors=errors)


#: For FastAPI's ``exception_handlers``.
HANDLERS: dict[int | type[Exception], Any] = {
    Problem: on_problem,
    HTTPException: on_http_error,
    RequestValidationError: on_invalid,
    EngineError: on_store_error,
    StoreError: on_store_error,
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: these statuses are problems."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }
