"""What the methods share: quiet libraries, configs inside the space, and whole models as one evaluation."""

import importlib
import warnings
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from benchmarks.ledger import Ledger
from benchmarks.method import MethodUnavailable
from benchmarks.shapes import Shape
from gpbt_core.errors import ConfigError
from gpbt_core.space import Categorical, Int, Parameter, Space

__all__ = ["Line", "active", "evaluate", "inside", "library", "shaped_space"]


def library(name: str, *, install: str) -> ModuleType:
    """Imports an optional library.

    Args:
        name: Name of the module.
        install: Its name for pip.

    Raises:
        MethodUnavailable: It is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about a library's own dependencies are irrelevant here
            return importlib.import_module(name)
    except ImportError as error:
        raise MethodUnavailable(f"this method needs the module {name}, got {error}; pip install {install!r}") from error


def active(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """Reduces values of all parameters to a config by dropping those whose condition does not hold."""
    config = dict(values)
    changed = True
    while changed:
        idle = [
            name
            for name, needs in space.conditions.items()
            if name in config and any(other not in config or config[other] not in wanted for other, wanted in needs)
        ]
        for name in idle:
            del config[name]
        changed = bool(idle)
    return config


def inside(parameter: Parameter, value: Any) -> Any:
    """The nearest value that a parameter has: peers round integers themselves, and some leave their bounds."""
    if isinstance(parameter, Categorical):
        return value
    value = min(max(value, parameter.low), parameter.high)
    if parameter.step is not None:
        value = parameter.low + round((value - parameter.low) / parameter.step) * parameter.step
    return int(value) if isinstance(parameter, Int) else float(value)


def evaluate(ledger: Ledger, config: Mapping[str, Any]) -> float:
    """Trains a new model under a constant config over its whole length.

    Returns:
        Its last loss; infinite if it diverged.

    Raises:
        BudgetSpent: The budget ended before the model's training.
    """
    entry = ledger.begin(config)
    loss = ledger.loss(ledger.train(entry, ledger.steps))
    ledger.release(entry)
    return loss


class Line:
    """A new model that is trained under one config per step.

    Args:
        ledger: The ledger that trains the model.
        configs: One per step, at least one; equal neighbors share an entry.
    """

    def __init__(self, ledger: Ledger, configs: Sequence[Mapping[str, Any]]) -> None:
        self._ledger = ledger
        self._configs = configs
        self._trained = 0
        self._entry = ledger.begin(configs[0])

    @property
    def is_alive(self) -> bool:
        """Whether the model can be trained further."""
        return self._ledger.is_alive(self._entry)

    def train(self) -> float:
        """Trains the next step; returns its score, NaN where the model diverged.

        Raises:
            BudgetSpent: No step is left.
        """
        at = self._trained
        if at and self._configs[at] != self._configs[at - 1]:
            parent = self._entry
            self._entry = self._ledger.begin(self._configs[at], parent=parent)
            self._ledger.release(parent)
        self._trained += 1
        return self._ledger.train(self._entry)

    def release(self) -> None:
        """Frees the model."""
        self._ledger.release(self._entry)


def shaped_space(ledger: Ledger, shape: Shape) -> Space:
    """The space that a search for schedules of a shape searches.

    Raises:
        MethodUnavailable: The shape needs a rate, and the problem names none.
    """
    try:
        return shape.space(ledger.space, ledger.rate)
    except ConfigError as error:
        raise MethodUnavailable(str(error)) from error
