"""All trials of a run as columns, from which the other views are derived."""

import functools
import math
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

import attrs
import numpy as np
import numpy.typing as npt

from gpbt_core.optimizer import Optimizer
from gpbt_core.records import Status
from gpbt_core.state import State

__all__ = [
    "PENDING",
    "Floats",
    "Ints",
    "Run",
    "Trials",
    "by_generation",
    "ints",
    "once",
    "sign_of",
    "state_of",
    "trials",
]

T = TypeVar("T")

Run = Optimizer | State

_UNKNOWN: Any = object()

Floats = npt.NDArray[np.float64]


Ints = npt.NDArray[np.int64]


PENDING = frozenset({Status.RUNNING, Status.STOPPING, Status.QUEUED})
"""The statuses of trials that are in training or waiting for it."""


@attrs.frozen(kw_only=True, eq=False)
class Trials:
    """All trials of a run as columns; each array has shape (trials,) and is indexed by trial id.

    Attributes:
        generation: The generation, from 0.
        parent: The parent's id; -1: none.
        place: The trial's place among the slots of its generation, from 0.
        start_step: The number of steps that its line trained before it.
        ordered: The length of its segment in steps.
        trained: The number of these steps trained so far.
        score: The told score, in the direction of the run; NaN if there is none.
        loss: The score as a loss, lower is better.
        status: The trial's status.
        configs: The trial's config.
        reasons: Why it failed or was cancelled; None otherwise.
    """

    generation: Ints
    parent: Ints
    place: Ints
    start_step: Ints
    ordered: Ints
    trained: Ints
    score: Floats
    loss: Floats
    status: tuple[Status, ...]
    configs: tuple[Mapping[str, Any], ...]
    reasons: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.status)

    def having(self, *statuses: Status) -> Ints:
        """The ids of the trials with one of these statuses, ascending."""
        return np.array([i for i, status in enumerate(self.status) if status in statuses], dtype=np.int64)


def state_of(run: Run) -> State:
    """The state of a run."""
    return run.state if isinstance(run, Optimizer) else run


def once(view: Callable[[State], T]) -> Callable[[Run], T]:
    """Computes a view once per state: a state never changes, and views are made of one another.

    What was computed lives as long as its state. Nobody may change it.
    """
    known: dict[int, T] = {}

    @functools.wraps(view)
    def look(run: Run) -> T:
        state = state_of(run)
        found = known.get(id(state), _UNKNOWN)
        if found is _UNKNOWN:
            known[id(state)] = found = view(state)
            weakref.finalize(state, known.pop, id(state), None).atexit = False
        return cast("T", found)

    return look


@once
def trials(run: Run) -> Trials:
    """Returns all trials of a run as columns.

    Examples:
        >>> from gpbt import Float, Optimizer, Space
        >>> optimizer = Optimizer(Space(rate=Float(0, 1)), population=4, steps=2, preset="random", direction="maximize")
        >>> for trial in optimizer.ask(2):
        ...     optimizer.tell(trial.id, 0.5 + trial.id)
        >>> trials(optimizer).score
        array([0.5, 1.5])
    """
    state = state_of(run)
    records = list(state.records)
    firsts = [closed.first for closed in state.closed] + [state.open.first]
    sign = sign_of(state)
    generation = ints(r.trial.generation for r in records)
    loss = np.array([math.nan if r.loss is None else r.loss for r in records], dtype=np.float64)
    return Trials(
        generation=generation,
        parent=ints(-1 if r.trial.parent is None else r.trial.parent for r in records),
        place=np.arange(len(records), dtype=np.int64) - ints(firsts)[generation],
        start_step=ints(r.trial.start_step for r in records),
        ordered=ints(r.trial.steps for r in records),
        trained=ints(r.steps for r in records),
        score=sign * loss + 0.0,  # no -0
        loss=loss,
        status=tuple(r.status for r in records),
        configs=tuple(r.trial.config for r in records),
        reasons=tuple(r.reason for r in records),
    )


def by_generation(table: Trials) -> Sequence[Ints]:
    """The ids of the trials of each generation; ids ascend with the generation."""
    if not len(table):
        return []
    return np.split(np.arange(len(table), dtype=np.int64), np.flatnonzero(np.diff(table.generation)) + 1)


def sign_of(state: State) -> float:
    """1 where scores are losses, -1 where they are negated losses."""
    return 1.0 if state.settings.direction == "minimize" else -1.0


def ints(values: Iterable[int]) -> Ints:
    """Integers as an array."""
    return np.fromiter(values, np.int64)
