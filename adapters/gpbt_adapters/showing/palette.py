"""The colours of all plots, distinguishable by colour-blind readers, and the range of scores worth showing.

Scores use the colours of viridis, the better the darker, without the lightest end, which is invisible on white. Trials
without a score differ in shape as well as colour.
"""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from gpbt_core.records import Status

__all__ = [
    "BEST",
    "CALM",
    "GRID",
    "INK",
    "MUTED",
    "PALE",
    "SCALE",
    "STATUS",
    "sensible_range",
]

INK = "#1f2933"
MUTED = "#69758a"
GRID = "#e8ebf0"
PALE = "#c3cad5"
BEST = "#d55e00"
CALM = "#0072b2"

SCALE = ("#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#d3e21b")
"""From the best to the worst."""

STATUS: Mapping[Status, str] = {
    Status.COMPLETED: SCALE[2],
    Status.STOPPED: "#8a94a6",
    Status.FAILED: "#cc3311",
    Status.CANCELLED: "#8a94a6",
    Status.RUNNING: CALM,
    Status.STOPPING: CALM,
    Status.QUEUED: CALM,
}


def sensible_range(values: npt.NDArray[np.float64], *, minimize: bool) -> tuple[float, float] | None:
    """The range of scores worth showing, which leaves out the worst tenth where it would dwarf the others.

    Args:
        values: Scores of any shape; NaN is ignored.
        minimize: Whether low scores are good.

    Returns:
        (low, high) with low < high; None if there is no score.

    >>> sensible_range(np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 9000]), minimize=True)
    (1.0, 10.0)
    >>> sensible_range(np.array([1.0, 2, 3]), minimize=True)
    (1.0, 3.0)
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return None
    losses = np.sort(finite if minimize else -finite)
    best, worst = losses[0], losses[-1]
    usual = losses[max(0, math.ceil(0.9 * len(losses)) - 1)]
    if usual > best and worst - best > 3 * (usual - best):
        worst = usual
    low, high = (best, worst) if minimize else (-worst, -best)
    if low == high:
        pad = abs(low) * 0.05 or 0.5
        low, high = low - pad, high + pad
    return float(low), float(high)
