"""What a view found out, as a sentence with its level, and the parts that several such views share."""

import itertools
import math
import statistics
from collections.abc import Hashable
from typing import Any, Literal

import attrs

from gpbt_adapters.views.columns import Run, once, state_of
from gpbt_adapters.views.lines import axes
from gpbt_adapters.views.words import number
from gpbt_core.genealogy import schedule
from gpbt_core.records import Record, Status

__all__ = ["Edge", "Finding", "Repeats", "amount", "edges", "end_of", "listed", "repeats"]

_CLOSE = 0.01  # of the length of an axis: nearer to a bound than this is at it
_ENOUGH = 5  # degrees of freedom from which on older repeats are left out


@attrs.frozen(kw_only=True)
class Finding:
    """A statement about a run.

    Attributes:
        level: "good": nothing to do; "look": worth a look; "unknown": the run does not tell.
        text: One or more sentences.
    """

    level: Literal["good", "look", "unknown"]
    text: str


@attrs.frozen(kw_only=True)
class Repeats:
    """How much scores differ between trials that trained the same config from the same weights.

    Attributes:
        trials: The number of these trials.
        spread: The pooled standard deviation of their scores; NaN if there are none, 0 if all repeats were equal.
    """

    trials: int
    spread: float


@attrs.frozen(kw_only=True)
class Edge:
    """A hyperparameter whose best schedule starts or ends at a bound of its range.

    Attributes:
        name: The hyperparameter.
        where: Which part of the schedule is there.
        bound: Which bound.
        value: The bound.
    """

    name: str
    where: Literal["started", "ended", "stayed"]
    bound: Literal["lower", "upper"]
    value: float


def end_of(record: Record) -> int:
    """The number of steps that a trial's line has trained at its end."""
    return record.trial.start_step + record.steps


def amount(value: float) -> str:
    """A difference of scores as text, with three digits."""
    return number(float(f"{value:.3g}"))


def listed(names: tuple[str, ...], most: int = 5) -> str:
    """Names in a sentence.

    >>> listed(("a",)), listed(("a", "b", "c")), listed(("a", "b", "c"), 1)
    ('a', 'a, b and c', 'a and 2 more')
    """
    shown = [*names[:most], *([f"{len(names) - most} more"] if len(names) > most else [])]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


@once
def repeats(run: Run) -> Repeats:
    """How much the scores of equal trials differ: those of the latest steps, as noise changes in training.

    Trials are equal if they trained the same config for the same steps from the same parent's weights; founders start
    from weights of their own.
    """
    siblings: dict[Hashable, list[Record]] = {}
    for record in state_of(run).records:
        if record.status is Status.COMPLETED:
            trial = record.trial
            siblings.setdefault((trial.parent, trial.start_step, record.steps), []).append(record)
    groups: dict[Hashable, list[Record]] = {}
    for place, records in siblings.items():
        if len(records) > 1:
            for record in records:
                groups.setdefault((place, _key(record.trial.config)), []).append(record)
    found = sorted((group for group in groups.values() if len(group) > 1), key=_start, reverse=True)
    trials, freedom, squares = 0, 0, 0.0
    for _, equals in itertools.groupby(found, key=_start):
        for group in equals:
            trials += len(group)
            freedom += len(group) - 1
            squares += statistics.variance(float(record.loss or 0.0) for record in group) * (len(group) - 1)
        if freedom >= _ENOUGH:
            break
    return Repeats(trials=trials, spread=math.sqrt(squares / freedom) if freedom else math.nan)


def edges(run: Run) -> tuple[Edge, ...]:
    """The hyperparameters whose best schedule starts or ends at a bound; a bound of 0 is taken for a natural one."""
    state = state_of(run)
    if state.final is None:
        return ()
    segments = schedule(state, state.final).segments
    found = []
    for axis in axes(state.settings.space):
        if axis.scale == "category":
            continue
        sides = [_side(axis.share(part.config)) for part in (segments[0], segments[-1])]
        side = sides[1] or sides[0]
        if side is None:
            continue
        where: Literal["started", "ended", "stayed"] = (
            "stayed" if sides[0] == sides[1] else "ended" if sides[1] else "started"
        )
        parameter: Any = state.settings.space.parameters[axis.name]
        value = parameter.low if side == "lower" else parameter.high
        if value != 0:
            found.append(Edge(name=axis.name, where=where, bound=side, value=value))
    return tuple(found)


def _side(share: float) -> Literal["lower", "upper"] | None:
    """The bound that a place on an axis is at; NaN is at none."""
    return "lower" if share <= _CLOSE else "upper" if share >= 1 - _CLOSE else None


def _start(group: list[Record]) -> int:
    return group[0].trial.start_step


def _key(config: Any) -> Hashable:
    return tuple((name, type(value), value) for name, value in config.items())
