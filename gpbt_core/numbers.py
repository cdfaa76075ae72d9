"""Numbers that callers pass: their plain form, and errors that say what they must be.

A bool is no number here, whatever Python says: `population=True` is a mistake.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gpbt_core.errors import ConfigError

__all__ = ["a_flag", "a_share", "as_float", "as_int", "at_least", "plain", "whole"]

Validator = Callable[[Any, Any, Any], None]
"""A validator of attrs."""


def plain(value: object) -> Any:
    """A numpy scalar as the plain Python value that it stands for; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def as_float(value: object) -> float | None:
    """A Python or numpy number as a float, infinite where it is too large for one; None: no number, or a bool."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def as_int(value: object) -> int | None:
    """A Python or numpy integer as an int; None: anything else, bools and whole floats too."""
    if type(value) is int:  # the hot path
        return value
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        return None
    return int(value)


def whole(what: str, value: object, low: int | None = None, high: int | None = None) -> int:
    """A whole number as a plain int.

    Args:
        what: How errors begin, such as "ask: count".
        value: What the caller passed.
        low: The least that it may be; None: any whole number will do.
        high: The most that it may be; None: no limit.

    Raises:
        ConfigError: It is not a whole number, below `low`, or above `high`.

    Examples:
        >>> whole("ask: count", np.int64(3), 1)
        3
    """
    number = as_int(value)
    if number is None or (low is not None and number < low):
        bound = "" if low is None else f" of at least {low}"
        raise ConfigError(f"{what}: must be a whole number{bound}, got {value!r}")
    if high is not None and number > high:
        raise ConfigError(f"{what}: must be a whole number of at most {high:,}, got {number:,}")
    return number


def _named(who: str | None, field: Any) -> str:
    return str(field.name) if who is None else f"{who}: {field.name}"


def at_least(low: int, who: str | None = None, *, high: int | None = None) -> Validator:
    """Checks a field of a record: a whole number of at least `low`, and at most `high` if that is given."""

    def check(_: Any, field: Any, value: Any) -> None:
        whole(_named(who, field), value, low, high)

    return check


def a_share(who: str | None = None, *, zero: bool = False) -> Validator:
    """Checks a field of a record: a number above 0 and at most 1, or from 0 to 1 if `zero` may be."""

    def check(_: Any, field: Any, value: Any) -> None:
        number = as_float(value)
        if number is None or not 0 <= number <= 1 or (number == 0 and not zero):
            wanted = "from 0 to 1" if zero else "above 0 and at most 1"
            raise ConfigError(f"{_named(who, field)}: must be a number {wanted}, got {value!r}")

    return check


def a_flag(who: str) -> Validator:
    """Checks a field of a record: True or False."""

    def check(_: Any, field: Any, value: Any) -> None:
        if not isinstance(value, bool):
            raise ConfigError(f"{_named(who, field)}: must be True or False, got {value!r}")

    return check
