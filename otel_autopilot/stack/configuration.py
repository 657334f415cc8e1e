"""The configurations in ``collector/``: where they are, and Prometheus' one with the ports in force."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from otel_autopilot.errors import StackError

_PACKAGE = Path(__file__).parents[1]


def collector_folder() -> Path:
    """Where ``builder.yaml``, ``local.yaml``, ``jaeger.yaml`` and ``prometheus.yaml`` are; StackError when nowhere.

    Beside the package in a checkout, inside it in an installed wheel.
    """
    for folder in (_PACKAGE / "_data" / "collector", _PACKAGE.parent / "collector"):
        if (folder / "builder.yaml").exists():
            return folder
    raise StackError(f"expected the folder collector/ in {_PACKAGE / '_data'} or beside {_PACKAGE}: this installation is not whole")


def effective_prometheus(source: Path, moved: Mapping[int, int]) -> str:
    """The text of ``prometheus.yaml`` for ports that differ from the defaults: ``moved`` says which goes where.

    Prometheus expands no variables in its targets. Paths of rule files become absolute, since the copy is elsewhere.
    Raises StackError, naming the file, when it isn't one.
    """
    try:
        configuration = yaml.safe_load(source.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise StackError(f"{source}: expected a configuration of Prometheus: {error}") from error
    if not isinstance(configuration, dict):
        raise StackError(f"{source}: expected a mapping, got {type(configuration).__name__}")
    for job in configuration.get("scrape_configs") or []:
        for group in job.get("static_configs") or []:
            group["targets"] = [_moved(target, moved) for target in group.get("targets") or []]
    if configuration.get("rule_files"):
        configuration["rule_files"] = [str(source.parent / file) for file in configuration["rule_files"]]
    return f"# Written by otel-autopilot from {source}; changes here are lost.\n" + yaml.safe_dump(configuration, sort_keys=False)


def _moved(target: str, moved: Mapping[int, int]) -> str:
    host, _, port = target.rpartition(":")
    return f"{host}:{moved.get(int(port), int(port))}" if port.isdigit() else target
