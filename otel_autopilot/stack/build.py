"""Build the backends from their Go modules into the cache, once for each version.

    python -m otel_autopilot.stack.build jaeger prometheus

prints the binaries' paths; without names, builds all that is missing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from otel_autopilot.errors import BuildError, StackError
from otel_autopilot.stack.go import Go, say
from otel_autopilot.stack.lock import locked
from otel_autopilot.stack.sources import SOURCES, Source


def cache_directory() -> Path:
    """``${XDG_CACHE_HOME:-~/.cache}/otel-autopilot``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "otel-autopilot"


def source_of(binary: str) -> Source:
    """What the binary of that name is built from; BuildError when there is no such binary."""
    for source in SOURCES.values():
        if binary in source.binaries:
            return source
    names = sorted(name for source in SOURCES.values() for name in source.binaries)
    raise BuildError(f"expected one of {', '.join(names)}, got {binary!r}")


def binary_of(name: str) -> Path:
    """Where the binary is, or will be."""
    source = source_of(name)
    return cache_directory() / f"{source.name}-{source.version}-{source.key}" / name


def build(name: str) -> Path:
    """The binary called ``name``, built when it isn't in the cache; raises BuildError.

    Progress goes to stderr. Two builds at once wait for each other; a build that is stopped leaves nothing half-made.
    """
    binary = binary_of(name)
    if binary.exists():
        return binary
    source = source_of(name)
    go = Go.find(source.go, name)
    try:
        with locked(cache_directory() / f"{source.name}.lock", lambda: say(f"waiting for another build of {source.name}")):
            if not binary.exists():
                for left in _left_behind(source):
                    shutil.rmtree(left)
                _build(source, go, binary.parent)
    except OSError as error:
        where = error.filename or cache_directory()
        raise BuildError(f"{name}: {where}: {error.strerror}; set XDG_CACHE_HOME to a folder with room for it") from error
    return binary


def _left_behind(source: Source) -> Iterator[Path]:
    """Folders of a build that was killed; nobody else builds under the lock."""
    return cache_directory().glob(f".{source.name}-*")


def _build(source: Source, go: Go, into: Path) -> None:
    say(f"building {source.name} {source.release} in {into}: about {source.minutes:.0f} minutes on two cores, once")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=f".{source.name}-") as folder:
        work, made = Path(folder) / "work", Path(folder) / "made"
        work.mkdir()
        made.mkdir()
        source.build(go, work, made)
        missing = [name for name in source.binaries if not (made / name).exists()]
        if missing:
            raise BuildError(f"{source.name}: expected go build to make {', '.join(missing)}, and it did not")
        made.rename(into)  # atomic: what is in the cache is whole
    size = sum((into / name).stat().st_size for name in source.binaries)
    say(f"built {source.name} in {(time.monotonic() - started) / 60:.1f} minutes: {size / 1e6:.0f} MB")


def main() -> int:
    """Build what is named, or all, and print where each is."""
    names = [name for source in SOURCES.values() for name in source.binaries]
    parser = argparse.ArgumentParser(description="Build the backends from their Go modules into the cache.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(names)}; default: all")
    try:
        for name in parser.parse_args().names or names:
            if binary_of(name).exists():
                say(f"{name} {source_of(name).release} is there already")
            sys.stdout.write(f"{build(name)}\n")
            sys.stdout.flush()
    except StackError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
