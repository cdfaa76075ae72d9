"""What a schedule can gain on the quadratics: best schedule, best constant config, and the greedy schedule.

    python -m benchmarks.problems.optimum [--problem nqm|short-horizon] [--steps 10]

Found by optimization from many starts: lower bounds of the optimum, tight as far as repeated starts agree.
"""

import argparse

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from benchmarks.problem import Options
from benchmarks.problems.quadratic import Moments, Quadratic, noisy_quadratic, short_horizon
from gpbt_core.space import Float

__all__ = ["best_constant", "best_schedule", "greedy_schedule", "main"]

Floats = NDArray[np.float64]
_EPSILON = 1e-6  # forward differences in unit-cube logits


def best_constant(problem: Quadratic, steps: int, *, starts: int = 8) -> tuple[float, Floats]:
    """The highest final score of one config held for `steps` steps, and its lr and momentum, shape (1, 2)."""
    return _optimum(problem, steps, segments=1, starts=starts)


def best_schedule(problem: Quadratic, steps: int, *, starts: int = 8) -> tuple[float, Floats]:
    """The highest final score found of one config per step, and the configs, shape (steps, 2)."""
    return _optimum(problem, steps, segments=steps, starts=starts)


def greedy_schedule(problem: Quadratic, steps: int, *, resolution: int = 60) -> tuple[float, Floats]:
    """The final score when each step takes the config with the best score right after it, by a grid of configs."""
    axis = (np.arange(resolution) + 0.5) / resolution
    grid = _values(problem, np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 1, 2))[:, 0]
    state, chosen = problem.start(0), []
    for _ in range(steps):
        tried = problem.update(state, grid[:, :1], grid[:, 1:])
        best = int(np.argmax(problem.score(tried)))
        state = Moments(tried.xx[best], tried.xm[best], tried.mm[best])
        chosen.append(grid[best])
    return float(problem.score(state)), np.array(chosen)


def _values(problem: Quadratic, u: Floats) -> Floats:
    """Unit-cube points (..., 2) to lr and momentum."""
    lr, momentum = problem.space.parameters["lr"], problem.space.parameters["momentum"]
    assert isinstance(lr, Float)  # all quadratics have these two
    assert isinstance(momentum, Float)
    return np.stack(
        [lr.low * (lr.high / lr.low) ** u[..., 0], momentum.low + (momentum.high - momentum.low) * u[..., 1]], axis=-1
    )


def _final(problem: Quadratic, steps: int, logits: Floats) -> Floats:
    """Final scores of schedules given as logits of unit-cube points, shape (schedules, segments, 2)."""
    values = _values(problem, 1 / (1 + np.exp(-np.clip(logits, -40, 40))))
    state = problem.start(0)
    for step in range(steps):
        now = values[:, min(step, values.shape[1] - 1)]
        state = problem.update(state, now[:, :1], now[:, 1:])
    return problem.score(state)


def _optimum(problem: Quadratic, steps: int, *, segments: int, starts: int) -> tuple[float, Floats]:
    size = 2 * segments

    def objective(x: Floats) -> tuple[float, Floats]:
        moved = np.concatenate([x[None], x + _EPSILON * np.eye(size)])
        scores = _final(problem, steps, moved.reshape(-1, segments, 2))
        return -float(scores[0]), -(scores[1:] - scores[0]) / _EPSILON

    rng = np.random.default_rng(0)
    runs = [
        minimize(objective, rng.normal(size=size), jac=True, method="L-BFGS-B", options={"maxiter": 300})
        for _ in range(starts)
    ]
    best = min(runs, key=lambda run: float(run.fun))
    return -float(best.fun), _values(problem, 1 / (1 + np.exp(-best.x.reshape(segments, 2))))


def main(arguments: list[str] | None = None) -> None:
    """Prints the three figures of a problem and the schedules behind them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.problems.optimum", description=__doc__.split("\n", 1)[0]
    )
    parser.add_argument("--problem", choices=["nqm", "short-horizon"], default="nqm")
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args(arguments)
    problem = {"nqm": noisy_quadratic, "short-horizon": short_horizon}[options.problem](Options())
    for name, (score, values) in {
        "best constant": best_constant(problem, options.steps),
        "greedy schedule": greedy_schedule(problem, options.steps),
        "best schedule": best_schedule(problem, options.steps),
    }.items():
        print(f"{name}: -log10 loss {score:.4f}")
        print("  lr      ", " ".join(f"{value:.3g}" for value in values[:, 0]))
        print("  momentum", " ".join(f"{value:.3f}" for value in values[:, 1]))


if __name__ == "__main__":
    main()
