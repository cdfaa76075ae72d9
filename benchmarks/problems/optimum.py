"""Bounds the gain of a schedule on the exact problems: best schedule, best constant config, greedy schedule.

    python -m benchmarks.problems.optimum [--problem nqm|short-horizon|linear-regression] [--steps 10]

Found by optimization from many starts: lower bounds of the optimum, tight as far as repeated starts agree.
"""

import argparse
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from benchmarks.problem import Options
from benchmarks.problems.quadratic import Moments, noisy_quadratic, short_horizon
from benchmarks.problems.regression import linear_regression
from gpbt_core.space import Float, Space

__all__ = ["best_constant", "best_schedule", "greedy_schedule", "main"]

Floats = NDArray[np.float64]
_EPSILON = 1e-6  # forward differences in unit-cube logits
_WORST = -9.0  # the score of divergence, where a number is needed


class Exact(Protocol):
    """A problem whose training is arithmetic that broadcasts; its space is of `Float`s."""

    @property
    def space(self) -> Space:
        """The hyperparameters, d of them."""

    def start(self, seed: int) -> Any:
        """The state before training."""

    def update(self, state: Any, *values: Any) -> Any:
        """One step; a value per parameter, each of shape (schedules, 1)."""

    def score(self, state: Any) -> Floats:
        """Higher is better, shape (schedules,)."""


def best_constant(problem: Exact, steps: int, *, starts: int = 8) -> tuple[float, Floats]:
    """The highest final score of one config held for `steps` steps, and its values, shape (1, d)."""
    return _optimum(problem, steps, segments=1, starts=starts)


def best_schedule(problem: Exact, steps: int, *, starts: int = 8) -> tuple[float, Floats]:
    """The highest final score found of one config per step, and their values, shape (steps, d)."""
    return _optimum(problem, steps, segments=steps, starts=starts)


def greedy_schedule(problem: Exact, steps: int, *, resolution: int = 60) -> tuple[float, Floats]:
    """The final score when each step takes the config with the best score right after it, by a grid of configs."""
    axis = (np.arange(resolution) + 0.5) / resolution
    size = len(problem.space)
    grid = _values(problem, np.stack(np.meshgrid(*[axis] * size), axis=-1).reshape(-1, size))
    state, chosen = problem.start(0), []
    for _ in range(steps):
        tried = problem.update(state, *grid.T[..., None])
        best = int(np.argmax(_known(problem.score(tried))))
        state = _picked(tried, best)
        chosen.append(grid[best])
    return float(problem.score(state)), np.array(chosen)


def _picked(states: Any, index: int) -> Any:
    """One of the states that ran in parallel."""
    if isinstance(states, Moments):
        return Moments(states.xx[index], states.xm[index], states.mm[index])
    return states[index]


def _known(scores: Floats) -> Floats:
    return np.nan_to_num(scores, nan=_WORST, posinf=_WORST, neginf=_WORST)


def _values(problem: Exact, u: Floats) -> Floats:
    """Unit-cube points (..., d) to values, unrounded (unlike `Space.decode`), so that they can be differentiated."""
    columns = []
    for index, parameter in enumerate(problem.space.parameters.values()):
        assert isinstance(parameter, Float)  # it is an exact problem
        low, high = parameter.low, parameter.high
        share = u[..., index]
        columns.append(low * (high / low) ** share if parameter.log else low + (high - low) * share)
    return np.stack(columns, axis=-1)


def _final(problem: Exact, steps: int, logits: Floats) -> Floats:
    """Final scores of schedules given as logits of unit-cube points, shape (schedules, segments, d)."""
    values = _values(problem, 1 / (1 + np.exp(-np.clip(logits, -40, 40))))
    state = problem.start(0)
    with np.errstate(over="ignore", invalid="ignore"):  # divergence gets the worst score
        for step in range(steps):
            now = values[:, min(step, values.shape[1] - 1)]
            state = problem.update(state, *now.T[..., None])
        return _known(problem.score(state))


def _optimum(problem: Exact, steps: int, *, segments: int, starts: int) -> tuple[float, Floats]:
    dimensions = len(problem.space)
    size = dimensions * segments

    def objective(x: Floats) -> tuple[float, Floats]:
        moved = np.concatenate([x[None], x + _EPSILON * np.eye(size)])
        scores = _final(problem, steps, moved.reshape(-1, segments, dimensions))
        return -float(scores[0]), -(scores[1:] - scores[0]) / _EPSILON

    rng = np.random.default_rng(0)
    runs = [
        minimize(objective, rng.normal(size=size), jac=True, method="L-BFGS-B", options={"maxiter": 300})
        for _ in range(starts)
    ]
    best = min(runs, key=lambda run: float(run.fun))
    return -float(best.fun), _values(problem, 1 / (1 + np.exp(-best.x.reshape(segments, dimensions))))


def main(arguments: list[str] | None = None) -> None:
    """Prints the three figures of a problem and the schedules behind them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.problems.optimum", description=__doc__.split("\n", 1)[0]
    )
    builders: dict[str, Callable[[Options], Exact]] = {
        "nqm": noisy_quadratic,
        "short-horizon": short_horizon,
        "linear-regression": linear_regression,
    }
    parser.add_argument("--problem", choices=list(builders), default="nqm")
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args(arguments)
    problem = builders[options.problem](Options())
    for name, (score, values) in {
        "best constant": best_constant(problem, options.steps),
        "greedy schedule": greedy_schedule(problem, options.steps),
        "best schedule": best_schedule(problem, options.steps),
    }.items():
        print(f"{name}: -log10 loss {score:.4f}")
        for parameter, column in zip(problem.space.names, values.T, strict=True):
            print(f"  {parameter:8}", " ".join(f"{value:.3g}" for value in column))


if __name__ == "__main__":
    main()
