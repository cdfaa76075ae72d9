"""How the steps of a run were spent."""

import attrs
import numpy as np

from gpbt_adapters.views.columns import Ints, Run, by_generation, ints, state_of, trials
from gpbt_adapters.views.summary import overview
from gpbt_core.records import Status

__all__ = ["Savings", "savings"]


@attrs.frozen(kw_only=True, eq=False)
class Savings:
    """How the steps were spent; arrays have shape (generations,).

    Attributes:
        budget: The steps of all slots at full length.
        trained: The steps trained by trials that have ended.
        saved: The steps not trained because a trial was stopped or its slot was cancelled.
        refilled: The steps of additional trials, opened with saved steps.
        completed: By generation, the steps of trials that were not stopped.
        stopped: By generation, the steps that stopped trials trained.
        untrained: By generation, the steps that stopped trials did not train.
    """

    budget: int
    trained: int
    saved: int
    refilled: int
    completed: Ints
    stopped: Ints
    untrained: Ints


def savings(run: Run) -> Savings:
    """Returns how the steps of a run were spent."""
    state, table = state_of(run), trials(run)
    stopped = np.zeros(len(table), dtype=bool)
    stopped[table.having(Status.STOPPED)] = True
    columns = by_generation(table)

    def sums(values: Ints) -> Ints:
        return ints(int(values[ids].sum()) for ids in columns)

    return Savings(
        budget=overview(state).budget,
        trained=state.tally.trained,
        saved=state.tally.saved,
        refilled=state.tally.refilled,
        completed=sums(np.where(stopped, 0, table.trained)),
        stopped=sums(np.where(stopped, table.trained, 0)),
        untrained=sums(np.where(stopped, table.ordered - table.trained, 0)),
    )
