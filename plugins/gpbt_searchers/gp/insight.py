"""Reading the fitted model: how good trials are without noise, and which hyperparameters (HPs) matter.

It is the model that proposes, so a report explains what the run did.
"""

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from gpbt_core.errors import ConfigError
from gpbt_core.records import Record, Trial
from gpbt_core.space import Space
from gpbt_searchers.encoded import Encoded
from gpbt_searchers.gp.belief import Data, believe, fitted_to
from gpbt_searchers.gp.data import gather, points_of
from gpbt_searchers.gp.kernel import Array, Hyper, Points, features
from gpbt_searchers.threads import one_blas_thread

__all__ = ["Estimate", "importance", "posterior"]

_GRID = 64  # points per number on which its spread after the warp is taken


@attrs.frozen(kw_only=True)
class Estimate:
    """The posterior of a trial's loss.

    Attributes:
        mean: Belief mean; lower is better. In standard normal units of the ranks of the told losses, 0 their median;
            in a run of one generation the better half of the losses counts linearly, in units of its own spread.
        deviation: Belief standard deviation of the noise-free value, positive.
    """

    mean: float
    deviation: float


def posterior(
    space: Space, records: Sequence[Record], at: Sequence[Trial], *, generations: int = 1
) -> tuple[Estimate, ...]:
    """The posterior of the trials `at`, told or not, given `records`: an estimate of their losses without noise.

    Args:
        space: The space of their configs.
        records: What to learn from, as in `Query.history`: told, by rising id.
        at: Trials; their config and generation count.
        generations: The number of generations of the run.

    Returns:
        One estimate for each of `at`, in its order.

    Raises:
        ConfigError: A trial's generation is not below `generations`.

    Examples:
        >>> from gpbt_core.records import Status
        >>> from gpbt_core.space import Float
        >>> def trial(k: int, x: float) -> Trial:
        ...     return Trial(id=k, parent=None, generation=0, depth=0, config={"x": x}, steps=1, start_step=0)
        >>> told = [
        ...     Record(trial=trial(k, k / 10), status=Status.COMPLETED, loss=(k / 10 - 0.5) ** 2) for k in range(11)
        ... ]
        >>> middle, edge = posterior(Space(x=Float(0, 1)), told, [trial(11, 0.45), trial(12, 0.95)])
        >>> middle.mean < edge.mean
        True
    """
    data = _gathered("posterior", space, records, [*(record.trial for record in records), *at], generations)
    with one_blas_thread():  # a fit that is remembered is the proposals', too
        means, deviations = believe(data).predict(points_of(space, at, generations))
    return tuple(
        Estimate(mean=-mean, deviation=deviation)
        for mean, deviation in zip(means.tolist(), deviations.tolist(), strict=True)
    )


def importance(space: Space, records: Sequence[Record], *, generations: int = 1) -> Mapping[str, float]:
    """The share of each HP in the distance that the fitted kernel sees between two random configs.

    For the configs of two independent points uniform in the unit cube, r^2 = sum_i (w_i - w_i')^2 / l_i^2; the share of
    HP i is its expected term over the expected sum, with w the fitted warp and l the fitted length-scales (automatic
    relevance determination; Neal 1996, section 1.2.3). The score varies quickly along an HP with a large share and
    hardly along one with a small share. A share tells how sharp an effect is, not how large. An HP that was hardly
    varied stays near its prior, an equal share. An HP with a single value has no share, unless all have a single value.

    Args:
        space: The space of the configs.
        records: What to learn from, as in `Query.history`: told, by rising id; those of one generation, to see how it
            changes over a run.
        generations: How many generations the run has.

    Returns:
        A share in [0, 1] for each name of the space; they sum to 1. The generation has none.

    Raises:
        ConfigError: A trial's generation is not below `generations`.

    References:
        R. M. Neal, Bayesian Learning for Neural Networks, 1996.
    """
    data = _gathered("importance", space, records, [record.trial for record in records], generations)
    with one_blas_thread():
        fitted, _ = fitted_to(data)
    return dict(zip(space.names, _shares(space, data, fitted.hyper).tolist(), strict=True))


def _gathered(who: str, space: Space, records: Sequence[Record], trials: Sequence[Trial], generations: int) -> Data:
    late = [trial for trial in trials if trial.generation >= generations]
    if late:
        raise ConfigError(
            f"{who}: trials must be of generations below {generations}, got trial {late[0].id} of generation"
            f" {late[0].generation}; say generations=..."
        )
    return gather(space, Encoded.of(space, records), (), generations)


def _shares(space: Space, data: Data, hyper: Hyper) -> Array:
    """Shares of the HPs in the expected squared distance between the configs of two uniform points, shape (HPs,)."""
    layout = data.layout
    grid = np.full((_GRID, layout.columns), 0.5)
    grid[:, layout.numeric] = ((np.arange(_GRID) + 0.5) / _GRID)[:, None]
    numbers = layout.numeric.size
    always = Space(space.parameters)  # without conditions: every value of an HP counts
    grid[:, : len(space)] = always.snap(grid[:, : len(space)])  # the values that there are
    warped = features(Points.of(layout, grid), hyper)[:, :numbers]
    spread = np.empty(len(layout.choices))
    spread[layout.numeric] = 2.0 * warped.var(axis=0)
    chance = 1.0 - 1.0 / np.array(layout.choices)[layout.categorical]  # that two uniform choices differ
    spread[layout.categorical] = chance / hyper.length[numbers : numbers + layout.categorical.size] ** 2
    total = float(spread.sum())
    # Each has one value only: nothing varies, and all are alike.
    return spread / total if total > 0.0 else np.full(spread.size, 1.0 / spread.size)
