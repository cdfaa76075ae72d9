"""The statistics of paired comparisons; pure functions of arrays.

Losses throughout: lower is better. Pairs are runs of two methods under one seed, hence from the same initial weights.
"""

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy import stats

__all__ = ["Comparison", "Summary", "compare", "holm", "mean_ranks", "steps_to_reach", "summarize"]

Floats = NDArray[np.float64]


@attrs.frozen(kw_only=True)
class Summary:
    """Summary statistics of a sample of scores; `sd` is the sample's (n - 1), NaN for a single run."""

    count: int
    median: float
    low: float
    high: float
    mean: float
    sd: float


@attrs.frozen(kw_only=True)
class Comparison:
    """One method against a rival over the same seeds.

    Attributes:
        count: Number of pairs.
        wins: Share of the pairs that the method wins, ties counted half, in [0, 1].
        p: Of the two-sided Wilcoxon signed-rank test; 1 where all pairs are equal.
        effect: The matched-pairs rank-biserial correlation, in [-1, 1]: (favorable - unfavorable rank sum) / total;
            0 where all pairs are equal.
        gain: The median of rival's loss - method's loss: above 0 is better than the rival.
    """

    count: int
    wins: float
    p: float
    effect: float
    gain: float


def summarize(values: Floats) -> Summary:
    """Median, quartiles, mean and standard deviation of a sample, shape (runs,), at least one."""
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    return Summary(
        count=len(values),
        median=float(median),
        low=float(low),
        high=float(high),
        mean=float(np.mean(values)),
        sd=float(np.std(values, ddof=1)) if len(values) > 1 else float("nan"),
    )


def compare(method: Floats, rival: Floats) -> Comparison:
    """Compares losses pair by pair.

    Args:
        method: Shape (pairs,), at least one pair.
        rival: Shape (pairs,), same seeds in the same order.

    References:
        Kerby, "The Simple Difference Formula: An Approach to Teaching Nonparametric Correlation", 2014.

    Example:
        >>> compare(np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 4.0, 3.0, 4.0]))
        Comparison(count=4, wins=0.75, p=0.5, effect=1.0, gain=0.5)
    """
    gain = rival - method
    ranks = stats.rankdata(np.abs(gain[gain != 0]))
    total = float(ranks.sum())
    effect = float(np.sum(ranks * np.sign(gain[gain != 0]))) / total if total else 0.0
    # Ties carry no direction and are dropped, as in Wilcoxon's original test.
    p = float(stats.wilcoxon(gain[gain != 0]).pvalue) if total else 1.0
    return Comparison(
        count=len(gain),
        wins=float(np.mean(gain > 0) + 0.5 * np.mean(gain == 0)),
        p=p,
        effect=effect,
        gain=float(np.median(gain)),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction: p-values that may be compared with one level for the whole family of tests.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = highest
    return corrected


def mean_ranks(losses: Floats) -> Floats:
    """Mean rank of each method over the seeds, 1 is best, ties averaged.

    Args:
        losses: Shape (methods, seeds).

    Returns:
        Shape (methods,).
    """
    return np.asarray(stats.rankdata(losses, axis=0).mean(axis=1))


def steps_to_reach(curve: Floats, target: float) -> float:
    """The first step, from 1, at which a best-so-far curve is as low as the target; infinite if it never is."""
    reached = np.flatnonzero(curve <= target)
    return float(reached[0] + 1) if len(reached) else float("inf")
