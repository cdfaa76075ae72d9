"""The importance of the hyperparameters in one generation."""

from collections.abc import Mapping

from gpbt_adapters.views.columns import Run, state_of
from gpbt_core.records import Status

__all__ = ["shares", "weighed"]

MOST = 10
"""Roughly the most generations whose importance a page shows."""


def weighed(closed: int) -> tuple[int, ...]:
    """The generations whose importance a page shows: all of a short run; of a longer one, evenly spread and the last.

    Args:
        closed: How many generations are closed.

    Examples:
        >>> weighed(4)
        (0, 1, 2, 3)
        >>> weighed(38)
        (0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 37)
    """
    stride = 1
    while closed > MOST * stride:
        stride *= 2  # so that a run that goes on keeps every other generation
    return tuple(sorted({*range(0, closed, stride), *([closed - 1] if closed else [])}))


def shares(run: Run, generation: int) -> Mapping[str, float] | None:
    """The importance of each hyperparameter in a closed generation, by `views.importances.forest_shares`.

    This takes seconds and always gives the same result, so keep it.

    Args:
        run: The run.
        generation: The generation, from 0.

    Returns:
        A share for each parameter; the shares sum to 1. None if the generation is not closed or has fewer than 10 told
        trials.
    """
    state = state_of(run)
    if not 0 <= generation < len(state.closed):
        return None
    from gpbt_adapters.views.importances import forest_shares  # imports scikit-learn

    closed = state.closed[generation]
    told = {Status.COMPLETED, Status.STOPPED, Status.FAILED}
    records = [r for r in state.records[closed.first : closed.first + closed.count] if r.status in told]
    if len(records) < 10:
        return None
    parents = {r.trial.parent for r in records if r.trial.parent is not None}
    inherited = {parent: loss for parent in parents if (loss := state.records[parent].loss) is not None}
    return forest_shares(state.settings.space, records, generations=state.generations, inherited=inherited)
