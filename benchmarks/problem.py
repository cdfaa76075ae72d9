"""The protocol of a problem: a training whose hyperparameters are scheduled, as a pure function of its state.

A problem never sees a method. A model depends only on the seed, the configs and the number of steps. Training does
not change its input state, which can be used again.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import attrs

from gpbt_core.errors import ConfigError
from gpbt_core.space import Float, Space

__all__ = ["Builder", "Direction", "Options", "Problem", "ProblemUnavailable", "rate_of", "verify_problem"]

Direction = Literal["minimize", "maximize"]


class ProblemUnavailable(RuntimeError):  # noqa: N818  # named after its cause
    """A library that the problem needs is not installed; the message says how to get it."""


class Problem(Protocol):
    """A training that is scored after each step and can be copied between steps.

    States are values: `train` returns a new one and leaves the old one as it was, so that any number of children can
    start from one parent. Everything is determined by (seed of `start`, configs of the steps so far): the noise of
    training (data order, dropout, subsampling) is drawn from the seed and the number of the step. All models of a seed
    start from the same initial state.

    A problem may have one more attribute, `rate`: the name of the `Float` that a practitioner would
    decay.
    """

    @property
    def space(self) -> Space:
        """The hyperparameters; they may change between any two steps."""

    @property
    def direction(self) -> Direction:
        """Whether scores are minimized or maximized."""

    @property
    def models(self) -> int:
        """How many models of `steps` steps the default budget pays for, at least 1."""

    @property
    def steps(self) -> int:
        """The length of one model's whole training in steps, at least 1."""

    def start(self, seed: int) -> Any:
        """The untrained model of a seed (0 .. 2**32 - 1): initial weights and source of noise."""

    def train(self, state: Any, config: Mapping[str, Any]) -> tuple[Any, float]:
        """Trains one step.

        Args:
            state: Any state of `start` or `train`; left unchanged.
            config: A config of the space.

        Returns:
            The state after the step and its score on the validation data; NaN where the model diverged.
        """

    def test(self, state: Any) -> float:
        """The score on data that neither training nor validation has seen."""


def verify_problem(problem: Problem) -> None:
    """Refuses a problem that cannot be run, before any training; `benchmarks.testing` checks the rest.

    Raises:
        ConfigError: Its space is not a Space; its direction is unknown; `models` or `steps` is not an int of at
            least 1; its rate is not a Float of the space; it lacks one of the three functions.
    """
    who, directions = f"problem {type(problem).__name__}", get_args(Direction)
    if not isinstance(getattr(problem, "space", None), Space):
        raise ConfigError(f"{who}: space must be a Space, got {getattr(problem, 'space', None)!r}")
    direction = getattr(problem, "direction", None)
    if direction not in directions:
        raise ConfigError(f"{who}: direction must be one of {', '.join(directions)}, got {direction!r}")
    for name in ("models", "steps"):
        number = getattr(problem, name, None)
        if not isinstance(number, int) or number < 1:
            raise ConfigError(f"{who}: {name} must be an int of at least 1, got {number!r}")
    rate = rate_of(problem)
    if rate is not None and not isinstance(problem.space.parameters.get(rate), Float):
        raise ConfigError(f"{who}: rate must be None or the name of a Float of its space, got {rate!r}")
    for name in ("start", "train", "test"):
        if not callable(getattr(problem, name, None)):
            raise ConfigError(f"{who}: {name} must be a function, got {getattr(problem, name, None)!r}")


def rate_of(problem: Problem) -> str | None:
    """The parameter that a practitioner would decay; None if the problem names none."""
    rate: str | None = getattr(problem, "rate", None)
    return rate


@attrs.frozen(kw_only=True)
class Options:
    """The options of the command line for a problem.

    Attributes:
        data: The directory of data sets that no library ships; None: not given.
        smoke: Whether to use a reduced size: less data, fewer models, shorter training.
        length: The steps of one model's training, at least 1; None: the problem's own. Only problems whose training
            itself depends on its length (`toy-deceptive`) look at it beyond `steps`.
    """

    data: Path | None = None
    smoke: bool = False
    length: int | None = None

    @property
    def models(self) -> int:
        """The usual default budget's number of models."""
        return 6 if self.smoke else 25

    @property
    def steps(self) -> int:
        """The length of one model's training: the requested one, or else the usual one."""
        return self.length or (5 if self.smoke else 10)


Builder = Callable[[Options], Problem]
