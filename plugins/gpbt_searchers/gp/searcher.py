"""The searcher `gp`: expected improvement of a Gaussian process on the family history.

This module has the order of the steps; the model and its maximization are in the modules beside it.
"""

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from gpbt_core.numbers import at_least
from gpbt_core.searcher import Query
from gpbt_searchers.encoded import Encoded, Memory
from gpbt_searchers.gp.acquisition import log_improvement, log_improvement_slopes
from gpbt_searchers.gp.belief import Data, believe
from gpbt_searchers.gp.candidates import additive_steps, crossovers, logit_steps
from gpbt_searchers.gp.data import gather, stage
from gpbt_searchers.gp.kernel import Array
from gpbt_searchers.gp.model import Belief
from gpbt_searchers.gp.refine import climb
from gpbt_searchers.threads import one_blas_thread

__all__ = ["GaussianProcess"]

_ENOUGH = 3  # with fewer told points there is no model
_ENOUGH_PLAIN = 8  # likewise in a run of one generation
_RECENT = 60  # history points that compete for incumbent
_WIDE, _NEAR, _FINE = 0.6, 0.15, 0.03  # sizes of the steps around the parent and around the best candidate
_SEARCHES = 2048  # draws for an untried config before one is tried again


@attrs.frozen(kw_only=True)
class GaussianProcess:
    """Proposes the candidate with the largest expected improvement under a GP of the family history.

    docs/searchers/gp.md describes the model, its cost, and the experiments behind it.

    Attributes:
        candidates: The number of candidates of each wide kind; a third as many then lie close around the best of these.

    Raises:
        ConfigError: `candidates` is not a whole number of at least 1.

    Examples:
        >>> from gpbt_core.space import Float, Space
        >>> space = Space(lr=Float(1e-5, 1, log=True))
        >>> config = GaussianProcess().propose(Query(space=space), np.random.default_rng(0))
        >>> space.validate(config) == config
        True
    """

    candidates: int = attrs.field(default=150, validator=at_least(1, "gp"))
    _memory: Memory = attrs.field(init=False, factory=Memory, eq=False, repr=False)

    def propose(self, query: Query, rng: np.random.Generator) -> Mapping[str, Any]:
        """Answers with a config of `query.space`.

        With fewer than 3 told points (8 in a run of one generation): a step from the parent, or a uniform draw where
        there is none.

        Args:
            query: Its history is all that is learned from.
            rng: The source of the candidates.
        """
        told = self._memory.history(query)
        search = _Proposal(query=query, rng=rng, candidates=self.candidates, told=told)
        data = gather(query.space, told, query.pending, query.generations)
        enough = _ENOUGH if query.generations > 1 else _ENOUGH_PLAIN
        if data.losses.size < enough:
            return query.space.decode(search.blind())
        with one_blas_thread():
            return query.space.decode(search.best(data))


