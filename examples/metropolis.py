"""Tunes the proposals of a Metropolis sampler while it samples, with only ask and tell.

    python examples/metropolis.py [--small]

The target is a narrow, bent ridge (a "banana"), and the chains start far from it. At first, long strides are best; on
the ridge, only short ones are accepted. Children inherit the chain, as they inherit weights in machine learning: a
child continues from the last state of its parent's chain. The score of a step is the kernel Stein discrepancy of its
draws, which measures how far they are from the target and needs only the gradient of its log density. Use this for the
burn-in only: the draws that you keep must come from a chain whose proposals no longer change.

Gorham and Mackey, Measuring sample quality with kernels, 2017 (ICML).
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from gpbt import Best, Float, Optimizer, Space, Verdict

Array = np.ndarray[Any, np.dtype[np.float64]]

SPACE = Space(scale=Float(1e-3, 30, log=True), stretch=Float(0.05, 20, log=True))


def log_density(point: Array) -> float:
    """The banana: x is normal with variance 4, and y follows x squared / 2 with variance 0.25."""
    x, y = point
    return float(-(x**2) / 8 - 2 * (y - x**2 / 2) ** 2)


def gradient(points: Array) -> Array:
    """The gradient of the log density at points, shape (n, 2)."""
    x, y = points.T
    off = y - x**2 / 2
    return np.stack([-x / 4 + 4 * off * x, -4 * off], axis=1)


def discrepancy(points: Array) -> float:
    """The kernel Stein discrepancy of points, shape (n, 2), from the target; 0 is best.

    With the inverse multiquadric kernel k(r) = (1 + |r|^2)^-1/2, as Gorham and Mackey recommend.
    """
    slopes = gradient(points)
    apart = points[:, None] - points[None]
    squared = (apart**2).sum(axis=2)
    base = 1 + squared
    # d k / d x at each pair; d k / d y is its negative
    pulls = -apart * (base**-1.5)[..., None]
    mixed = points.shape[1] * base**-1.5 - 3 * squared * base**-2.5
    stein = mixed + ((slopes[None] - slopes[:, None]) * pulls).sum(axis=2) + base**-0.5 * (slopes @ slopes.T)
    return float(np.sqrt(max(0.0, stein.mean())))


@attrs.frozen(kw_only=True)
class Chain:
    """The state of a chain.

    Attributes:
        point: The current point.
        rng: The state of the chain's generator.
    """

    point: tuple[float, float]
    rng: Mapping[str, Any]


def start(seed: int) -> Chain:
    """Starts a chain far from the ridge."""
    return Chain(point=(12.0, -20.0), rng=np.random.default_rng(seed).bit_generator.state)


def sample(chain: Chain, config: Mapping[str, Any], draws: int) -> tuple[Chain, float]:
    """Draws by the Metropolis rule with normal proposals of width `scale` in x and `scale` x `stretch` in y.

    Returns:
        The chain after the draws, and the discrepancy of at most 200 of them, evenly spaced.
    """
    rng = np.random.default_rng()
    rng.bit_generator.state = chain.rng
    widths = config["scale"] * np.array([1.0, config["stretch"]])
    point = np.array(chain.point)
    density, path = log_density(point), np.empty((draws, 2))
    for number, (stride, luck) in enumerate(
        zip(rng.normal(size=(draws, 2)) * widths, np.log(rng.random(draws)), strict=True)
    ):
        proposed = log_density(point + stride)
        if luck < proposed - density:
            point, density = point + stride, proposed
        path[number] = point
    x, y = point.tolist()
    return Chain(point=(x, y), rng=rng.bit_generator.state), discrepancy(path[:: max(1, draws // 200)])


def tune(population: int, steps: int, draws: int, seed: int) -> Best:
    """Runs the loop, which is all that you have to write for ask and tell."""
    optimizer = Optimizer(SPACE, population=population, steps=steps, direction="minimize", seed=seed)
    chains: dict[int, Chain] = {}
    while not optimizer.finished:
        for trial in optimizer.ask(count=4):
            chain = start(seed + trial.id) if trial.parent is None else chains[trial.parent]
            for step in range(1, trial.steps + 1):
                chain, score = sample(chain, trial.config, draws)
                if optimizer.report(trial.id, step, score) is Verdict.STOP:
                    break
            optimizer.tell(trial.id)  # the last reported score
            chains[trial.id] = chain
        for trial_id in optimizer.released():
            del chains[trial_id]
    return optimizer.best


def constant(pairs: int, steps: int, draws: int, seed: int) -> float:
    """The smallest final discrepancy of chains with constant proposals, over random choices of the proposals."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(pairs):
        chain, score, config = start(seed + number), np.inf, SPACE.sample(rng)
        for _ in range(steps):
            chain, score = sample(chain, config, draws)
        found.append(score)
    return min(found)


def main(arguments: Sequence[str] | None = None) -> Best:
    """Runs the search and prints the proposals of the best line and a comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="6 chains, 50 draws per step, to try it out")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    population, steps, draws = (6, 8, 50) if options.small else (20, 10, 500)
    best = tune(population, steps, draws, options.seed)
    fixed = constant(population, steps, draws, options.seed)
    print(f"discrepancy at the end: {best.score:.3f}; by the best of {population} constant proposals: {fixed:.3f}")
    for segment in best.schedule.segments:
        scale, stretch = segment.config["scale"], segment.config["stretch"]
        print(f"  steps {segment.start_step} to {segment.start_step + segment.steps}: {scale=:.3f} {stretch=:.3f}")
    return best


if __name__ == "__main__":
    main()
