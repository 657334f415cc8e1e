"""Where a component's binary comes from: a variable, the cache, the PATH, or a build."""

from __future__ import annotations

import os
import shutil
import subprocess  # nosec B404  # asks binaries for their version
from dataclasses import dataclass
from pathlib import Path

from otel_autopilot.errors import SettingsError
from otel_autopilot.stack.build import binary_of, build, source_of
from otel_autopilot.stack.components import Component, Plan
from otel_autopilot.stack.go import numbers

#: How long a binary may take to tell its version or to look at a configuration, in seconds.
ANSWER_SECONDS = 20.0


@dataclass(frozen=True)
class Binary:
    """An executable of a component."""

    path: str
    version: str
    origin: str
    """``AUTOPILOT_...``, ``cache``, ``PATH`` or ``built``."""


def present(component: Component, plan: Plan) -> tuple[Binary | None, list[str]]:
    """The binary that is there already, and why others were passed over: the variable's, the cache's, one on the PATH.

    SettingsError when the variable names no executable.
    """
    named = os.environ.get(component.variable)
    if named:
        path = Path(named).expanduser().absolute()
        if not os.access(path, os.X_OK) or path.is_dir():
            raise SettingsError(f"{component.variable}: expected an executable, got {named!r}")
        return Binary(str(path), _version(component, path) or "unknown", component.variable), []
    cached = from_cache(component)
    if cached is not None:
        return cached, []
    passed_over = []
    for name in component.path_names:
        found = shutil.which(name)
        if found is None:
            passed_over.append(f"no {name} on the PATH")
            continue
        version = _version(component, Path(found))
        why = _unfit(component, Path(found), version, plan)
        if why is None:
            return Binary(str(Path(found).absolute()), version, "PATH"), passed_over
        passed_over.append(f"{found} {why}")
    return None, ["none in the cache", *passed_over]


def from_cache(component: Component) -> Binary | None:
    """The one that was built before."""
    path = binary_of(component.binary)
    return Binary(str(path), source_of(component.binary).release, "cache") if path.exists() else None


def built(component: Component) -> Binary:
    """The one that is in the cache, or is built now; raises BuildError."""
    cached = from_cache(component)
    return cached or Binary(str(build(component.binary)), source_of(component.binary).release, "built")


def _unfit(component: Component, path: Path, version: str, plan: Plan) -> str | None:
    """Why a binary from the PATH won't do."""
    if numbers(version) < component.oldest:
        needed = ".".join(map(str, component.oldest))
        return f"is {version}, expected {needed} or later" if version else f"tells no version, expected {needed} or later"
    if component.name != "collector":
        return None
    # A Collector holds the components that somebody chose for it; whether all of ours are among them, it knows itself.
    done = _ask(path, ["validate", *component.arguments(plan)], component.environment(plan))
    if done is None or done.returncode != 0:
        lines = done.stderr.strip().splitlines() if done else []
        return f"does not take our configuration: {lines[-1].strip() if lines else 'no answer'}"
    return None


def _version(component: Component, path: Path) -> str:
    done = _ask(path, list(component.version_arguments), {**os.environ})
    return ".".join(map(str, numbers(done.stdout) or numbers(done.stderr))) if done and done.returncode == 0 else ""


def _ask(path: Path, arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(  # noqa: S603  # nosec B603
            [str(path), *arguments], env=environment, capture_output=True, text=True, errors="replace", timeout=ANSWER_SECONDS,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
