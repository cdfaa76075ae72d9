"""The dimensions of a space as kernels see them: intervals with bandwidths, or sets of choices.

Everything here depends on the space alone and is computed once per space.
"""

import functools
import math
from typing import Self

import attrs
import numpy as np
from numpy.typing import NDArray

from gpbt_core.space import Categorical, Parameter, Space

__all__ = ["Floats", "Layout", "layout_of"]

Floats = NDArray[np.float64]


@attrs.frozen(kw_only=True, eq=False)
class _LogLattice:
    """A lattice on a log scale, whose bins become narrower from left to right, or from right to left if mirrored.

    Attributes:
        row: Its place among the numeric dimensions.
        first: The width of the widest bin, in u.
        range: The logarithm of the last bin's upper edge over the first one's lower edge.
        mirrored: Whether the scale is that of 1 - x.
    """

    row: int
    first: float
    range: float
    mirrored: bool

    @classmethod
    def of(cls, row: int, low: float, high: float, step: float, *, mirrored: bool) -> Self:
        nearest = 1.0 - high if mirrored else low
        start = max(nearest - step / 2, nearest / 2)
        if mirrored:  # a lattice may be far finer than its distance to 1
            extent = math.log1p((high - low + step / 2 + min(step, nearest) / 2) / start)
        else:
            extent = math.log((high + step / 2) / start)
        return cls(row=row, first=step / (start * extent), range=extent, mirrored=mirrored)


@attrs.frozen(kw_only=True, eq=False)
class Layout:
    """The dimensions of a space, numeric ones and choices apart.

    Attributes:
        numeric: Which of the d dimensions are floats and integers, shape (m,).
        choices: The other dimensions, each with its number of choices.
        spans: Of each of the d dimensions, in order, its place among the features of a point: three per numeric
            dimension, which come first, and one per choice.
        features: How many features there are.
        conditional: Whether some dimensions are not always active.
        everywhere: The same parameters without conditions, to snap points whose activity is not decided yet.
    """

    numeric: NDArray[np.intp]
    choices: tuple[tuple[int, int], ...]
    spans: tuple[slice, ...]
    features: int
    conditional: bool
    everywhere: Space
    _even: Floats
    _log: tuple[_LogLattice, ...]

    def bin_widths(self, u: Floats) -> Floats:
        """The widths of the bins at points: a narrower kernel would not reach the next value.

        Args:
            u: Points in the numeric dimensions, shape (m, n).

        Returns:
            The widths in u, shape (m, n) or (m, 1); 0 where a dimension is continuous.
        """
        if not self._log:
            return self._even
        widths = np.broadcast_to(self._even, u.shape).copy()
        for lattice in self._log:
            place = 1.0 - u[lattice.row] if lattice.mirrored else u[lattice.row]
            widths[lattice.row] = np.minimum(lattice.first * np.exp(-lattice.range * place), 1.0)
        return widths


@functools.lru_cache(maxsize=64)
def layout_of(space: Space) -> Layout:
    """The layout of a space, cached; equal spaces share one."""
    parameters = list(space.parameters.values())
    numeric = [k for k, parameter in enumerate(parameters) if not isinstance(parameter, Categorical)]
    choices = [(k, parameter.bins) for k, parameter in enumerate(parameters) if isinstance(parameter, Categorical)]
    spans = {k: slice(3 * row, 3 * row + 3) for row, k in enumerate(numeric)}
    end = 3 * len(numeric)
    for k, count in choices:
        spans[k] = slice(end, end + count)
        end += count
    return Layout(
        numeric=np.array(numeric, dtype=np.intp),
        choices=tuple(choices),
        spans=tuple(spans[k] for k in range(len(parameters))),
        features=end,
        conditional=bool(space.conditions),
        everywhere=Space(dict(space.parameters)) if space.conditions else space,
        even=np.array([[_even_width(parameters[k])] for k in numeric], dtype=np.float64).reshape(-1, 1),
        log=tuple(one for row, k in enumerate(numeric) for one in _log_lattice(row, parameters[k])),
    )


def _even_width(parameter: Parameter) -> float:
    return 1 / parameter.bins if parameter.bins else 0.0


def _log_lattice(row: int, parameter: Parameter) -> list[_LogLattice]:
    """The log lattice that a parameter is, if it is one."""
    if isinstance(parameter, Categorical) or not parameter.log or parameter.bins < 2:
        return []
    low, high, step = float(parameter.low), float(parameter.high), float(parameter.step or 1)
    return [_LogLattice.of(row, low, high, step, mirrored=parameter.log == "1-x")]
