"""A process that accepts one mail and hangs in a stage until it is killed: `engine_process.py DIRECTORY AGENT`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.integration.test_engine import Agents, engine_on, raw


async def main(directory: Path, agent: str) -> None:
    agents = Agents()

    async def hang() -> None:
        print("working", flush=True)  # noqa: T201  # the test reads it
        await asyncio.Event().wait()

    agents.in_the_way[agent] = hang
    async with engine_on(directory, agents) as engine:
        accepted = await engine.accept(raw(directory))
        print(accepted.run_id, flush=True)  # noqa: T201
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
