"""Which category to take: the bandit TV.EXP3.M, replayed from the history.

Pure arrays: past generations in, probabilities out.
"""

import math

import numpy as np
import numpy.typing as npt

__all__ = ["probabilities"]

Array = npt.NDArray[np.float64]

_EXPLORE = 0.2  # gamma where there are at least as many plays as choices, as in the authors' code


def probabilities(count: int, rounds: list[tuple[npt.NDArray[np.intp], Array]], generations: int) -> Array:
    """How likely each choice of one categorical hyperparameter is to be taken next.

    TV.EXP3.M of Parker-Holder et al. 2021, with plays of one round drawn independently instead of by
    dependent rounding, as a slot of a generation decides for itself. With p the probabilities in a round of B plays,
    a play of choice c with reward r multiplies the weight w_c by exp(gamma r / (C p_c)); then each choice gets
    e omega / C of all weight, by which the bandit forgets what was true of younger models.

    Args:
        count: The number C of choices.
        rounds: Of each past generation the choices that were played, and their rewards in [0, 1]; both of shape (B,).
        generations: The number T of rounds in all; omega = 1 / T.

    Returns:
        Shape (count,); each at least gamma / C, their sum 1.

    References:
        J. Parker-Holder, V. Nguyen, S. Desai, S. Roberts: Tuning mixed input hyperparameters on the fly for efficient
        population based AutoRL, NeurIPS 2021.

    Example:
        >>> better_first = [(np.array([0, 1, 0, 1]), np.array([0.9, 0.2, 0.8, 0.1]))] * 3
        >>> probabilities(2, better_first, 10).round(2).tolist()
        [0.59, 0.41]
    """
    weights = np.full(count, 1.0 / count)
    forget = math.e / (generations * count)
    for choices, rewards in rounds:
        gamma = _gamma(count, choices.size, generations)
        taken = _mixed(weights, gamma)
        total = np.bincount(choices, weights=rewards, minlength=count)
        logs = np.log(weights) + gamma * total / (count * taken)
        weights = np.exp(logs - logs.max())
        weights = weights / weights.sum() + forget
        weights /= weights.sum()
    plays = rounds[-1][0].size if rounds else count
    return _mixed(weights, _gamma(count, plays, generations))


def _mixed(weights: Array, gamma: float) -> Array:
    return np.asarray((1.0 - gamma) * weights / weights.sum() + gamma / weights.size)


def _gamma(count: int, plays: int, generations: int) -> float:
    """The rate of exploration for C choices, B plays and T rounds: sqrt(C ln(C / B) / ((e - 1) B T)) where B < C."""
    if plays >= count or plays == 0:
        return _EXPLORE
    return min(1.0, math.sqrt(count * math.log(count / plays) / ((math.e - 1.0) * plays * generations)))
