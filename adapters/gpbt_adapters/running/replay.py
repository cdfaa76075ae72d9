"""Trains new models from scratch under a schedule found by a run, without an optimizer.

A replay is a line of trials without interruptions: the hyperparameters change on the live model.
"""

from collections.abc import Sequence

import attrs

from gpbt_adapters.trainables.trainable import Factory, Trainable, verify_applied
from gpbt_adapters.views.replays import Replays
from gpbt_core.errors import ConfigError
from gpbt_core.records import Schedule

__all__ = ["Replay", "Replays", "replay", "replays"]


@attrs.frozen(kw_only=True, eq=False)
class Replay:
    """A model that was trained under a schedule.

    Attributes:
        trainable: The model, at the end of the schedule; close it when done.
        scores: Its score after each step.
    """

    trainable: Trainable
    scores: tuple[float, ...]

    @property
    def score(self) -> float:
        """The score at the end."""
        return self.scores[-1]


def replay(factory: Factory, schedule: Schedule, seed: int) -> Replay:
    """Trains a new model from scratch under a schedule.

    With the seed of the schedule's founder (`Result.founder_seed`) and a factory of the same data, it trains the same
    model again, bit by bit on one machine; with another seed or more data, it trains a new one.

    Args:
        factory: Makes the trainable.
        schedule: What to train under; all of it.
        seed: Seed of the set-up, 0 .. 2**32 - 1.

    Raises:
        ConfigError: The schedule is empty.
        HyperparameterNotAppliedError: A live value was not what the schedule wants.
        Exception: Whatever the training raises.
    """
    if not schedule.segments:
        raise ConfigError("replay: schedule must have at least one segment, got an empty one")
    trainable = factory()
    scores: list[float] = []
    try:
        for index, segment in enumerate(schedule.segments):
            if index == 0:
                trainable.setup(segment.config, seed)
            else:
                trainable.apply(segment.config)
            verify_applied(trainable, segment.config)
            scores += [float(trainable.step()) for _ in range(segment.steps)]
            verify_applied(trainable, segment.config, trained=segment.steps)
        if not scores:
            scores.append(float(trainable.score()))
    except BaseException:
        trainable.close()
        raise
    return Replay(trainable=trainable, scores=tuple(scores))


def replays(factory: Factory, schedule: Schedule, seeds: Sequence[int]) -> Replays:
    """Trains a new model from scratch under a schedule for each seed, one after the other, and keeps the scores.

    The score of a run's best model is optimistic, because the run selected it. The mean over fresh seeds measures the
    schedule itself. To compare it with another schedule, replay both under the same seeds.

    Args:
        factory: Makes the trainables; each is closed after its training.
        schedule: What to train under; all of it.
        seeds: Seeds of the set-ups, each 0 .. 2**32 - 1; at least one.

    Raises:
        ConfigError: There are no seeds, or the schedule is empty.
        HyperparameterNotAppliedError: A live value was not what the schedule wants.
        Exception: Whatever the training raises.
    """
    if not seeds:
        raise ConfigError("replays: seeds must have at least one seed, got none")
    scores = []
    for seed in seeds:
        again = replay(factory, schedule, seed)
        again.trainable.close()
        scores.append(again.scores)
    return Replays(schedule=schedule, seeds=tuple(seeds), scores=tuple(scores))
