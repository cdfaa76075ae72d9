"""The protocol of a trainable: exactly what a driver needs from a model.

A factory without arguments creates it. The driver calls `setup` (from scratch), or `load` (a parent's checkpoint) and
`apply` (this trial's config), `step` once per step, `save` and `close`. The driver reads the live values back through
`applied` and compares them with the config (`verify_applied`), both before the first step and after the last one: a
hyperparameter that was not set, or that something overwrote while the model trained, is an error.
"""

import abc
import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from gpbt_core.errors import ConfigError, GpbtError

__all__ = [
    "Factory",
    "HyperparameterNotAppliedError",
    "ReportsApplied",
    "Trainable",
    "as_score",
    "check_callables",
    "verify_applied",
]

TOLERANCE = 1e-6
"""The relative difference up to which two floats are equal: a framework may keep 32 bits of 64 (a relative error of
6e-8)."""


class HyperparameterNotAppliedError(GpbtError, RuntimeError):
    """A framework's live value is not the config's; going on would tune something else.

    Attributes:
        parameter: The hyperparameter's name in the config.
        wanted: The config's value.
        live: The value read back; None also if none was reported.
    """

    def __init__(self, message: str, parameter: str = "", wanted: object = None, live: object = None) -> None:
        super().__init__(message, parameter, wanted, live)
        self.parameter = parameter
        self.wanted = wanted
        self.live = live

    def __str__(self) -> str:
        return str(self.args[0])


class Trainable(abc.ABC):
    """A model whose training can be scored, interrupted, copied and changed.

    It promises (`gpbt.testing.check_trainable` checks): saving, loading into a fresh object and training on gives the
    same bits as training on without the break, on one machine and one thread; loading never changes the files; a child
    starts from the parent's state with its own hyperparameters; applying the live config again changes nothing.

    Any method may raise an exception of the training itself, which ends the trial as failed. A `gpbt.GpbtError` is for
    a mistake in the set-up, such as a parameter that the model does not have, and ends the run.
    """

    @abc.abstractmethod
    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        """Builds a new model under `config`, with weights and data order drawn from `seed` (0 .. 2**32 - 1)."""

    @abc.abstractmethod
    def apply(self, config: Mapping[str, Any]) -> None:
        """Sets the hyperparameters on the live model in the middle of its training; the weights stay."""

    @abc.abstractmethod
    def applied(self) -> Mapping[str, Any]:
        """Reads the live hyperparameters back from the framework, by the config's names.

        A value that the framework does not hold, since the next step reads it from the config, is reported from where
        the step reads it. Names that the config does not have are ignored.
        """

    def fixed(self) -> Collection[str]:
        """Names the hyperparameters that cannot change once the model is set up, such as a layer's width.

        Asked before `setup`. A run whose children get other configs than their parents refuses to search these.
        """
        return ()

    def varying(self) -> Collection[str]:
        """Names the hyperparameters that training itself changes, such as a start value.

        Their values are read back before the first step only; all others must be the same after the last step.
        """
        return ()

    @abc.abstractmethod
    def step(self) -> float:
        """Trains one step and returns the score after it, in the user's direction; NaN means diverged."""

    @abc.abstractmethod
    def score(self) -> float:
        """Scores the model as it stands, without training."""

    @abc.abstractmethod
    def save(self, path: Path) -> None:
        """Writes all that a later `load` needs into the existing empty directory `path`.

        That is the weights, the optimizer state, random states, the position in the data, and the hyperparameters.
        """

    @abc.abstractmethod
    def load(self, path: Path) -> None:
        """Restores what `save` wrote into an object fresh from the factory; `apply` follows."""

    def figures(self) -> Mapping[str, float]:
        """Returns further numbers to be logged, such as a training loss or the score of each fold.

        Called once, at the end of a segment.
        """
        return {}

    def close(self) -> None:
        """Frees what the object holds, such as a device or a process; called once, when it is no longer used."""


