"""The time-varying Gaussian process of `pb2`: kernel, fit and upper confidence bound.

Pure functions of rows; `fit` is cached by the content of its arguments and can therefore change no answer.
"""

import functools
import math

import attrs
import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky, solve_triangular
from scipy.linalg.blas import dsymv
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

from gpbt_searchers.pb2.rows import Array, Rows

__all__ = ["Belief", "Inputs", "Kernel", "condition", "fit", "inputs", "log_likelihood"]

_JITTER = 1e-6
_ITERATIONS = 15
_FITS = 16
# Logs of variance, length and noise, then epsilon and the mix: where a fit starts and what it keeps to. Length and
# epsilon are bounded as in the authors' code.
_START = np.array([0.0, math.log(0.5), math.log(0.1), 0.1, 0.5])
_LOW = np.array([math.log(0.05), math.log(0.01), math.log(1e-3), 0.0, 0.0])
_HIGH = np.array([math.log(20.0), 0.0, 0.0, 0.5, 1.0])


@attrs.frozen(kw_only=True)
class Kernel:
    """Parameters of the process.

    Attributes:
        variance: Of the signal.
        length: What squared distances are divided by.
        noise: Variance of the noise.
        forget: Epsilon: by how much a generation of distance takes away correlation.
        mix: Lambda: how far categories and numbers multiply rather than add.
    """

    variance: float
    length: float
    noise: float
    forget: float
    mix: float

    @classmethod
    def of(cls, vector: Array) -> "Kernel":
        """Takes the vector that the fit moves."""
        variance, length, noise = np.exp(vector[:3]).tolist()
        forget, mix = vector[3:].tolist()
        return cls(variance=variance, length=length, noise=noise, forget=forget, mix=mix)


@attrs.frozen(kw_only=True, eq=False)
class Inputs:
    """Rows made ready for the kernel.

    Attributes:
        time: Generations, shape (n,).
        x: The loss before, then the numbers, each in [0, 1] or near, shape (n, 1 + numeric).
        categories: Shape (n, categorical).
    """

    time: Array
    x: Array
    categories: npt.NDArray[np.intp]


def inputs(rows: Rows, like: Rows) -> Inputs:
    """Makes rows ready; losses before are scaled to [0, 1] over the rows `like`.

    Args:
        rows: n rows.
        like: Those to scale by; none where `rows` is empty too.
    """
    if not like.before.size:
        return Inputs(time=rows.time, x=np.empty((0, 1 + rows.numbers.shape[1])), categories=rows.categories)
    low, high = float(like.before.min()), float(like.before.max())
    width = high / 2 - low / 2  # of floats so far apart that their difference is none
    before = (rows.before / 2 - low / 2) / width if width > 0.0 else np.zeros_like(rows.before)
    return Inputs(time=rows.time, x=np.column_stack([before, rows.numbers]), categories=rows.categories)


def _squares(a: Inputs, b: Inputs) -> Array:
    squares = np.einsum("ij,ij->i", a.x, a.x)[:, None] + np.einsum("ij,ij->i", b.x, b.x) - 2.0 * a.x @ b.x.T
    return np.asarray(np.maximum(squares, 0.0))


def _overlap(a: Inputs, b: Inputs) -> Array:
    """The share of categorical hyperparameters that agree, shape (n, m)."""
    return np.asarray((a.categories[:, None, :] == b.categories[None, :, :]).mean(axis=2))


def _ages(a: Inputs, b: Inputs) -> Array:
    return 0.5 * np.abs(a.time[:, None] - b.time)


def covariance(a: Inputs, b: Inputs, kernel: Kernel) -> tuple[Array, Array]:
    """k((t, x, z), (t', x', z')), and its derivative by |x - x'|^2.

    k = v (1 - e)^(|t - t'| / 2) k_x, with k_x = exp(-|x - x'|^2 / l) for numbers alone (Parker-Holder et al. 2020,
    after Bogunovic et al. 2016); with categories k_x becomes (1 - m) (k_x + k_z) + m k_x k_z, k_z the share that agree
    (the follow-up of 2021, after Ru et al. 2020).

    Args:
        a: n rows.
        b: m rows.
        kernel: The parameters.

    Returns:
        Both of shape (n, m).
    """
    forgotten = kernel.variance * (1.0 - kernel.forget) ** _ages(a, b)
    near = np.exp(-_squares(a, b) / kernel.length)
    if not a.categories.shape[1]:
        signal = forgotten * near
        return signal, signal / -kernel.length
    same = _overlap(a, b)
    by_near = (1.0 - kernel.mix) + kernel.mix * same
    return forgotten * (by_near * near + (1.0 - kernel.mix) * same), forgotten * by_near * near / -kernel.length


