"""The Gaussian process: the fit of its kernel parameters, and the belief given them.

Every function is pure. `fit` is cached by the content of its arguments, so the cache saves time and cannot change a
result. It is bounded, and `functools.lru_cache` makes it safe for threads and forks.
"""

import functools
import math

import attrs
import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.linalg.blas import dsymm, dsymv
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

from gpbt_searchers.gp.assumptions import Assumptions, prior
from gpbt_searchers.gp.kernel import (
    Array,
    Hyper,
    PointLayout,
    Points,
    covariance,
    features,
    slopes,
    warp_slopes,
)

__all__ = ["Belief", "Fit", "condition", "fit", "log_posterior"]

_JITTER = 1e-6
_REACH = 5.0  # the fit stays within so many standard deviations of the prior: exp never overflows
_NOISY = 0.05  # variance of the noise from which a fit starts, if the prior's median is lower
_FITS = 64  # as many lines as take turns in a generation, with room; a fit of 300 points takes 0.8 MB


def log_posterior(
    z: Array, points: Points, y: Array, assumptions: Assumptions, room: Array | None = None
) -> tuple[float, Array]:
    """Log density of kernel parameters given data, up to a constant, and its gradient.

    The log marginal likelihood and its derivatives are equations 5.8 and 5.9 of Rasmussen & Williams 2006.

    Args:
        z: The logs of the parameters in units of their prior, (log - mean) / deviation, shape (layout.size,).
        points: n points, at least 1.
        y: Their scores, shape (n,).
        assumptions: The settings, which contain the prior.
        room: An array of shape (3, n, n) to work in; None: a new one.

    Returns:
        The value, and its gradient by `z`.
    """
    room = np.empty((3, y.size, y.size)) if room is None else room
    layout = points.layout
    mean, deviation = prior(layout, assumptions)
    hyper = Hyper.from_logs(layout, mean + deviation * z)
    x = features(points, hyper)
    matrix, by_square = covariance(x, x, hyper.scale, room)
    diagonal = hyper.noise + _JITTER
    matrix.flat[:: y.size + 1] += diagonal
    # Fortran's order is the transpose of numpy's; of symmetric matrices only the triangle that LAPACK fills is used.
    factor = cholesky(matrix.T, lower=True, overwrite_a=True, check_finite=False)
    half_log_determinant = float(np.log(factor.diagonal()).sum())
    inverse, _ = dpotri(factor, lower=1, overwrite_c=1)
    alpha = dsymv(1.0, inverse, y, lower=1)
    fit_of_data = float(y @ alpha)
    value = -0.5 * fit_of_data - half_log_determinant - 0.5 * float(z @ z)

    # d value / d matrix = (alpha alpha^T - inverse) / 2; its product with the matrix has the trace (fit - n) / 2.
    trace = 0.5 * (float(alpha @ alpha) - float(inverse.trace()))
    by_scale = 0.5 * (fit_of_data - y.size) - diagonal * trace
    by_noise = hyper.noise * trace
    weight = np.multiply.outer(0.5 * alpha, alpha, out=room[2])
    weight -= np.multiply(inverse, 0.5, out=inverse).T
    weight *= by_square  # d value / d r^2
    # sum_k weight_jk (x_j - x_k), through a product instead of an array of n x n x features.
    product = dsymm(1.0, weight.T, np.column_stack([x, np.ones(y.size)]), lower=1)
    pull = product[:, -1:] * x - product[:, :-1]
    by_feature = -4.0 * np.einsum("ij,ij->j", x, pull)
    by_length = np.bincount(layout.owners, weights=by_feature, minlength=layout.lengths)
    numbers = layout.numeric.size
    by_warped = 4.0 * pull[:, :numbers] / hyper.length[:numbers]
    by_a, by_b = (np.einsum("ij,ij->j", by_warped, slope) for slope in warp_slopes(points, hyper))
    return value, np.concatenate([by_length, [by_scale, by_noise], by_a, by_b]) * deviation - z


@attrs.frozen(kw_only=True, eq=False)
class Fit:
    """A fitted kernel on the points that it was fitted to; its arrays are read-only.

    Attributes:
        layout: The columns of the points.
        hyper: The kernel parameters.
        x: Features of the points, shape (n, features).
        factor: Lower Cholesky factor of their covariance, noise and jitter included, shape (n, n).
    """

    layout: PointLayout
    hyper: Hyper
    x: Array
    factor: Array


def fit(layout: PointLayout, assumptions: Assumptions, u: Array, y: Array) -> Fit:
    """Finds the most probable kernel parameters. It starts from the prior, so no fit depends on another.

    Args:
        layout: The columns.
        assumptions: The settings, which contain the prior.
        u: Points, shape (n, columns); without any the prior's medians are the answer.
        y: Their scores, shape (n,).
    """
    return _fit(layout, assumptions, np.ascontiguousarray(u).tobytes(), np.ascontiguousarray(y).tobytes())


