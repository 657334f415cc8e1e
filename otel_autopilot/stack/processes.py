"""Processes that outlive the one that started them: found again by pid and start time, stopped by signals."""

from __future__ import annotations

import os
import signal
import subprocess  # nosec B404  # starts the backends
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

#: Seconds between two looks at a process that is to end.
_LOOK_SECONDS = 0.05
#: Children of this process: they have to be waited for, or they stay as zombies.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class ProcessRef:
    """A process that was started once. Its pid alone may be another's by now; with its start it is the one or none."""

    pid: int
    start: str

    @classmethod
    def of(cls, pid: int) -> ProcessRef | None:
        """The process that has this pid now; None when none has, or when it has ended and its parent doesn't know yet."""
        start = _start(pid)
        return None if start is None else cls(pid, start)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        child = _children.get(self.pid)
        if child is not None:
            child.poll()
        return _start(self.pid) == self.start

    @property
    def exit_code(self) -> int | None:
        """How it ended, when it was started by this very process."""
        child = _children.get(self.pid)
        return None if child is None else child.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it; nothing happens when it has ended."""
        if hasattr(os, "pidfd_open"):
            try:
                handle = os.pidfd_open(self.pid)
            except ProcessLookupError:
                return
            try:
                # The handle stays with the process that it was opened for: compared now, it can't be another's later.
                if self.alive:
                    with suppress(ProcessLookupError):  # it ended in between
                        signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)
        elif self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, seconds: float) -> bool:
        """Wait for its end; False when it runs on after ``seconds``."""
        deadline = time.monotonic() + seconds
        while self.alive:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_SECONDS)
        return True


def spawn(command: Sequence[str], *, environment: Mapping[str, str], folder: Path, log: Path) -> ProcessRef:
    """Start a process in a session of its own, which the end of a terminal doesn't reach; its output goes to ``log``.

    Raises OSError when it can't be executed.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603  # nosec B603
            command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    _children[process.pid] = process
    return ProcessRef.of(process.pid) or ProcessRef(process.pid, "")


def stop(processes: Sequence[ProcessRef], seconds: float) -> list[ProcessRef]:
    """SIGTERM to all, SIGKILL to those that run on after ``seconds``; returns the latter."""
    for process in processes:
        process.send(signal.SIGTERM)
    deadline = time.monotonic() + seconds
    killed = [process for process in processes if not process.wait(max(0.0, deadline - time.monotonic()))]
    for process in killed:
        process.send(signal.SIGKILL)
    for process in killed:
        process.wait(seconds)
    return killed


def _start(pid: int) -> str | None:
    """What tells a process from a later one with the same pid: on Linux the boot and the clock ticks since it."""
    stat = Path(f"/proc/{pid}/stat")
    if not Path("/proc/self/stat").exists():
        try:
            process = psutil.Process(pid)
            return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
        except psutil.Error:
            return None
    try:
        # The name in parentheses may hold anything; what follows it are numbers and the state.
        fields = stat.read_text(errors="replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"
