"""Losses to the scores that the model explains: higher is better, whatever the unit and the tail of the losses.

Pure functions of arrays. A failed trial has an infinite loss and counts as one of the worst finite losses: it is worth
avoiding, but no worse than what is known, so the border of a region that fails stays worth a visit.
"""

import numpy as np
from scipy.special import ndtri

from gpbt_searchers.gp.kernel import Array

__all__ = ["half_rank", "rank_normal"]


def rank_normal(losses: Array) -> Array:
    """Normal scores Phi^-1((r + 1/2) / n), r the rank from the worst, from 0; ties share the mean of their ranks.

    Args:
        losses: Shape (n,), infinite where a trial failed.

    Returns:
        Shape (n,); all 0 where the losses are all the same.

    Example:
        >>> rank_normal(np.array([3.0, 1.0, 2.0])).round(3).tolist()
        [-0.967, 0.967, 0.0]
    """
    _, place, counts = np.unique(_finite(losses), return_inverse=True, return_counts=True)
    better = np.cumsum(counts) - counts
    from_best = (better + 0.5 * (counts - 1))[place]
    return np.asarray(ndtri(1.0 - (from_best + 0.5) / losses.size), dtype=np.float64)


def half_rank(losses: Array) -> Array:
    """`rank_normal` for the worse half of the losses; the better half keeps its distances.

    Close to a minimum ranks tell less than losses do, far from it they protect the model from the tail. The better half
    is joined on where its worst member stands, with a root mean square distance from there of 1.

    Args:
        losses: Shape (n,), infinite where a trial failed.

    Example:
        >>> half_rank(np.array([1000.0, 3.0, 4.0, 0.0, 20.0])).round(3).tolist()
        [-1.282, 0.42, 0.0, 1.68, -0.524]
    """
    losses = _finite(losses)
    scores = rank_normal(losses)
    if not losses.size:
        return scores
    good = losses <= np.quantile(losses, 0.5, method="inverted_cdf")
    halves = 0.5 * losses[good]  # half of each, so that no difference overflows
    gain = halves.max() - halves
    largest = gain.max()
    if largest == 0.0:
        return scores
    gain = gain / largest
    scores[good] = scores[good].min() + gain / np.sqrt(np.mean(gain * gain))
    return scores


def _finite(losses: Array) -> Array:
    """Losses with the worst finite one in place of the infinite ones; all 0 where none is finite."""
    failed = np.isinf(losses)
    if failed.all():
        return np.zeros_like(losses)
    return np.where(failed, losses[~failed].max(), losses)
