"""The three kinds of parameters: Float, Int and Categorical.

A parameter is a frozen record that is checked when it is created. It knows neither its name nor the unit cube.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

import attrs
import numpy as np

from gpbt_core.errors import ConfigError
from gpbt_core.numbers import as_float, as_int, plain

__all__ = [
    "Categorical",
    "Float",
    "Int",
    "Parameter",
    "Plain",
    "alike",
    "lattice_value",
    "slack",
    "typed",
]

Plain = str | int | float | bool | None
"""The types that values of a config may have."""

_MAX_BINS = 2**40  # with more values, not each would have a place of its own in a float u
_MAX_INT = 2**53  # a float holds each integer up to here
_PER_STEP = 10**9  # values closer than 1 / 10**9 steps count as equal, as sums of decimals round
_MAX_WIDTH = 1e308  # so that no difference of two values overflows
_MAX_LOG_RANGE = 600.0  # of log(high / low) on a lattice: expm1 overflows beyond 709


@attrs.frozen(repr=False)
class Float:
    """A real number between inclusive bounds.

    Without a step the parameter is continuous: any float between the bounds is a value. With a step, the values are
    low + i * step up to `high`, which need not be one of them. Bounds and step count as the decimals that they print
    as, so `Float(0, 1, step=0.1)` has the value 0.3 and not 0.30000000000000004. A last value within 1e-9 of a step
    from `high` is `high`, so `Float(0, 1, step=1 / 3)` ends with 1.0. With `log` and a step, a point of the log scale
    stands for the nearest of these values.

    Use `log="1-x"` for a value that approaches 1, such as a momentum, a beta of Adam, a discount factor or the decay of
    a moving average: 0.9, 0.99 and 0.999 are then equally far apart.

    Attributes:
        low: The smallest value, finite; above 0 with `log=True`.
        high: The largest value, finite, at least `low`; below 1 with `log="1-x"`.
        log: The scale on which the search is uniform: the value (False), its logarithm (True), or the logarithm of its
            distance to 1 ("1-x").
        step: The distance between neighboring values, above 0; None: continuous.

    Raises:
        ConfigError: A bound or the step is not a finite number, low > high, high - low > 1e308, `log` is something
            else, low <= 0 with log=True, high >= 1 with log="1-x", step <= 0, or the step is too fine: more than 2**40
            values, or less than four times the spacing of floats.

    Examples:
        >>> Float(1e-5, 1, log=True)
        Float(1e-05, 1.0, log=True)
        >>> Float(0.9, 0.9999, log="1-x")
        Float(0.9, 0.9999, log='1-x')
    """

    low: float
    high: float
    log: bool | Literal["1-x"] = attrs.field(default=False, kw_only=True)
    step: float | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "low", self._finite("low", self.low))
        object.__setattr__(self, "high", self._finite("high", self.high))
        if self.step is not None:
            object.__setattr__(self, "step", self._finite("step", self.step))
        _check_log(self)
        _check_order(self)
        if self.high - self.low > _MAX_WIDTH:
            raise _refusal(self, f"high - low must be at most {_MAX_WIDTH:g}", (self.low, self.high))
        if self.step is not None:
            self._check_step(self.step)

    def _finite(self, what: str, value: object) -> float:
        number = as_float(value)
        if number is None:
            raise _refusal(self, f"{what} must be a number", value)
        if not math.isfinite(number):
            raise _refusal(self, f"{what} must be finite", value)
        return number

    def _check_step(self, step: float) -> None:
        if step <= 0:
            raise _refusal(self, "step must be above 0, or None for a continuous parameter", step)
        finest = 4 * math.ulp(max(abs(self.low), abs(self.high)))
        if step < finest or self.bins > _MAX_BINS:
            finest = max(finest, (self.high - self.low) / (_MAX_BINS - 1))
            raise _refusal(self, f"step must be at least {finest:.2g} for these bounds, or None", step)
        if not self.log:
            return
        smallest, largest = (self.low, self.high) if self.log is True else (1.0 - self.high, 1.0 - self.low)
        if math.log(largest) - math.log(smallest) > _MAX_LOG_RANGE:
            ratio = "high / low" if self.log is True else "(1 - low) / (1 - high)"
            raise _refusal(self, f"{ratio} must be at most 1e260 where log and step meet", (self.low, self.high))

    @property
    def bins(self) -> int:
        """The number of values; 0: continuous."""
        if self.step is None:
            return 1 if self.low == self.high else 0
        low, stride, q = _lattice(self)
        high, high_q = Decimal(repr(self.high)).as_integer_ratio()
        length, stride = high * q - low * high_q, stride * high_q
        return (length * _PER_STEP + stride) // (stride * _PER_STEP) + 1

    def __repr__(self) -> str:
        step = "" if self.step is None else f", step={self.step!r}"
        log = f", log={self.log!r}" if self.log else ""
        return f"Float({self.low!r}, {self.high!r}{log}{step})"


@attrs.frozen(repr=False)
class Int:
    """A whole number between inclusive bounds.

    The values are low + i * step up to `high`, which need not be one of them.

    Attributes:
        low: The smallest value; at least 1 with `log`.
        high: The largest value, at least `low`; bounds lie within +-2**53.
        log: Whether the search is uniform in the logarithm of the value.
        step: The distance between neighboring values, at least 1.

    Raises:
        ConfigError: A bound or the step is not a whole number, low > high, log with low < 1, step < 1, a bound beyond
            2**53, or more than 2**40 values.

    Examples:
        >>> Int(16, 256, log=True)
        Int(16, 256, log=True)
    """

    low: int
    high: int
    log: bool = attrs.field(default=False, kw_only=True)
    step: int = attrs.field(default=1, kw_only=True)

    def __attrs_post_init__(self) -> None:
        for what in ("low", "high", "step"):
            value = getattr(self, what)
            number = as_int(value)
            if number is None:
                raise _refusal(self, f"{what} must be a whole number (an int)", value)
            if abs(number) > _MAX_INT:
                raise _refusal(self, f"{what} must lie within +-2**53", value)
            object.__setattr__(self, what, number)
        _check_log(self)
        _check_order(self)
        if self.step < 1:
            raise _refusal(self, "step must be at least 1", self.step)
        if self.bins > _MAX_BINS:
            raise _refusal(self, "there must be at most 2**40 values; take a larger step, or a Float", self.bins)

    @property
    def bins(self) -> int:
        """The number of values."""
        return (self.high - self.low) // self.step + 1

    def __repr__(self) -> str:
        step = "" if self.step == 1 else f", step={self.step!r}"
        return f"Int({self.low!r}, {self.high!r}{', log=True' if self.log else ''}{step})"


def _plain_choices(choices: Sequence[Plain]) -> tuple[Plain, ...]:
    """The choices as plain values."""
    given: object = choices
    if isinstance(given, np.ndarray) and given.ndim == 1:
        given = given.tolist()
    if isinstance(given, (str, bytes)) or not isinstance(given, Sequence):  # a set has no order to rely on
        raise ConfigError(f"Categorical: choices must be a list, got {choices!r} of type {type(choices).__name__}")
    if not given:
        raise ConfigError("Categorical: there must be at least one choice, got none; leave the parameter out instead")
    values: dict[tuple[type, Plain], Plain] = {}
    for choice in map(plain, given):
        if type(choice) not in (str, int, float, bool, type(None)):
            raise ConfigError(
                f"Categorical: choices must be of type str, int, float, bool or None, got {choice!r} of type "
                f"{type(choice).__name__}; offer its name as a choice, and look the object up where you train"
            )
        if isinstance(choice, float) and not math.isfinite(choice):
            raise ConfigError(f"Categorical: choices must be finite, got {choice!r}; write it as None or as a string")
        if (type(choice), choice) in values:
            raise ConfigError(f"Categorical: choices must be distinct, got {choice!r} twice; leave one of them out")
        values[type(choice), choice] = choice
    return tuple(values.values())


def alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two configs are equal, the types of their values included."""
    return one == other and typed(one.values()) == typed(other[name] for name in one)


