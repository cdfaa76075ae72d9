"""Successive over-relaxation of Poisson's equation: a schedule without any learning, and a score that misleads.

A small factor lowers the residual at once, because it smooths; a large one raises it first and lowers the error faster.
So the residual after a few sweeps favors a factor with which the equation is never solved in time.
"""

import itertools
import math
from collections.abc import Mapping
from typing import Any, Literal

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy.fft import dstn, idstn

from benchmarks.problem import Direction, Options
from gpbt_core.space import Float, Space

__all__ = ["Grids", "Poisson", "best_factor", "poisson_sor", "poisson_sor_error"]

Floats = NDArray[np.float64]
_SPACE = Space(omega=Float(1, 1.99))
_FLOOR = 1e-16  # below it, rounding decides; a score stays finite for an exact solution


@attrs.frozen(kw_only=True, eq=False)
class Grids:
    """The right-hand sides of a seed, their exact solutions, and how far the iteration has come.

    Attributes:
        source: The right-hand sides times the squared spacing, shape (equations, points, points).
        exact: The solutions of the discrete equations, same shape.
        values: The approximations, with a border of zeros, shape (equations, points + 2, points + 2).
    """

    source: Floats
    exact: Floats
    values: Floats


@attrs.frozen(kw_only=True)
class Poisson:
    """The five-point equations on the unit square with zeros at the border, relaxed in red-black order from zero.

    Only the right-hand sides are random: white noise drawn from the seed. The best constant factor for many sweeps is
    known: `best_factor`.

    Attributes:
        points: Inner points per side.
        equations: Right-hand sides per seed; the score is the mean over them.
        sweeps: Sweeps per step.
        score: What is scored: the Euclidean norm of the residual relative to that of the right-hand side, or of the
            error relative to that of the solution; log10 of it, to be minimized. `test` is the residual in either case.
        models: Number of models in the default budget.
        steps: Steps per model in the default budget.
        space: The relaxation factor.
    """

    points: int
    equations: int
    sweeps: int
    score: Literal["residual", "error"]
    models: int
    steps: int
    direction: Direction = "minimize"
    space: Space = _SPACE

    def start(self, seed: int) -> Grids:
        """The zero function, and new right-hand sides."""
        shape = (self.equations, self.points, self.points)
        source = np.random.default_rng(seed).normal(size=shape)
        cosines = 2 * np.cos(np.pi * np.arange(1, self.points + 1) / (self.points + 1))
        exact = idstn(dstn(source, 1, axes=(1, 2)) / (4 - cosines[:, None] - cosines), 1, axes=(1, 2))
        return Grids(source=source, exact=exact, values=np.zeros((self.equations, self.points + 2, self.points + 2)))

    def train(self, state: Grids, config: Mapping[str, Any]) -> tuple[Grids, float]:
        """Sweeps over the red points and then over the black ones, as often as a step says."""
        values = state.values.copy()
        for _ in range(self.sweeps):
            for color, row in itertools.product((0, 1), repeat=2):
                _relax(values, state.source, config["omega"], row, (row + color) % 2)
        grids = attrs.evolve(state, values=values)
        return grids, self.test(grids) if self.score == "residual" else _level(
            grids.exact - _inner(values), grids.exact
        )

    def test(self, state: Grids) -> float:
        """The mean log10 of the relative residual."""
        v = state.values
        neighbors = v[:, :-2, 1:-1] + v[:, 2:, 1:-1] + v[:, 1:-1, :-2] + v[:, 1:-1, 2:]
        return _level(state.source + neighbors - 4 * _inner(v), state.source)


def best_factor(points: int) -> float:
    """The constant factor of the fastest convergence in the limit, 2 / (1 + sin(pi / (points + 1))).

    References:
        D. M. Young, Iterative methods for solving partial difference equations of elliptic type, Transactions of the
        American Mathematical Society 76, 1954.
    """
    return 2 / (1 + math.sin(math.pi / (points + 1)))


def poisson_sor(options: Options) -> Poisson:
    """63 x 63 points, where the best factor is 1.906; a step is 10 sweeps, scored by the residual."""
    return _poisson(options, "residual")


def poisson_sor_error(options: Options) -> Poisson:
    """The same, scored by the distance from the exact solution, which a real solver does not know."""
    return _poisson(options, "error")


def _poisson(options: Options, score: Literal["residual", "error"]) -> Poisson:
    points, sweeps = (15, 3) if options.smoke else (63, 10)
    return Poisson(points=points, equations=4, sweeps=sweeps, score=score, models=options.models, steps=options.steps)


def _relax(values: Floats, source: Floats, factor: float, row: int, column: int) -> None:
    """Relaxes, in place, each second inner point of each second row; none of them is another's neighbor."""
    v, size = values, values.shape[1]
    rows, columns = slice(1 + row, size - 1, 2), slice(1 + column, size - 1, 2)
    above, below = slice(row, size - 2, 2), slice(2 + row, size, 2)
    left, right = slice(column, size - 2, 2), slice(2 + column, size, 2)
    neighbors = v[:, above, columns] + v[:, below, columns] + v[:, rows, left] + v[:, rows, right]
    v[:, rows, columns] += factor * ((neighbors + source[:, row::2, column::2]) / 4 - v[:, rows, columns])


def _inner(values: Floats) -> Floats:
    return values[:, 1:-1, 1:-1]


def _level(parts: Floats, whole: Floats) -> float:
    """The mean log10 of the norms of grids relative to those of others."""
    ratios = np.linalg.norm(parts, axis=(1, 2)) / np.linalg.norm(whole, axis=(1, 2))
    return float(np.log10(ratios + _FLOOR).mean())
