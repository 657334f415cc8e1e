"""How values are shown: cut where nobody would read on."""

from __future__ import annotations

from typing import Any

from otel_autopilot.local.values import strict, text

#: Characters of names in lists and trees; of messages, bodies of logs, and values of attributes there.
MOST_NAME, MOST_MESSAGE = 200, 2_000
_MOST_ITEMS = 100


def cut(value: str, most: int = MOST_NAME) -> str:
    """The text, with an ellipsis where it was cut to ``most`` characters."""
    return text(value) if len(value) <= most else text(value[: most - 1]) + "…"


def cut_values(value: Any) -> Any:
    """A plain value as strict JSON in which texts, and lists and mappings, are cut."""
    if isinstance(value, str):
        return cut(value, MOST_MESSAGE)
    if isinstance(value, dict):
        return {cut(key): cut_values(item) for key, item in list(value.items())[:_MOST_ITEMS]}
    if isinstance(value, list | tuple):
        return [cut_values(item) for item in value[:_MOST_ITEMS]]
    shown = strict(value)
    return cut(shown, MOST_MESSAGE) if isinstance(shown, str) else shown
