"""The viewer's pages and what they load: files of this package, and nothing from anybody else."""

from __future__ import annotations

import hashlib
import mimetypes
from functools import lru_cache
from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from otel_autopilot.web.problems import Problem

#: What a page may load and run: its own files. No inline script or style, no frame around it.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
#: Pages by the first part of their path; what stands behind it is theirs.
PAGES = frozenset({"", "traces", "compare", "latency", "metrics", "logs", "runtime", "health"})
_STATIC = files("otel_autopilot.local.viewer") / "static"

mimetypes.add_type("text/javascript", ".js")


def router() -> APIRouter:
    """Routes below ``/view``."""
    routes = APIRouter(include_in_schema=False)

    @routes.api_route("/", methods=["GET", "HEAD"])
    @routes.api_route("/view", methods=["GET", "HEAD"])
    async def root() -> Response:
        return RedirectResponse("/view/")

    @routes.api_route("/view/static/{path:path}", methods=["GET", "HEAD"])
    async def static(path: str, request: Request) -> Response:
        """A file, to be asked for again each time: the answer is mostly 304."""
        found = _file(path)
        if found is None:
            raise Problem(404, "the viewer has no such file")
        content, tag = found
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if tag in (part.strip() for part in request.headers.get("if-none-match", "").split(",")):
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=mimetypes.guess_type(path)[0] or "application/octet-stream")

    @routes.api_route("/view/{path:path}", methods=["GET", "HEAD"])
    async def page(path: str, request: Request) -> Response:
        """The one page: which view it shows is in its address, and its script looks there; a browser is told by it of what isn't there."""
        known = path.partition("/")[0] in PAGES
        if not known and "text/html" not in request.headers.get("accept", ""):
            raise Problem(404, f"the viewer has no such page; there are: {', '.join(sorted(PAGES - {''}))}")
        found = _file("index.html")
        assert found is not None
        return Response(
            found[0],
            status_code=200 if known else 404,
            headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Cache-Control": "no-cache"},
            media_type="text/html; charset=utf-8",
        )

    return routes


@lru_cache(maxsize=256)
def _file(path: str) -> tuple[bytes, str] | None:
    """Content and entity tag of a file below ``static``; None when there is none."""
    parts = path.split("/")
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        return None
    where = _STATIC.joinpath(*parts)
    if not where.is_file():
        return None
    content = where.read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:16]}"'
