"""The schedules of a run, and how to draw the values of its hyperparameters."""

import math
from collections.abc import Iterable, Mapping, Sequence
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
from gpbt_core.space import Categorical, Float, Int, Space
from gpbt_core.state import State

__all__ = ["Axis", "Line", "Schedules", "axes", "merged_axes", "schedules"]


@attrs.frozen(kw_only=True)
class Axis:
    """How to draw the values of a parameter.

    Attributes:
        name: The name of the parameter.
        scale: "log" and "1-x" for parameters that are searched on these scales, "category" for values without order.
        low: The start of the axis: the smallest value, on the scale "1-x" its place as returned by `at`, and -1/2 for
            categories, which are drawn at 0, 1, 2, ...
        high: The end of the axis: the largest value, or its place, or the last category's place plus 1/2.
        labels: The categories as text, in order; empty for other parameters.
        whole: Whether all values are whole numbers.
    """

    name: str
    scale: Literal["linear", "log", "1-x", "category"]
    low: float
    high: float
    labels: tuple[str, ...] = ()
    whole: bool = False
    places: Mapping[Any, int] = attrs.field(factory=dict, repr=False)

    def at(self, config: Mapping[str, Any]) -> float:
        """The place of a config's value: -log10(1 - x) on the scale "1-x"; NaN if the parameter is not active.

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

    def share(self, config: Mapping[str, Any]) -> float:
        """Where a config's value is between the ends of the axis, from 0 to 1; NaN if it is not active or low = high.

        >>> from gpbt import Float
        >>> (axis,) = axes(Space(rate=Float(0.01, 1, log=True)))
        >>> round(axis.share({"rate": 0.1}), 6)
        0.5
        """
        if self.low == self.high:
            return math.nan
        place, low, high = self.at(config), self.low, self.high
        if self.scale == "log":
            place, low, high = math.log(place), math.log(low), math.log(high)
        return (place - low) / (high - low)

    def text(self, place: float) -> str:
        """The value at a place on a numeric axis."""
        if self.scale != "1-x":
            return number(place)
        return f"{1.0 - 10.0**-place:.{max(6, math.ceil(place) + 2)}g}"


@attrs.frozen(kw_only=True, eq=False)
class Line:
    """The schedule that led to a trial.

    Attributes:
        trial: The trial's id.
        score: Its told score; NaN if there is none.
        schedule: The configs with their steps.
    """

    trial: int
    score: float
    schedule: Schedule


@attrs.frozen(kw_only=True, eq=False)
class Schedules:
    """Schedules to draw over steps.

    Attributes:
        axes: One for each parameter.
        best: The schedule of the best trial; None if no trial is completed.
        parents: The schedules of the newest parents, best first; after the end of a run, of the parents with which an
            extension would continue.
        omitted: The number of further parents.
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


def merged_axes(spaces: Iterable[Space]) -> tuple[Axis, ...]:
    """How to draw each parameter of any of the spaces; where they differ, on an axis with room for all values.

    >>> (axis,) = merged_axes([Space(rate=Float(0.1, 1)), Space(rate=Float(0.5, 2, log=True))])
    >>> axis.scale, axis.low, axis.high
    ('linear', 0.1, 2.0)
    >>> (axis,) = merged_axes([Space(kind=Categorical(["a"])), Space(kind=Categorical(["b", "a"]))])
    >>> axis.labels, axis.at({"kind": "b"})
    (('a', 'b'), 1.0)
    """
    found: dict[str, list[Any]] = {}
    for space in spaces:
        for name, parameter in space.parameters.items():
            found.setdefault(name, []).append(parameter)
    return tuple(_merged(name, parameters) for name, parameters in found.items())


def _merged(name: str, parameters: Sequence[Any]) -> Axis:
    if all(parameter == parameters[0] for parameter in parameters):
        merged = parameters[0]
    elif any(isinstance(parameter, Categorical) for parameter in parameters):
        choices: dict[Any, Any] = {}
        for parameter in parameters:
            values = parameter.choices if isinstance(parameter, Categorical) else (parameter.low, parameter.high)
            choices |= {_key(value): value for value in values}
        merged = Categorical(tuple(choices.values()))
    else:
        scales = {parameter.log for parameter in parameters}
        low, high = min(p.low for p in parameters), max(p.high for p in parameters)
        log = scales.pop() if len(scales) == 1 else False
        kind = Int if all(isinstance(parameter, Int) for parameter in parameters) else Float
        merged = kind(low, high, log=log)
    return axes(Space({name: merged}))[0]


def schedules(run: Run, *, most: int = 50) -> Schedules:
    """The best schedule of a run, and those of its newest parents.

    Args:
        run: The run.
        most: The maximum number of parents, at least 0.
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
    """The number of nines of a value below 1, such as 2 for 0.99."""
    return -math.log10(1.0 - value) + 0.0  # no -0.0


def _key(value: Any) -> Any:
    """A key that distinguishes the choices True, 1 and 1.0, which are the same key of a dict."""
    return (type(value).__name__, value)
