"""The three span_metrics of the Collector are one, but for what they are told apart by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "collector" / "fragments" / "span_metrics"


def settings(name: str) -> dict[str, Any]:
    """Everything but the names of the series and the exemplars."""
    content: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return {key: value for key, value in content.items() if key not in ("namespace", "exemplars")}


@pytest.mark.parametrize("name", ["every_span_kept", "kept_traces"])
def test_what_they_count_and_how_is_the_same(name: str) -> None:
    assert settings(name) == settings("every_span")