@attrs.frozen(kw_only=True, eq=False)
class _Pairs:
    """What the likelihood needs of all pairs of n rows, whatever the kernel; arrays of shape (n, n).

    Attributes:
        squares: Squared distances of the numbers.
        ages: Half the generations between.
        same: The share of categories that agree; None: there are none.
        upper: 2 above the diagonal, 1 on it, 0 below: sums of symmetric arrays through one triangle.
        room: Arrays to work in, shape (4, n, n): making them takes longer than filling them.
    """

    squares: Array
    ages: Array
    same: Array | None
    upper: Array
    room: Array

    @classmethod
    def of(cls, data: Inputs) -> "_Pairs":
        n = data.time.size
        return cls(
            squares=_squares(data, data),
            ages=_ages(data, data),
            same=_overlap(data, data) if data.categories.shape[1] else None,
            upper=2.0 * np.triu(np.ones((n, n)), 1) + np.eye(n),
            room=np.empty((4, n, n)),
        )


def log_likelihood(vector: Array, data: Inputs, y: Array) -> tuple[float, Array]:
    """Log marginal likelihood up to a constant, and its gradient (equations 5.8, 5.9 of Rasmussen & Williams 2006).

    Args:
        vector: Logs of variance, length and noise, then forget and mix, shape (5,).
        data: n rows, at least 1.
        y: Standardized gains, shape (n,).
    """
    return _log_likelihood(vector, _Pairs.of(data), y)


def _log_likelihood(vector: Array, pairs: _Pairs, y: Array) -> tuple[float, Array]:
    kernel = Kernel.of(vector)
    near, signal, matrix, weight = pairs.room
    # v (1 - e)^age exp(-|x - x'|^2 / l), all of the signal where there are no categories.
    np.multiply(pairs.ages, math.log1p(-kernel.forget), out=signal)
    np.exp(signal, out=signal)
    signal *= kernel.variance
    np.multiply(pairs.squares, -1.0 / kernel.length, out=near)
    np.exp(near, out=near)
    by_mix = None
    if pairs.same is None:
        signal *= near
        near[...] = signal
    else:
        by_mix = signal * (near * pairs.same - near - pairs.same)
        near *= signal * (1.0 - kernel.mix + kernel.mix * pairs.same)
        signal *= (1.0 - kernel.mix) * pairs.same
        signal += near
    diagonal = kernel.noise + _JITTER
    matrix[...] = signal
    matrix.flat[:: y.size + 1] += diagonal
    factor = cholesky(matrix.T, lower=True, overwrite_a=True, check_finite=False)
    half_log_determinant = float(np.log(factor.diagonal()).sum())
    inverse, _ = dpotri(factor, lower=1, overwrite_c=1)
    alpha = dsymv(1.0, inverse, y, lower=1)
    explained = float(y @ alpha)
    value = -0.5 * explained - half_log_determinant

    # d value / d matrix = (alpha alpha' - inverse) / 2; its product with the matrix has the trace (explained - n) / 2.
    np.multiply.outer(alpha, alpha, out=weight)
    weight -= inverse.T
    weight *= pairs.upper
    trace = 0.5 * (float(alpha @ alpha) - float(inverse.trace()))
    by_variance = 0.5 * (explained - y.size) - diagonal * trace
    signal *= weight
    near *= weight
    by_length = 0.5 * float(np.einsum("ij,ij->", near, pairs.squares)) / kernel.length
    by_forget = 0.5 * float(np.einsum("ij,ij->", signal, pairs.ages)) / (kernel.forget - 1.0)
    by_mixing = 0.0 if by_mix is None else 0.5 * float(np.einsum("ij,ij->", weight, by_mix))
    return value, np.array([by_variance, by_length, kernel.noise * trace, by_forget, by_mixing])


def fit(data: Inputs, y: Array) -> Kernel:
    """The most likely parameters, starting always at the same ones; these themselves without rows.

    Args:
        data: n rows.
        y: Standardized gains, shape (n,).
    """
    shapes = (data.x.shape[1], data.categories.shape[1])
    parts = (data.time, data.x, data.categories, y)
    return _fit(shapes, *(np.ascontiguousarray(part).tobytes() for part in parts))


