"""Formats numbers, counts, step ranges and configs, the same everywhere that gpbt shows them."""

import math
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["counted", "duration", "number", "printable", "settings", "span", "without_numbers"]


def number(value: object) -> str:
    """A value as short text.

    >>> number(0.000123456789), number(True), number(float("nan")), number("relu"), number(20.0)
    ('0.000123457', 'True', '-', 'relu', '20')
    """
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.6g}"
    return str(value)


def counted(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun; the plural only if it does not end in s.

    >>> counted(1, "trial"), counted(2000, "trial"), counted(2, "study", "studies")
    ('1 trial', '2,000 trials', '2 studies')
    """
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def duration(seconds: float) -> str:
    """A duration as short text.

    >>> duration(0.0314), duration(12), duration(200), duration(5400), duration(1e6)
    ('0.031 s', '12 s', '3.3 min', '1.5 h', '11.6 days')
    """
    for size, most, unit in ((1, 90, "s"), (60, 90, "min"), (3600, 48, "h")):
        if seconds < most * size:
            value = seconds / size
            return (
                f"{value:.2g} {unit}" if value < 1 else f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"
            )
    return f"{seconds / 86400:.1f} days"


def printable(text: object) -> str:
    r"""Text on one line, safe for any terminal and file: control characters and lone surrogates are escaped.

    >>> printable("a\n  b \x1b[2J \udc80")
    'a b \\x1b[2J \\udc80'
    """
    line = " ".join(str(text).split())
    if line.isprintable():
        return line
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in line)


def span(start_step: int, steps: int) -> str:
    """The steps of a segment of at least one step, counted from 1.

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


_NUMBERS = re.compile(r"0x[0-9a-fA-F]+|[0-9a-f]{12,}|\d+(?:[.,]\d+)*")


def without_numbers(text: str) -> str:
    """A key that is equal for texts that differ only in numbers and random names.

    >>> without_numbers("trial 12 took 0.3 s") == without_numbers("trial 7 took 12 s")
    True
    """
    return _NUMBERS.sub("0", text)
