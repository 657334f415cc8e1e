"""The viewer's API: each question at its path, and the session of a browser that showed the token."""

from __future__ import annotations

import gzip
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import orjson
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request
from fastapi.responses import Response

from otel_autopilot.errors import NotStored, QueryError
from otel_autopilot.local.questions import QUESTIONS, Question
from otel_autopilot.local.viewer.source import Source
from otel_autopilot.web.access import SESSION_SECONDS, AccessPolicy
from otel_autopilot.web.guard import SESSION_COOKIE, SESSION_PATH
from otel_autopilot.web.problems import Problem

#: Questions that are worked on at the same time; more wait. SQLite lets other threads run meanwhile, Python's part doesn't.
AT_ONCE = 4
#: Answers from this size on are compressed for a client that takes it, in bytes.
COMPRESS_FROM = 2_048


def router(policy: AccessPolicy, source: Source) -> APIRouter:
    """Routes below ``/view/api``."""
    routes = APIRouter(include_in_schema=False)
    limiter = CapacityLimiter(AT_ONCE)
    for question in QUESTIONS:
        routes.add_route(f"/view/api/{question.path}", _endpoint(question, source, limiter), methods=["GET"])

    @routes.post(SESSION_PATH)
    async def session(request: Request) -> Response:
        """Take the token from a browser, once: it keeps a cookie that no script can read."""
        try:
            given = json.loads(await request.body())
            token = given["token"]
        except (ValueError, TypeError, KeyError):
            raise Problem(422, 'expected JSON: {"token": "..."}') from None
        if policy.token is None:
            raise Problem(404, "there is no token here, and none is needed")
        if not (isinstance(token, str) and policy.authenticated(f"Bearer {token}")):
            raise Problem(401, "that is not the token of AUTOPILOT_API_TOKEN_FILE")
        answer = Response(status_code=204)
        answer.set_cookie(
            SESSION_COOKIE, policy.session(), max_age=SESSION_SECONDS, path="/view/", httponly=True, samesite="strict",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return answer

    @routes.get("/view/api/{path:path}")
    async def nothing(path: str) -> Response:
        raise Problem(
            404, f"there is nothing to ask at {path[:80]!r}; there is: {', '.join(question.path for question in QUESTIONS)}"
        )

    return routes


def _endpoint(question: Question, source: Source, limiter: CapacityLimiter) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            given = question.read([*request.path_params.items(), *request.query_params.multi_items()])
            found = await to_thread.run_sync(partial(source.ask, question, given), limiter=limiter)
        except NotStored as error:
            raise Problem(404, str(error)) from error
        except QueryError as error:
            raise Problem(422, str(error)) from error
        return await _json(found, "gzip" in request.headers.get("accept-encoding", ""), limiter)

    return answer


async def _json(found: dict[str, Any], compressed: bool, limiter: CapacityLimiter) -> Response:
    content, encoding = await to_thread.run_sync(_encoded, found, compressed, limiter=limiter)
    return Response(content, headers={"Vary": "Accept-Encoding", **encoding}, media_type="application/json")


def _encoded(found: dict[str, Any], compressed: bool) -> tuple[bytes, dict[str, str]]:
    try:
        content = orjson.dumps(found)
    except TypeError:  # an integer of more than 64 bits
        content = json.dumps(found, ensure_ascii=False).encode()
    if not compressed or len(content) < COMPRESS_FROM:
        return content, {}
    return gzip.compress(content, 1), {"Content-Encoding": "gzip"}
