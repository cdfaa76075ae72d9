"""From a query to rows: how much a config improved a loss, when, and from which loss on.

The only module of the package that knows trials; nothing here is fitted.
"""

from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt

from gpbt_core.records import Record, Status, Trial
from gpbt_core.searcher import Query
from gpbt_core.space import Space
from gpbt_searchers.encoded import Encoded

__all__ = ["Rows", "chosen", "gains", "latest", "rows_at", "rows_of", "rows_of_pending", "standardized"]

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

_CUT = 2.0  # standardized gains beyond are cut off, as in the authors' code


@attrs.frozen(kw_only=True, eq=False)
class Rows:
    """Inputs of the process.

    Attributes:
        time: Generations, shape (n,).
        before: Losses before the segment, shape (n,).
        numbers: Numeric hyperparameters (HPs) in [0, 1], 1/2 where inactive, shape (n, numeric).
        categories: Indices of the choices of categorical HPs, -1 where inactive, shape (n, categorical).
    """

    time: Array
    before: Array
    numbers: Array
    categories: Indices


def latest(history: Sequence[Record], bound: int) -> list[tuple[Record, float]]:
    """The last records of which the loss before is known, with that loss, by rising generation and id.

    Args:
        history: Told records.
        bound: The largest number of records.
    """
    losses = {record.trial.id: record.loss for record in history if record.loss is not None}
    found = [
        (record, losses[record.trial.parent])
        for record in history
        if record.trial.parent in losses and record.trial.steps > 0
    ]
    found.sort(key=lambda row: (row[0].trial.generation, row[0].trial.id))
    return found[-bound:]


def gains(rows: Sequence[tuple[Record, float]]) -> Array:
    """How much the loss fell per step, shape (n,); minus infinity where the trial failed.

    The y of Parker-Holder et al. 2020: the change of the score over the time that it took.
    """
    return np.array(
        [
            -np.inf if record.status is Status.FAILED or record.loss is None else _gain(before, record.loss, record)
            for record, before in rows
        ],
        dtype=np.float64,
    )


def _gain(before: float, after: float, record: Record) -> float:
    steps = max(1, record.steps)
    return before / steps - after / steps  # the difference of two losses may be no float


def standardized(y: Array) -> Array:
    """Gains with mean 0 and deviation 1, cut at -2 and 2; a failed trial counts as the worst that did not fail.

    Args:
        y: Shape (n,), minus infinity where a trial failed.

    Example:
        >>> standardized(np.array([0.0, 1.0, -np.inf, 3.0])).round(3).tolist()
        [-0.816, 0.0, -0.816, 1.633]
    """
    failed = np.isinf(y)
    if failed.all():
        return np.zeros_like(y)
    y = np.where(failed, y[~failed].min(), y)
    y = y / (float(np.abs(y).max()) or 1.0)  # so that no square overflows, or comes to nothing
    deviation = float(y.std())
    if deviation <= 1e-12:
        return np.zeros_like(y)
    return np.asarray(np.clip((y - y.mean()) / deviation, -_CUT, _CUT), dtype=np.float64)


def rows_of(space: Space, told: Encoded, found: Sequence[tuple[Record, float]]) -> Rows:
    """Rows of n records and the losses before them, as `latest` finds them.

    Args:
        space: The space of their configs.
        told: The history in which they were found.
        found: The records and the losses.
    """
    places = {record.trial.id: place for place, record in enumerate(told.records)}
    u = told.u[[places[record.trial.id] for record, _ in found]]
    return _of_trials(space, [record.trial for record, _ in found], u, [before for _, before in found])


def rows_of_pending(query: Query, before: float) -> Rows:
    """Rows of the pending trials that have a parent; a parent of unknown loss counts as that of the query.

    Args:
        query: The question.
        before: The loss of the query's weights.
    """
    losses = {record.trial.id: record.loss for record in query.history}
    pending = [trial for trial in query.pending if trial.parent is not None]
    known = [losses.get(trial.parent) for trial in pending if trial.parent is not None]
    u = query.space.encode([trial.config for trial in pending])
    return _of_trials(query.space, pending, u, [before if loss is None else loss for loss in known])


def rows_at(space: Space, u: Array, generation: int, before: float) -> Rows:
    """Rows of points of the unit cube, all in one generation and on the same weights.

    Args:
        space: The space.
        u: Shape (n, d), NaN where inactive.
        generation: Their generation.
        before: The loss of the weights.
    """
    categorical = np.flatnonzero(space.categorical)
    bins = space.bins[categorical]
    drawn = u[:, categorical]
    absent = np.isnan(drawn)
    index = np.minimum(np.floor(np.where(absent, 0.0, drawn) * bins), bins - 1).astype(np.intp)
    return Rows(
        time=np.full(len(u), float(generation)),
        before=np.full(len(u), before),
        numbers=np.nan_to_num(u[:, ~space.categorical], nan=0.5),
        categories=np.where(absent, -1, index),
    )


def _of_trials(space: Space, trials: Sequence[Trial], u: Array, before: Sequence[float]) -> Rows:
    rows = rows_at(space, u, 0, 0.0)
    time = np.array([trial.generation for trial in trials], dtype=np.float64)
    return attrs.evolve(rows, time=time, before=np.array(before, dtype=np.float64))


def chosen(rows: Rows, which: npt.NDArray[np.bool_]) -> Rows:
    """The rows that are marked, shape (n,)."""
    return Rows(
        time=rows.time[which],
        before=rows.before[which],
        numbers=rows.numbers[which],
        categories=rows.categories[which],
    )
