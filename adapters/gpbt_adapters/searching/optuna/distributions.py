"""Converts parameters to Optuna's distributions, and values in both directions.

Both directions are exact: whatever a sampler may propose is a value of the space. The inverse is
`gpbt.spaces.from_optuna`.
"""

import functools
from collections.abc import Callable
from typing import Any

import attrs
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from gpbt_core.space import Categorical, Float, Int, Space

__all__ = ["Dimension", "dimensions"]

_NARROW = 1e-6  # of the larger bound
_WIDE = 1e100
_WIDEST_INT = 2**53  # Optuna looks for a value's place in floats


@attrs.frozen(kw_only=True)
class Dimension:
    """A parameter as Optuna sees it.

    Attributes:
        distribution: Its distribution.
        to_optuna: A value of the parameter as one of the distribution.
        from_optuna: The reverse.
    """

    distribution: BaseDistribution
    to_optuna: Callable[[Any], Any]
    from_optuna: Callable[[Any], Any]

    def suggest(self, trial: Trial, name: str) -> Any:
        """The value that a trial's sampler proposes."""
        d: Any = self.distribution
        match d:
            case CategoricalDistribution():
                value = trial.suggest_categorical(name, d.choices)
            case IntDistribution():
                value = trial.suggest_int(name, d.low, d.high, log=d.log, step=d.step)
            case _:
                value = trial.suggest_float(name, d.low, d.high, log=d.log)
        return self.from_optuna(value)


@functools.lru_cache(maxsize=64)
def dimensions(space: Space) -> dict[str, Dimension]:
    """The dimensions of a space by name; not to be changed.

    Most parameters are distributions of Optuna: numbers without a step, integers without a log scale, and categories.
    The others are mapped so that each of their values can be proposed:

    - A Float with a step is its place on the lattice, from 0: Optuna computes lattices in rounded decimals and may end
      one value short of ours.
    - With log=True and a step a number is continuous on the log scale, and the nearest value is taken.
    - A Float with log="1-x" is its place in the unit interval.
    - Choices that Optuna cannot tell apart (1 and True) are represented by their indices in the list.
    - Bounds too close together for a sampler's arithmetic, or too far apart, become the unit interval, or places.

    Examples:
        >>> from gpbt import Categorical, Float, Int
        >>> found = dimensions(Space(rate=Float(0.1, 1, log=True), drop=Float(0, 0.3, step=0.1), n=Int(1, 6, step=2)))
        >>> found["rate"].distribution
        FloatDistribution(high=1.0, log=True, low=0.1, step=None)
        >>> found["drop"].distribution, found["drop"].from_optuna(3)
        (IntDistribution(high=3, log=False, low=0, step=1), 0.3)
        >>> found["n"].distribution
        IntDistribution(high=5, log=False, low=1, step=2)
    """
    return {name: _dimension(parameter) for name, parameter in space.parameters.items()}


def _dimension(parameter: Float | Int | Categorical) -> Dimension:
    if isinstance(parameter, Categorical):
        return _categorical(parameter)
    if parameter.log == "1-x":
        return _unit(parameter)
    if parameter.step is None:
        return _unit(parameter) if _is_extreme(parameter) else _number(parameter)
    if _is_extreme(parameter) or (isinstance(parameter, Float) and not parameter.log):
        return _lattice(parameter)
    if parameter.log and (isinstance(parameter, Float) or parameter.step > 1):
        return _log_lattice(parameter)
    return _number(parameter)


def _is_extreme(parameter: Float | Int) -> bool:
    """Whether the bounds differ by so little, or by so much, that the sums and squares of a sampler break down."""
    width = parameter.high - parameter.low
    widest = _WIDEST_INT if isinstance(parameter, Int) else _WIDE
    return 0 < width < _NARROW * max(abs(parameter.low), abs(parameter.high)) or width > widest


def _number(parameter: Float | Int) -> Dimension:
    d: BaseDistribution
    if isinstance(parameter, Int):
        last = parameter.high - (parameter.high - parameter.low) % parameter.step
        d = IntDistribution(parameter.low, last, log=parameter.log, step=parameter.step)
        return Dimension(distribution=d, to_optuna=int, from_optuna=int)
    d = FloatDistribution(parameter.low, parameter.high, log=parameter.log is True)  # not "1-x", which has the unit
    return Dimension(distribution=d, to_optuna=float, from_optuna=float)


def _unit(parameter: Float | Int) -> Dimension:
    alone = Space(x=parameter)
    return Dimension(
        distribution=FloatDistribution(0.0, 1.0),
        to_optuna=lambda value: float(alone.encode([{"x": value}])[0, 0]),
        from_optuna=lambda u: alone.decode([u])["x"],
    )


def _categorical(parameter: Categorical) -> Dimension:
    choices = tuple(parameter.choices)
    if len(set(choices)) == len(choices):
        return Dimension(distribution=CategoricalDistribution(choices), to_optuna=_same, from_optuna=_same)
    typed = [(type(choice), choice) for choice in choices]
    return Dimension(
        distribution=CategoricalDistribution(range(len(choices))),
        to_optuna=lambda value: typed.index((type(value), value)),
        from_optuna=choices.__getitem__,
    )


def _lattice(parameter: Float | Int) -> Dimension:
    bins, low, step = parameter.bins, parameter.low, parameter.step
    assert step is not None  # a lattice always has a step
    linear = Space(x=attrs.evolve(parameter, log=False))  # its places lie evenly in the unit interval
    return Dimension(
        distribution=IntDistribution(0, bins - 1),
        to_optuna=lambda value: round((value - low) / step),
        from_optuna=lambda place: linear.decode([(place + 0.5) / bins])["x"],
    )


def _log_lattice(parameter: Float | Int) -> Dimension:
    low, step = parameter.low, parameter.step
    assert step is not None  # a lattice always has a step
    last = parameter.bins - 1
    linear = Space(x=attrs.evolve(parameter, log=False))  # the same lattice, with indices that are easy to compute
    return Dimension(
        distribution=FloatDistribution(low, linear.decode([1.0])["x"], log=True),
        to_optuna=float,
        from_optuna=lambda value: linear.decode([(min(last, round((value - low) / step)) + 0.5) / (last + 1)])["x"],
    )


def _same(value: Any) -> Any:
    return value
