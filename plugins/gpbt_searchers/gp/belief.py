"""From told points to a belief: to which of them the kernel is fitted, and on which the process is conditioned.

Pure: the same data give the same belief, whatever was asked before.
"""

import attrs
import numpy as np
import numpy.typing as npt

from gpbt_searchers.gp.assumptions import Assumptions
from gpbt_searchers.gp.kernel import Array, PointLayout
from gpbt_searchers.gp.model import Belief, Fit, condition, fit
from gpbt_searchers.gp.scores import half_rank, rank_normal

__all__ = ["Data", "believe", "fitted_length", "fitted_to"]

_ROUND = 5  # the kernel is fitted anew after this many further points
_LONG = 200  # points from which on a fit waits for twice as many further points, and so for each doubling
_MOST = 40  # points between two fits: the model is conditioned on them all the same
_BOUND = 300  # the model holds at most this many points, and those since the last fit, so its cost stays flat


@attrs.frozen(kw_only=True, eq=False)
class Data:
    """What is known, as arrays.

    Attributes:
        layout: The columns of the points.
        assumptions: The settings of the model.
        told: Told points, shape (n, columns), by rising id.
        losses: Their losses, shape (n,); infinite where a trial failed.
        pending: Points without a result, shape (p, columns), by rising id.
    """

    layout: PointLayout
    assumptions: Assumptions
    told: Array
    losses: Array
    pending: Array


def fitted_to(data: Data) -> tuple[Fit, npt.NDArray[np.intp]]:
    """The fit, and the indices of all points that the process is conditioned on, those of the fit first."""
    known = fitted_length(data.losses.size)
    kept = _kept(data.losses[:known])
    fitted = fit(data.layout, data.assumptions, data.told[kept], _scores(data, known)[kept])
    return fitted, np.concatenate([kept, np.arange(known, data.losses.size)])


def fitted_length(count: int) -> int:
    """The number of points that the kernel is fitted to, of `count` told ones.

    It stays the same until enough points are added. Fits cost most where a few more points change them least, so the
    longer the history, the rarer they are.

    Example:
        >>> [fitted_length(count) for count in (4, 199, 209, 399, 419, 1000)]
        [0, 195, 200, 390, 400, 1000]
    """
    rounds = _ROUND
    while rounds < _MOST and count >= _LONG * rounds // _ROUND:
        rounds *= 2
    return count - count % rounds


def believe(data: Data) -> Belief:
    """The process given the data, in scores: higher is better."""
    fitted, used = fitted_to(data)
    further = data.told[used[fitted.x.shape[0] :]]
    return condition(fitted, further, _scores(data, data.losses.size)[used], data.pending)


def _scores(data: Data, count: int) -> Array:
    losses = data.losses[:count]
    return half_rank(losses) if data.assumptions.linear else rank_normal(losses)


def _kept(losses: Array) -> npt.NDArray[np.intp]:
    """All points, or beyond the bound a third of it best, a third latest, and a third spread over the rest.

    Args:
        losses: Shape (n,), by rising id.

    Returns:
        At most 300 indices, rising.
    """
    n, third = losses.size, _BOUND // 3
    if n <= _BOUND:
        return np.arange(n)
    taken = np.zeros(n, dtype=np.bool_)
    taken[-third:] = True
    best = np.argsort(losses, kind="stable")
    taken[best[~taken[best]][:third]] = True
    rest = np.flatnonzero(~taken)
    taken[rest[np.linspace(0, rest.size - 1, min(_BOUND - 2 * third, rest.size)).round().astype(np.intp)]] = True
    return np.flatnonzero(taken)
