"""Processes are known by more than their pid."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from otel_autopilot.errors import StackError
from otel_autopilot.stack.binaries import Binary
from otel_autopilot.stack.interrupts import Interrupts
from otel_autopilot.stack.processes import ProcessRef, spawn, stop
from otel_autopilot.stack.state import Running, State, load_state

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"


def sleeper(folder: Path, code: str = "import time; time.sleep(600)") -> ProcessRef:
    return spawn([sys.executable, "-c", code], environment={**os.environ}, folder=folder, log=folder / "log")


def test_a_recycled_pid_is_not_the_process_and_gets_no_signal(tmp_path: Path) -> None:
    process = sleeper(tmp_path)
    try:
        recycled = replace(process, start="of another boot:1")
        assert not recycled.alive
        recycled.send(signal.SIGKILL)
        assert stop([recycled], 5) == []
        assert process.alive
    finally:
        stop([process], 10)
    assert not process.alive


def test_a_child_that_died_is_no_process_although_nobody_waited_for_it() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = ProcessRef.of(child.pid)
        assert process is not None
        assert process.alive
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie from here on
        assert not process.alive
        assert ProcessRef.of(child.pid) is None


def test_what_ignores_sigterm_is_killed_and_named(tmp_path: Path) -> None:
    process = sleeper(tmp_path, STUBBORN)
    while "ready" not in (tmp_path / "log").read_text():
        assert process.alive
    assert stop([process], 0.2) == [process]
    assert not process.alive


def test_a_process_has_a_session_of_its_own_and_its_exit_code_is_known(tmp_path: Path) -> None:
    process = sleeper(tmp_path, "import os; print(os.getsid(0) == os.getpid()); raise SystemExit(3)")
    assert process.wait(30)
    assert process.exit_code == 3
    assert (tmp_path / "log").read_text() == "True\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_comes_after_what_was_started_is_on_record(number: signal.Signals) -> None:
    recorded = []

    def work() -> None:
        interrupts = Interrupts()
        with interrupts.watched(), interrupts.wait():
            signal.raise_signal(number)
            recorded.append("process")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert recorded == ["process"]


def test_a_signal_whose_exception_got_lost_is_seen_at_the_next_look() -> None:
    interrupts = Interrupts()

    def lose() -> None:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    with interrupts.watched():
        lose()
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
        interrupts.check()


def test_state_is_read_back_as_it_was_saved(tmp_path: Path) -> None:
    state = State("binaries", {"jaeger": 1}, ["/x.yaml"], {"jaeger": Running(ProcessRef(1, "a:2"), Binary("/j", "2", "PATH"), 3.5)})
    state.save(tmp_path / "state.json")
    assert load_state(tmp_path / "state.json") == state
    assert [item.name for item in tmp_path.iterdir()] == ["state.json"]


def test_no_state_is_none_and_a_broken_one_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    assert load_state(tmp_path / "state.json") is None
    for text in ("", "{}", "[1]", '{"way": "binaries", "ports": {}, "overlays": [], "components": {"jaeger": {"process": 1}}}'):
        (tmp_path / "state.json").write_text(text)
        with pytest.raises(StackError, match=r"state\.json: expected the state of a stack"):
            load_state(tmp_path / "state.json")
