"""What there is to see in a run, as plain data: a tree, scores, schedules, savings, failures.

Nothing here draws, and nothing here decides: each view is a function of the state alone, made in one pass over the
trials, and says the same to every plot, report and screen that shows it. Scores are in the direction of the run.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import attrs
import numpy as np
import numpy.typing as npt

from gpbt_core.genealogy import lineage, schedule
from gpbt_core.optimizer import Optimizer
from gpbt_core.records import Record, Schedule, Status
from gpbt_core.space import Categorical, Int, Space
from gpbt_core.state import State

__all__ = [
    "Axis",
    "Failure",
    "Line",
    "Overview",
    "Run",
    "Savings",
    "Schedules",
    "Scores",
    "Tree",
    "Trials",
    "axes",
    "failures",
    "overview",
    "savings",
    "schedules",
    "scores",
    "shares",
    "state_of",
    "tree",
    "trials",
]

Run = Optimizer | State
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PENDING = frozenset({Status.RUNNING, Status.STOPPING, Status.QUEUED})
"""Trials of these are in training, or wait for it."""

ROWS = 80
"""Places of a column of the tree that are told apart on one vertical line."""

_ORDER = {Status.COMPLETED: 0, Status.STOPPED: 1, Status.RUNNING: 2, Status.STOPPING: 2, Status.QUEUED: 2}


@attrs.frozen(kw_only=True, eq=False)
class Trials:
    """All trials of a run, column by column; each array has shape (trials,) and is indexed by a trial's id.

    Attributes:
        generation: The generation, from 0.
        parent: The parent's id; -1: none.
        place: The place among the slots of its generation, from 0.
        start_step: The steps behind it on its line.
        ordered: The steps of its segment.
        trained: The steps trained of them so far.
        score: What was told, in the direction of the run; NaN where nothing was.
        loss: The same, lower is better.
        status: Where it stands.
        configs: Its config.
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
        """The ids of the trials of some statuses, rising."""
        return np.array([i for i, status in enumerate(self.status) if status in statuses], dtype=np.int64)


@attrs.frozen(kw_only=True, eq=False)
class Tree:
    """The genealogy, laid out: a column for each generation, in which siblings stand together, the best on top.

    Attributes:
        trials: The trials.
        x: Shape (trials,): the generation; in a column with more than 80 places, up to 0.2 to the left or right of it,
            by turns, so that neighbours do not cover one another.
        y: Shape (trials,): the height in (0, 1), from the top.
        rows: The largest number of places on one vertical line.
        edges: Shape (children, 2): ids of parent and child.
        fertile: Shape (trials,): whether a trial has children.
        best: The ids of the best trial's lineage, from its founder on; empty while none is completed.
    """

    trials: Trials
    x: Floats
    y: Floats
    rows: int
    edges: Ints
    fertile: npt.NDArray[np.bool_]
    best: tuple[int, ...]


@attrs.frozen(kw_only=True, eq=False)
class Scores:
    """Scores generation by generation; NaN for one without a completed trial.

    Attributes:
        trials: The trials.
        best: Shape (generations,): the best completed trial's.
        median: Shape (generations,): the median of the completed trials'.
        so_far: Shape (generations,): the best of this generation and all before it.
    """

    trials: Trials
    best: Floats
    median: Floats
    so_far: Floats


@attrs.frozen(kw_only=True)
class Axis:
    """How the values of a parameter are to be drawn.

    Attributes:
        name: The parameter's.
        scale: "log" where it is searched so, "category" where values have no order.
        low: The smallest value, or -1/2 for categories, which are drawn at 0, 1, 2, ...
        high: The largest value, or the last category's place plus 1/2.
        labels: The categories as text, in order; else empty.
        whole: Whether only whole numbers are values.
    """

    name: str
    scale: Literal["linear", "log", "category"]
    low: float
    high: float
    labels: tuple[str, ...] = ()
    whole: bool = False
    places: Mapping[Any, int] = attrs.field(factory=dict, repr=False)

    def at(self, config: Mapping[str, Any]) -> float:
        """Where a config's value is drawn; NaN where the parameter is not active."""
        if self.name not in config:
            return math.nan
        value = config[self.name]
        return float(self.places[_key(value)]) if self.scale == "category" else float(value)


@attrs.frozen(kw_only=True, eq=False)
class Line:
    """The schedule that led to a trial.

    Attributes:
        trial: Its id.
        score: What was told of it; NaN where nothing was.
        schedule: The configs with their steps.
    """

    trial: int
    score: float
    schedule: Schedule


@attrs.frozen(kw_only=True, eq=False)
class Schedules:
    """Schedules to be drawn over steps.

    Attributes:
        axes: One for each parameter.
        best: The best trial's; None while none is completed.
        parents: Those of the newest parents, best first; at the end, of those that an extension would go on with.
        omitted: How many further parents there are.
    """

    axes: tuple[Axis, ...]
    best: Line | None
    parents: tuple[Line, ...]
    omitted: int


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