def typed(values: Iterable[Plain]) -> tuple[tuple[type, Plain], ...]:
    """Values with their types, to tell 1, 1.0 and True apart, which are equal to Python."""
    return tuple((type(value), value) for value in values)


@attrs.frozen(repr=False)
class Categorical:
    """One of several values without an order.

    Attributes:
        choices: The distinct values, at least one: str, int, finite float, bool or None. 1, 1.0 and True are distinct.

    Raises:
        ConfigError: No choices, the same choice twice, a choice of another type, or choices without an order (a set).

    Examples:
        >>> Categorical(["relu", "tanh", None])
        Categorical(['relu', 'tanh', None])
    """

    choices: tuple[Plain, ...] = attrs.field(converter=_plain_choices, eq=typed)

    @property
    def bins(self) -> int:
        """The number of choices."""
        return len(self.choices)

    def __repr__(self) -> str:
        return f"Categorical({list(self.choices)!r})"


Parameter = Float | Int | Categorical
"""Any of the three kinds; good for `isinstance`."""


def lattice_value(parameter: Float) -> Callable[[int], float]:
    """The values of a Float with a step (or with one value) by index; from bins - 1 on it is the last value.

    Args:
        parameter: With bins > 0.
    """
    last = parameter.bins - 1
    low, stride, q = _lattice(parameter)
    top = (low + stride * last) / q
    if abs(parameter.high - top) <= slack(parameter):
        top = parameter.high

    def value(index: int) -> float:
        return (low + stride * index) / q if index < last else top  # of integers: the float nearest to the decimal

    return value


def slack(parameter: Float) -> float:
    """How far from a value of a Float with a step another float still counts as this value."""
    return min(parameter.step or 0.0, parameter.high - parameter.low) / _PER_STEP


def _lattice(parameter: Float) -> tuple[int, int, int]:
    """Integers (a, b, q) such that value i of the lattice is (a + i * b) / q, exactly in decimals."""
    low, low_q = Decimal(repr(parameter.low)).as_integer_ratio()
    step, step_q = Decimal(repr(parameter.step or 1.0)).as_integer_ratio()
    q = math.lcm(low_q, step_q)
    return low * (q // low_q), step * (q // step_q), q


def _check_log(parameter: Float | Int) -> None:
    log: object = parameter.log
    if isinstance(log, str) and log == "1-x" and isinstance(parameter, Float):
        if parameter.high >= 1:
            raise _refusal(parameter, 'high must be below 1 with log="1-x"', parameter.high)
        return
    if not isinstance(log, (bool, np.bool_)):
        known = 'True, False or "1-x"' if isinstance(parameter, Float) else "True or False"
        raise _refusal(parameter, f"log must be {known}", log)
    object.__setattr__(parameter, "log", bool(log))
    if parameter.log and parameter.low <= 0:
        raise _refusal(parameter, "low must be above 0 with log=True", parameter.low)


def _check_order(parameter: Float | Int) -> None:
    if parameter.low > parameter.high:
        raise _refusal(parameter, "low must be at most high; swap them", (parameter.low, parameter.high))


def _refusal(parameter: Float | Int, rule: str, came: object) -> ConfigError:
    return ConfigError(f"{parameter!r}: {rule}, got {came!r}")
