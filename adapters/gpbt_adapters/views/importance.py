"""The importance of the hyperparameters in one generation."""

from gpbt_adapters.views.columns import Run, state_of
from gpbt_adapters.views.importances import Importance, is_revision, measured, pooled

__all__ = ["shares"]


def shares(run: Run, generation: int) -> Importance | None:
    """The importance of each hyperparameter in a closed generation, by the comparison of siblings.

    It always gives the same result, and takes some hundredths of a second, so keep it.

    Args:
        run: The run.
        generation: The generation, from 0.

    Returns:
        The shares, with what chance alone gives; small generations are pooled with those before them. None if the
        generation is not closed, revises the best line, or has no told trial.
    """
    state = state_of(run)
    if not 0 <= generation < len(state.closed) or is_revision(state, generation):
        return None
    records = pooled(state.records, generation)
    return measured(state.settings.space, records) if records else None
