"""The searcher `cmaes`: CMA-ES with margin, warm-started from the family history and replayed through it.

A pure function of the query: the strategy is built anew from the told trials for each proposal.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from gpbt_core.errors import PluginError
from gpbt_core.numbers import a_share
from gpbt_core.records import Record
from gpbt_core.searcher import Query
from gpbt_core.space import Space
from gpbt_searchers.encoded import Encoded, Memory
from gpbt_searchers.gp.scores import rank_normal

try:
    from cmaes import CMAwM, get_warm_start_mgd  # type: ignore[import-untyped]  # the package has no type hints
except ImportError as error:
    raise PluginError('cmaes: the package "cmaes" must be installed: pip install "gpbt[cmaes]"') from error

__all__ = ["CMAES"]

Array = npt.NDArray[np.float64]

_BATCHES = 64  # at most so many are replayed: the cost stays flat
_WIDTH = 0.1  # prior deviation around the best of the history, in the unit cube; alpha of Nomura et al. 2021
_STEP = 0.2  # deviation around a parent without a history
_SEED = 2**32 - 1


@attrs.frozen(kw_only=True)
class CMAES:
    """Draws from the normal distribution that CMA-ES has reached after the family history.

    The first trials warm-start it: mean and covariance of their best fraction (Nomura et al. 2021). Each further
    `population` of trials, in the order of their ids, is then told to it as one of its generations, with losses ranked
    among the trials of one generation of the run, since losses fall from one to the next. Where it has converged, it is
    warm-started again from all trials so far. Ints and stepped floats on an even lattice get the margin of Hamano et
    al. 2022, which keeps a neighbor in reach; log lattices are rounded. Categories, which have no direction, are drawn
    as often as the best fraction has them, plus half a trial for each choice.

    Attributes:
        fraction: The share of trials that counts as best, in (0, 1].

    Raises:
        ConfigError: `fraction` is not in (0, 1].

    References:
        N. Hansen: The CMA evolution strategy: a tutorial, 2016. M. Nomura et al.: Warm starting CMA-ES for
        hyperparameter optimization, AAAI 2021. R. Hamano et al.: CMA-ES with margin, GECCO 2022.

    Examples:
        >>> from gpbt_core.space import Float, Space
        >>> space = Space(lr=Float(1e-5, 1, log=True), momentum=Float(0, 1))
        >>> config = CMAES().propose(Query(space=space), np.random.default_rng(0))
        >>> space.validate(config) == config
        True
    """

    fraction: float = attrs.field(default=0.25, validator=a_share("cmaes"))
    _memory: Memory = attrs.field(init=False, factory=Memory, eq=False, repr=False)

    def propose(self, query: Query, rng: np.random.Generator) -> Mapping[str, Any]:
        """Answers with a config of `query.space`.

        With too few told trials to start from: a step from the parent, or a uniform draw where there is none.

        Args:
            query: Its history is all that is learned from.
            rng: The source of the draw.
        """
        space, told = query.space, self._memory.history(query)
        axes, records, u = _Axes.of(space), told.records, told.u
        scores = -_scores(told)
        drawn = rng.random(len(space))
        if len(records) >= axes.start:
            best = np.argsort(scores, kind="stable")[: self._best(len(records))]
            drawn[axes.columns] = _drawn(axes, self._replayed(axes, records, u, scores), rng)
            for column in np.flatnonzero(space.categorical).tolist():
                drawn[column] = _category(u[best, column], int(space.bins[column]), rng)
        elif query.parent is not None:
            parent = space.encode([query.parent.trial.config])[0]
            step = _STEP * rng.standard_normal(len(space)) * ~space.categorical
            drawn = np.where(np.isnan(parent), drawn, np.clip(parent + step, 0.0, 1.0))
        return space.decode(drawn)

    def _best(self, count: int) -> int:
        """How many of so many trials count as best."""
        return math.ceil(self.fraction * count)

    def _replayed(self, axes: "_Axes", records: Sequence[Record], u: Array, scores: Array) -> Any:
        """The strategy after the history, from the best of the trials before the batches that are replayed."""
        size, count = axes.population, len(records)
        start = axes.start + size * max(0, (count - axes.start) // size - _BATCHES)
        strategy = self._started(axes, records, u[:start], scores[:start], None)
        for first in range(start, count - size + 1, size):
            if strategy.should_stop():
                strategy = self._started(axes, records, u[:first], scores[:first], strategy)
            batch = [(_whole(strategy, axes, records[k], u[k]), scores[k]) for k in range(first, first + size)]
            strategy.tell(batch)
        return strategy

    def _started(self, axes: "_Axes", records: Sequence[Record], u: Array, scores: Array, before: Any) -> Any:
        """A strategy at the best of some trials; what is inactive in them is filled from the strategy before."""
        neutral = axes.at(np.full(axes.size, 0.5), 1.0 / math.sqrt(12.0), None) if before is None else before
        rows = zip(records[: len(u)], u, scores, strict=True)
        known = [(_whole(neutral, axes, record, row), score) for record, row, score in rows]
        best = self._best(len(known)) + 0.5  # the package rounds down
        return axes.at(*get_warm_start_mgd(known, gamma=min(1.0, best / len(known)), alpha=_WIDTH))


@attrs.frozen(kw_only=True, eq=False)
class _Axes:
    """The dimensions of a space in which the strategy moves.

    Attributes:
        columns: The columns of the space: numbers of more than one value.
        size: How many dimensions the strategy has: at least the 2 that the package asks for.
        bounds: Shape (size, 2).
        steps: Of the lattice, 0 where continuous, shape (size,).
    """

    columns: npt.NDArray[np.intp]
    size: int
    bounds: Array
    steps: Array

    @classmethod
    def of(cls, space: Space) -> "_Axes":
        columns = np.flatnonzero(~space.categorical & (space.bins != 1))
        size = max(2, columns.size)
        bounds, steps = np.tile([0.0, 1.0], (size, 1)), np.zeros(size)
        for k, column in enumerate(columns.tolist()):
            bins = int(space.bins[column])
            if bins and not getattr(space.parameters[space.names[column]], "log", False):
                bounds[k] = 0.5 / bins, 1.0 - 0.5 / bins
                steps[k] = 1.0 / bins
        return cls(columns=columns, size=size, bounds=bounds, steps=steps)

    @property
    def population(self) -> int:
        """How many trials make one generation of the strategy (Hansen 2016, table 1)."""
        return 4 + math.floor(3.0 * math.log(self.size))

    @property
    def start(self) -> int:
        """How many trials a strategy starts from."""
        return self.population

    def at(self, mean: Array, sigma: float, cov: Array | None) -> Any:
        """A strategy at a normal distribution."""
        inside = np.clip(mean, self.bounds[:, 0], self.bounds[:, 1])
        return CMAwM(
            mean=inside,
            sigma=sigma,
            bounds=self.bounds,
            steps=self.steps,
            seed=0,
            population_size=self.population,
            cov=cov,
        )


def _whole(strategy: Any, axes: _Axes, record: Record, u: Array) -> Array:
    """A told point of the strategy's dimensions; what is inactive or no dimension of the space is drawn from it.

    A draw is neutral: it is as often above as below the mean, and as far off as the strategy expects.
    """
    point = np.full(axes.size, np.nan)
    point[: axes.columns.size] = u[axes.columns]
    absent = np.isnan(point)
    if absent.any():
        strategy.reseed_rng(record.trial.id % _SEED)
        _, drawn = strategy.ask()
        point[absent] = drawn[absent]
    return point


def _drawn(axes: _Axes, strategy: Any, rng: np.random.Generator) -> Array:
    """A draw from the strategy for the columns of the space, in [0, 1]."""
    strategy.reseed_rng(int(rng.integers(_SEED)))
    drawn, _ = strategy.ask()
    return np.asarray(np.clip(drawn[: axes.columns.size], 0.0, 1.0), dtype=np.float64)


def _category(best: Array, count: int, rng: np.random.Generator) -> float:
    """A choice as a point of the unit interval: as frequent as among the best, plus half a trial each."""
    active = best[~np.isnan(best)]
    index = np.minimum(np.floor(active * count), count - 1).astype(np.intp)
    share = np.bincount(index, minlength=count) + 0.5
    chosen = int(np.searchsorted(share.cumsum(), rng.random() * share.sum()))
    return (min(chosen, count - 1) + 0.5) / count


def _scores(told: Encoded) -> Array:
    """Normal scores of the losses among the records of the same generation, higher is better, shape (n,)."""
    losses = np.where(np.isnan(told.losses), np.inf, told.losses)
    scores = np.zeros(losses.size)
    for generation in np.unique(told.generations):
        same = told.generations == generation
        scores[same] = rank_normal(losses[same])
    return scores