@functools.lru_cache(maxsize=_FITS)
def _fit(layout: PointLayout, assumptions: Assumptions, u: bytes, y: bytes) -> Fit:
    points = Points.of(layout, np.frombuffer(u).reshape(-1, layout.columns))
    scores = np.frombuffer(y)
    room = np.empty((3, scores.size, scores.size))

    def downhill(z: Array) -> tuple[float, Array]:
        value, gradient = log_posterior(z, points, scores, assumptions, room)
        return -value, -gradient

    mean, deviation = prior(layout, assumptions)
    z = np.zeros(layout.size)
    if scores.size:
        # Up from too little noise leads to a kernel that explains each point by itself; down from too much is safe.
        z[layout.lengths + 1] = max(0.0, (math.log(_NOISY) - mean[layout.lengths + 1]) / deviation[layout.lengths + 1])
        bounds = [(-_REACH, _REACH)] * layout.size
        options = {"maxiter": assumptions.iterations}
        z = minimize(downhill, z, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    hyper = Hyper.from_logs(layout, mean + deviation * z)
    x = features(points, hyper)
    factor = cholesky(_noisy(x, hyper), lower=True, overwrite_a=True, check_finite=False)
    for array in (hyper.length, hyper.a, hyper.b, x, factor):
        array.flags.writeable = False
    return Fit(layout=layout, hyper=hyper, x=x, factor=factor)


def _noisy(x: Array, hyper: Hyper) -> Array:
    matrix, _ = covariance(x, x, hyper.scale)
    matrix.flat[:: x.shape[0] + 1] += hyper.noise + _JITTER
    return matrix


@attrs.frozen(kw_only=True, eq=False)
class Belief:
    """The process given data.

    Attributes:
        layout: The columns of points.
        hyper: The kernel parameters.
        x: Features of the points that it is conditioned on, shape (n, features).
        factor: Lower Cholesky factor of their covariance, shape (n, n).
        alpha: Their inverse covariance times their scores, shape (n,).
    """

    layout: PointLayout
    hyper: Hyper
    x: Array
    factor: Array
    alpha: Array

    def mean(self, u: Array) -> Array:
        """Belief means at points `u` of shape (m, columns), shape (m,)."""
        x = features(Points.of(self.layout, u), self.hyper)
        cross, _ = covariance(self.x, x, self.hyper.scale)
        return np.asarray(self.alpha @ cross)

    def predict(self, u: Array) -> tuple[Array, Array]:
        """Belief means and standard deviations (of the function, without noise) at `u`, each of shape (m,)."""
        x = features(Points.of(self.layout, u), self.hyper)
        cross, _ = covariance(self.x, x, self.hyper.scale)
        solved = solve_triangular(self.factor, cross, lower=True, check_finite=False)
        variance = self.hyper.scale - np.einsum("ij,ij->j", solved, solved)
        return self.alpha @ cross, np.sqrt(np.maximum(variance, _JITTER * self.hyper.scale))

    def predict_slopes(self, u: Array) -> tuple[Array, Array, Array, Array]:
        """Belief means and standard deviations at `u` of shape (m, columns), and their derivatives by its numbers.

        Returns:
            Means (m,), deviations (m,), and their derivatives, each of shape (m, numeric).
        """
        points = Points.of(self.layout, u)
        x = features(points, self.hyper)
        cross, by_square = covariance(self.x, x, self.hyper.scale)
        solved = solve_triangular(self.factor, cross, lower=True, check_finite=False)
        beta = solve_triangular(self.factor, solved, lower=True, trans=1, check_finite=False)
        variance = self.hyper.scale - np.einsum("ij,ij->j", solved, solved)
        floor = _JITTER * self.hyper.scale
        deviation = np.sqrt(np.maximum(variance, floor))
        numbers = self.layout.numeric.size
        chain = slopes(points, self.hyper)

        def by_numbers(weight: Array) -> Array:
            """Derivative of sum_j weight_j k_j by u: 2 sum_j weight_j k'_j (x - x_j), then the chain rule."""
            pull = weight * by_square
            return np.asarray(2.0 * (pull.sum(axis=0)[:, None] * x[:, :numbers] - pull.T @ self.x[:, :numbers]) * chain)

        by_variance = np.where(variance > floor, -1.0 / deviation, 0.0)  # -2 beta dk, and 1 / (2 deviation)
        return self.alpha @ cross, deviation, by_numbers(self.alpha[:, None]), by_variance[:, None] * by_numbers(beta)


def condition(fitted: Fit, further: Array, y: Array, pending: Array) -> Belief:
    """Conditions a fitted process on data that begin with the points of the fit.

    The factor of the fit is extended by a block, O(n^2) for each further point, instead of rebuilt. Pending points
    enter with their own posterior mean as score (the believer of Ginsbourger et al. 2010): they take away uncertainty
    where they lie, and leave the mean as it is.

    Args:
        fitted: The fit.
        further: Points told since, shape (k, columns).
        y: Scores of the points of the fit, then of those, shape (n + k,).
        pending: Points without a score, shape (p, columns).
    """
    x, factor = fitted.x, fitted.factor
    if further.shape[0] + pending.shape[0]:
        x, factor = _extended(fitted, np.concatenate([further, pending]))
    told = factor[: y.size, : y.size]
    half = solve_triangular(told, y, lower=True, check_finite=False)
    alpha = np.zeros(x.shape[0])  # 0 on pending points: a score equal to the mean adds nothing to it
    alpha[: y.size] = solve_triangular(told, half, lower=True, trans=1, check_finite=False)
    return Belief(layout=fitted.layout, hyper=fitted.hyper, x=x, factor=factor, alpha=alpha)


def _extended(fitted: Fit, further: Array) -> tuple[Array, Array]:
    """The features and the factor of the fit with points `further` of shape (k, columns) appended."""
    new = features(Points.of(fitted.layout, further), fitted.hyper)
    n, k = fitted.x.shape[0], new.shape[0]
    cross, _ = covariance(fitted.x, new, fitted.hyper.scale)
    corner = solve_triangular(fitted.factor, cross, lower=True, check_finite=False)
    factor = np.zeros((n + k, n + k))
    factor[:n, :n] = fitted.factor
    factor[n:, :n] = corner.T
    factor[n:, n:] = cholesky(_noisy(new, fitted.hyper) - corner.T @ corner, lower=True, check_finite=False)
    return np.concatenate([fitted.x, new]), factor
