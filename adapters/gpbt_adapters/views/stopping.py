"""Where the steps of a run went."""

import attrs
import numpy as np

from gpbt_adapters.views.columns import Ints, Run, by_generation, ints, state_of, trials
from gpbt_adapters.views.summary import overview
from gpbt_core.records import Status

__all__ = ["Savings", "savings"]


@attrs.frozen(kw_only=True, eq=False)
class Savings:
    """Where the steps went; arrays have shape (generations,).

    Attributes:
        budget: The steps of all slots at full length.
        trained: The steps trained by trials that have ended.
        saved: Steps not trained because a trial was stopped, or its slot cancelled.
        refilled: Steps of trials that were opened with saved ones.
        completed: By generation, the steps of trials that were not stopped.
        stopped: By generation, the steps trained by those that were.
        untrained: By generation, the steps that these were spared.
    """

    budget: int
    trained: int
    saved: int
    refilled: int
    completed: Ints
    stopped: Ints
    untrained: Ints


def savings(run: Run) -> Savings:
    """Where the steps of a run went."""
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
