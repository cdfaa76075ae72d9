"""Simulated annealing of a travelling salesman's tour: a schedule without any learning.

What is annealed is the score itself: a high temperature makes the tour longer now and, by escaping from local minima,
shorter later. The model is a tour; a step is a number of proposed moves under one temperature.
"""

import math
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from benchmarks.problem import Direction, Options
from gpbt_core.space import Float, Int, Space

__all__ = ["Salesman", "Tour", "salesman"]

_SPACE = Space(temperature=Float(1e-3, 10, log=True), reach=Int(1, 100, log=True), carry=Float(0, 1))
_INITIAL, _TRAINING = 0, 1  # streams of a seed
_ROTATE = 500  # moves between rotations of the list, so that no edge stays the list's ends for long


@attrs.frozen(kw_only=True)
class Tour:
    """The cities in the order of visit; the seed is the source of all moves."""

    seed: int
    step: int = 0
    cities: tuple[int, ...]


@attrs.frozen(kw_only=True, eq=False)
class Salesman:
    """One instance in the unit square; the score is the tour's length relative to sqrt(.5 cities), to be minimized.

    The temperature is relative too: to the mean length of an edge of such a tour. Validation and test are the same:
    the length is exact, so nothing can be fitted to its noise.

    Attributes:
        distances: Between cities, shape (cities, cities).
        moves: Proposed moves per step.
        models: Number of models in the default budget.
        steps: Steps per model in the default budget.
        space: The temperature, the longest stretch that a move reverses (in cities), and the share of moves that carry
            one city elsewhere instead of reversing a stretch.
    """

    distances: NDArray[np.float64]
    moves: int
    models: int
    steps: int
    direction: Direction = "minimize"
    space: Space = _SPACE
    rate: str = "temperature"

    @property
    def unit(self) -> float:
        """The length that scores are relative to: about half the side of a cell per city, times the cities."""
        return math.sqrt(0.5 * len(self.distances))

    def start(self, seed: int) -> Tour:
        """A random order."""
        order = np.random.default_rng([seed, _INITIAL]).permutation(len(self.distances))
        return Tour(seed=seed, cities=tuple(order.tolist()))

    def train(self, state: Tour, config: Mapping[str, Any]) -> tuple[Tour, float]:
        """Proposes the moves, takes them by Metropolis' rule, and measures the tour."""
        rng = np.random.default_rng([state.seed, _TRAINING, state.step])
        cities = list(state.cities)
        heat = config["temperature"] * self.unit / len(cities)
        rows = self.distances.tolist()
        for begin in range(0, self.moves, _ROTATE):
            turn = int(rng.integers(len(cities)))
            cities = cities[turn:] + cities[:turn]
            count = min(_ROTATE, self.moves - begin)
            _anneal(cities, rows, _proposals(rng, count, len(cities), config["reach"], config["carry"]), heat, rng)
        tour = Tour(seed=state.seed, step=state.step + 1, cities=tuple(cities))
        return tour, self.test(tour)

    def test(self, state: Tour) -> float:
        """The relative length of the closed tour."""
        order = np.array(state.cities)
        return float(self.distances[order, np.roll(order, -1)].sum()) / self.unit


def salesman(options: Options) -> Salesman:
    """150 cities at random places, the same in every run; a step is 16000 moves."""
    places = np.random.default_rng(7).random((20 if options.smoke else 150, 2))
    distances = np.sqrt(np.sum((places[:, None] - places[None]) ** 2, axis=-1))
    moves = 500 if options.smoke else 16_000
    return Salesman(distances=distances, moves=moves, models=options.models, steps=options.steps)


def _proposals(
    rng: np.random.Generator, count: int, cities: int, reach: int, carry: float
) -> list[tuple[int, int, bool]]:
    """Stretches [i, j] of positions, 1 <= i < j <= cities - 2 so that both have neighbors, and whether to carry."""
    first = rng.integers(1, cities - 2, count)
    last = np.minimum(first + rng.integers(1, reach + 1, count), cities - 2)
    return list(zip(first.tolist(), last.tolist(), (rng.random(count) < carry).tolist(), strict=True))


def _anneal(
    cities: list[int],
    rows: list[list[float]],
    proposals: list[tuple[int, int, bool]],
    heat: float,
    rng: np.random.Generator,
) -> None:
    """Applies to `cities`, in place, each proposal whose gain in length is below an exponential draw of mean `heat`."""
    bounds = rng.exponential(heat, len(proposals)).tolist()
    for (i, j, carries), bound in zip(proposals, bounds, strict=True):
        before, head, tail, after = cities[i - 1], cities[i], cities[j], cities[j + 1]
        if carries:  # the city at i moves behind the one at j
            second = cities[i + 1]
            gain = rows[before][second] + rows[tail][head] + rows[head][after]
            gain -= rows[before][head] + rows[head][second] + rows[tail][after]
            if gain <= bound:
                cities.insert(j, cities.pop(i))
        else:
            gain = rows[before][tail] + rows[head][after] - rows[before][head] - rows[tail][after]
            if gain <= bound:
                cities[i : j + 1] = cities[i : j + 1][::-1]
