"""Learning curves: the scores along a line, from its founder's first step on, and the figures of the trainables."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import attrs

from gpbt_adapters.views.columns import Run, sign_of, state_of
from gpbt_adapters.views.notes import figures_of
from gpbt_core.genealogy import lineage
from gpbt_core.records import Record, Status
from gpbt_core.state import State

__all__ = ["Curve", "Curves", "curves", "losses_of"]

T = TypeVar("T")


@attrs.frozen(kw_only=True, eq=False)
class Curve:
    """The scores along the line of a trial.

    Attributes:
        trial: The trial's id.
        steps: The steps that have a finite score, counted from 1 along the line.
        scores: The score after each of these steps, in the direction of the run.
        figures: For each figure that the trainables report, such as a training loss, (step, value) pairs: one for the
            end of each trial on the line that reported a finite value.
    """

    trial: int
    steps: tuple[int, ...]
    scores: tuple[float, ...]
    figures: Mapping[str, tuple[tuple[int, float], ...]] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True, eq=False)
class Curves:
    """Learning curves to draw over steps.

    Attributes:
        best: The curve of the best trial; None if no trial is completed.
        parents: The curves of the newest parents, best first; after the end of a run, those with which an extension
            would continue.
        omitted: The number of further parents.
        others: Trials that are on none of these lines and were not stopped: each from the end of its parent on.
        stopped: Trials that were stopped early, likewise.
        left_out: The number of further such trials, stopped or not.
    """

    best: Curve | None
    parents: tuple[Curve, ...]
    omitted: int
    others: tuple[Curve, ...]
    stopped: tuple[Curve, ...]
    left_out: int


def losses_of(record: Record) -> list[tuple[int, float]]:
    """The (step along the line, loss) pairs of a trial: the reported ones, and the told one at the end."""
    losses = dict(record.reports)
    if record.loss is not None and record.steps:
        losses[record.steps] = record.loss
    return [(record.trial.start_step + step, loss) for step, loss in losses.items() if math.isfinite(loss)]


def curves(run: Run, *, most: int = 50, background: int = 600) -> Curves:
    """The learning curves of the best trial of a run, of its newest parents and, behind them, of other trials.

    Args:
        run: The run.
        most: The maximum number of parents, at least 0.
        background: The maximum number of other trials, evenly spaced over the run, at least 0.
    """
    state = state_of(run)
    parents = state.open.plan.parents
    drawn = parents[:most] if state.final is None else (state.final, *parents[:most])
    lines = {record.trial.id for trial_id in drawn for record in lineage(state, trial_id)}
    rest = [record for record in state.records if record.trial.id not in lines and losses_of(record)]
    shown = _evenly(rest, background)
    return Curves(
        best=None if state.final is None else _curve(state, lineage(state, state.final)),
        parents=tuple(_curve(state, lineage(state, parent)) for parent in parents[:most]),
        omitted=max(0, len(parents) - most),
        others=tuple(_piece(state, record) for record in shown if record.status is not Status.STOPPED),
        stopped=tuple(_piece(state, record) for record in shown if record.status is Status.STOPPED),
        left_out=len(rest) - len(shown),
    )


def _evenly(items: Sequence[T], most: int) -> list[T]:
    """At most so many of the items, evenly spaced."""
    if len(items) <= most:
        return list(items)
    return [items[i * len(items) // most] for i in range(most)]


def _piece(state: State, record: Record) -> Curve:
    """The curve of a trial, with the last point of its parent in front, where the line continues."""
    parent = record.trial.parent
    before = [] if parent is None else losses_of(state.records[parent])[-1:]
    return _of(state, record, [*before, *losses_of(record)])


def _curve(state: State, line: Sequence[Record]) -> Curve:
    figures: dict[str, list[tuple[int, float]]] = {}
    for record in line:
        for name, value in figures_of(record).items():
            if math.isfinite(value):
                figures.setdefault(name, []).append((record.trial.start_step + record.steps, value))
    curve = _of(state, line[-1], [point for record in line for point in losses_of(record)])
    return attrs.evolve(curve, figures={name: tuple(points) for name, points in figures.items()})


def _of(state: State, record: Record, points: Iterable[tuple[int, float]]) -> Curve:
    sign = sign_of(state)
    pairs = list(points)
    return Curve(
        trial=record.trial.id,
        steps=tuple(step for step, _ in pairs),
        scores=tuple(sign * loss + 0.0 for _, loss in pairs),
    )
