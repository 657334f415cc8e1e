"""One process receives for one data directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from otel_autopilot.errors import SettingsError
from otel_autopilot.local.receiver.lease import FILE, ReceiverLease, holder

HOLD = r"""
import os, sys, time
from pathlib import Path
from otel_autopilot.local.receiver.lease import ReceiverLease
lease = ReceiverLease.take(Path(sys.argv[1]))
lease.publish("127.0.0.1:1", "127.0.0.1:2")
if len(sys.argv) > 2 and os.fork() == 0:
    os.write(1, f"forked {os.getpid()}\n".encode())  # at once: parent and child write to the same pipe
    time.sleep(600)
os.write(1, b"held\n")
time.sleep(600)
"""


def hold(data_dir: Path, *more: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(data_dir), *more], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process


def test_the_second_to_come_learns_where_the_first_receives(data_dir: Path) -> None:
    assert holder(data_dir) is None
    lease = ReceiverLease.take(data_dir)
    assert lease is not None
    lease.publish("127.0.0.1:4317", "127.0.0.1:4318")
    assert ReceiverLease.take(data_dir) is None
    assert holder(data_dir) == {"grpc": "127.0.0.1:4317", "http": "127.0.0.1:4318", "pid": os.getpid()}
    lease.release()
    lease.release()
    assert holder(data_dir) is None
    again = ReceiverLease.take(data_dir)
    assert again is not None
    again.release()
    assert (data_dir / FILE).stat().st_mode & 0o777 == 0o600


def test_a_process_that_dies_holds_nothing_any_more(data_dir: Path) -> None:
    process = hold(data_dir)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    assert holder(data_dir) == {"grpc": "127.0.0.1:1", "http": "127.0.0.1:2", "pid": process.pid}
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert holder(data_dir) is None
    lease = ReceiverLease.take(data_dir)
    assert lease is not None
    lease.release()


def test_a_forked_child_that_outlives_the_holder_does_not_hold(data_dir: Path) -> None:
    process = hold(data_dir, "fork")
    assert process.stdout is not None
    child = 0
    try:
        lines = sorted(process.stdout.readline().split() for _ in range(2))
        child = int(lines[0][1])
        assert holder(data_dir) is not None
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert holder(data_dir) is None
    finally:
        process.kill()
        if child:
            os.kill(child, signal.SIGKILL)
        process.communicate()


def test_a_directory_that_cannot_be_written_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="AUTOPILOT_DATA_DIR"):
        ReceiverLease.take(tmp_path / "missing")
    assert holder(tmp_path / "missing") is None
