"""`GET /api/runs`: what became of the mails. Pseudonyms only; no content."""

from __future__ import annotations

import re
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from otel_autopilot.service.ports import EmailEngine
from otel_autopilot.telemetry import pseudonyms
from otel_autopilot.web.problems import Problem, responses
from otel_autopilot.workflow.runs import Run, RunState

_EXAMPLE: dict[str, Any] = {
    "id": "5f0c6f3e9b1f4a4f9d5d3c1b2a190807", "state": "success", "outcome": "success", "workflow": "email-digest",
    "source": "smtp", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "root_span_id": "00f067aa0ba902b7", "size_bytes": 48213,
    "received_unix_nano": 1795000000000000000, "started_unix_nano": 1795000000004000000,
    "finished_unix_nano": 1795000000041000000, "message_id": "p1a2b_0123456789abcdef", "conflict": False, "error": None,
    "stages": [
        {
            "stage": "email", "number": 1, "span_id": "00f067aa0ba902b8", "ready_unix_nano": 1795000000002000000,
            "started_unix_nano": 1795000000004000000, "ended_unix_nano": 1795000000009000000, "outcome": "success",
            "executor_id": "serve-1",
        }
    ],
    "deliveries": [
        {
            "target": "smtp://mail.example.org:25", "recipient": "p1a2b_fedcba9876543210", "outcome": "delivered", "attempts": 1,
            "error": None,
        }
    ],
}  # fmt: skip


class RunView(BaseModel):
    """A run, for OpenAPI; the answer is written from `otel_autopilot.workflow.runs.Run` itself."""

    model_config = ConfigDict(title="Run", json_schema_extra={"example": _EXAMPLE})

    id: str
    state: RunState
    outcome: str | None = Field(description="success, failed or rejected; null while it is not finished.")
    workflow: str
    source: str = Field(description="smtp, file, maildir, mbox or api.")
    trace_id: str = Field(description="The trace of this email.")
    root_span_id: str
    size_bytes: int
    received_unix_nano: int
    started_unix_nano: int | None
    finished_unix_nano: int | None
    message_id: str | None = Field(description="Pseudonym of the Message-ID.")
    conflict: bool = Field(description="The Message-ID was seen before with another body or other recipients.")
    error: dict[str, Any] | None = Field(description="type, message, stage and whether policy rejected the mail.")
    stages: list[dict[str, Any]] = Field(description="Every attempt, in order of its start; empty in a list.")
    deliveries: list[dict[str, Any]] = Field(description="What became of each recipient; recipients are pseudonyms.")


class RunPage(BaseModel):
    """A page of runs, newest first."""

    model_config = ConfigDict(title="RunPage", json_schema_extra={"example": {"runs": [_EXAMPLE | {"stages": []}], "next": "41"}})

    runs: list[RunView]
    next: str | None = Field(description="The `cursor` of the next page; null on the last.")


#: Query parameters of the list; a misspelt filter must not answer with everything.
FILTERS = ("state", "workflow", "message_id", "limit", "cursor")


def router(engine: EmailEngine) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["runs"])

    @routes.get(
        "/api/runs", response_model=RunPage, summary="List runs, newest first", responses=responses(401, 403, 421, 422, 503)
    )
    async def list_runs(
        request: Request,
        state: Annotated[RunState | None, Query(description="Only runs in this state.")] = None,
        workflow: Annotated[str | None, Query(max_length=200, description="Only runs of this workflow.")] = None,
        message_id: Annotated[
            str | None,
            Query(min_length=1, max_length=1_000, description="Only runs of this Message-ID, as it is or as its pseudonym."),
        ] = None,
        limit: Annotated[int, Query(ge=1, le=500, description="Runs on a page.")] = 50,
        cursor: Annotated[str | None, Query(pattern="^[0-9]{1,18}$", description="`next` of the page before.")] = None,
    ) -> Response:
        """Pages go by key, not by offset: a page is as quick to get among a million runs as among ten."""
        unknown = sorted(set(request.query_params) - set(FILTERS))
        if unknown:
            raise Problem(422, f"unknown query parameters: {len(unknown)}; expected {', '.join(FILTERS)}")
        if message_id is not None:
            is_pseudonym = re.fullmatch(pseudonyms.SHAPE, message_id)
            found = await engine.store.find([message_id] if is_pseudonym else pseudonyms.candidates(message_id), limit=limit)
            wanted = [run for run in found if state in (None, run.state) and workflow in (None, run.workflow)]
            return _json({"runs": wanted, "next": None})
        runs, after = await engine.store.list(state=state, workflow=workflow, limit=limit, after=int(cursor) if cursor else None)
        return _json({"runs": runs, "next": str(after) if after is not None else None})

    @routes.get(
        "/api/runs/{run_id}",
        response_model=RunView,
        summary="One run with its attempts",
        responses=responses(401, 403, 404, 421, 503),
    )
    async def get_run(run_id: str) -> Response:
        """The first 8 characters of an id will do where they name one run."""
        run: Run | None = await engine.store.get(run_id)
        if run is None:
            raise Problem(404, "no run goes by this id")
        return _json(run)

    return routes


def _json(content: object) -> Response:
    return Response(orjson.dumps(content, default=_plain), media_type="application/json")


def _plain(value: Any) -> Any:
    """Messages are pydantic models, which orjson doesn't know."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(type(value).__qualname__)
