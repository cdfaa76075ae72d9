"""Candidates: clouds of points in the unit cube, drawn around a center or everywhere.

Pure functions of a generator; no model, no losses. Each returns an array of shape (count, d) in [0, 1], off the lattice
of discrete HPs: the caller moves the points onto it with `Space.snap`.
"""

import numpy as np
import numpy.typing as npt

from gpbt_searchers.gp.kernel import Array

__all__ = ["additive_steps", "crossovers", "logit_steps"]

_EDGE = 1e-3  # logits are infinite at 0 and 1
_SPREAD = 0.7  # of the log of a step's size
_MOVES = 0.6  # probability that a logit step moves a number
_FLIPS = 0.2  # probability that it changes a category
_RENEWS = 0.4  # probability that a crossover draws a coordinate anew


def crossovers(rng: np.random.Generator, center: Array, count: int) -> Array:
    """The center with each coordinate drawn anew, uniformly, with probability 0.4.

    Args:
        rng: The source of randomness.
        center: Shape (d,).
        count: The number of points.
    """
    drawn = rng.random((count, center.size))
    return np.where(rng.random((count, center.size)) < _RENEWS, drawn, center)


def logit_steps(
    rng: np.random.Generator, center: Array, count: int, size: float, choices: npt.NDArray[np.intp]
) -> Array:
    """Normal steps on the logits of numbers, and flips of categories; at least one coordinate changes.

    Each number moves with probability 0.6 by s N(0, 1) on its logit, s = size exp(N(0, 0.7^2)) for the whole candidate;
    each category becomes another one with probability 0.2.

    Args:
        rng: The source of randomness.
        center: Shape (d,).
        count: The number of points.
        size: Median of s.
        choices: Number of choices of each categorical HP, 0 for numbers; shape (d,).
    """
    d = center.size
    shape = (count, d)
    scale = size * np.exp(_SPREAD * rng.standard_normal((count, 1)))
    moved = rng.random(shape) < np.where(choices > 0, _FLIPS, _MOVES)
    forced = rng.integers(d, size=count)
    still = ~moved.any(axis=1)
    moved[still, forced[still]] = True
    inner = np.clip(center, _EDGE, 1.0 - _EDGE)
    logit = np.log(inner / (1.0 - inner)) + scale * rng.standard_normal(shape)
    drawn = 1.0 / (1.0 + np.exp(-logit))
    jump = rng.random(shape)
    categorical = np.flatnonzero(choices > 0)
    if categorical.size:
        k = choices[categorical]
        # 1 to k - 1 places on, round the corner: any other category, all alike.
        places = 1.0 + np.floor(jump[:, categorical] * (k - 1))
        drawn[:, categorical] = ((np.floor(center[categorical] * k) + places) % k + 0.5) / k
    return np.where(moved, drawn, center)


def additive_steps(
    rng: np.random.Generator, center: Array, count: int, size: float, choices: npt.NDArray[np.intp]
) -> Array:
    """Normal steps of all numbers, reflected at 0 and 1, of size * exp(N(0, 0.7^2)) per candidate.

    Args: as `logit_steps`; categories stay.
    """
    scale = size * np.exp(_SPREAD * rng.standard_normal((count, 1)))
    step = scale * rng.standard_normal((count, center.size))
    step[:, choices > 0] = 0.0
    folded = np.abs(center + step) % 2.0
    return np.minimum(folded, 2.0 - folded)
