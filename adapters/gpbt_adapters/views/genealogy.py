"""The genealogy of a run, laid out as a tree."""

import math

import attrs
import numpy as np
import numpy.typing as npt

from gpbt_adapters.views.columns import (
    Floats,
    Ints,
    Run,
    Trials,
    by_generation,
    state_of,
    trials,
)
from gpbt_core.genealogy import lineage
from gpbt_core.records import Status

__all__ = ["Tree", "tree"]

ROWS = 80
"""The number of trials that you can tell apart on one vertical line of the tree."""


_ORDER = {Status.COMPLETED: 0, Status.STOPPED: 1, Status.RUNNING: 2, Status.STOPPING: 2, Status.QUEUED: 2}


@attrs.frozen(kw_only=True, eq=False)
class Tree:
    """The layout of the genealogy: a column for each generation, with siblings together and the best on top.

    Attributes:
        trials: The trials.
        x: Shape (trials,): the generation. In a column with more than 80 trials, they alternate up to 0.2 to the left
            and right of it, so that neighbors do not overlap.
        y: Shape (trials,): the height in (0, 1), from the top.
        rows: The largest number of trials on one vertical line.
        edges: Shape (children, 2): the ids of parent and child.
        fertile: Shape (trials,): whether a trial has children.
        best: The ids of the best trial's lineage, from its founder on; empty if no trial is completed.
    """

    trials: Trials
    x: Floats
    y: Floats
    rows: int
    edges: Ints
    fertile: npt.NDArray[np.bool_]
    best: tuple[int, ...]


def tree(run: Run) -> Tree:
    """Lays out the genealogy of a run in columns; O(n log n) for n trials.

    Siblings are together, in the order of their parents, so that lines seldom cross. The column of an open generation
    leaves room for its future slots.
    """
    state, table = state_of(run), trials(run)
    x, y = table.generation.astype(np.float64), np.zeros(len(table))
    planned = [len(closed.plan.slots) for closed in state.closed] + [len(state.open.plan.slots)]
    keys = [
        (_ORDER.get(status, 3), loss if math.isfinite(loss) else math.inf)
        for status, loss in zip(table.status, table.loss.tolist(), strict=True)
    ]
    parents = table.parent.tolist()
    rows = 1
    for ids in by_generation(table):
        count = len(ids)
        room = max(count, planned[int(table.generation[ids[0]])])
        lanes = min(25, math.ceil(room / ROWS))
        rows = max(rows, math.ceil(room / lanes))
        order = sorted(ids.tolist(), key=lambda i: (y[parents[i]] if parents[i] >= 0 else 0.5, parents[i], keys[i], i))
        y[order] = (np.arange(count) + 0.5 + (room - count) / 2) / room
        if lanes > 1:
            x[order] += 0.4 * ((np.arange(count) % lanes) / (lanes - 1) - 0.5)
    children = np.flatnonzero(table.parent >= 0)
    return Tree(
        trials=table,
        x=x,
        y=y,
        rows=rows,
        edges=np.column_stack([table.parent[children], children]),
        fertile=np.isin(np.arange(len(table)), table.parent),
        best=() if state.final is None else tuple(r.trial.id for r in lineage(state, state.final)),
    )
