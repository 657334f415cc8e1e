"""What is remembered of a running stack between two commands: processes, ports, where the binaries came from."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from otel_autopilot.errors import StackError
from otel_autopilot.stack.binaries import Binary
from otel_autopilot.stack.processes import ProcessRef


@dataclass(frozen=True)
class Running:
    """A component that was started."""

    process: ProcessRef
    binary: Binary
    since: float
    """Unix time in seconds."""


@dataclass
class State:
    """One stack: processes of ours, or containers."""

    way: str
    """``binaries`` or ``containers``."""
    ports: dict[str, int]
    overlays: list[str] = field(default_factory=list)
    components: dict[str, Running] = field(default_factory=dict)

    def alive(self) -> set[str]:
        """The names of the components that still run."""
        return {name for name, running in self.components.items() if running.process.alive}

    def save(self, path: Path) -> None:
        """Write it so that no reader ever finds half of it."""
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(asdict(self), indent=2) + "\n")
        os.replace(draft, path)  # noqa: PTH105  # atomic, and the same on every platform


def load_state(path: Path) -> State | None:
    """What was saved; None when nothing was. StackError when the file holds something else."""
    try:
        data = json.loads(path.read_text())
        components = {
            name: Running(ProcessRef(**item["process"]), Binary(**item["binary"]), item["since"])
            for name, item in data["components"].items()
        }
        return State(data["way"], data["ports"], data["overlays"], components)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StackError(
            f"{path}: expected the state of a stack, got something else ({error}); stop its processes by hand and remove the file"
        ) from error
