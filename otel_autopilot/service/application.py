"""The service as a whole: gateway, watched folders, engine and API, started and stopped in order."""

from __future__ import annotations

import asyncio
import json
import os
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from loguru import logger
from opentelemetry.trace import SpanKind
from sqlalchemy.exc import SQLAlchemyError

from otel_autopilot.errors import AutopilotError
from otel_autopilot.local.viewer.receiving import receive
from otel_autopilot.local.viewer.reporting import report
from otel_autopilot.local.viewer.source import Source
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.email.gateway import Gateway, Received
from otel_autopilot.pipeline.email.watch import watch
from otel_autopilot.pipeline.messages import Envelope, RawEmail
from otel_autopilot.pipeline.threads import in_thread
from otel_autopilot.pipeline.workers import WorkerPool
from otel_autopilot.service.app import create_app
from otel_autopilot.settings import Settings
from otel_autopilot.telemetry import names
from otel_autopilot.telemetry.event_loop import watch_event_loop
from otel_autopilot.telemetry.setup import Telemetry
from otel_autopilot.telemetry.spans import attributes_of, tracer
from otel_autopilot.web.server import HttpServer
from otel_autopilot.workflow.agents import BuiltInAgents, parse_targets
from otel_autopilot.workflow.engine import Engine
from otel_autopilot.workflow.erasure import wipe
from otel_autopilot.workflow.indicators import observe_runs
from otel_autopilot.workflow.run_store import RunStore
from otel_autopilot.workflow.runs import Accepted

#: How often mail older than its retention is looked for, in seconds.
RETENTION_INTERVAL_SECONDS = 3600.0
#: Limit of the last export before the run store is closed, in seconds.
FLUSH_SECONDS = 5.0


class Application:
    """Everything that `serve` runs, in one event loop; the gateway and the workers are processes of their own."""

    def __init__(self, settings: Settings, telemetry: Telemetry | None, *, executor_id: str) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._executor_id = executor_id
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self.engine: Engine
        self._pool: WorkerPool
        self.gateway: Gateway
        self.http: HttpServer

    async def start(self) -> None:
        """Start all parts; what was started is stopped again when one of them can't."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def _start(self) -> None:
        settings, stack = self._settings, self._stack
        stack.callback(watch_event_loop())
        targets = parse_targets(settings.deliver_to)
        blobs = BlobStore(settings.blobs_dir)
        store = await RunStore.open(settings.runs_db)
        stack.push_async_callback(store.close)
        if self._telemetry is not None:
            stack.push_async_callback(in_thread, self._telemetry.flush, FLUSH_SECONDS)  # the last counts, while they can be read
        self._pool = pool = await stack.enter_async_context(
            WorkerPool(
                processes=settings.worker_processes,
                memory_bytes=settings.worker_memory_bytes,
                timeout_seconds=settings.worker_timeout_seconds,
            )
        )
        self.engine = Engine(
            BuiltInAgents(settings, pool=pool, blobs=blobs, outbox=store.outbox, targets=targets),
            store,
            blobs,
            directory=settings.directory,
            executor_id=self._executor_id,
            trusted_senders=settings.trusted_senders,
            max_concurrent_runs=settings.max_concurrent_runs,
            stage_attempts=settings.stage_attempts,
            commit=self._telemetry.commit_spans if self._telemetry else None,
        )
        await self.engine.start()
        stack.push_async_callback(self.engine.stop)
        observe_runs(store, late_after_seconds=settings.late_after_seconds)
        self.gateway = Gateway.from_settings(settings, accept=self._from_gateway)
        await self.gateway.start()
        stack.push_async_callback(self.gateway.stop, settings.drain_seconds)
        self.receiver = await receive(settings, stack)
        await report(settings, self.receiver, stack)
        app = create_app(self.engine, settings, blobs, lambda: self.gateway.alive, Source(settings, self.receiver))
        self.http = HttpServer(app, settings.http_host, settings.http_port)
        await self.http.start()
        stack.push_async_callback(self.http.stop)
        if settings.watch:
            self._tasks.append(asyncio.create_task(self._watch(blobs), name="autopilot-watch"))
        self._tasks.append(asyncio.create_task(self._retain(store, blobs), name="autopilot-retention"))

    async def stop(self) -> bool:
        """Take no more mail, let the runs in flight end within the drain time, stop.

        False when some were left: then the process has to end, and they resume at the next start.
        """
        self.engine.draining = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.gateway.stop(self._settings.drain_seconds)
        if not await self.engine.drain(self._settings.drain_seconds):
            return False
        await self._stack.aclose()
        return True

    def abandon(self) -> None:
        """Stop the workers of runs that were left; blocking, and the last thing on this event loop: the process ends next.

        Were the loop to go on, the runs would be recorded as failed by the end of their workers.
        """
        self._pool.stop()

    async def _from_gateway(self, raw: RawEmail, received: Received) -> Accepted:
        """Accept a mail of the gateway; its server span is a trace of its own, linked from the run."""
        span = tracer().start_span(
            names.SMTP_RECEIVE.name,
            kind=SpanKind.SERVER,
            start_time=received.started_unix_nano,
            attributes=attributes_of({names.EMAIL_SIZE: raw.blob.size_bytes}),
        )
        from opentelemetry import trace

        with trace.use_span(span, end_on_exit=True):
            accepted = await self.engine.accept(raw)
            span.set_attribute(names.SMTP_CODE.name, 250)
            return accepted

    async def _watch(self, blobs: BlobStore) -> None:
        async for mail in watch(self._settings.watch):
            received = time.time_ns()
            try:
                blob = await in_thread(blobs.put, mail.chunks(), durable=True)
                envelope = Envelope(source=mail.kind, received_unix_nano=received, stored_unix_nano=time.time_ns())
                await self.engine.accept(RawEmail(blob=blob, envelope=envelope, label=mail.label))
            except (OSError, AutopilotError) as error:
                logger.error("a watched mail could not be taken: {}", type(error).__qualname__)

    async def _retain(self, store: RunStore, blobs: BlobStore) -> None:
        while True:
            before = time.time_ns() - int(self._settings.retention_mail_days * 86_400 * 1e9)
            try:
                erased = await store.expire(before, blobs, self.engine.forget)
                if erased.runs:
                    for database in (self._settings.runs_db, self._settings.engine_db):
                        await in_thread(wipe, database, wait_seconds=2.0)
                    logger.info("erased the mail of {} runs past its retention", erased.runs)
            except (OSError, AutopilotError, SQLAlchemyError) as error:
                logger.error("mail past its retention could not be erased: {}", type(error).__qualname__)
            await asyncio.sleep(RETENTION_INTERVAL_SECONDS)


def write_ready_file(path: Path, application: Application) -> None:
    """Tell a script the ports and the pid, whole or not at all."""
    content: dict[str, Any] = {
        "pid": os.getpid(), "http_port": application.http.port, "smtp_port": application.gateway.port,
        "receiver": application.receiver.where() if application.receiver is not None else None,
    }  # fmt: skip
    beside = path.with_name(path.name + ".new")
    beside.write_text(json.dumps(content))
    beside.replace(path)
