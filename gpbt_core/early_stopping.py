"""Early stopping: which trials end before their segment does, and which generations end before their slots do.

Both rules are pure functions of the losses that the asking slot may see. The state acts on their answers.
"""

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol, runtime_checkable

import attrs

from gpbt_core.errors import ConfigError
from gpbt_core.numbers import as_float
from gpbt_core.rule import Rule

__all__ = ["EarlyStoppingSpec", "GenerationStopping", "Improvement", "Quantile", "TrialStopping"]


@runtime_checkable
class TrialStopping(Protocol):
    """Decides whether a trial continues, at each reported step before the end of its segment.

    A rule is an attrs class whose fields are its options. It carries the name under which it is offered.
    """

    name: ClassVar[str]

    def limit(self, ranking: Sequence[tuple[float, int]]) -> float:
        """The loss above which a trial stops at one step.

        Args:
            ranking: The (loss, trial id) pairs that the visible trials of the generation reported at this step, best
                first; a loss may be inf.

        Returns:
            The loss; inf if no trial stops at this step.
        """


@runtime_checkable
class GenerationStopping(Protocol):
    """Decides before each slot whether the generation has already improved enough to end.

    A rule is an attrs class whose fields are its options. It carries the name under which it is offered.
    """

    name: ClassVar[str]

    def enough(self, best: float, before: Sequence[float]) -> bool:
        """Whether the slots not yet asked are cancelled.

        Args:
            best: The best loss among the visible trials of the open generation; inf if none has completed.
            before: The best loss of each closed generation, oldest first; inf for a generation without a completed
                trial.
        """


@attrs.frozen(kw_only=True)
class EarlyStoppingSpec:
    """An early-stopping rule that a plugin offers.

    Attributes:
        name: The name that users write, in lower case; equal to the rule's own `name`.
        summary: One line for listings.
        build: Makes the rule from the user's options.
    """

    name: str
    summary: str
    build: Callable[..., TrialStopping | GenerationStopping]


@attrs.frozen(kw_only=True)
class Quantile(Rule):
    """Stops a trial whose loss is worse than a quantile of what others reported at the same step (the median rule).

    This is the median rule of Golovin et al., "Google Vizier" (2017), applied to the losses of one step instead of
    running averages.

    Attributes:
        quantile: In (0, 1]; .5 is the median. Between two losses it interpolates linearly.
        min_trials: The number of trials that must have reported at a step before any trial stops there, at least 1.

    Raises:
        ConfigError: An attribute is out of its range.

    Examples:
        >>> Quantile().limit([(0.1, 2), (0.3, 0), (0.9, 1)])
        0.3
    """

    name: ClassVar[str] = "median"

    quantile: float = 0.5
    min_trials: int = 3

    def __attrs_post_init__(self) -> None:
        if as_float(self.quantile) is None or not 0 < self.quantile <= 1:
            raise ConfigError(f"median: quantile must be above 0 and at most 1, got {self.quantile!r}")
        if as_float(self.min_trials) is None or self.min_trials < 1:
            raise ConfigError(f"median: min_trials must be a number of at least 1, got {self.min_trials!r}")

    def limit(self, ranking: Sequence[tuple[float, int]]) -> float:
        """The quantile of the losses; inf if there are fewer than `min_trials`."""
        count = len(ranking)
        if count < self.min_trials:
            return math.inf
        place = (count - 1) * self.quantile
        low = int(place)
        share = place - low
        if not share:
            return ranking[low][0]
        return (1 - share) * ranking[low][0] + share * ranking[low + 1][0]


@attrs.frozen(kw_only=True)
class Improvement(Rule):
    """Ends a generation once its best child has improved enough on the generation before (the paper's rule).

    Enough means at least `factor` times the improvement of the generation before, and more than 0. The rule needs two
    closed generations. It hurts when segments shrink, because gains shrink with them.

    Attributes:
        factor: At least 0.

    Raises:
        ConfigError: `factor` is below 0 or not finite.

    References:
        Scardigli, Fournier, Vilucchio, Naccache: "Genealogical Population-Based Training for Hyperparameter
        Optimization" (2021), early stopping.

    Examples:
        >>> Improvement().enough(0.2, [0.9, 0.5]), Improvement().enough(0.05, [0.9, 0.5])
        (False, True)
    """

    name: ClassVar[str] = "improvement"

    factor: float = 1.0

    def __attrs_post_init__(self) -> None:
        if as_float(self.factor) is None or not (self.factor >= 0 and math.isfinite(self.factor)):
            raise ConfigError(f"improvement: factor must be a finite number of at least 0, got {self.factor!r}")

    def enough(self, best: float, before: Sequence[float]) -> bool:
        """Whether the gain over the last best loss reaches `factor` times the gain before it."""
        if len(before) < 2 or not (math.isfinite(best) and math.isfinite(before[-1]) and math.isfinite(before[-2])):
            return False
        gain, last = before[-1] - best, before[-2] - before[-1]
        return gain > 0 and gain >= self.factor * last
