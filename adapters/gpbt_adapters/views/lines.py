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
from gpbt_adapters.views.words import number
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
        scale: "log" and "1-x" where the parameter is searched on these scales, "category" where values have no order.
        low: Where the axis begins: the smallest value; on the scale "1-x" its place, as `at` tells it; -1/2 for
            categories, which are drawn at 0, 1, 2, ...
        high: Where the axis ends: the largest value, or its place, or the last category's place plus 1/2.
        labels: The categories as text, in order; else empty.
        whole: Whether only whole numbers are values.
    """

    name: str
    scale: Literal["linear", "log", "1-x", "category"]
    low: float
    high: float
    labels: tuple[str, ...] = ()
    whole: bool = False
    places: Mapping[Any, int] = attrs.field(factory=dict, repr=False)

    def at(self, config: Mapping[str, Any]) -> float:
        """Where a config's value is drawn: on the scale "1-x" at -log10(1 - x); NaN where the parameter is not active.

        >>> from gpbt import Float
        >>> (axis,) = axes(Space(momentum=Float(0, 0.99, log="1-x")))
        >>> axis.at({"momentum": 0.9}), axis.text(1.0)
        (1.0, '0.9')
        """
        if self.name not in config:
            return math.nan
        value = config[self.name]
        if self.scale == "category":
            return float(self.places[_key(value)])
        return _nines(value) if self.scale == "1-x" else float(value)

    def text(self, place: float) -> str:
        """The value at a place of an axis of numbers."""
        if self.scale != "1-x":
            return number(place)
        return f"{1.0 - 10.0**-place:.{max(6, math.ceil(place) + 2)}g}"


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
            mirrored = parameter.log == "1-x"
            scale: Literal["1-x", "log", "linear"] = "1-x" if mirrored else "log" if parameter.log else "linear"
            found.append(
                Axis(
                    name=name,
                    scale=scale,
                    low=_nines(parameter.low) if mirrored else float(parameter.low),
                    high=_nines(parameter.high) if mirrored else float(parameter.high),
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


def _nines(value: float) -> float:
    """How many nines a value below 1 has."""
    return -math.log10(1.0 - value) + 0.0  # no -0.0


def _key(value: Any) -> Any:
    """True, 1 and 1.0 are one key of a dict, and three choices."""
    return (type(value).__name__, value)
