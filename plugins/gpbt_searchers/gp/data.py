"""From queries and records to the arrays of the model.

The only module of the package that knows trials; it decides nothing about the model.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gpbt_core.records import Trial
from gpbt_core.space import Space
from gpbt_searchers.encoded import Encoded
from gpbt_searchers.gp.assumptions import LINEAGE, PLAIN
from gpbt_searchers.gp.belief import Data
from gpbt_searchers.gp.kernel import Array, PointLayout

__all__ = ["gather", "points_of", "stage"]


def gather(space: Space, told: Encoded, pending: Sequence[Trial], generations: int) -> Data:
    """The arrays of told records and pending trials.

    Args:
        space: Their space.
        told: n told records, by rising id; failed ones enter with an infinite loss, stopped ones with their last.
        pending: p trials without a result, by rising id.
        generations: The number of generations of the run; with only one there is no column for it.
    """
    choices = np.where(space.categorical, space.bins, 0)
    return Data(
        layout=PointLayout(choices=tuple(choices.tolist()), generation=generations > 1),
        assumptions=LINEAGE if generations > 1 else PLAIN,
        told=_with_stages(told.u, told.generations, generations),
        losses=np.where(np.isnan(told.losses), np.inf, told.losses),
        pending=points_of(space, pending, generations),
    )


def points_of(space: Space, trials: Sequence[Trial], generations: int) -> Array:
    """Points of n trials, shape (n, columns): their configs in the unit cube, then their stages if there are any."""
    u = space.encode([trial.config for trial in trials])
    return _with_stages(u, np.array([trial.generation for trial in trials], dtype=np.intp), generations)


def _with_stages(u: Array, generation: npt.NDArray[np.intp], generations: int) -> Array:
    return u if generations <= 1 else np.column_stack([u, generation / (generations - 1)])


def stage(generation: int, generations: int) -> float:
    """A generation as a number from 0 (the first) to 1 (the last of several)."""
    return generation / max(1, generations - 1)
