"""The commands' own dependencies, fetched on demand where only the library was installed.

``pip install otel-autopilot`` is the library alone. Whoever tries ``demo`` from that wants to see a trace, not an import error:
the rest is installed once into the cache, beside the library and not into its environment.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import site
import subprocess  # nosec B404  # starts pip
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

#: Set for the process that runs with the fetched packages, so that it never fetches again.
_MARK = "OTEL_AUTOPILOT_EXTRAS"


#: Runs this program, and not what is called otel_autopilot in the working directory; together with `own_path`.
THIS_PROGRAM = (sys.executable, "-P", "-m", "otel_autopilot")


def own_path() -> str:
    """``PYTHONPATH`` for a child that is to run this very copy of the package."""
    home = str(Path(__file__).parents[2])
    return os.pathsep.join(filter(None, ("" if home in site.getsitepackages() else home, os.environ.get("PYTHONPATH"))))


def missing_message(module: str | None) -> str:
    """What to say when a command lacks a module."""
    return (
        f"otel-autopilot: the commands need more than the library: {module} is missing. "
        "Install them with: pip install 'otel-autopilot[all]'\n"
    )


def run_with_extras() -> int | None:
    """Fetch the packages (once) and run this command again with them; None when that isn't possible or was done already."""
    if os.environ.get(_MARK):
        return None
    wanted = _requirements()
    if not wanted:
        return None
    directory = _directory(wanted)
    if not directory.is_dir() and not (sys.argv[1:2] == ["demo"] and _install(wanted, directory)):
        return None
    path = os.pathsep.join(filter(None, (str(directory), own_path())))
    environment = {**os.environ, "PYTHONPATH": path, _MARK: str(directory)}
    done = subprocess.run([*THIS_PROGRAM, *sys.argv[1:]], env=environment, check=False)  # noqa: S603  # nosec B603
    return done.returncode


def _requirements() -> list[str]:
    """What the extras ask for, without the extras' references to each other."""
    try:
        lines = requires("otel-autopilot") or []
    except PackageNotFoundError:
        return []
    extras = [line.partition(";") for line in lines if "extra ==" in line]
    found = set()
    for requirement, _, marker in extras:
        rest = re.sub(r"\(?\s*(and\s+)?extra == ['\"][\w-]+['\"]\s*\)?(\s+and\s+)?", "", marker).strip()
        if not requirement.startswith("otel-autopilot"):
            found.add(f"{requirement.strip()}; {rest}" if rest else requirement.strip())
    return sorted(found)


def _directory(wanted: list[str]) -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    cache = (Path(base) if base else Path.home() / ".cache") / "otel-autopilot"
    key = hashlib.sha256("\n".join((sys.version, *wanted)).encode()).hexdigest()[:12]
    return cache / f"extras-{key}"


def _install(wanted: list[str], directory: Path) -> bool:
    sys.stderr.write(f"The demo runs the whole pipeline; fetching its parts once into {directory}\n")
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".extras-") as folder:
        target = Path(folder) / "packages"
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--target",
            str(target),
            *wanted,
        ]
        if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode:  # nosec B603
            uv = shutil.which("uv")
            if uv is None:
                return False
            command = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", str(target), *wanted]
        if subprocess.run(command, check=False).returncode:  # noqa: S603  # nosec B603
            return False
        try:
            target.rename(directory)
        except OSError:
            return directory.is_dir()  # another process was first
    return True
