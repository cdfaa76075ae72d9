"""The kernel: points of the unit cube to features, features to covariances, and the derivatives of both.

Pure functions of arrays; what depends on losses is in `model`.

Columns of a point, in this order: one per hyperparameter (HP) in [0, 1], NaN where the HP is inactive, then, if the
layout says so, the generation in [0, 1].
"""

import functools
import math

import attrs
import numpy as np
import numpy.typing as npt

__all__ = [
    "Array",
    "Hyper",
    "PointLayout",
    "Points",
    "covariance",
    "features",
    "slopes",
    "squared_distances",
    "warp_slopes",
]

Array = npt.NDArray[np.float64]

_CLIP = 1e-6  # the warp has an infinite slope at 0 and 1
_SQRT5 = math.sqrt(5.0)


@attrs.frozen(kw_only=True)
class PointLayout:
    """The columns of a point; hashable, so that it can be part of a cache key.

    Attributes:
        choices: For each HP the number of its choices if it is categorical, otherwise 0.
        generation: Whether a last column holds the generation.
    """

    choices: tuple[int, ...]
    generation: bool

    @functools.cached_property
    def numeric(self) -> npt.NDArray[np.intp]:
        """Columns of the points that hold numbers, rising."""
        return np.flatnonzero(np.array(self.choices, dtype=np.intp) == 0)

    @functools.cached_property
    def categorical(self) -> npt.NDArray[np.intp]:
        """Columns of the points that hold categories, rising."""
        return np.flatnonzero(np.array(self.choices, dtype=np.intp) > 0)

    @functools.cached_property
    def owners(self) -> npt.NDArray[np.intp]:
        """For each feature the index of its length-scale: numbers, categories and generation in this order."""
        first = self.numeric.size
        one_hot = [np.full(self.choices[column], first + i) for i, column in enumerate(self.categorical)]
        last = [np.array([first + self.categorical.size])] if self.generation else []
        return np.concatenate([np.arange(first), *one_hot, *last]).astype(np.intp)

    @property
    def columns(self) -> int:
        """How many columns points have."""
        return len(self.choices) + self.generation

    @property
    def lengths(self) -> int:
        """How many length-scales there are."""
        return len(self.choices) + self.generation

    @property
    def size(self) -> int:
        """How many kernel parameters there are: length-scales, scale, noise, and two of each warp."""
        return self.lengths + 2 + 2 * self.numeric.size


@attrs.frozen(kw_only=True, eq=False)
class Hyper:
    """Kernel parameters, each positive.

    Attributes:
        length: Length-scales, shape (lengths,), in the order of `PointLayout.owners`.
        scale: Variance of the function.
        noise: Variance of the noise.
        a: First parameters of the Kumaraswamy warps, shape (numeric,).
        b: Second ones, shape (numeric,).
    """

    length: Array
    scale: float
    noise: float
    a: Array
    b: Array

    @classmethod
    def from_logs(cls, layout: PointLayout, logs: Array) -> "Hyper":
        """Takes the vector that the fit moves: logs of length, scale, noise, a and b, shape (layout.size,)."""
        values = np.exp(logs)
        k, d = layout.lengths, layout.numeric.size
        return cls(
            length=values[:k], scale=float(values[k]), noise=float(values[k + 1]),
            a=values[k + 2 : k + 2 + d], b=values[k + 2 + d :],
        )  # fmt: skip


@attrs.frozen(kw_only=True, eq=False)
class Points:
    """Points prepared for any kernel parameters: everything that does not depend on these.

    Attributes:
        layout: The columns of the points.
        log_u: Logs of the numbers, clipped to [1e-6, 1 - 1e-6], shape (n, numeric).
        inactive: Where a number is inactive, shape (n, numeric); None if nowhere.
        fixed: The features that are not warped: categories as one-hot columns of height sqrt(1/2), so that two
            different ones lie at squared distance 1, and the generation; shape (n, rest).
    """

    layout: PointLayout
    log_u: Array
    inactive: npt.NDArray[np.bool_] | None
    fixed: Array

    @classmethod
    def of(cls, layout: PointLayout, u: Array) -> "Points":
        """Prepares points.

        Args:
            layout: The columns.
            u: Points, shape (n, HPs + generation), in [0, 1], NaN where an HP is inactive.
        """
        number = u[:, layout.numeric]
        absent = np.isnan(number)
        inactive = absent if absent.any() else None
        if inactive is not None:
            number = np.where(absent, 0.5, number)
        blocks = []
        for column in layout.categorical:
            count = layout.choices[column]
            # NaN compares false with every index: an inactive category is the zero row, as far from one choice as from
            # the next, and at distance 0 from another inactive one.
            index = np.minimum(np.floor(u[:, column] * count), count - 1)
            blocks.append((index[:, None] == np.arange(count)) * math.sqrt(0.5))
        if layout.generation:
            blocks.append(u[:, -1:])
        fixed = np.concatenate(blocks, axis=1) if blocks else np.empty((u.shape[0], 0))
        return cls(layout=layout, log_u=np.log(np.clip(number, _CLIP, 1.0 - _CLIP)), inactive=inactive, fixed=fixed)


