"""The importance of the hyperparameters in one generation."""

from collections.abc import Mapping

from gpbt_adapters.views.columns import Run, state_of
from gpbt_core.records import Status

__all__ = ["shares"]


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
    inherited = {r.trial.id: r.loss for r in state.records if r.loss is not None}
    return forest_shares(state.settings.space, records, generations=state.generations, inherited=inherited)
