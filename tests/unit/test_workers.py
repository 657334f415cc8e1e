"""The worker pool: limits hold, and only the offending work fails."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from otel_autopilot.errors import PdfTruncated, WorkCrashed, WorkLimit, WorkTimeout
from otel_autopilot.pipeline.workers import WorkerPool


def double(number: int) -> int:
    return number * 2


def spin() -> None:
    while True:
        pass


def segfault() -> None:
    ctypes.string_at(0)


def exit_now() -> None:
    os._exit(3)


def hog() -> int:
    return len(bytearray(400_000_000))


def raise_stage_error() -> None:
    raise PdfTruncated("ends early")


class Odd(Exception):
    def __init__(self, one: object, two: object) -> None:
        super().__init__("odd")
        self.callback = lambda: (one, two)


def raise_odd() -> None:
    raise Odd(1, 2)


def shout() -> None:
    sys.stderr.write("from the child\n")
    os.write(2, b"from the child\n")


def sleep_until(path: str) -> str:
    while not Path(path).exists():
        time.sleep(0.005)
    return path


@pytest_asyncio.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    async with WorkerPool(processes=2, memory_bytes=200_000_000, timeout_seconds=30) as started:
        yield started


async def test_it_returns_what_the_function_returns_and_raises_what_it_raises(pool: WorkerPool) -> None:
    assert await pool.run(double, 21) == 42
    with pytest.raises(PdfTruncated, match="ends early"):
        await pool.run(raise_stage_error)


async def test_an_exception_that_cannot_be_pickled_comes_back_by_name(pool: WorkerPool) -> None:
    with pytest.raises(WorkCrashed, match="Odd"):
        await pool.run(raise_odd)


@pytest.mark.parametrize(
    ("function", "expected", "message"),
    [
        (segfault, WorkCrashed, "SIGSEGV"),
        (exit_now, WorkCrashed, "exit code 3"),
        (hog, WorkLimit, "memory limit"),
    ],
)
async def test_only_the_offending_work_fails(
    pool: WorkerPool, function: object, expected: type[Exception], message: str, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    other = asyncio.create_task(pool.run(sleep_until, str(go)))
    with pytest.raises(expected, match=message):
        await pool.run(function)  # type: ignore[arg-type]
    go.touch()
    assert await other == str(go)
    assert await asyncio.gather(*(pool.run(double, number) for number in range(10))) == list(range(0, 20, 2))


async def test_work_past_its_time_is_stopped_and_named(pool: WorkerPool) -> None:
    with pytest.raises(WorkTimeout, match=r"spin: stopped after its limit of 0\.3 s"):
        await pool.run(spin, timeout_seconds=0.3)
    assert await pool.run(double, 2) == 4


async def test_cancelling_the_call_ends_the_work(pool: WorkerPool) -> None:
    tasks = [asyncio.create_task(pool.run(spin)) for _ in range(2)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await pool.run(double, 3) == 6


async def test_children_write_nothing_to_the_terminal(pool: WorkerPool, capfd: pytest.CaptureFixture[str]) -> None:
    await pool.run(shout)
    assert capfd.readouterr().err == ""


def test_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import asyncio, os\n"
        "from otel_autopilot.pipeline.workers import WorkerPool\n"
        "async def main():\n"
        "    async with WorkerPool(processes=2, memory_bytes=200_000_000, timeout_seconds=30) as pool:\n"
        "        print(*{await pool.run(os.getpid) for _ in range(4)}, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "if __name__ == '__main__':\n"
        "    asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        parent.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []
