"""What processes say of their telemetry to others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_autopilot.telemetry import health as health_module
from otel_autopilot.telemetry.health import (
    FOLDER,
    MOST_ENDED,
    alive,
    read_health,
    read_reports,
    remove_health,
    tell_receiver,
    write_health,
)


def left(data_dir: Path, pid: int, written: int, *, ended: bool = True, emitted: bool = True) -> None:
    folder = data_dir / FOLDER
    folder.mkdir(exist_ok=True)
    signals = {"spans": {}} if emitted else {}
    content = {"pid": pid, "written_unix_nano": written, "ended": ended, "signals": signals, "warnings": [], "receiver": None}
    (folder / f"{pid}.json").write_text(json.dumps(content))


def test_the_last_that_ended_is_told_and_the_last_few_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_health(tmp_path) is None
    for number in range(MOST_ENDED + 5):
        left(tmp_path, 10_000_000 + number, number)
    left(tmp_path, 10_000_100, 1_000, emitted=False)
    (tmp_path / FOLDER / "1.json").write_text("half a fi")
    monkeypatch.setattr(health_module, "_receiver", None)
    tell_receiver(lambda: {"spans": {}})
    write_health(tmp_path, None, "mine", ended=False)
    mine, *others = read_reports(tmp_path)
    assert (mine["pid"], mine["service"], mine["receiver"], alive(mine)) == (os.getpid(), "mine", {"spans": {}}, True)
    assert len(others) == MOST_ENDED
    health = read_health(tmp_path)
    assert health is not None
    assert health["pid"] == 10_000_000 + MOST_ENDED + 4
    remove_health(tmp_path)
    assert os.getpid() not in [one["pid"] for one in read_reports(tmp_path)]


def test_a_process_that_was_killed_or_whose_number_is_anothers_now_is_not_alive(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    left(tmp_path, process.pid, 1 << 62, ended=False)
    assert alive(read_reports(tmp_path)[0])
    left(tmp_path, process.pid, 1, ended=False)
    assert not alive(read_reports(tmp_path)[0]), "it began after that was written"
    left(tmp_path, process.pid, 1 << 62, ended=False)
    process.kill()
    process.communicate()
    assert not alive(read_reports(tmp_path)[0])


def test_a_process_that_uses_the_library_reports_while_it_lives_its_fork_does_not_and_its_end_is_told(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom otel_autopilot import configure\ntelemetry = configure(service_name='mine')\n"
        "telemetry.flush()\nchild = os.fork()\nif child == 0:\n    telemetry.flush()\n    os._exit(0)\nos.waitpid(child, 0)\n"
        "print('ready', flush=True)\nsys.stdin.readline()"
    )
    environment = {**os.environ, "AUTOPILOT_DATA_DIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    (report,) = read_reports(tmp_path)
    assert (report["service"], report["pid"], alive(report)) == ("mine", process.pid, True)
    assert set(report["signals"]) == {"spans", "metrics", "logs"}
    process.communicate("")
    (report,) = read_reports(tmp_path)
    assert (report["pid"], report["ended"]) == (process.pid, True)
