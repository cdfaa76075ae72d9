"""How numbers, counts, step ranges and configs are written, everywhere that gpbt shows them."""

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["counted", "number", "settings", "span"]


def number(value: object) -> str:
    """A value as short text.

    >>> number(0.000123456789), number(True), number(float("nan")), number("relu"), number(20.0)
    ('0.000123457', 'True', '-', 'relu', '20')
    """
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.6g}"
    return str(value)


def counted(count: int, noun: str) -> str:
    """How many there are of something.

    >>> counted(1, "trial"), counted(2000, "trial")
    ('1 trial', '2,000 trials')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def span(start_step: int, steps: int) -> str:
    """The steps of a segment, at least one, counted from 1 as people do.

    >>> span(0, 6), span(6, 1)
    ('1 to 6', '7')
    """
    return f"{start_step + 1}" if steps == 1 else f"{start_step + 1} to {start_step + steps}"


def settings(config: Mapping[str, Any]) -> str:
    """A config on one line.

    >>> settings({"rate": 0.25, "kind": "sgd"})
    'rate = 0.25, kind = sgd'
    """
    return ", ".join(f"{name} = {number(value)}" for name, value in config.items())
