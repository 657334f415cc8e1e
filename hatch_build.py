"""Puts the folders beside the package into the wheel, as data below ``otel_autopilot/_data``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: Folders that an installed wheel needs too.
DATA = ("collector", "dashboards", "k8s")


class DataHook(BuildHookInterface[Any]):
    """Includes each folder of `DATA` that is there; an editable install reads them from the checkout."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before a wheel is built; ``version`` is "standard" or "editable"."""
        if version != "standard":
            return
        for name in DATA:
            if (Path(self.root) / name).is_dir():
                build_data["force_include"][name] = f"otel_autopilot/_data/{name}"
