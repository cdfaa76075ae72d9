"""The protocol of a thing that trains: what a driver needs of a model, and no more.

A life: made by a factory without arguments, then either `setup` (from scratch) or `load` (a parent's checkpoint) and
`apply` (this trial's config), then `step` once per step, then `save`, then `close`. After `setup` and after `apply` the
driver reads the live values back through `applied` and compares them with the config (`verify_applied`): a
hyperparameter that did not take is an error.
"""

import abc
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from gpbt_core.errors import GpbtError

__all__ = ["Factory", "HyperparameterNotAppliedError", "ReportsApplied", "Trainable", "verify_applied"]

TOLERANCE = 1e-6
"""How far apart two floats may be, relative to the larger, and still be one value: a framework may keep 32 bits of
64 (relative error 6e-8)."""


class HyperparameterNotAppliedError(GpbtError, RuntimeError):
    """A framework's live value is not the one that the config wants; training on would tune something else.

    Attributes:
        parameter: The hyperparameter's name in the config.
        wanted: The config's value.
        live: The value read back; None also where nothing was reported.
    """

    def __init__(self, message: str, parameter: str = "", wanted: object = None, live: object = None) -> None:
        super().__init__(message, parameter, wanted, live)
        self.parameter = parameter
        self.wanted = wanted
        self.live = live

    def __str__(self) -> str:
        return str(self.args[0])


class Trainable(abc.ABC):
    """Something whose training can be scored, interrupted, copied and steered.

    Promises (checked by `gpbt.testing.check_trainable`): saving, loading into a fresh object and training on
    gives the same bits as training on without the break, on one machine and one thread; loading never changes the files
    that it reads; a child starts from the parent's state with the child's hyperparameters on top; applying the config
    that is live already changes nothing.

    An exception of the training itself may leave any method: it ends the trial as failed. A `gpbt.GpbtError` is
    for a mistake in the set-up (a parameter that the model does not have): it ends the run.
    """

    @abc.abstractmethod
    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        """Builds a new model under `config`, its weights and data order drawn from `seed` (0 .. 2**32 - 1)."""

    @abc.abstractmethod
    def apply(self, config: Mapping[str, Any]) -> None:
        """Sets the hyperparameters on the live model, mid-run; the weights stay."""

    @abc.abstractmethod
    def applied(self) -> Mapping[str, Any]:
        """Reads the live hyperparameters back from the framework, by the config's names.

        What the framework does not hold (a value that only the next step reads from the config) is reported as this
        object keeps it. Names that the config does not have are ignored.
        """

    @abc.abstractmethod
    def step(self) -> float:
        """Trains one step and returns the score after it, in the user's direction; NaN means diverged."""

    @abc.abstractmethod
    def score(self) -> float:
        """Scores the model as it stands, without training."""

    @abc.abstractmethod
    def save(self, path: Path) -> None:
        """Writes all that a later `load` needs into the existing empty directory `path`.

        That is: weights, optimizer state, random states, the position in the data, and the hyperparameters in force.
        """

    @abc.abstractmethod
    def load(self, path: Path) -> None:
        """Restores what `save` wrote, into an object fresh from the factory; `apply` follows."""

    def figures(self) -> Mapping[str, float]:
        """What else is to be known of the model as it stands (a training loss, each fold's score).

        Read once, at the end of a segment.
        """
        return {}

    def close(self) -> None:
        """Lets go of what the object holds (a device, a process); called once at the end of a segment."""


Factory: TypeAlias = Callable[[], Trainable]
"""Makes a fresh trainable, each time it is called; picklable where the training runs in other processes."""


class ReportsApplied(Protocol):
    """The part of a trainable that `verify_applied` asks."""

    def applied(self) -> Mapping[str, Any]:
        """Reads the live hyperparameters back."""


def verify_applied(trainable: ReportsApplied, config: Mapping[str, Any], *, who: str | None = None) -> None:
    """Compares the live hyperparameters of a trainable with the config that it was given.

    Floats count as equal within a relative 1e-6 (a framework may keep 32 bits of 64), everything else if `==` says so.

    Args:
        trainable: After `setup` or `apply`; or anything else that reads live values back.
        config: What was set.
        who: Whom an error names; None: the class of `trainable`.

    Raises:
        HyperparameterNotAppliedError: A value was not reported, or is another one.

    Examples:
        >>> from types import SimpleNamespace
        >>> model = SimpleNamespace(applied=lambda: {"lr": 0.1})
        >>> verify_applied(model, {"lr": 0.2})  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
            ...
        HyperparameterNotAppliedError: SimpleNamespace: wanted lr=0.2, but the live value is 0.1; ...
    """
    who = who or type(trainable).__name__
    live = trainable.applied()
    for name, wanted in config.items():
        if name not in live:
            raise HyperparameterNotAppliedError(
                f"{who}: wanted {name}={wanted!r}, but `applied` does not report {name!r} (it reports {sorted(live)}); "
                f"read it back from the framework there",
                name,
                wanted,
            )
        if not _same(wanted, live[name]):
            raise HyperparameterNotAppliedError(
                f"{who}: wanted {name}={wanted!r}, but the live value is {live[name]!r}; set it where the framework "
                f"reads it (a restored state may have brought the old one back)",
                name,
                wanted,
                live[name],
            )


def _same(wanted: object, live: object) -> bool:
    if isinstance(wanted, float) and not isinstance(live, str) and hasattr(live, "__float__"):
        return math.isclose(wanted, float(live), rel_tol=TOLERANCE)
    return bool(wanted == live)
