"""The scores of a run by generation."""

import math

import attrs
import numpy as np

from gpbt_adapters.views.columns import (
    Floats,
    Run,
    Trials,
    by_generation,
    once,
    sign_of,
    state_of,
    trials,
)
from gpbt_core.records import Status

__all__ = ["Scores", "scores"]


@attrs.frozen(kw_only=True, eq=False)
class Scores:
    """Scores by generation; NaN for a generation without a completed trial.

    Attributes:
        trials: The trials.
        best: Shape (generations,): the score of the best completed trial.
        median: Shape (generations,): the median score of the completed trials.
        so_far: Shape (generations,): the best score of this generation and all earlier ones.
    """

    trials: Trials
    best: Floats
    median: Floats
    so_far: Floats


@once
def scores(run: Run) -> Scores:
    """Returns the scores of a run by generation."""
    state, table = state_of(run), trials(run)
    done = np.array([status is Status.COMPLETED for status in table.status], dtype=bool)
    best, median = [], []
    for ids in by_generation(table):
        losses = table.loss[ids[done[ids]]]
        best.append(float(losses.min()) if losses.size else math.nan)
        median.append(float(np.median(losses)) if losses.size else math.nan)
    lowest = np.array(best, dtype=np.float64)
    sign = sign_of(state)
    return Scores(
        trials=table,
        best=sign * lowest + 0.0,
        median=sign * np.array(median, dtype=np.float64) + 0.0,
        so_far=sign * np.fmin.accumulate(lowest) + 0.0,
    )
