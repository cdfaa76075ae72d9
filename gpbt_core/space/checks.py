"""Checks of the values of parameters.

A check returns the value or raises an error. It changes nothing but the type: numpy scalars become plain values, and
whole numbers become floats where the parameter is a Float.
"""

from collections.abc import Callable
from typing import Any

from gpbt_core.errors import ConfigError
from gpbt_core.numbers import as_float, as_int, plain
from gpbt_core.space.parameters import Categorical, Float, Int, Parameter, lattice_value, slack, typed

__all__ = ["Check", "check_of"]

Check = Callable[[Any], Any]


def check_of(name: str, parameter: Parameter) -> Check:
    """The check of a parameter's values, which returns their plain form.

    Args:
        name: The parameter's name, for errors.
        parameter: Any of the three kinds.
    """
    if isinstance(parameter, Categorical):
        return _categorical(name, parameter)
    if isinstance(parameter, Int):
        return _int(name, parameter)
    if parameter.step is not None:
        return _stepped(name, parameter)
    return _float(name, parameter)


def _refusal(name: str, values: str, came: object) -> ConfigError:
    return ConfigError(f"parameter {name!r} must be {values}, got {came!r} of type {type(came).__name__}")


def _float(name: str, parameter: Float) -> Check:
    low, high = parameter.low, parameter.high

    def check(value: Any) -> float:
        if value.__class__ is float and low <= value <= high:
            return value
        number = as_float(value)
        if number is not None and low <= number <= high:
            return number
        raise _refusal(name, f"a float from {low!r} to {high!r}", value)

    return check


def _stepped(name: str, parameter: Float) -> Check:
    low, step = parameter.low, parameter.step or 1.0
    value_at, near = lattice_value(parameter), slack(parameter)
    highest = value_at(parameter.bins - 1)

    def check(value: Any) -> float:
        number = as_float(value)
        if number is not None and low - near <= number <= highest + near:
            nearest = value_at(round((number - low) / step))
            if abs(nearest - number) <= near:
                return nearest
        raise _refusal(name, f"a float from {low!r} to {highest!r} in steps of {step!r}", value)

    return check


def _int(name: str, parameter: Int) -> Check:
    low, high, step = parameter.low, parameter.high, parameter.step
    values = f"an int from {low} to {high}" + (f" in steps of {step}" if step > 1 else "")

    def check(value: Any) -> int:
        number = value if value.__class__ is int else as_int(value)
        if number is not None and low <= number <= high and (number - low) % step == 0:
            return number
        raise _refusal(name, values, value)

    return check


def _categorical(name: str, parameter: Categorical) -> Check:
    known = set(typed(parameter.choices))

    def check(value: Any) -> Any:
        try:
            if (value.__class__, value) in known:
                return value
            converted = plain(value)
            if (converted.__class__, converted) in known:
                return converted
        except TypeError:  # unhashable, so no choice
            pass
        raise _refusal(name, f"one of {list(parameter.choices)!r}", value)

    return check
