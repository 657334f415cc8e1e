"""Quantiles of what histograms counted: inside a bucket the values are taken for evenly spread."""

from __future__ import annotations

import math
from collections.abc import Mapping

from otel_autopilot.local.queries.increases import Bounds


def quantile(buckets: Mapping[Bounds, float], share: float) -> float | None:
    """The value below which ``share`` of what was counted lies; None where nothing was.

    Buckets may overlap: several series with other bounds each are one mixture. In the bucket without an upper bound it is that
    bucket's lower bound, in the one without a lower bound 0, or its upper bound where that isn't above 0.
    """
    counted = {_finite(bounds): 0.0 for bounds, count in buckets.items() if count > 0}
    for bounds, count in buckets.items():
        if count > 0:
            counted[_finite(bounds)] += count
    total = sum(counted.values())
    if total <= 0:
        return None
    wanted, below = share * total, 0.0
    edges = sorted({edge for bounds in counted for edge in bounds})
    at = {edge: sum(count for (low, high), count in counted.items() if low == high == edge) for edge in edges}
    spread = [(low, high, count / (high - low)) for (low, high), count in counted.items() if low < high]
    for edge, following in zip(edges, [*edges[1:], math.inf], strict=True):
        below += at[edge]
        if below >= wanted:
            return edge
        if following == math.inf:
            break
        density = sum(each for low, high, each in spread if low <= edge and following <= high)
        within = density * (following - edge)
        if density > 0 and below + within >= wanted:
            return min(following, edge + (wanted - below) / density)
        below += within
    return edges[-1]


def _finite(bounds: Bounds) -> Bounds:
    low, high = bounds
    if high == math.inf:
        return (low, low) if math.isfinite(low) else (0.0, 0.0)
    if low == -math.inf:
        return (0.0, high) if high > 0 else (high, high)
    return low, high
