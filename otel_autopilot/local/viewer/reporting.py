"""The health of this process's telemetry and of its receiver, for those who look from other processes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress

from loguru import logger

from otel_autopilot.local.receiver.embedded import EmbeddedReceiver
from otel_autopilot.settings import Settings
from otel_autopilot.telemetry.health import INTERVAL_SECONDS, remove_health, tell_receiver, write_health
from otel_autopilot.telemetry.setup import current


async def report(settings: Settings, receiver: EmbeddedReceiver | None, stack: AsyncExitStack) -> None:
    """Write it now and from time to time until ``stack`` ends. The last word has who shuts the telemetry down, if there is any."""
    if receiver is not None:
        tell_receiver(lambda: receiver.receiver.counts() if receiver.receiving else None)
    ending = asyncio.Event()
    await asyncio.to_thread(_write, settings)
    task = asyncio.create_task(_again(settings, ending), name="autopilot-health")

    async def end() -> None:
        ending.set()
        await task
        if current() is None:
            remove_health(settings.data_dir)

    stack.push_async_callback(end)


async def _again(settings: Settings, ending: asyncio.Event) -> None:
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), INTERVAL_SECONDS)
            return
        await asyncio.to_thread(_write, settings)


def _write(settings: Settings) -> None:
    try:
        write_health(settings.data_dir, current(), settings.service_name, ended=False)
    except OSError as error:
        logger.warning("the health of telemetry could not be written to {}: {}", settings.data_dir, error.strerror)
