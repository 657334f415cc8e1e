"""What can be built, and how its sources are laid out for the go tool.

The modules of Jaeger and its like have `replace` directives, which `go install` refuses; so a module of our own is made that
requires theirs, repeats its replaces and excludes, and starts from its go.sum, which is what verifies every download. The
Collector is put together from our manifest by its builder.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from otel_autopilot.errors import BuildError
from otel_autopilot.stack.configuration import collector_folder
from otel_autopilot.stack.go import FLAGS, LINKER_FLAGS, Go, failure, say


class Source(Protocol):
    """What binaries are built from."""

    @property
    def name(self) -> str:
        """What it is called, here and in the cache."""

    @property
    def version(self) -> str:
        """Version of the sources, as the go tool knows it."""

    @property
    def release(self) -> str:
        """The same as people know it."""

    @property
    def go(self) -> str:
        """The Go it needs."""

    @property
    def minutes(self) -> float:
        """About how long the build takes on two cores, cold."""

    @property
    def binaries(self) -> tuple[str, ...]:
        """The names of what is built."""

    @property
    def key(self) -> str:
        """Hash of all that the binaries are built from."""

    def build(self, go: Go, work: Path, into: Path) -> None:
        """Build in the empty folder ``work`` and put the binaries into ``into``; raises BuildError."""


@dataclass(frozen=True)
class GoModule:
    """Commands of a Go module."""

    name: str
    module: str
    version: str
    release: str
    packages: tuple[str, ...]
    go: str
    minutes: float
    variables: tuple[str, ...] = ()
    """What the linker sets: the version that the binary tells of itself."""

    @property
    def binaries(self) -> tuple[str, ...]:
        """Commands are called as their packages."""
        return tuple(package.rpartition("/")[2] for package in self.packages)

    @property
    def key(self) -> str:
        """Hash of module, version, commands and flags."""
        return _hash(f"{self.module}@{self.version}", *self.packages, *self.variables, *FLAGS, *LINKER_FLAGS)

    def build(self, go: Go, work: Path, into: Path) -> None:
        """See `Source.build`."""
        module = json.loads(go.run(work, "mod", "download", "-json", f"{self.module}@{self.version}"))
        self._write_module(go, work, Path(module["GoMod"]), Path(module["Dir"]))
        say("resolving modules")
        go.run(work, "mod", "tidy", "-e")
        go.compile(
            work,
            into,
            tuple(f"{self.module}/{package}" for package in self.packages),
            minutes=self.minutes,
            variables=self.variables,
        )

    def _write_module(self, go: Go, work: Path, their_mod: Path, their_directory: Path) -> None:
        theirs = json.loads(go.run(work, "mod", "edit", "-json", str(their_mod)))
        lines = [f"module build/{self.name}", f"go {theirs['Go']}", f"require {self.module} {self.version}"]
        for item in theirs.get("Replace") or []:
            old, new = item["Old"], item["New"]
            left = f"{old['Path']} {old['Version']}" if "Version" in old else old["Path"]
            lines.append(f"replace {left} => {new['Path']} {new.get('Version', '')}".rstrip())
        lines += [f"exclude {item['Path']} {item['Version']}" for item in theirs.get("Exclude") or []]
        (work / "go.mod").write_text("\n".join(lines) + "\n")
        imports = "".join(f'import _ "{self.module}/{package}"\n' for package in self.packages)
        (work / "tools.go").write_text(f"//go:build tools\n\npackage tools\n\n{imports}")
        shutil.copyfile(their_directory / "go.sum", work / "go.sum")
        (work / "go.sum").chmod(0o644)


#: What the Collector's builder writes.
_GENERATED = ("go.mod", "go.sum", "components.go", "main.go")


@dataclass(frozen=True)
class CollectorDistribution:
    """The OpenTelemetry Collector with the components of our manifest."""

    name: str = "otelcol"
    builder: str = "go.opentelemetry.io/collector/cmd/builder"
    go: str = "1.25"
    minutes: float = 9.0

    @property
    def manifest(self) -> str:
        """The text of ``collector/builder.yaml``."""
        return (collector_folder() / "builder.yaml").read_text()

    @property
    def version(self) -> str:
        """The manifest's; builder and components are of the same release."""
        found = re.search(r"^\s+version: *([\d.]+)", self.manifest, re.MULTILINE)
        if found is None:
            raise BuildError(f"{collector_folder() / 'builder.yaml'}: expected dist.version, found none")
        return f"v{found.group(1)}"

    @property
    def release(self) -> str:
        """The version, without the go tool's letter."""
        return self.version.removeprefix("v")

    @property
    def binaries(self) -> tuple[str, ...]:
        """One; its name is the last part of ``dist.module``."""
        return (self.name,)

    @property
    def key(self) -> str:
        """Hash of the manifest and the flags."""
        return _hash(self.manifest, *FLAGS, *LINKER_FLAGS)

    def build(self, go: Go, work: Path, into: Path) -> None:
        """See `Source.build`."""
        (work / "builder.yaml").write_text(self.manifest)
        say("generating the Collector's main module")
        done = go.attempt(work, "run", f"{self.builder}@{self.version}", "--config", "builder.yaml", "--skip-compilation")
        # Its last step downloads modules of every platform, and fails where a proxy lacks one for another system. By then all
        # that it writes is written, and `go build` fetches what this platform needs.
        missing = [name for name in _GENERATED if not (work / name).exists()]
        if done.returncode != 0 and missing:
            raise failure("the Collector's builder", done.stderr.splitlines())
        go.compile(work, into, (".",), minutes=self.minutes)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


#: What can be built, by name. Jaeger 2 and Prometheus 3 have module paths without a major version, hence older numbers.
SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        CollectorDistribution(),
        GoModule(
            "jaeger", "github.com/jaegertracing/jaeger", "v1.76.0", "2.13.0", ("cmd/jaeger",), go="1.25", minutes=5.0,
            variables=("github.com/jaegertracing/jaeger/internal/version.latestVersion=v2.13.0",),
        ),
        GoModule(
            "prometheus", "github.com/prometheus/prometheus", "v0.315.0", "3.15.0", ("cmd/prometheus", "cmd/promtool"), go="1.26",
            minutes=4.0, variables=("github.com/prometheus/common/version.Version=3.15.0",),
        ),
    )
}  # fmt: skip
