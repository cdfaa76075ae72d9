"""Scores the finalists of a run again, for when one noisy score is not enough to choose the final model.

A re-evaluation is a trial of zero steps: the finalist's weights are scored under its config without further training.
It is not part of the run, whose records and checkpoints do not change.
"""

import math
from collections.abc import Callable

import attrs

from gpbt_core.errors import ConfigError
from gpbt_core.optimizer import Best, Optimizer
from gpbt_core.records import Record, Trial

__all__ = ["Reevaluated", "reevaluate"]


@attrs.frozen(kw_only=True)
class Reevaluated:
    """A finalist and its new scores.

    Attributes:
        finalist: The trial, its score in the run and its schedule.
        scores: The new scores, in order of evaluation; NaN or infinity where scoring failed.
        score: Their mean. It excludes the score of the run, which is optimistic because the trial was selected by it.
    """

    finalist: Best
    scores: tuple[float, ...]
    score: float


def reevaluate(
    optimizer: Optimizer, score: Callable[[Trial], float], *, times: int = 5, count: int | None = None
) -> tuple[Reevaluated, ...]:
    """Scores the finalists again.

    Args:
        optimizer: The optimizer of a finished run.
        score: Scores the weights of `trial.parent`, under `trial.config`, after `trial.steps` = 0 steps, as
            in the run's own loop. Use other validation data or another seed, or it returns the same score again.
        times: How often to score each finalist, at least 1. The error of the mean falls with its square root.
        count: How many finalists to score, from the first; None: all.

    Returns:
        The finalists, best mean first; those with a non-finite score come last. Empty for an extinct run.

    Raises:
        ConfigError: `times` or `count` is not a whole number of at least 1.
        ProtocolError: The run is not finished.

    Examples:
        >>> from gpbt import Float, Space
        >>> optimizer = Optimizer(Space(x=Float(0, 1)), population=8, steps=2, seed=1)
        >>> while not optimizer.finished:
        ...     for trial in optimizer.ask():
        ...         optimizer.tell(trial.id, trial.config["x"])
        >>> found = reevaluate(optimizer, lambda trial: trial.config["x"] + trial.steps, times=2)
        >>> found[0].score == optimizer.finalists[0].score
        True
    """
    for name, value in (("times", times), ("count", count)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ConfigError(f"reevaluate: {name} must be a whole number of at least 1, got {value!r}")
    next_id = len(optimizer.records)
    found: list[Reevaluated] = []
    for finalist in optimizer.finalists[:count]:
        scores: list[float] = []
        for _ in range(times):
            scores.append(float(score(_again(optimizer.records[finalist.trial.id], next_id))))
            next_id += 1
        found.append(Reevaluated(finalist=finalist, scores=tuple(scores), score=math.fsum(scores) / times))
    sign = 1.0 if optimizer.direction == "minimize" else -1.0
    return tuple(sorted(found, key=lambda one: sign * one.score if math.isfinite(one.score) else math.inf))


def _again(record: Record, number: int) -> Trial:
    trial = record.trial
    return Trial(
        id=number,
        parent=trial.id,
        generation=trial.generation + 1,
        depth=trial.depth + 1,
        config=trial.config,
        steps=0,
        start_step=trial.start_step + record.steps,
    )
