"""A schedule replayed with several seeds, which shows how good it is without the luck of the run that found it."""

import math
import statistics

import attrs

from gpbt_adapters.views.words import number
from gpbt_core.records import Schedule

__all__ = ["Replays"]


@attrs.frozen(kw_only=True)
class Replays:
    """Models trained from scratch under the same schedule, each with its own seed.

    Attributes:
        schedule: The schedule.
        seeds: The seed of each model.
        scores: The scores of each model after each step, in the order of the seeds.

    Examples:
        >>> replays = Replays(schedule=Schedule(()), seeds=(1, 2), scores=((0.5, 0.8), (0.6, 0.9)))
        >>> replays.final
        (0.8, 0.9)
        >>> print(replays)
        0.85 ± 0.0707 over 2 seeds (0.8 to 0.9)
    """

    schedule: Schedule = attrs.field(repr=False)
    seeds: tuple[int, ...]
    scores: tuple[tuple[float, ...], ...] = attrs.field(repr=False)

    @property
    def final(self) -> tuple[float, ...]:
        """The final score of each model; NaN or infinity if it diverged."""
        return tuple(scores[-1] for scores in self.scores)

    @property
    def mean(self) -> float:
        """The mean of the final scores; not finite if a model diverged."""
        return math.fsum(self.final) / len(self.final)

    @property
    def spread(self) -> float:
        """The sample standard deviation of the final scores; NaN for one model, or if a model diverged."""
        if len(self.final) < 2 or not math.isfinite(self.mean):
            return math.nan
        return statistics.stdev(self.final)

    def __str__(self) -> str:
        final = self.final
        text = number(self.mean) if len(final) == 1 else f"{number(self.mean)} ± {number(float(f'{self.spread:.3g}'))}"
        seeds = "1 seed" if len(final) == 1 else f"{len(final)} seeds ({number(min(final))} to {number(max(final))})"
        return f"{text} over {seeds}"
