"""`erase`: what is kept of an email goes away, wherever it is."""

from __future__ import annotations

import asyncio
import json
import sys

from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.settings import Settings
from otel_autopilot.telemetry import pseudonyms
from otel_autopilot.workflow.checkpoints import forget_checkpoints
from otel_autopilot.workflow.erasure import wipe
from otel_autopilot.workflow.run_store import RunStore


def erase(key: str, *, as_json: bool) -> int:
    """Erase by run id, Message-ID or sender's address; 0 when something was erased, 1 when nothing goes by that name."""
    settings = Settings.load()
    if not settings.runs_db.exists():
        sys.stderr.write(
            f"otel-autopilot: {settings.data_dir} keeps no mail: `serve` does, `trace` keeps spans without personal data\n"
        )
        return 1
    pseudonyms.use(pseudonyms.load_pseudonyms(settings.data_dir, settings.pseudonym_key_file))

    async def work() -> dict[str, int]:
        store = await RunStore.open(settings.runs_db)
        try:
            erased = await store.erase(
                key,
                pseudonyms.candidates(key),
                BlobStore(settings.blobs_dir),
                lambda ids: forget_checkpoints(settings.engine_db, ids, keep_pending=True),
            )
        finally:
            await store.close()
        return {"runs": erased.runs, "blobs": erased.blobs, "bytes": erased.size_bytes, "sending": erased.sending}

    result = asyncio.run(work())
    for database in (settings.runs_db, settings.engine_db):
        if not wipe(database):
            sys.stderr.write(
                f"otel-autopilot: {database} is in use without a pause: its log holds what was erased a while longer\n"
            )
    if as_json:
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        sys.stdout.write(f"erased {result['runs']} runs, {result['blobs']} files, {result['bytes']} bytes\n")
        if result["sending"]:
            sys.stdout.write(f"{result['sending']} deliveries were being sent at that moment and may arrive\n")
    return 0 if result["runs"] else 1
