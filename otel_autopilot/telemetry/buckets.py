"""Bucket bounds of the duration histograms, in seconds. Every threshold of an objective is one of them."""

from __future__ import annotations

#: Thresholds of the seeds (0.05, 0.2, 0.5, 1, 2, 5, 10 s) and what lies between them.
DURATION_BOUNDS: tuple[float, ...] = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0,
)  # fmt: skip
