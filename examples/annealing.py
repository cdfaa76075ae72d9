"""Finds a schedule for simulated annealing on a traveling-salesman problem, which is not machine learning.

    python examples/annealing.py [--small]

A step is a number of proposed moves. Children inherit the tour, as they inherit weights in machine learning. The
program tunes the temperature and the reach, the maximum length of the stretch that a move reverses. For comparison, it
runs the usual geometric cooling with a constant reach for the same number of moves, and takes the best of as many
random choices as gpbt trains lines.
"""

import argparse
import functools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gpbt import Float, Int, Optimizer, Result, Space, Trainable, run

Array = np.ndarray[Any, np.dtype[Any]]


def cities(count: int) -> Array:
    """Places cities at random in the unit square, shape (count, 2), the same ones each time."""
    return np.random.default_rng(7).random((count, 2))


def length(places: Array, tour: Array) -> float:
    """The length of a closed tour, given as an order of the cities."""
    path = places[tour]
    return float(np.linalg.norm(path - np.roll(path, -1, axis=0), axis=1).sum())


class Annealing(Trainable):
    """A tour under improvement; a step is `moves` proposals to reverse a stretch of it (2-opt).

    Args:
        places: The cities, shape (n, 2).
        moves: The number of proposals per step.
    """

    def __init__(self, places: Array, moves: int) -> None:
        self.places = places
        self.moves = moves
        self.tour = np.arange(len(places))
        self.rng = np.random.default_rng()
        self.config: dict[str, Any] = {}

    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        """Starts from a random tour."""
        self.rng = np.random.default_rng(seed)
        self.tour = self.rng.permutation(len(self.places))
        self.apply(config)

    def apply(self, config: Mapping[str, Any]) -> None:
        """Sets the temperature and the reach for the next moves."""
        self.config = dict(config)

    def applied(self) -> Mapping[str, Any]:
        """The values that the moves use."""
        return self.config

    def step(self) -> float:
        """Proposes moves, and accepts each by the Metropolis rule at the temperature."""
        temperature, reach = self.config["temperature"], min(self.config["reach"], len(self.tour) - 2)
        places, tour, n = self.places.tolist(), self.tour.tolist(), len(self.tour)
        starts = self.rng.integers(n, size=self.moves).tolist()
        spans = self.rng.integers(1, reach + 1, size=self.moves).tolist()
        luck = (-temperature * np.log(self.rng.random(self.moves))).tolist()  # the largest increase that is accepted
        for start, span, allowed in zip(starts, spans, luck, strict=True):
            end = start + span
            if end >= n:
                continue
            before, first, last, after = (places[tour[k % n]] for k in (start - 1, start, end, end + 1))
            rise = math.dist(before, last) + math.dist(first, after) - math.dist(before, first) - math.dist(last, after)
            if rise <= allowed:
                tour[start : end + 1] = tour[start : end + 1][::-1]
        self.tour = np.array(tour)
        return self.score()

    def score(self) -> float:
        """The length of the tour; shorter is better."""
        return length(self.places, self.tour)

    def save(self, path: Path) -> None:
        """Writes the tour, the state of the random generator and the current values."""
        np.save(path / "tour.npy", self.tour)
        (path / "state.json").write_text(json.dumps({"rng": self.rng.bit_generator.state, "config": self.config}))

    def load(self, path: Path) -> None:
        """Reads them back."""
        self.tour = np.load(path / "tour.npy", allow_pickle=False)
        state = json.loads((path / "state.json").read_text())
        self.rng.bit_generator.state = state["rng"]
        self.config = state["config"]


def geometric(space: Space, places: Array, moves: int, steps: int, choices: int, seed: int) -> float:
    """The shortest tour of geometric cooling over random choices of the first and last temperature and the reach."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(choices):
        one, other = space.sample(rng), space.sample(rng)
        cold, hot = sorted((one["temperature"], other["temperature"]))
        annealing = Annealing(places, moves)
        annealing.setup(one, seed + number)
        for step in range(steps):
            temperature = hot * (cold / hot) ** (step / max(1, steps - 1))
            annealing.apply({"temperature": temperature, "reach": one["reach"]})
            annealing.step()
        found.append(annealing.score())
    return min(found)


def main(arguments: Sequence[str] | None = None) -> Result:
    """Runs the search and prints the shortest tour, the schedule and the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="30 cities, 6 lines, to try it out")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    count, moves, population, steps = (30, 300, 6, 8) if options.small else (200, 4000, 16, 20)

    places = cities(count)
    space = Space(temperature=Float(1e-4, 1, log=True), reach=Int(1, count - 2, log=True))
    optimizer = Optimizer(space, population=population, steps=steps, direction="minimize", seed=options.seed)
    result = run(optimizer, functools.partial(Annealing, places, moves))

    usual = geometric(space, places, moves, steps, population, options.seed)
    print(f"shortest tour: {result.best.score:.4f}; by the best of {population} geometric coolings: {usual:.4f}")
    for segment in result.schedule.segments:
        temperature, reach = segment.config["temperature"], segment.config["reach"]
        print(f"  steps {segment.start_step} to {segment.start_step + segment.steps}: {temperature=:.4f} {reach=}")
    return result


if __name__ == "__main__":
    main()