@functools.lru_cache(maxsize=_FITS)
def _fit(shapes: tuple[int, int], time: bytes, x: bytes, categories: bytes, y: bytes) -> Kernel:
    gain = np.frombuffer(y)
    if not gain.size:
        return Kernel.of(_START)
    data = Inputs(
        time=np.frombuffer(time),
        x=np.frombuffer(x).reshape(gain.size, shapes[0]),
        categories=np.frombuffer(categories, dtype=np.intp).reshape(gain.size, shapes[1]),
    )
    pairs = _Pairs.of(data)

    def downhill(vector: Array) -> tuple[float, Array]:
        value, gradient = _log_likelihood(vector, pairs, gain)
        return -value, -gradient

    bounds = list(zip(_LOW.tolist(), _HIGH.tolist(), strict=True))
    options = {"maxiter": _ITERATIONS}
    return Kernel.of(minimize(downhill, _START, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x)


@attrs.frozen(kw_only=True, eq=False)
class Belief:
    """The process given rows.

    Attributes:
        kernel: Its parameters.
        data: Rows with a gain, then pending ones.
        factor: Lower Cholesky factor of their covariance, shape (n + p, n + p).
        alpha: Inverse covariance of the rows with a gain, times the gains; 0 for pending rows; shape (n + p,).
        width: The square root of beta: how many deviations the bound lies above the mean.
    """

    kernel: Kernel
    data: Inputs
    factor: Array
    alpha: Array
    width: float

    def bound(self, at: Inputs) -> Array:
        """Upper confidence bounds of m rows, shape (m,)."""
        cross, _ = covariance(self.data, at, self.kernel)
        return self._bound(cross, at)[0]

    def bound_slopes(self, at: Inputs) -> tuple[Array, Array]:
        """Upper confidence bounds of m rows, shape (m,), and their gradients by the numbers, shape (m, numeric)."""
        cross, by_square = covariance(self.data, at, self.kernel)
        bound, deviation, solved = self._bound(cross, at)
        beta = solve_triangular(self.factor, solved, lower=True, trans=1, check_finite=False)
        # d bound = alpha dk - width / deviation * beta dk, and dk = k' 2 (x - x_j).
        pull = (self.alpha[:, None] - self.width / deviation * beta) * by_square
        gradient = 2.0 * (pull.sum(axis=0)[:, None] * at.x - pull.T @ self.data.x)
        return bound, gradient[:, 1:]

    def _bound(self, cross: Array, at: Inputs) -> tuple[Array, Array, Array]:
        """Bounds, deviations and the solved covariances of m rows."""
        solved = solve_triangular(self.factor, cross, lower=True, check_finite=False)
        own = self.kernel.variance * (2.0 - self.kernel.mix if at.categories.shape[1] else 1.0)
        deviation = np.sqrt(np.maximum(own - np.einsum("ij,ij->j", solved, solved), _JITTER))
        return self.alpha @ cross + self.width * deviation, deviation, solved


def condition(kernel: Kernel, data: Inputs, y: Array, pending: Inputs) -> Belief:
    """Conditions the process on rows; pending ones take away uncertainty and leave the mean.

    Args:
        kernel: The parameters.
        data: n rows, at least 1.
        y: Standardized gains, shape (n,).
        pending: p rows.
    """
    everything = Inputs(
        time=np.concatenate([data.time, pending.time]),
        x=np.concatenate([data.x, pending.x]),
        categories=np.concatenate([data.categories, pending.categories]),
    )
    matrix, _ = covariance(everything, everything, kernel)
    matrix.flat[:: matrix.shape[0] + 1] += kernel.noise + _JITTER
    factor = cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
    half = solve_triangular(factor[: y.size, : y.size], y, lower=True, check_finite=False)
    alpha = np.zeros(factor.shape[0])
    alpha[: y.size] = solve_triangular(factor[: y.size, : y.size], half, lower=True, trans=1, check_finite=False)
    width = math.sqrt(
        max(0.0, 0.2 * math.log(0.4 * y.size))
    )  # sqrt(c1 ln(c2 n)), c1 = .2 and c2 = .4 as in the authors' code
    return Belief(kernel=kernel, data=everything, factor=factor, alpha=alpha, width=width)
