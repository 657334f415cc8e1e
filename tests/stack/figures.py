"""What tests measured, printed together when they are done."""

from __future__ import annotations

FIGURES: list[str] = []


def figure(text: str) -> None:
    """Keep a line for the end of the run."""
    FIGURES.append(text)