@attrs.frozen(kw_only=True)
class Failure:
    """Trials that failed, or were cancelled, for one reason.

    Attributes:
        status: FAILED or CANCELLED.
        reason: In words.
        trials: Their ids, rising.
        generations: Those that it happened in, rising.
        config: Of the first of them.
    """

    status: Status
    reason: str
    trials: tuple[int, ...]
    generations: tuple[int, ...]
    config: Mapping[str, Any]


@attrs.frozen(kw_only=True)
class Overview:
    """A run in a few figures.

    Attributes:
        direction: "minimize" or "maximize".
        seed: The run's.
        generation: Which one is open, from 0; `generations` after the end.
        generations: How many there are to be.
        finished: Whether nothing more will be asked.
        extinct: Whether it ended because nothing was left to be a parent.
        counts: How many trials there are of each status, those of which there are any.
        best: The best trial's id; None while none is completed.
        score: Its score; NaN while there is none.
        steps: The steps trained by trials that have ended.
        budget: The steps that the run may train.
    """

    direction: str
    seed: int
    generation: int
    generations: int
    finished: bool
    extinct: bool
    counts: Mapping[Status, int]
    best: int | None
    score: float
    steps: int
    budget: int

    @property
    def pending(self) -> int:
        """How many trials are in training, or wait for it."""
        return sum(count for status, count in self.counts.items() if status in PENDING)


def state_of(run: Run) -> State:
    """The state of a run."""
    return run.state if isinstance(run, Optimizer) else run


def trials(run: Run) -> Trials:
    """All trials of a run as columns.

    Examples:
        >>> from gpbt_core import Float, Optimizer, Space
        >>> optimizer = Optimizer(Space(rate=Float(0, 1)), population=4, steps=2, preset="random", direction="maximize")
        >>> for trial in optimizer.ask(2):
        ...     optimizer.tell(trial.id, 0.5 + trial.id)
        >>> trials(optimizer).score
        array([0.5, 1.5])
    """
    state = state_of(run)
    records = list(state.records)
    firsts = [closed.first for closed in state.closed] + [state.open.first]
    sign = _sign(state)
    generation = _ints(r.trial.generation for r in records)
    loss = np.array([math.nan if r.loss is None else r.loss for r in records], dtype=np.float64)
    return Trials(
        generation=generation,
        parent=_ints(-1 if r.trial.parent is None else r.trial.parent for r in records),
        place=np.arange(len(records), dtype=np.int64) - _ints(firsts)[generation],
        start_step=_ints(r.trial.start_step for r in records),
        ordered=_ints(r.trial.steps for r in records),
        trained=_ints(r.steps for r in records),
        score=sign * loss + 0.0,  # no -0
        loss=loss,
        status=tuple(r.status for r in records),
        configs=tuple(r.trial.config for r in records),
        reasons=tuple(r.reason for r in records),
    )


