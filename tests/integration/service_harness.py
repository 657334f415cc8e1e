"""A real API on a free port, over a real run store; the engine stores what it accepts and goes no further."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from otel_autopilot.errors import EngineError
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.messages import RawEmail
from otel_autopilot.service.app import create_app
from otel_autopilot.settings import Settings
from otel_autopilot.telemetry import pseudonyms
from otel_autopilot.web.server import HttpServer
from otel_autopilot.workflow.intake import identity_of, keys_of, read_header
from otel_autopilot.workflow.run_store import RunStore
from otel_autopilot.workflow.runs import Accepted


class StoringEngine:
    """Accepts as the engine does, and starts nothing: what a run does is the engine's own test."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.draining = False
        self.active_runs = 0
        self.waiting_runs = 0
        self.taken: list[RawEmail] = []

    async def accept(self, raw: RawEmail) -> Accepted:
        """Store a run for the mail."""
        if self.draining:
            raise EngineError("shutting down: not taking mail")
        header = await asyncio.to_thread(read_header, raw.blob.path)
        identity, keys = await identity_of(raw, header, ()), keys_of(raw, header)
        self.taken.append(raw)
        return await self.store.accept(
            run_id=identity.run_id, trace_id=f"{identity.trace_id:032x}", root_span_id=f"{identity.root_span_id:016x}", raw=raw,
            message_id_key=keys.message_id, content_key=keys.content, recipients_key=keys.recipients, workflow="email-digest",
            workflow_text="", carrier={},
        )  # fmt: skip


@dataclass
class Api:
    """What a test needs of a running API."""

    client: httpx.AsyncClient
    engine: StoringEngine
    store: RunStore
    blobs: BlobStore
    port: int
    server: HttpServer

    async def raw(self, *pieces: bytes, then_close: bool = False) -> bytes:
        """Send bytes as they are, and read until the server closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if then_close:
                writer.write_eof()
            return await asyncio.wait_for(reader.read(), 30)
        finally:
            writer.close()

    def half_written(self) -> list[str]:
        """Files that were begun and not finished."""
        return [path.name for path in self.blobs.root.glob(".new-*")]


@asynccontextmanager
async def running(directory: Path, **flags: object) -> AsyncIterator[Api]:
    """An API below ``directory``; ``flags`` are settings."""
    settings = Settings.load(data_dir=directory, http_port=0, **flags)
    pseudonyms.use(pseudonyms.load_pseudonyms(directory))
    store = await RunStore.open(settings.runs_db)
    engine, blobs = StoringEngine(store), BlobStore(settings.blobs_dir)
    server = HttpServer(create_app(engine, settings, blobs), settings.http_host, settings.http_port)
    try:
        await server.start()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as client:
            yield Api(client, engine, store, blobs, server.port, server)
    finally:
        await server.stop()
        await store.close()
