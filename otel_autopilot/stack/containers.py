"""The stack in containers, where docker or podman answers. Our continuous integration has no engine and doesn't run this."""

from __future__ import annotations

import json
import os
import shutil
import subprocess  # nosec B404  # starts docker or podman
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from otel_autopilot.errors import StackError
from otel_autopilot.stack.ports import PORTS

#: How long an engine may take to say that it is there, in seconds.
ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class Containers:
    """``docker compose`` (or podman's) on our compose file."""

    engine: str
    file: Path

    @classmethod
    def find(cls, configuration: Path) -> tuple[Containers | None, str]:
        """An engine that answers and knows compose; without one, why there is none."""
        file = configuration / "compose.yaml"
        if not file.exists():
            return None, f"{file} is not there"
        for name in ("docker", "podman"):
            engine = shutil.which(name)
            if engine and all(_answers(engine, arguments) for arguments in (["info"], ["compose", "version"])):
                return cls(engine, file), ""
        return None, "no docker or podman whose `info` and `compose version` answer"

    def up(self, ports: Mapping[str, int]) -> None:
        """Start them and wait until they are healthy; what the engine prints goes to stderr. Raises StackError."""
        self._compose(ports, "up", "--detach", "--wait")

    def down(self, ports: Mapping[str, int], *, erase: bool) -> None:
        """Stop them; with ``erase`` their volumes go too. Raises StackError."""
        self._compose(ports, "down", *(["--volumes"] if erase else []))

    def status(self, ports: Mapping[str, int]) -> dict[str, bool]:
        """Whether each service that was started is healthy; a helper that did its work and ended well is left out."""
        lines = self._compose(ports, "ps", "--all", "--format", "json", capture=True).strip()
        components = {port.component for port in PORTS}
        # One array, or an object a line, as the version has it.
        rows = json.loads(lines) if lines.startswith("[") else [json.loads(line) for line in lines.splitlines()]
        return {
            row["Service"]: row.get("Health") == "healthy" or (not row.get("Health") and row["State"] == "running")
            for row in rows
            if row["Service"] in components or row["State"] != "exited" or row.get("ExitCode")
        }

    def _compose(self, ports: Mapping[str, int], *arguments: str, capture: bool = False) -> str:
        own = {port.variable: str(ports[port.name]) for port in PORTS if port.option}  # inner ports stay inside
        done = subprocess.run(  # noqa: S603  # nosec B603
            [self.engine, "compose", "--file", str(self.file), *arguments], env={**os.environ, **own}, text=True,
            stdout=subprocess.PIPE if capture else 2, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise StackError(f"{Path(self.engine).name} compose {arguments[0]} failed; what it said is above")
        return done.stdout or ""


def _answers(engine: str, arguments: list[str]) -> bool:
    try:
        done = subprocess.run([engine, *arguments], capture_output=True, timeout=ANSWER_SECONDS, check=False)  # noqa: S603  # nosec B603
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