def tree(run: Run) -> Tree:
    """The genealogy of a run, laid out in columns; O(n log n) for n trials.

    Siblings stand together, in the order of their parents, so that lines seldom cross. A column that is still being
    filled keeps room for the slots to come.
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
    for ids in _by_generation(table):
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
        best=() if state.best is None else tuple(r.trial.id for r in lineage(state, state.best[1])),
    )


def scores(run: Run) -> Scores:
    """The scores of a run, generation by generation."""
    state, table = state_of(run), trials(run)
    completed = table.having(Status.COMPLETED)
    best, median = [], []
    for ids in _by_generation(table):
        losses = table.loss[np.intersect1d(ids, completed, assume_unique=True)]
        best.append(float(losses.min()) if losses.size else math.nan)
        median.append(float(np.median(losses)) if losses.size else math.nan)
    lowest = np.array(best, dtype=np.float64)
    sign = _sign(state)
    return Scores(
        trials=table,
        best=sign * lowest + 0.0,
        median=sign * np.array(median, dtype=np.float64) + 0.0,
        so_far=sign * np.fmin.accumulate(lowest) + 0.0,
    )


def axes(space: Space) -> tuple[Axis, ...]:
    """How to draw each parameter of a space.

    >>> from gpbt_core import Categorical, Float
    >>> [(axis.scale, axis.labels) for axis in axes(Space(rate=Float(0.1, 1, log=True), kind=Categorical(["a", None])))]
    [('log', ()), ('category', ('a', 'None'))]
    """
    found = []
    for name, parameter in space.parameters.items():
        if isinstance(parameter, Categorical):
            choices = parameter.choices
            found.append(
                Axis(
                    name=name,
                    scale="category",
                    low=-0.5,
                    high=len(choices) - 0.5,
                    labels=tuple(str(choice) for choice in choices),
                    places={_key(choice): place for place, choice in enumerate(choices)},
                )
            )
        else:
            scale: Literal["log", "linear"] = "log" if parameter.log else "linear"
            found.append(
                Axis(
                    name=name,
                    scale=scale,
                    low=float(parameter.low),
                    high=float(parameter.high),
                    whole=isinstance(parameter, Int),
                )
            )
    return tuple(found)


def schedules(run: Run, *, most: int = 50) -> Schedules:
    """The best schedule of a run, and those of its newest parents.

    Args:
        run: The run.
        most: How many parents at most, at least 0.
    """
    state = state_of(run)
    parents = state.open.plan.parents
    return Schedules(
        axes=axes(state.settings.space),
        best=None if state.best is None else _line(state, state.best[1]),
        parents=tuple(_line(state, parent) for parent in parents[:most]),
        omitted=max(0, len(parents) - most),
    )


def savings(run: Run) -> Savings:
    """Where the steps of a run went."""
    state, table = state_of(run), trials(run)
    stopped = np.zeros(len(table), dtype=bool)
    stopped[table.having(Status.STOPPED)] = True
    columns = _by_generation(table)

    def sums(values: Ints) -> Ints:
        return _ints(int(values[ids].sum()) for ids in columns)

    return Savings(
        budget=overview(state).budget,
        trained=state.tally.trained,
        saved=state.tally.saved,
        refilled=state.tally.refilled,
        completed=sums(np.where(stopped, 0, table.trained)),
        stopped=sums(np.where(stopped, table.trained, 0)),
        untrained=sums(np.where(stopped, table.ordered - table.trained, 0)),
    )


def shares(run: Run, generation: int) -> Mapping[str, float] | None:
    """Which hyperparameters mattered in a closed generation: see `gpbt_adapters.importance.forest_shares`.

    Takes seconds, and says the same each time: worth keeping.

    Args:
        run: The run.
        generation: From 0.

    Returns:
        A share for each parameter, which sum to 1; None where the generation is not closed, or has less than 10 told
        trials.
    """
    state = state_of(run)
    if not 0 <= generation < len(state.closed):
        return None
    from gpbt_adapters.importance import forest_shares  # and with it scikit-learn

    closed = state.closed[generation]
    told = {Status.COMPLETED, Status.STOPPED, Status.FAILED}
    records = [r for r in state.records[closed.first : closed.first + closed.count] if r.status in told]
    if len(records) < 10:
        return None
    inherited = {r.trial.id: r.loss for r in state.records if r.loss is not None}
    return forest_shares(state.settings.space, records, generations=state.generations, inherited=inherited)


def failures(run: Run) -> tuple[Failure, ...]:
    """What went wrong in a run, one entry for each reason, the most frequent first."""
    groups: dict[tuple[Status, str], list[Record]] = {}
    for record in state_of(run).records:
        if record.status in {Status.FAILED, Status.CANCELLED}:
            groups.setdefault((record.status, record.reason or "no reason given"), []).append(record)
    found = [
        Failure(
            status=status,
            reason=reason,
            trials=tuple(record.trial.id for record in group),
            generations=tuple(sorted({record.trial.generation for record in group})),
            config=group[0].trial.config,
        )
        for (status, reason), group in groups.items()
    ]
    return tuple(sorted(found, key=lambda failure: (-len(failure.trials), failure.trials)))


def overview(run: Run) -> Overview:
    """A run in a few figures."""
    state = state_of(run)
    settings = state.settings
    counts = dict.fromkeys(Status, 0)
    for record in state.records:
        counts[record.status] += 1
    lengths = settings.lengths
    return Overview(
        direction=settings.direction,
        seed=settings.seed,
        generation=state.open.index,
        generations=state.generations,
        finished=state.finished,
        extinct=state.extinct,
        counts={status: count for status, count in counts.items() if count},
        best=None if state.best is None else state.best[1],
        score=math.nan if state.best is None else _sign(state) * state.best[0] + 0.0,
        steps=state.tally.trained,
        budget=settings.population * (sum(lengths) + lengths[-1] * (state.generations - len(lengths))),
    )


def _line(state: State, trial_id: int) -> Line:
    loss = state.records[trial_id].loss
    return Line(
        trial=trial_id,
        score=math.nan if loss is None else _sign(state) * loss + 0.0,
        schedule=schedule(state, trial_id),
    )


def _by_generation(table: Trials) -> Sequence[Ints]:
    """The ids of each generation; a trial's id rises with its generation."""
    if not len(table):
        return []
    return np.split(np.arange(len(table), dtype=np.int64), np.flatnonzero(np.diff(table.generation)) + 1)


def _sign(state: State) -> float:
    return 1.0 if state.settings.direction == "minimize" else -1.0


def _key(value: Any) -> Any:
    """True, 1 and 1.0 are one key of a dict, and three choices."""
    return (type(value).__name__, value)


def _ints(values: Iterable[int]) -> Ints:
    return np.array(list(values), dtype=np.int64)
