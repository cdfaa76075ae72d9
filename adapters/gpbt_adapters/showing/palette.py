"""The colors of all plots, distinguishable by color-blind readers, and the range of scores worth showing.

Scores use the colors of viridis, without the end that the background would hide. Trials without a score differ in
shape as well as color. Figures are made in light colors; `DARK` says what a dark page draws in their place.
"""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from gpbt_core.records import Status

__all__ = [
    "BACK",
    "BEST",
    "CALM",
    "DARK",
    "GRID",
    "INK",
    "MUTED",
    "PALE",
    "PART",
    "SCALE",
    "SERIES",
    "STATUS",
    "sensible_range",
]

BACK = "#ffffff"
INK = "#1f2933"
MUTED = "#5b667a"
GRID = "#e8ebf0"
PALE = "#c3cad5"
BEST = "#d55e00"
CALM = "#0072b2"
PART = "#9fb3c8"
"""Part of a whole, such as the steps of stopped trials."""

SCALE = ("#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#d3e21b")
"""From the best to the worst."""

SERIES = (CALM, BEST, "#009e73", "#cc79a7", "#7a5195", "#a67c00", INK)
"""For things without order, such as runs."""

STATUS: Mapping[Status, str] = {
    Status.COMPLETED: SCALE[2],
    Status.STOPPED: "#7b8698",
    Status.FAILED: "#cc3311",
    Status.CANCELLED: "#7b8698",
    Status.RUNNING: CALM,
    Status.STOPPING: CALM,
    Status.QUEUED: CALM,
}

DARK: Mapping[str, str] = {
    BACK: "#1a2027",
    INK: "#e6eaf0",
    MUTED: "#a7b1c0",
    GRID: "#2b343f",
    PALE: "#4d5967",
    BEST: "#ff9147",
    CALM: "#62b8ec",
    PART: "#5b7188",
    "#009e73": "#2fc79a",
    "#cc79a7": "#e79cc5",
    "#7a5195": "#b48ad0",
    "#a67c00": "#e0b73a",
    STATUS[Status.STOPPED]: "#8b97a9",
    STATUS[Status.FAILED]: "#ff7a63",
    # The best scores stand out most here, too.
    **dict(
        zip(
            SCALE,
            ("#fde725", "#b5de2b", "#6ece58", "#35b779", "#1f9e89", "#3b8a9b", "#4d7a9c", "#5f6aa0"),
            strict=True,
        )
    ),
}
"""The colors of a dark page, by those of the light one."""


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