def features(points: Points, hyper: Hyper) -> Array:
    """Warps the numbers and divides every feature by its length-scale.

    The warp is Kumaraswamy's distribution function w = 1 - (1 - u^a)^b (Snoek et al. 2014, with the Beta replaced by
    its closed-form twin). An inactive number sits at the center 1/2 of the warped range, whatever the warp.

    Args:
        points: n points.
        hyper: Kernel parameters.

    Returns:
        Shape (n, features): squared distances between rows are the r^2 of the kernel.
    """
    warped = -np.expm1(hyper.b * np.log(-np.expm1(hyper.a * points.log_u)))
    if points.inactive is not None:
        warped[points.inactive] = 0.5
    # 1/2 off the center keeps the rows small, which keeps `squared_distances` exact to rounding.
    x = np.concatenate([warped - 0.5, points.fixed], axis=1)
    x /= hyper.length[points.layout.owners]
    return x


def warp_slopes(points: Points, hyper: Hyper) -> tuple[Array, Array]:
    """Derivatives of the warped numbers with respect to log a and log b, each of shape (n, numeric)."""
    log_power = hyper.a * points.log_u
    log_rest = np.log(-np.expm1(log_power))
    by_a = hyper.b * log_power * np.exp(log_power + (hyper.b - 1.0) * log_rest)
    by_b = -hyper.b * log_rest * np.exp(hyper.b * log_rest)
    if points.inactive is not None:
        by_a[points.inactive] = 0.0
        by_b[points.inactive] = 0.0
    return by_a, by_b


def slopes(points: Points, hyper: Hyper) -> Array:
    """Derivatives of the numeric features with respect to their u, shape (n, numeric); 0 where inactive."""
    log_power = hyper.a * points.log_u
    log_rest = np.log(-np.expm1(log_power))
    slope = hyper.a * hyper.b * np.exp(log_power - points.log_u + (hyper.b - 1.0) * log_rest)
    if points.inactive is not None:
        slope[points.inactive] = 0.0
    return np.asarray(slope / hyper.length[: slope.shape[1]])


def squared_distances(x: Array, y: Array, out: Array | None = None) -> Array:
    """Squared Euclidean distances between rows, shape (rows of x, rows of y), never negative.

    One matrix product, |x|^2 + |y|^2 - 2 xy, which loses some 1e-15 in absolute terms: far below the model's jitter.

    Args:
        x: Shape (n, features).
        y: Shape (m, features).
        out: Where to write the answer, shape (n, m); None: a new array.
    """
    of_x, of_y = (np.einsum("ij,ij->i", rows, rows) for rows in (x, y))
    left = np.column_stack([-2.0 * x, of_x, np.ones(x.shape[0])])
    right = np.column_stack([y, np.ones(y.shape[0]), of_y])
    squares = np.matmul(left, right.T, out=out)
    return np.maximum(squares, 0.0, out=squares)


def covariance(x: Array, y: Array, scale: float, room: Array | None = None) -> tuple[Array, Array]:
    """Matern-5/2 covariance k = s (1 + q + q^2 / 3) exp(-q), q = sqrt(5) r, and its derivative by r^2.

    Args:
        x: Features of n points, as `features` makes them.
        y: Those of m points.
        scale: The variance s.
        room: An array of shape (3, n, m) to work in; None: a new one. Making arrays of hundreds of points takes longer
            than filling them. The answer lies in the first two thirds, the last is free again.

    Returns:
        k and dk / d(r^2) = -5/6 s (1 + q) exp(-q), both of shape (n, m) (Rasmussen & Williams 2006, equation 4.17).
    """
    squares, near, decay = np.empty((3, x.shape[0], y.shape[0])) if room is None else room
    squared_distances(x, y, out=squares)
    np.sqrt(squares, out=near)
    near *= _SQRT5
    np.negative(near, out=decay)
    np.exp(decay, out=decay)
    decay *= scale
    near += 1.0
    near *= decay
    squares *= 5.0 / 3.0
    squares *= decay
    squares += near
    near *= -5.0 / 6.0
    return squares, near