Factory: TypeAlias = Callable[[], Trainable]
"""Makes a fresh trainable each time it is called; it must be picklable if the training runs in other processes."""


def as_score(score: object, who: str) -> float:
    """A score as a float.

    Args:
        score: A number, or an array or tensor without dimensions.
        who: The name that the error uses for the caller.

    Raises:
        ConfigError: It is something else: a list, a dict, None, an array of one.

    Examples:
        >>> as_score(3, "Model.step")
        3.0
    """
    if type(score) is float:
        return score
    if not isinstance(score, bool | str | bytes) and hasattr(score, "__float__") and getattr(score, "ndim", 0) == 0:
        return float(score)
    raise ConfigError(
        f"{who}: the score must be a number, got {score!r:.200}; return one number, higher or lower is better as the "
        f"optimizer's direction says"
    )


def check_callables(who: str, given: Mapping[str, object]) -> None:
    """Refuses other things where a trainable takes a function, such as the data in place of a function that makes them.

    Raises:
        ConfigError: One of them cannot be called.
    """
    for name, function in given.items():
        if not callable(function):
            raise ConfigError(
                f"{who}: {name} must be a function, got a {type(function).__name__}; pass a function that returns it"
            )


class ReportsApplied(Protocol):
    """The part of a trainable that `verify_applied` calls."""

    def applied(self) -> Mapping[str, Any]:
        """Reads the live hyperparameters back."""


def verify_applied(
    trainable: ReportsApplied, config: Mapping[str, Any], *, who: str | None = None, trained: int = 0
) -> None:
    """Compares the live hyperparameters of a trainable with the config that it was given.

    Floats are equal within a relative 1e-6 (a framework may keep 32 bits of 64); other values are compared with `==`.

    Args:
        trainable: After `setup`, `apply` or `step`; or anything else that reads live values back.
        config: What was set.
        who: The name that errors use; None: the class of `trainable`.
        trained: How many steps have been trained since the config was set, at least 0. From 1 on, hyperparameters that
            `Trainable.varying` names are not compared.

    Raises:
        HyperparameterNotAppliedError: A value was not reported, or differs from the config's.

    Examples:
        >>> from types import SimpleNamespace
        >>> model = SimpleNamespace(applied=lambda: {"lr": 0.1})
        >>> verify_applied(model, {"lr": 0.2})  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
            ...
        HyperparameterNotAppliedError: SimpleNamespace: expected lr=0.2, but the live value is 0.1; ...
    """
    who = who or type(trainable).__name__
    live = trainable.applied()
    varying = trainable.varying() if trained and isinstance(trainable, Trainable) else ()
    for name, wanted in config.items():
        if name in varying:
            continue
        if name not in live:
            raise HyperparameterNotAppliedError(
                f"{who}: expected {name}={wanted!r}, but `applied` does not report {name!r} (it reports "
                f"{sorted(live)}); read it back from the framework there",
                name,
                wanted,
            )
        if not same_value(wanted, live[name]):
            if trained:
                raise HyperparameterNotAppliedError(
                    f"{who}: {name} was set to {wanted!r}, but after {trained} {'step' if trained == 1 else 'steps'} "
                    f"of training the live value is {live[name]!r}: something writes over it (a scheduler that your "
                    f"step function steps, a callback). Remove that, or bind {name!r} to what the scheduler multiplies",
                    name,
                    wanted,
                    live[name],
                )
            raise HyperparameterNotAppliedError(
                f"{who}: expected {name}={wanted!r}, but the live value is {live[name]!r}; set it where the framework "
                f"reads it (a restored state may have brought the old one back)",
                name,
                wanted,
                live[name],
            )


def same_value(wanted: object, live: object) -> bool:
    """Whether a live value is the wanted one, floats within a relative 1e-6."""
    if isinstance(wanted, float) and not isinstance(live, str) and hasattr(live, "__float__"):
        return math.isclose(wanted, float(live), rel_tol=TOLERANCE)
    return bool(wanted == live)
