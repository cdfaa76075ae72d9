"""The settings of a run: checked when they are made, and immutable."""

from typing import Any, Literal

import attrs
import numpy as np

from gpbt_core.early_stopping import GenerationStopping, TrialStopping
from gpbt_core.errors import ConfigError
from gpbt_core.numbers import a_share, at_least, plain
from gpbt_core.reproduction import Reproduction
from gpbt_core.searcher import Search
from gpbt_core.space import Space
from gpbt_core.state.decisions import MOST_MODELS, line, segment_lengths

__all__ = ["MOST_STEPS", "Settings", "generator"]

MOST_STEPS = 10_000_000
"""A rule may have a segment, and early stopping has a limit, for each step."""


def _space(_: object, __: object, value: Any) -> None:
    if not isinstance(value, Space):
        raise ConfigError(
            f"space: must be a Space, got {value!r}; gpbt.spaces converts those of Optuna, scipy and ConfigSpace"
        )


def _rule(name: str, protocol: type, *, optional: bool) -> Any:
    def check(_: object, __: object, value: object) -> None:
        if isinstance(value, type) or not (isinstance(value, protocol) or (optional and value is None)):
            raise ConfigError(f"{name}: must be a rule as {protocol.__name__} describes it, got {value!r}")

    return check


def _direction(_: object, __: object, value: str) -> None:
    if value not in ("minimize", "maximize"):
        raise ConfigError(f'direction: must be "minimize" or "maximize", got {value!r}')


@attrs.frozen(kw_only=True)
class Settings:
    """Everything that determines the course of a run.

    Attributes:
        space: The space of the configs.
        population: n, the number of models, from 1 to 1,000,000.
        steps: T, the steps per model, from 1 to 10,000,000; the budget of a run is n x T steps.
        direction: The direction of the caller's scores; internally, everything is a loss.
        seed: The seed, at least 0.
        max_concurrent: m, at least 1: slot k may be asked once slots 0 .. k-m of its generation are told.
        quorum: In (0, 1]: the share of a generation's asked trials that must be told before the next one opens.
        reproduction: Which trials become parents, and of how many children.
        trial_stopping: Which trials stop early; None: none.
        generation_stopping: Which generations end early; None: none.
        search: Who proposes the configs; None: not known, as of settings that were stored without. Events carry their
            configs, so no transition depends on it, and settings that differ in it alone are equal.
        lengths: The segment length of each planned generation; derived.
        line: How many of them are the segments of a line; derived. The others revisit the best line.

    Raises:
        ConfigError: An attribute is out of its range, or the reproduction rule does not fit n or T.
        PluginError: The reproduction rule raised, or its segment lengths do not fit T.
    """

    space: Space = attrs.field(validator=_space)
    population: int = attrs.field(validator=at_least(1, high=MOST_MODELS), converter=plain)
    steps: int = attrs.field(validator=at_least(1, high=MOST_STEPS), converter=plain)
    reproduction: Reproduction = attrs.field(validator=_rule("reproduction", Reproduction, optional=False))
    direction: Literal["minimize", "maximize"] = attrs.field(default="minimize", validator=_direction)
    seed: int = attrs.field(default=0, validator=at_least(0), converter=plain)
    max_concurrent: int = attrs.field(default=4, validator=at_least(1), converter=plain)
    quorum: float = attrs.field(default=1.0, validator=a_share())
    trial_stopping: TrialStopping | None = attrs.field(
        default=None, validator=_rule("trial_stopping", TrialStopping, optional=True)
    )
    generation_stopping: GenerationStopping | None = attrs.field(
        default=None, validator=_rule("generation_stopping", GenerationStopping, optional=True)
    )
    search: Search | None = attrs.field(default=None, eq=False, repr=False, kw_only=True)
    lengths: tuple[int, ...] = attrs.field(init=False, repr=False, eq=False)
    line: int = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        lengths = segment_lengths(self.reproduction, self.population, self.steps)
        object.__setattr__(self, "lengths", lengths)  # a default would be made before the others are checked
        object.__setattr__(self, "line", line(lengths, self.steps))

    @property
    def revisits(self) -> bool:
        """Whether later generations train again from trials of the best line."""
        return len(self.lengths) > self.line

    def is_revision(self, generation: int) -> bool:
        """Whether a generation revisits the best line: only the scores at the end count, so nothing stops early."""
        return self.line <= generation < len(self.lengths)

    def steps_of(self, generations: int) -> int:
        """The steps of the budget of a run with so many generations: those of an extension come on top."""
        extended = max(0, generations - len(self.lengths))
        return self.population * (self.steps + extended * self.lengths[-1])


def generator(settings: Settings, kind: Literal["trial", "plan"], index: int) -> "np.random.Generator":
    """The generator of a decision: a function of the seed and the trial's id, or the generation planned, alone."""
    words = settings.seed, 0 if kind == "trial" else 1, index
    if settings.seed >> 32:
        return np.random.Generator(np.random.SFC64(words))
    # Same as above, but avoids numpy's splitting of arbitrarily large integers, which takes most of the time.
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(np.array(words, dtype=np.uint32))))
