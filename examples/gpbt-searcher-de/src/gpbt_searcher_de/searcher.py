"""Differential evolution: a proposal is the parent, moved by differences between configs that were tried before.

The class holds its options and nothing else; all that a proposal depends on comes in with the query and the generator.
"""

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from gpbt_core import ConfigError, Query

__all__ = ["DifferentialEvolution"]


@attrs.frozen(kw_only=True)
class DifferentialEvolution:
    """DE/best/1/bin on the family history, in the unit cube of the space.

    Attributes:
        weight: F, how far a difference of two configs moves the best one, in (0, 2].
        crossover: CR, the probability of a parameter to take the moved value rather than the parent's, in [0, 1].

    References:
        R. Storn, K. Price: Differential Evolution - A Simple and Efficient Heuristic for Global Optimization over
        Continuous Spaces. Journal of Global Optimization 11, 341-359 (1997).
    """

    weight: float = 0.8
    crossover: float = 0.9

    def __attrs_post_init__(self) -> None:
        """Refuses options that the formula has no meaning for."""
        if not 0 < self.weight <= 2:
            raise ConfigError(f"DifferentialEvolution: expected a weight above 0 and at most 2, got {self.weight!r}")
        if not 0 <= self.crossover <= 1:
            raise ConfigError(f"DifferentialEvolution: expected a crossover from 0 to 1, got {self.crossover!r}")

    def propose(self, query: Query, rng: np.random.Generator) -> Mapping[str, Any]:
        """Answers with a config near the good ones; a uniform one where fewer than three trials were scored."""
        scored = [(record.loss, record.trial) for record in query.history if record.loss is not None]
        if len(scored) < 3:
            return query.space.sample(rng)
        points = _filled(query.space.encode([trial.config for _, trial in scored]), rng)
        best = int(np.argmin([loss for loss, _ in scored]))
        first, second = rng.choice(np.delete(np.arange(len(points)), best), size=2, replace=False)
        moved = points[best] + self.weight * (points[first] - points[second])
        target = points[best]
        if query.parent is not None:
            target = _filled(query.space.encode([query.parent.trial.config]), rng)[0]
        takes = rng.random(len(moved)) < self.crossover
        takes[rng.integers(len(moved))] = True  # at least one parameter moves, eq. (4)
        return query.space.decode(_reflected(np.where(takes, moved, target)))


def _filled(points: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Gives parameters that were inactive (NaN) a uniform value, should they become active in the proposal."""
    return np.where(np.isnan(points), rng.random(points.shape), points)


def _reflected(point: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Folds what left the unit cube back into it: 1.2 becomes 0.8, -0.1 becomes 0.1."""
    folded: npt.NDArray[np.float64] = 1 - np.abs(1 - np.mod(point, 2))
    return folded
