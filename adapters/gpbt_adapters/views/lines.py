"""Schedules of a run, and how the values of hyperparameters are to be drawn."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from gpbt_adapters.views.columns import (
    Run,
    sign_of,
    state_of,
)
from gpbt_core.genealogy import schedule
from gpbt_core.records import Schedule
from gpbt_core.space import Categorical, Int, Space
from gpbt_core.state import State

__all__ = ["Axis", "Line", "Schedules", "axes", "schedules"]


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


def axes(space: Space) -> tuple[Axis, ...]:
    """How to draw each parameter of a space.

    >>> from gpbt import Categorical, Float
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
        best=None if state.final is None else _line(state, state.final),
        parents=tuple(_line(state, parent) for parent in parents[:most]),
        omitted=max(0, len(parents) - most),
    )


def _line(state: State, trial_id: int) -> Line:
    loss = state.records[trial_id].loss
    return Line(
        trial=trial_id,
        score=math.nan if loss is None else sign_of(state) * loss + 0.0,
        schedule=schedule(state, trial_id),
    )


def _key(value: Any) -> Any:
    """True, 1 and 1.0 are one key of a dict, and three choices."""
    return (type(value).__name__, value)
