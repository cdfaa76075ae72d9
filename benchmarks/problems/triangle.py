"""The published example problem of Ray Tune's PBT: the best learning rate is a triangle wave of the accuracy reached.

There is no model: the state is one number, which grows while the learning rate is within a factor of three of the best
one, and falls where it is too high. The best one rises from .001 to .01 until the accuracy is 100, then falls back.

A step adds noise of standard deviation 2, and at most 1 for a good learning rate. As published, each model has noise of
its own, so that whoever copies the luckiest model most often ends highest: most of a final accuracy is luck. With one
noise for all models of a seed (`triangle-shared`) only the learning rates count.

References:
    https://github.com/ray-project/ray/blob/master/python/ray/tune/examples/pbt_function.py, whose rules these are.
"""

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np

from benchmarks.problem import Direction, Options
from gpbt_core.space import Float, Space

__all__ = ["Climb", "Triangle", "best_rate", "triangle", "triangle_shared"]

_SPACE = Space(lr=Float(1e-4, 0.02))
_MIDPOINT, _TOLERANCE, _NOISE = 100.0, 3.0, 2.0
_LOWEST, _HIGHEST = 0.001, 0.01  # of the best learning rate


@attrs.frozen(kw_only=True)
class Climb:
    """The accuracy so far; the seed is the source of all noise."""

    seed: int
    step: int = 0
    accuracy: float = 0.0


@attrs.frozen(kw_only=True, eq=False)
class Triangle:
    """One hyperparameter, one noisy number to maximize, without an upper bound.

    Validation and test are the same.

    Attributes:
        shared: Whether the noise depends on the seed and the step alone; otherwise it depends on the accuracy and the
            learning rate, too, so that any two models that differ have different noise.
        models: Number of models in the default budget.
        steps: Steps per model in the default budget.
        space: The learning rate.
    """

    shared: bool
    models: int
    steps: int
    direction: Direction = "maximize"
    space: Space = _SPACE
    rate: str = "lr"

    def start(self, seed: int) -> Climb:
        """An accuracy of 0."""
        return Climb(seed=seed)

    def train(self, state: Climb, config: Mapping[str, Any]) -> tuple[Climb, float]:
        """One step under a learning rate."""
        own = () if self.shared else np.array([state.accuracy, config["lr"]]).view(np.uint64).tolist()
        rng = np.random.default_rng([state.seed, state.step, *own])
        luck, noise = rng.random(), rng.normal()
        accuracy, lr, best = state.accuracy, config["lr"], best_rate(state.accuracy)
        error = max(lr, best) / min(lr, best)
        if error < _TOLERANCE:
            accuracy += luck / error
        elif lr > best:
            accuracy -= (error - _TOLERANCE) * luck
        accuracy = max(0.0, accuracy + _NOISE * float(noise))
        return Climb(seed=state.seed, step=state.step + 1, accuracy=accuracy), accuracy

    def test(self, state: Climb) -> float:
        """The accuracy again."""
        return state.accuracy


def best_rate(accuracy: float) -> float:
    """The learning rate under which the accuracy grows fastest."""
    rising = _HIGHEST * accuracy / _MIDPOINT
    return min(_HIGHEST, max(_LOWEST, rising if accuracy < _MIDPOINT else 2 * _HIGHEST - rising))


def triangle(options: Options) -> Triangle:
    """Ray's example as it stands, without its end at an accuracy of 200."""
    return Triangle(shared=False, models=options.models, steps=options.steps)


def triangle_shared(options: Options) -> Triangle:
    """The same with one noise for all models of a seed."""
    return Triangle(shared=True, models=options.models, steps=options.steps)
