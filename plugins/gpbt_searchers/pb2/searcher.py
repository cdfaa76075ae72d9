"""The searcher `pb2`: the steps from rows to a config."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from gpbt_core.records import Record
from gpbt_core.searcher import Query
from gpbt_core.space import Space
from gpbt_searchers.encoded import Encoded, Memory
from gpbt_searchers.gp.refine import climb
from gpbt_searchers.pb2.bandit import probabilities
from gpbt_searchers.pb2.model import Belief, Inputs, condition, fit, inputs
from gpbt_searchers.pb2.rows import Array, Rows, chosen, gains, latest, rows_at, rows_of, rows_of_pending, standardized
from gpbt_searchers.threads import one_blas_thread

__all__ = ["PB2"]

_ROWS = 200  # the latest, as many as the authors' code keeps at least; what is older is forgotten anyway
_CANDIDATES = 250
_CLIMBS = 3  # from so many of them


@attrs.frozen(kw_only=True)
class PB2:
    """Proposes where a time-varying GP of score changes has its largest upper confidence bound.

    With `Truncation` and the history "all" this is PB2. A row is a told trial with a parent: its generation, the loss
    before, the config, and how much the loss fell. A bandit chooses the categories, and the numbers are chosen given
    these, as in the follow-up for mixed inputs. See docs/searchers/pb2.md.

    References:
        J. Parker-Holder, V. Nguyen, S. Roberts: Provably efficient online hyperparameter optimization with
        population-based bandits, NeurIPS 2020.
        J. Parker-Holder, V. Nguyen, S. Desai, S. Roberts: Tuning mixed input hyperparameters on the fly for efficient
        population based AutoRL, NeurIPS 2021.

    Examples:
        >>> from gpbt_core.space import Float, Space
        >>> space = Space(lr=Float(1e-5, 1, log=True))
        >>> config = PB2().propose(Query(space=space), np.random.default_rng(0))
        >>> space.validate(config) == config
        True
    """

    _memory: Memory = attrs.field(init=False, factory=Memory, eq=False, repr=False)

    def propose(self, query: Query, rng: np.random.Generator) -> Mapping[str, Any]:
        """Answers with a config of `query.space`; a uniform one without a parent, or before any change was seen.

        Args:
            query: Its history should be that of all lines.
            rng: The source of categories and of candidates.
        """
        if query.parent is None:
            return query.space.sample(rng)
        told = self._memory.history(query)
        found = latest(told.records, _ROWS)
        if not found:
            return query.space.sample(rng)
        before = max(loss for _, loss in found) if query.parent.loss is None else query.parent.loss
        with one_blas_thread():
            return query.space.decode(_best(query, told, found, before, rng))


def _best(
    query: Query, told: Encoded, found: Sequence[tuple[Record, float]], before: float, rng: np.random.Generator
) -> Array:
    """The point of largest bound, shape (d,).

    Args:
        query: The question.
        told: The history.
        found: Rows to learn from, at least 1.
        before: The loss of the weights that the child starts from.
        rng: The source of categories and of candidates.
    """
    space, rows, y = query.space, rows_of(query.space, told, found), gains(found)
    belief = _believe(query, rows, y, before)
    fixed = _categories(query, rows, y, rng)

    def ready(u: Array) -> Inputs:
        return inputs(rows_at(space, u, query.generation, before), rows)

    drawn = rng.random((_CANDIDATES, len(space)))
    drawn[:, space.categorical] = fixed
    u = space.snap(drawn)
    values = belief.bound(ready(u))
    starts = np.argsort(-values, kind="stable")[:_CLIMBS].tolist()
    tops = space.snap(np.stack([_climbed(space, u[k], drawn[k], belief, ready) for k in starts]))
    both, worth = np.concatenate([u, tops]), np.concatenate([values, belief.bound(ready(tops))])
    best: Array = both[int(worth.argmax())]
    return best


def _climbed(space: Space, start: Array, drawn: Array, belief: Belief, ready: Callable[[Array], Inputs]) -> Array:
    """The local maximum of the bound above a point, with the point's categories, shape (d,).

    Args:
        space: The space.
        start: A point on the lattice, NaN where inactive, shape (d,).
        drawn: The same with numbers everywhere.
        belief: The process.
        ready: Points -> inputs of the process.
    """
    numeric = np.flatnonzero(~space.categorical)
    free = numeric[~np.isnan(start[numeric])]
    place = np.searchsorted(numeric, free)
    at = ready(start[None, :])

    def uphill(part: Array) -> tuple[float, Array]:
        at.x[0, 1 + place] = part
        bound, gradient = belief.bound_slopes(at)
        return float(bound[0]), gradient[0, place]

    # An integer may move and activate other parameters; these take what was drawn for them.
    top = drawn.copy()
    top[free] = climb(uphill, start[free])
    return top


def _believe(query: Query, rows: Rows, y: Array, before: float) -> Belief:
    """The process given all rows, its kernel fitted to those of earlier generations: once for a whole generation."""
    earlier = rows.time < query.generation
    past = chosen(rows, earlier)
    kernel = fit(inputs(past, past), standardized(y[earlier]))
    pending = inputs(rows_of_pending(query, before), rows)
    return condition(kernel, inputs(rows, rows), standardized(y), pending)


def _categories(query: Query, rows: Rows, y: Array, rng: np.random.Generator) -> Array:
    """What the bandit takes of each categorical hyperparameter, in the unit interval, shape (categorical,)."""
    counts = query.space.bins[query.space.categorical].tolist()
    rewards = (standardized(y) + 2.0) / 4.0  # standardized gains lie in [-2, 2], rewards in [0, 1]
    taken = []
    for column, count in enumerate(counts):
        played = rows.categories[:, column]
        rounds = [(played[mark], rewards[mark]) for mark in _rounds(query, rows.time, played >= 0)]
        share = probabilities(count, rounds, query.generations)
        taken.append((min(int(np.searchsorted(share.cumsum(), rng.random())), count - 1) + 0.5) / count)
    return np.array(taken)


def _rounds(query: Query, time: Array, active: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.bool_]]:
    """Marks of the rows of each earlier generation in which the hyperparameter was active, in order."""
    past = np.unique(time[active & (time < query.generation)])
    return [active & (time == generation) for generation in past]
