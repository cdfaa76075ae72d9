"""Quadratics with noisy gradients, followed exactly through their second moments: no sampling, no data, no seeds.

The model of Zhang et al. 2019: loss E[1/2 sum_i h_i x_i^2], gradients h_i x_i + noise of variance c_i, independent per
coordinate. A step is a number of updates of SGD with heavy-ball momentum, m <- b m + g, x <- x - a m; its state is
E[x^2], E[x m], E[m^2] per coordinate, which each update maps linearly. The score is -log10 of the expected loss.

References:
    Zhang et al., "Which Algorithmic Choices Matter at Which Batch Sizes? Insights From a Noisy Quadratic Model",
    NeurIPS 2019.
    Wu et al., "Understanding Short-Horizon Bias in Stochastic Meta-Optimization", ICLR 2018.
"""

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from benchmarks.problem import Direction, Options
from gpbt_core.space import Float, Space

__all__ = ["Moments", "Quadratic", "noisy_quadratic", "short_horizon"]

Floats = NDArray[np.float64]
UPDATES = 20


@attrs.frozen(eq=False)
class Moments:
    """E[x^2], E[x m] and E[m^2], each of shape (..., coordinates)."""

    xx: Floats
    xm: Floats
    mm: Floats


@attrs.frozen(kw_only=True, eq=False)
class Quadratic:
    """A quadratic whose coordinates differ in curvature, noise and start.

    Attributes:
        curvature: h_i > 0, shape (coordinates,).
        noise: Variances c_i >= 0 of the gradients, shape (coordinates,).
        start_at: Where each coordinate starts, shape (coordinates,).
        space: Two parameters, `lr` and `momentum`.
        models: Number of models in the default budget.
        steps: Steps per model in the default budget.
    """

    curvature: Floats
    noise: Floats
    start_at: Floats
    space: Space
    models: int
    steps: int
    direction: Direction = "maximize"
    rate: str = "lr"

    def start(self, seed: int) -> Moments:  # noqa: ARG002  # exact: nothing is drawn
        """The same for all seeds: every coordinate at its start, at rest."""
        zero = np.zeros_like(self.curvature)
        return Moments(self.start_at**2, zero, zero)

    def train(self, state: Moments, config: Mapping[str, Any]) -> tuple[Moments, float]:
        """Twenty updates under one learning rate and momentum."""
        state = self.update(state, config["lr"], config["momentum"])
        return state, float(self.score(state))

    def test(self, state: Moments) -> float:
        """The expected loss again: it is exact, so nothing can be fitted to its noise."""
        return float(self.score(state))

    def update(self, state: Moments, lr: float | Floats, momentum: float | Floats) -> Moments:
        """One step; `lr` and `momentum` broadcast against the state, so that many schedules run in parallel."""
        a, b, h = lr, momentum, self.curvature
        xx, xm, mm = state.xx, state.xm, state.mm
        for _ in range(UPDATES):
            x_new = b * xm + h * xx  # E[x m'], m' the new momentum
            mm = b * (b * mm + 2 * h * xm) + h * h * xx + self.noise
            xx = xx - a * (2 * x_new - a * mm)
            xm = x_new - a * mm
        return Moments(xx, xm, mm)

    def score(self, state: Moments) -> Floats:
        """-log10 of the expected loss, shape (...)."""
        return np.asarray(-np.log10(0.5 * np.sum(self.curvature * state.xx, axis=-1)))


def noisy_quadratic(options: Options) -> Quadratic:
    """100 coordinates of curvature and noise 1/i, from 1: the best constant reaches .399, the best schedule .571."""
    curvature = 1.0 / np.arange(1, 101)
    return Quadratic(
        curvature=curvature,
        noise=curvature,
        start_at=np.ones_like(curvature),
        space=Space(lr=Float(1e-3, 2, log=True), momentum=Float(0, 0.99)),
        models=options.models,
        steps=options.steps,
    )


def short_horizon(options: Options) -> Quadratic:
    """A trap for greedy methods: lowering the loss now prevents it from falling later.

    Ten coordinates of high curvature are noisy, ninety of low curvature are exact and hold most of the loss. Only a
    high learning rate moves the ninety, and while it lasts the noise of the ten makes the loss worse than at the start;
    a low one removes that noise immediately, but stops all progress. Taking the best config of each step (learning-rate
    collapse) ends at .10, the best constant config at .34, the best schedule, which pays first, at 1.8.
    """
    fast, slow = np.linspace(0.5, 1, 10), np.geomspace(0.003, 0.03, 90)
    return Quadratic(
        curvature=np.concatenate([fast, slow]),
        noise=np.concatenate([np.full(10, 0.2), np.zeros(90)]),
        start_at=np.concatenate([np.full(10, 0.2), np.sqrt(2 / (90 * slow))]),
        space=Space(lr=Float(1e-3, 1, log=True), momentum=Float(0, 0.9)),
        models=options.models,
        steps=options.steps,
    )
