"""The colours of all plots, told apart by those who are colour-blind too, and how numbers are written everywhere.

Scores run along the colours of viridis, the better the darker, without the lightest end, which is lost on white. What
has no score is told apart by shape as well as by colour.
"""

import math
from collections.abc import Mapping
from typing import Any

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
    "counted",
    "number",
    "sensible_range",
    "settings",
    "span",
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


def number(value: object) -> str:
    """A value as short text.

    >>> number(0.000123456789), number(True), number(float("nan")), number("relu"), number(20.0)
    ('0.000123457', 'True', '-', 'relu', '20')
    """
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.6g}"
    return str(value)


def counted(count: int, noun: str) -> str:
    """How many there are of something.

    >>> counted(1, "trial"), counted(2000, "trial")
    ('1 trial', '2,000 trials')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def span(start_step: int, steps: int) -> str:
    """The steps of a segment, at least one, counted from 1 as people do.

    >>> span(0, 6), span(6, 1)
    ('1 to 6', '7')
    """
    return f"{start_step + 1}" if steps == 1 else f"{start_step + 1} to {start_step + steps}"


def settings(config: Mapping[str, Any]) -> str:
    """A config on one line.

    >>> settings({"rate": 0.25, "kind": "sgd"})
    'rate = 0.25, kind = sgd'
    """
    return ", ".join(f"{name} = {number(value)}" for name, value in config.items())


def sensible_range(values: npt.NDArray[np.float64], *, minimize: bool) -> tuple[float, float] | None:
    """The range of scores worth showing: all but the tenth that is worst, where those would dwarf the others.

    Args:
        values: Any shape; NaN counts for nothing.
        minimize: Whether low scores are good.

    Returns:
        (low, high), low < high; None: there is no score.

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
