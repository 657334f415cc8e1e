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


def pid_after_a_while() -> int:
    time.sleep(0.3)
    return os.getpid()


def exit_at_once(_memory_bytes: int) -> None:
    os._exit(1)


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


@pytest.mark.parametrize("which", ["one idle child", "all of them", "the fork server"])
async def test_children_that_die_while_they_have_no_work_are_replaced(which: str) -> None:
    async with WorkerPool(processes=2, memory_bytes=300_000_000, timeout_seconds=30) as own:
        assert await own.run(double, 1) == 2
        pids = set(await asyncio.gather(*(own.run(pid_after_a_while) for _ in range(2))))
        server = psutil.Process(next(iter(pids))).ppid()
        for pid in {"one idle child": [*pids][:1], "all of them": [*pids], "the fork server": [server]}[which]:
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.5)
        assert await asyncio.gather(*(own.run(double, number) for number in range(6))) == [0, 2, 4, 6, 8, 10]
        assert await own.run(double, 4) == 8


async def test_a_pool_whose_children_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_autopilot.pipeline.workers._settle", exit_at_once)
    pool = WorkerPool(processes=1, memory_bytes=300_000_000, timeout_seconds=30)
    with pytest.raises(WorkCrashed, match="double: no child process can be started"):
        await pool.run(double, 1)
    await pool.close()


async def test_after_its_end_a_pool_takes_no_work() -> None:
    pool = WorkerPool(processes=1, memory_bytes=300_000_000, timeout_seconds=30)
    assert await pool.run(double, 1) == 2
    await pool.close()
    with pytest.raises(WorkCrashed):
        await pool.run(double, 1)


def test_children_import_nothing_from_the_working_directory(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    for name in ("rich", "pickle", "pypdfium2", "otel_autopilot_extra"):
        (tmp_path / f"{name}.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    (tmp_path / "one.eml").write_bytes(b"Subject: hello\nFrom: a@example.org\n\nThe text of it.\n")
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path / "data"), "HOME": str(tmp_path)}
    environment.pop("PYTHONSAFEPATH", None)
    command = [str(Path(sys.executable).with_name("otel-autopilot")), "trace", "."]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, marker.exists()) == (0, False), done.stderr
