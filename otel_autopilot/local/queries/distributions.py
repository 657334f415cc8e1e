"""Durations in a few figures, exact over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

#: The percentiles that are told.
PERCENTILES = (50, 95, 99)


def nearest_rank(ordered: Sequence[int], percent: int) -> int:
    """The smallest value that at least ``percent`` of 100 of the values don't exceed; they are in order, and there is one at least."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def distribution(durations: Sequence[int]) -> dict[str, Any]:
    """DIST of the contract; nulls where there is nothing."""
    ordered = sorted(durations)
    if not ordered:
        return {
            "count": 0,
            "sum_ns": 0,
            "mean_ns": None,
            **dict.fromkeys(f"p{percent}_ns" for percent in PERCENTILES),
            "max_ns": None,
        }
    total = sum(ordered)
    return {
        "count": len(ordered),
        "sum_ns": total,
        "mean_ns": total // len(ordered),
        **{f"p{percent}_ns": nearest_rank(ordered, percent) for percent in PERCENTILES},
        "max_ns": ordered[-1],
    }
