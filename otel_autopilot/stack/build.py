"""Build a backend from its Go module into the cache, once for each version.

    python -m otel_autopilot.stack.build jaeger

prints the binary's path. The modules of Jaeger and its like have `replace` directives, which `go install` refuses; so a
module of our own is made that requires theirs, repeats its replaces and excludes, and starts from its go.sum, which is what
verifies every download.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess  # nosec B404  # starts the go tool
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from otel_autopilot.errors import AutopilotError


class BuildError(AutopilotError):
    """A backend can't be built: a tool is missing, or the build failed."""


@dataclass(frozen=True)
class Source:
    """A Go module and the command in it that we build."""

    name: str
    module: str
    version: str
    package: str
    minutes: float
    """About how long the build takes on two cores, cold."""

    @property
    def key(self) -> str:
        """Hash of all that the binary is built from."""
        return hashlib.sha256(f"{self.module}@{self.version} {self.package} {_FLAGS}".encode()).hexdigest()[:12]


#: Seconds between two lines of progress.
_PROGRESS_SECONDS = 10.0
#: How much of a failed build is shown.
_ERROR_LINES = 40
_FLAGS = ("-mod=mod", "-buildvcs=false", "-trimpath", "-ldflags=-s -w")

#: What can be built.
SOURCES = {
    "jaeger": Source("jaeger", "github.com/jaegertracing/jaeger", "v1.76.0", "cmd/jaeger", 5.0),
}


def cache_directory() -> Path:
    """``${XDG_CACHE_HOME:-~/.cache}/otel-autopilot``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "otel-autopilot"


def binary_of(source: Source) -> Path:
    """Where the binary is, or will be."""
    return cache_directory() / f"{source.name}-{source.version}-{source.key}" / source.name


def build(name: str) -> Path:
    """The binary called ``name``, built when it isn't in the cache; raises BuildError.

    Progress goes to stderr. Two builds at once wait for each other; a build that is stopped leaves nothing half-made.
    """
    if name not in SOURCES:
        raise BuildError(f"expected one of {', '.join(SOURCES)}, got {name!r}")
    source = SOURCES[name]
    binary = binary_of(source)
    if binary.exists():
        return binary
    go = shutil.which("go")
    if go is None:
        raise BuildError(f"{name}: building it needs Go 1.25 or later on the PATH (Debian package golang-go, or from go.dev)")
    with _lock(cache_directory() / f"{name}.lock"):
        if not binary.exists():
            for left in cache_directory().glob(f".{name}-*"):  # of a build that was killed; nobody else builds under this lock
                shutil.rmtree(left)
            _build(source, go, binary)
    return binary


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build(source: Source, go: str, binary: Path) -> None:
    _say(f"building {source.name} {source.version} in {binary.parent}: about {source.minutes:.0f} minutes on two cores, once")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=binary.parent.parent, prefix=f".{source.name}-") as folder:
        work = Path(folder)
        module = json.loads(_go(go, work, "mod", "download", "-json", f"{source.module}@{source.version}"))
        their_mod, their_directory = Path(module["GoMod"]), Path(module["Dir"])
        _write_module(source, go, work, their_mod, their_directory)
        _say("resolving modules")
        _go(go, work, "mod", "tidy", "-e")
        made = work / "out" / source.name
        _compile(source, go, work, made)
        os.replace(made.parent, binary.parent)  # noqa: PTH105  # atomic, and the same on every platform
    _say(f"built {source.name} in {(time.monotonic() - started) / 60:.1f} minutes: {binary.stat().st_size / 1e6:.0f} MB")


def _write_module(source: Source, go: str, work: Path, their_mod: Path, their_directory: Path) -> None:
    theirs = json.loads(_go(go, work, "mod", "edit", "-json", str(their_mod)))
    lines = [f"module build/{source.name}", f"go {theirs['Go']}", f"require {source.module} {source.version}"]
    for item in theirs.get("Replace") or []:
        old, new = item["Old"], item["New"]
        left = f"{old['Path']} {old['Version']}" if "Version" in old else old["Path"]
        lines.append(f"replace {left} => {new['Path']} {new.get('Version', '')}".rstrip())
    lines += [f"exclude {item['Path']} {item['Version']}" for item in theirs.get("Exclude") or []]
    (work / "go.mod").write_text("\n".join(lines) + "\n")
    (work / "tools.go").write_text(f'//go:build tools\n\npackage tools\n\nimport _ "{source.module}/{source.package}"\n')
    shutil.copyfile(their_directory / "go.sum", work / "go.sum")
    (work / "go.sum").chmod(0o644)
    (work / "out").mkdir()


def _compile(source: Source, go: str, work: Path, made: Path) -> None:
    """Compile, with a line of progress now and then: the go tool names each package as it comes to it."""
    package = f"{source.module}/{source.package}"
    total = len(_go(go, work, "list", "-deps", package).split())
    said = time.monotonic()
    last: deque[str] = deque(maxlen=_ERROR_LINES)
    command = [go, "build", "-v", *_FLAGS, "-o", str(made), package]
    with subprocess.Popen(command, cwd=work, env=_environment(), stderr=subprocess.PIPE, text=True) as process:  # noqa: S603  # nosec B603
        assert process.stderr is not None
        for number, line in enumerate(process.stderr, 1):
            last.append(line)
            if time.monotonic() - said >= _PROGRESS_SECONDS:
                said = time.monotonic()
                _say(f"compiled {number:,} of {total:,} packages")
    if process.returncode != 0:
        raise BuildError(f"{source.name}: go build failed:\n{''.join(last)}")


def _go(go: str, work: Path, *arguments: str) -> str:
    done = subprocess.run([go, *arguments], cwd=work, env=_environment(), capture_output=True, text=True, check=False)  # noqa: S603  # nosec B603
    if done.returncode != 0:
        raise BuildError(f"go {' '.join(arguments[:2])} failed:\n{done.stderr[-3000:]}")
    return done.stdout


def _environment() -> dict[str, str]:
    # Without HOME the go tool finds no place for its caches.
    return {"HOME": str(Path.home()), **os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOWORK": "off"}


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main() -> int:
    """Build what is named and print where it is."""
    parser = argparse.ArgumentParser(description="Build a backend from its Go module into the cache.")
    parser.add_argument("name", choices=sorted(SOURCES))
    try:
        sys.stdout.write(f"{build(parser.parse_args().name)}\n")
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
