"""The `stack` commands as a person runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from otel_autopilot.stack.ports import PORTS

ANYWHERE = ("--otlp-grpc-port", "0", "--otlp-http-port", "0", "--jaeger-port", "0", "--prometheus-port", "0")


class Commands:
    """The commands on a data directory of their own, with the executables that ``binaries`` names."""

    def __init__(self, home: Path, binaries: dict[str, str] | None = None) -> None:
        self.home = home
        self.folder = home / "otel-autopilot" / "stack"
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("OTEL", "AUTOPILOT_", "XDG_DATA", "GOMEM"))
        }
        free = {port.variable: "0" for port in PORTS if port.option is None}
        self.environment = {**clean, **free, **(binaries or {}), "XDG_DATA_HOME": str(home), "COLUMNS": "80"}

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "otel_autopilot", "stack", *arguments],
            env={**self.environment, **more}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __call__(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, **more) as process:
            out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def up(self, *arguments: str, **more: str) -> dict[str, dict[str, Any]]:
        done = self("up", "--json", *ANYWHERE, *arguments, **more)
        assert done.returncode == 0, done.stderr
        return {item["component"]: item for item in json.loads(done.stdout)["components"]}

    def pids(self) -> dict[str, int | None]:
        return {item["component"]: item["pid"] for item in json.loads(self("status", "--json").stdout)["components"]}

    def log(self, component: str) -> str:
        return (self.folder / "logs" / f"{component}.log").read_text()
