"""The folder of configurations: beside the package in a checkout, inside it in an installed wheel."""

from __future__ import annotations

from pathlib import Path

from otel_autopilot.errors import StackError

_PACKAGE = Path(__file__).parents[1]


def collector_folder() -> Path:
    """Where ``local.yaml``, ``jaeger.yaml``, ``prometheus.yaml`` and ``builder.yaml`` are; StackError when nowhere."""
    for folder in (_PACKAGE / "_data" / "collector", _PACKAGE.parent / "collector"):
        if (folder / "builder.yaml").exists():
            return folder
    raise StackError(f"expected the folder collector/ in {_PACKAGE / '_data'} or beside {_PACKAGE}: this installation is not whole")
