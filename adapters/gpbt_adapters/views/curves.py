"""Learning curves: the scores along a line, from its founder's first step on."""

import math

import attrs

from gpbt_adapters.views.columns import Run, sign_of, state_of
from gpbt_core.genealogy import lineage
from gpbt_core.records import Record
from gpbt_core.state import State

__all__ = ["Curve", "Curves", "curves", "losses_of"]


@attrs.frozen(kw_only=True, eq=False)
class Curve:
    """The scores along the line of a trial.

    Attributes:
        trial: The trial's id.
        steps: The steps that have a finite score, counted from 1 along the line.
        scores: The score after each of these steps, in the direction of the run.
    """

    trial: int
    steps: tuple[int, ...]
    scores: tuple[float, ...]


@attrs.frozen(kw_only=True, eq=False)
class Curves:
    """Learning curves to draw over steps.

    Attributes:
        best: The curve of the best trial; None if no trial is completed.
        parents: The curves of the newest parents, best first.
        omitted: The number of further parents.
    """

    best: Curve | None
    parents: tuple[Curve, ...]
    omitted: int


def losses_of(record: Record) -> list[tuple[int, float]]:
    """The (step along the line, loss) pairs of a trial: the reported ones, and the told one at the end."""
    losses = dict(record.reports)
    if record.loss is not None and record.steps:
        losses[record.steps] = record.loss
    return [(record.trial.start_step + step, loss) for step, loss in losses.items() if math.isfinite(loss)]


def curves(run: Run, *, most: int = 50) -> Curves:
    """The learning curves of the best trial of a run and of its newest parents.

    Args:
        run: The run.
        most: The maximum number of parents, at least 0.
    """
    state = state_of(run)
    parents = state.open.plan.parents
    return Curves(
        best=None if state.final is None else _curve(state, state.final),
        parents=tuple(_curve(state, parent) for parent in parents[:most]),
        omitted=max(0, len(parents) - most),
    )


def _curve(state: State, trial_id: int) -> Curve:
    points = [point for record in lineage(state, trial_id) for point in losses_of(record)]
    sign = sign_of(state)
    return Curve(
        trial=trial_id,
        steps=tuple(step for step, _ in points),
        scores=tuple(sign * loss + 0.0 for _, loss in points),
    )
