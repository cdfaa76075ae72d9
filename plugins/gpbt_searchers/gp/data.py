"""From queries and records to the arrays of the model.

The only module of the package that knows trials; it decides nothing about the model.
"""

from collections.abc import Sequence

import numpy as np

from gpbt_core.records import Record, Trial
from gpbt_core.searcher import Query
from gpbt_core.space import Space
from gpbt_searchers.gp.assumptions import LINEAGE, PLAIN
from gpbt_searchers.gp.belief import Data
from gpbt_searchers.gp.kernel import Array, Layout

__all__ = ["gather", "points_of", "siblings", "stage"]


def gather(space: Space, records: Sequence[Record], pending: Sequence[Trial], generations: int) -> Data:
    """The arrays of told records and pending trials.

    Args:
        space: Their space.
        records: n told ones, by rising id; failed ones enter with an infinite loss, stopped ones with their last.
        pending: p trials without a result, by rising id.
        generations: How many generations the run has; with only one there is no column for it.
    """
    choices = np.where(space.categorical, space.bins, 0)
    return Data(
        layout=Layout(choices=tuple(choices.tolist()), generation=generations > 1),
        assumptions=LINEAGE if generations > 1 else PLAIN,
        told=points_of(space, [record.trial for record in records], generations),
        losses=np.array([np.inf if record.loss is None else record.loss for record in records], dtype=np.float64),
        pending=points_of(space, pending, generations),
    )


def points_of(space: Space, trials: Sequence[Trial], generations: int) -> Array:
    """Points of n trials, shape (n, columns): their configs in the unit cube, then their stages if there are any."""
    u = space.encode([trial.config for trial in trials])
    if generations <= 1:
        return u
    stages = [stage(trial.generation, generations) for trial in trials]
    return np.column_stack([u, np.array(stages, dtype=np.float64)])


def stage(generation: int, generations: int) -> float:
    """A generation as a number from 0 (the first) to 1 (the last of several)."""
    return generation / max(1, generations - 1)


def siblings(query: Query) -> Array:
    """Configs that were tried on these weights before, in the unit cube, shape (n, HPs).

    Those of told and pending trials of the same parent and generation. The same config on other weights is another
    experiment.
    """
    parent = None if query.parent is None else query.parent.trial.id
    trials = [*(record.trial for record in query.history), *query.pending]
    same = [trial.config for trial in trials if trial.generation == query.generation and trial.parent == parent]
    return query.space.encode(same)