@attrs.frozen(kw_only=True, eq=False)
class _Proposal:
    """One proposal: its inputs, and the steps to it."""

    query: Query
    rng: np.random.Generator
    candidates: int
    told: Encoded
    choices: npt.NDArray[np.intp] = attrs.field()
    taken: frozenset[bytes] = attrs.field()

    @choices.default
    def _choices(self) -> npt.NDArray[np.intp]:
        return np.where(self.query.space.categorical, self.query.space.bins, 0)

    @taken.default
    def _taken(self) -> frozenset[bytes]:
        """The siblings' configs in the unit cube. The same config on other weights is another experiment."""
        query, told = self.query, self.told
        mine = told.u[query.are_siblings(record.trial for record in told.records)]
        pending = query.space.encode([trial.config for trial in query.pending])[query.are_siblings(query.pending)]
        return frozenset([*_rows(mine), *_rows(pending)])

    def blind(self) -> Array:
        """A point without a model, shape (d,)."""
        parent = self.parent()
        if parent is None:
            drawn = self.rng.random((self.candidates, len(self.query.space)))
        else:
            drawn = logit_steps(self.rng, parent, self.candidates, _WIDE, self.choices)
        first: Array = self.fresh(drawn)[0]
        return first

    def best(self, data: Data) -> Array:
        """The point with the largest expected improvement that was found, shape (d,)."""
        space, parent, belief = self.query.space, self.parent(), believe(data)
        rivals = data.told[-_RECENT:, : len(space)]
        if parent is not None:
            rivals = np.concatenate([rivals, space.snap(parent[None, :])])
        means = belief.mean(self.staged(belief, rivals))
        incumbent = float(means.max())
        wide = self.fresh(self.wide(parent, rivals[int(means.argmax())]))
        values = self.values(belief, wide, incumbent)
        near = self.fresh(self.near(self.filled(wide[int(values.argmax())])))
        both = np.concatenate([wide, near])
        top = both[int(np.concatenate([values, self.values(belief, near, incumbent)]).argmax())]
        return top if self.query.generations > 1 else self.refined(belief, top, incumbent)

    def parent(self) -> Array | None:
        """The point that candidates are drawn around, shape (d,); None in a slot that starts from scratch."""
        if self.query.parent is None:
            return None
        return self.filled(self.query.space.encode([self.query.parent.trial.config])[0])

    def wide(self, parent: Array | None, leader: Array) -> Array:
        """The first candidates; in a run of one generation the leader of the history takes the place of a parent."""
        blocks = [] if parent is not None else [self.rng.random((self.candidates, len(self.query.space)))]
        center = parent
        if center is None and self.query.generations == 1:
            center = self.filled(leader)
        if center is not None:
            blocks.append(crossovers(self.rng, center, self.candidates))
            blocks.append(logit_steps(self.rng, center, self.candidates, _WIDE, self.choices))
        return np.concatenate(blocks)

    def near(self, center: Array) -> Array:
        """A closer look around the best of the first candidates: 30 and 20 for 150 of each kind."""
        logit = logit_steps(self.rng, center, -(-self.candidates // 5), _NEAR, self.choices)
        return np.concatenate(
            [logit, additive_steps(self.rng, center, -(-2 * self.candidates // 15), _FINE, self.choices)]
        )

    def refined(self, belief: Belief, top: Array, incumbent: float) -> Array:
        """The local maximum above the best candidate, unless it was tried before."""
        free = np.flatnonzero((self.query.space.bins == 0) & ~np.isnan(top))
        place = np.searchsorted(belief.layout.numeric, free)
        point = self.staged(belief, top[None, :])

        def uphill(part: Array) -> tuple[float, Array]:
            point[0, free] = part
            value, gradient = log_improvement_slopes(*belief.predict_slopes(point), incumbent)
            return float(value[0]), gradient[0, place]

        higher = top.copy()
        higher[free] = climb(uphill, top[free])
        return top if higher.tobytes() in self.taken else higher

    def values(self, belief: Belief, u: Array, incumbent: float) -> Array:
        """The log of the expected improvement of candidates."""
        return log_improvement(*belief.predict(self.staged(belief, u)), incumbent)

    def staged(self, belief: Belief, u: Array) -> Array:
        """Points of the model for points of the unit cube: with the stage of the query, where the model has stages."""
        if not belief.layout.generation:
            return u
        return np.column_stack([u, np.full(u.shape[0], stage(self.query.generation, self.query.generations))])

    def filled(self, u: Array) -> Array:
        """A point with each inactive coordinate drawn anew: a neighbor may be the first to use it."""
        return np.asarray(np.where(np.isnan(u), self.rng.random(u.size), u))

    def fresh(self, drawn: Array) -> Array:
        """Points on the lattice; those that were tried on these weights before are left out if others are found."""
        u = self.query.space.snap(drawn)
        new = self._untried(u)
        if not new.shape[0]:
            new = self._untried(self.query.space.snap(self.rng.random((_SEARCHES, u.shape[1]))))
        return new if new.shape[0] else u

    def _untried(self, u: Array) -> Array:
        return u[[row not in self.taken for row in _rows(u)]]


def _rows(u: Array) -> list[bytes]:
    """Rows as bytes, to look them up in a set; NaN equals itself there."""
    return [row.tobytes() for row in np.ascontiguousarray(u)]
