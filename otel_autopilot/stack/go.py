"""The go tool: found, checked for its version, run, and compiling with progress."""

from __future__ import annotations

import os
import re
import shutil
import subprocess  # nosec B404  # starts the go tool
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from otel_autopilot.errors import BuildError

#: Flags of every build: the same sources give the same binary wherever they are built.
FLAGS = ("-mod=mod", "-buildvcs=false", "-trimpath")
#: Linker flags of every build: no symbol table, no debugging information.
LINKER_FLAGS = ("-s", "-w")

#: Seconds between two lines of progress.
_PROGRESS_SECONDS = 10.0
#: How much of a failed build is shown.
_ERROR_LINES = 40
#: The first go that fetches a newer one by itself when a module asks for it.
_FETCHES_TOOLCHAINS = (1, 21)


@dataclass(frozen=True)
class Go:
    """A go tool that is new enough."""

    path: str

    @classmethod
    def find(cls, wanted: str, purpose: str) -> Go:
        """The go tool on the PATH; BuildError when there is none, or none of version ``wanted`` (``1.26``) or later."""
        advice = "install it from go.dev or as the package golang-go"
        path = shutil.which("go")
        if path is None:
            raise BuildError(f"{purpose}: building it needs Go {wanted} or later on the PATH, found none; {advice}")
        go = cls(path)
        version, toolchain = go.run(Path.home(), "env", "GOVERSION", "GOTOOLCHAIN").splitlines()
        found = numbers(version)
        if found < _FETCHES_TOOLCHAINS or (found < numbers(wanted) and toolchain == "local"):
            raise BuildError(f"{purpose}: building it needs Go {wanted} or later, {path} is {version or 'older'}; {advice}")
        return go

    def run(self, work: Path, *arguments: str) -> str:
        """Run ``go ARGUMENTS`` in ``work`` and return what it prints; BuildError with its last lines when it fails."""
        done = self.attempt(work, *arguments)
        if done.returncode != 0:
            raise failure(f"go {' '.join(arguments[:2])}", done.stderr.splitlines())
        return done.stdout

    def attempt(self, work: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``go ARGUMENTS`` in ``work``, whatever comes of it."""
        return subprocess.run(  # noqa: S603  # nosec B603
            [self.path, *arguments], cwd=work, env=_environment(), capture_output=True, text=True, errors="replace", check=False
        )

    def compile(
        self, work: Path, into: Path, packages: tuple[str, ...], *, minutes: float, variables: tuple[str, ...] = ()
    ) -> None:
        """Compile commands into the folder ``into``, with a line of progress now and then.

        ``minutes`` is what to expect, ``variables`` are ``import/path.name=value`` for the linker. The go tool names each
        package as it comes to it, and none that it has compiled before.
        """
        total = len(self.run(work, "list", "-deps", *packages).split())
        linker = " ".join((*LINKER_FLAGS, *(f"-X {variable}" for variable in variables)))
        command = [self.path, "build", "-v", *FLAGS, f"-ldflags={linker}", "-o", f"{into}{os.sep}", *packages]
        started = said = time.monotonic()
        last: deque[str] = deque(maxlen=_ERROR_LINES)
        with subprocess.Popen(  # noqa: S603  # nosec B603
            command, cwd=work, env=_environment(), stderr=subprocess.PIPE, text=True, errors="replace"
        ) as process:
            assert process.stderr is not None
            for number, line in enumerate(process.stderr, 1):
                last.append(line.rstrip())
                now = time.monotonic()
                if now - said >= _PROGRESS_SECONDS:
                    said = now
                    say(progress(number, total, now - started, minutes * 60))
        if process.returncode != 0:
            raise failure("go build", list(last))


def progress(done: int, total: int, seconds: float, expected_seconds: float) -> str:
    """``compiled 400 of 1,300 packages, about 3 minutes left``.

    By what was expected at first, and the more by the speed so far, the more of it there is: single packages take a minute.
    """
    share = min(1.0, done / total)
    by_speed = seconds / max(done, 1) * max(total - done, 0)
    left = share * by_speed + (1 - share) * max(expected_seconds - seconds, 0.0)
    return f"compiled {done:,} of {total:,} packages, about {duration(left)} left"


def duration(seconds: float) -> str:
    """A length of time for people, rounded: ``20 seconds``, ``3 minutes``."""
    if seconds < 90:
        count, unit = max(10, round(seconds / 10) * 10), "second"
    else:
        count, unit = round(seconds / 60), "minute"
    return f"{count} {unit}s"


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of the first dotted version in a text, for comparisons: ``go1.26.8`` is ``(1, 26, 8)``; none gives ``()``."""
    match = re.search(r"\d+(?:\.\d+)+", version)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def failure(what: str, lines: list[str]) -> BuildError:
    """The error of a go command, with its last lines; a full disk is told as such."""
    full = next((line.strip() for line in lines if "no space left on device" in line), None)
    if full is not None:
        return BuildError(
            f"{what} failed: a disk is full ({full}); free about 5 GB, or point XDG_CACHE_HOME, GOCACHE, GOMODCACHE and TMPDIR "
            "to another disk"
        )
    return BuildError(f"{what} failed:\n" + "\n".join(lines[-_ERROR_LINES:]))


def say(text: str) -> None:
    """A line of progress, on stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _environment() -> dict[str, str]:
    # Without HOME the go tool finds no place for its caches.
    return {"HOME": str(Path.home()), **os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOWORK": "off"}
