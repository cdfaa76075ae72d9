"""Linear regression by SGD on fresh data, followed exactly through the second moments of the error: no sampling.

Inputs are Gaussian with independent coordinates of variance h_i, targets are w* x plus noise of variance s. With e the
error of the weights and B rows in a batch, an update of learning rate a maps v_i = E[e_i^2] to

    (1 - 2 a h_i) v_i + a^2 ((1 + 1 / B) h_i^2 v_i + h_i (sum_j h_j v_j + s) / B),

since E[(x e)^2 x_i^2] = h_i sum_j h_j e_j^2 + 2 h_i^2 e_i^2 for Gaussian x. Unlike in the noisy quadratic model, the
noise falls with the loss. The best schedule is the one that theory predicts: as high as is stable, then down to 0
nearly along a line (`python -m benchmarks.problems.optimum --problem linear-regression --steps 50`).

References:
    Defazio et al., "Optimal Linear Decay Learning Rate Schedules and Further Refinements", 2023.
    Ge et al., "The Step Decay Schedule: A Near Optimal, Geometrically Decaying Learning Rate Procedure For Least
    Squares", NeurIPS 2019.
"""

import math
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from benchmarks.problem import Direction, Options
from gpbt_core.space import Float, Space

__all__ = ["LinearRegression", "linear_regression"]

Floats = NDArray[np.float64]
UPDATES = 20
BATCH = 8
"""Rows behind an update."""


@attrs.frozen(kw_only=True, eq=False)
class LinearRegression:
    """The excess loss of one-pass SGD, as -log10 of its expectation.

    Attributes:
        curvature: Variances h_i > 0 of the inputs, shape (coordinates,).
        noise: Variance s >= 0 of the targets' noise.
        start_at: The first errors e_i, shape (coordinates,).
        models: Number of models in the default budget.
        steps: Steps per model in the default budget.
        space: The learning rate.
    """

    curvature: Floats
    noise: float
    start_at: Floats
    models: int
    steps: int
    space: Space
    direction: Direction = "maximize"
    rate: str = "lr"

    def start(self, seed: int) -> Floats:  # noqa: ARG002  # exact: nothing is drawn
        """E[e_i^2] at first, shape (coordinates,); the same for all seeds."""
        return self.start_at**2

    def train(self, state: Floats, config: Mapping[str, Any]) -> tuple[Floats, float]:
        """Twenty updates under one learning rate."""
        with np.errstate(over="ignore", invalid="ignore"):  # a diverged model scores NaN
            state = self.update(state, config["lr"])
            score = float(self.score(state))
        return state, score if math.isfinite(score) else math.nan

    def test(self, state: Floats) -> float:
        """The expected excess loss again: it is exact, so nothing can be fitted to its noise."""
        return float(self.score(state))

    def update(self, state: Floats, lr: float | Floats) -> Floats:
        """One step; `lr` of shape (..., 1) broadcasts against the state, so that many schedules run in parallel."""
        a, h, v = lr, self.curvature, state
        for _ in range(UPDATES):
            loss = np.sum(h * v, axis=-1, keepdims=True) + self.noise
            v = v - 2 * a * h * v + a * a * ((1 + 1 / BATCH) * h * h * v + h * loss / BATCH)
        return v

    def score(self, state: Floats) -> Floats:
        """-log10 of the expected excess loss, shape (...)."""
        return np.asarray(-np.log10(0.5 * np.sum(self.curvature * state, axis=-1)))


def linear_regression(options: Options) -> LinearRegression:
    """200 coordinates of variance i^-1.5, all errors 1 at first: many are still being learned when training ends."""
    curvature = np.arange(1.0, 201.0) ** -1.5
    return LinearRegression(
        curvature=curvature,
        noise=0.1,
        start_at=np.ones_like(curvature),
        space=Space(lr=Float(1e-3, 2, log=True)),
        models=options.models,
        steps=options.steps,
    )
