"""Probes: is the process alive, and can it take mail?"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
from fastapi import APIRouter
from starlette.responses import Response

from otel_autopilot.errors import EngineError
from otel_autopilot.pipeline.threads import in_thread
from otel_autopilot.service.ports import EmailEngine

#: With less room than this no mail of the largest size can be taken safely, in bytes.
LEAST_FREE_BYTES = 200_000_000
#: How long one check may take, in seconds.
CHECK_SECONDS = 5.0

Check = Callable[[], Awaitable[str]]


class CheckFailed(Exception):
    """A check found what keeps the service from taking mail; the text says what."""


def router(engine: EmailEngine, directory: Path, gateway_alive: Callable[[], bool] | None = None) -> APIRouter:
    """The routes; ``gateway_alive`` where there is an SMTP gateway."""
    routes = APIRouter(prefix="/health", tags=["health"])

    async def taking_mail() -> str:
        if engine.draining:
            raise CheckFailed("draining: shutting down")
        return f"{engine.active_runs} runs under way, {engine.waiting_runs} waiting"

    async def store() -> str:
        await engine.store.ready()
        return "read and written"

    async def disk() -> str:
        free = (await in_thread(shutil.disk_usage, directory)).free
        if free < LEAST_FREE_BYTES:
            raise CheckFailed(f"{free} bytes free, expected at least {LEAST_FREE_BYTES}")
        return f"{free} bytes free"

    async def gateway() -> str:
        if gateway_alive is not None and not gateway_alive():
            raise CheckFailed("its process has died and is started again")
        return "listening"

    checks: dict[str, Check] = {"engine": taking_mail, "store": store, "disk": disk}
    if gateway_alive is not None:
        checks["gateway"] = gateway

    @routes.get("/live", summary="Is the process alive?")
    async def live() -> Response:
        """200 for as long as the event loop runs: restart the process when it doesn't come."""
        return Response(orjson.dumps({"status": "alive"}), media_type="application/json")

    @routes.get("/ready", summary="Can it take mail?", responses={503: {"description": "Not now; the checks say why."}})
    async def ready() -> Response:
        """Each check with how long it took. 503 while draining, or while the store, the disk or the gateway can't be used."""
        results = dict(zip(checks, await asyncio.gather(*(_run(check) for check in checks.values())), strict=True))
        good = all(result["ok"] for result in results.values())
        content = {"status": "ready" if good else "not ready", "checks": results}
        return Response(orjson.dumps(content), 200 if good else 503, media_type="application/json")

    return routes


async def _run(check: Check) -> dict[str, object]:
    started = time.perf_counter()
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            detail, good = await check(), True
    except (CheckFailed, EngineError, OSError) as error:
        detail, good = str(error) or f"no answer within {CHECK_SECONDS:.0f} s", False
    return {"ok": good, "latency_ms": round((time.perf_counter() - started) * 1000, 3), "detail": detail}
