r"""Parzen estimators: a density of good records and one of bad ones, as mixtures of product kernels in the unit cube.

The uniform prior is one more kernel of each. The logarithm of a kernel is linear in features of the point, so that all
kernels at all candidates are one product of matrices. In a numeric dimension the features of u are (u^2, u, 1), since
log N(u; x, s) truncated to [0, 1] is

    -u^2 / 2s^2 + u x / s^2 - x^2 / 2s^2 - log(s sqrt(2 pi) (Phi((1 - x) / s) - Phi(-x / s)));

in a categorical one they are the indicators of the choices. A kernel is uniform in a dimension in which its record is
not active; the prior is a kernel of which nothing is active. A point has no features in a dimension in which it is not
active, which is the kernel with that dimension integrated out.

Discrete numeric dimensions use the density at the center of the bin in place of its mass: they differ by the bin's
width, which is the same on both sides and leaves the ratio alone.
"""

import math

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from gpbt_searchers.tpe.layout import Floats, Layout

__all__ = ["Side", "Split", "features_of", "split"]

_LOG_ROOT_TAU = 0.5 * math.log(2 * math.pi)
_FAR = 6.0  # bandwidths from an end at which cutting off the tail there changes a density by less than 1e-8
_NOTHING = -700.0  # exp of less is no normal float, and takes twenty times as long
_ONE_THREAD = 2**18  # multiplications up to which OpenBLAS uses one thread


@attrs.frozen(kw_only=True, eq=False)
class Side:
    """Records that make one of the densities.

    Attributes:
        rows: The n records in the unit cube, shape (n, d); NaN where a dimension is not active.
        weights: Theirs, shape (n,), above 0; the prior has the weight 1.
        floor: The smallest bandwidth, in u.
    """

    rows: Floats
    weights: Floats
    floor: float


@attrs.frozen(kw_only=True, eq=False)
class Split:
    """The density of the good and the density of the bad.

    Each is a product over blocks of dimensions that are modeled jointly: one block of them all in the multivariate
    estimator, one block per dimension in the univariate one. There are n kernels, first those of the good side, of
    which the last is its prior, then those of the bad side, with its prior.

    Attributes:
        layout: What the dimensions are; m of them are numeric.
        joint: Whether there is one block.
        good: How many kernels the good side has.
        centers: The kernels in the numeric dimensions, shape (m, n).
        widths: Their bandwidths there, shape (m, n).
        uniform: Where a kernel is uniform instead, shape (m, n).
        chosen: The kernels in each categorical dimension as indices of choices, shape (n,); -1 where uniform.
        weights: Of the kernels in each block, shape (blocks, n); those of each side sum to 1.
        coefficients: Of the features in the logarithm of each kernel, shape (features, n).
    """

    layout: Layout
    joint: bool
    good: int
    centers: Floats
    widths: Floats
    uniform: NDArray[np.bool_]
    chosen: tuple[NDArray[np.intp], ...]
    weights: Floats
    coefficients: Floats

    def sample(self, count: int, rng: np.random.Generator) -> Floats:
        """Points drawn from the density of the good, as if every dimension were active.

        Args:
            count: How many.
            rng: Gives one number per point and block, and one per point and dimension.

        Returns:
            Points, shape (count, d); in categorical dimensions bin centers, in discrete numeric ones not yet.
        """
        layout, blocks = self.layout, len(self.weights)
        drawn = rng.random((blocks + len(layout.spans), count))
        shares = self.weights[:, : self.good].cumsum(axis=1)
        kernels = np.array([row.searchsorted(t, side="right") for row, t in zip(shares, drawn, strict=False)])
        kernels = np.minimum(kernels, self.good - 1)  # (blocks, count); sums of shares may fall short of 1
        t = drawn[blocks:]
        points = np.empty((len(layout.spans), count))
        rows, which = np.arange(len(layout.numeric))[:, None], kernels if self.joint else kernels[layout.numeric]
        points[layout.numeric] = _truncated_normal(
            self.centers[rows, which], self.widths[rows, which], self.uniform[rows, which], t[layout.numeric]
        )
        for (k, choices), chosen in zip(layout.choices, self.chosen, strict=True):
            own = chosen[kernels[0 if self.joint else k]]
            anew = np.where(own < 0, t[k], t[k] / (choices * _smoothing(self.good, choices)[0]))
            points[k] = (np.where(anew < 1.0, np.floor(anew * choices), own) + 0.5) / choices
        return points.T

    def log_ratio(self, features: Floats) -> Floats:
        """The logarithm of the density of the good over that of the bad.

        Args:
            features: Of c points, as `features_of` tells them.

        Returns:
            Per point and block, shape (c, blocks).
        """
        out = np.empty((len(features), len(self.weights)))
        spans = [slice(None)] if self.joint else self.layout.spans
        for k, (span, weights) in enumerate(zip(spans, self.weights, strict=True)):
            kernels = _product(features[:, span], self.coefficients[span])
            kernels -= kernels.max(axis=1, keepdims=True)
            np.maximum(kernels, _NOTHING, out=kernels)
            np.exp(kernels, out=kernels)
            kernels *= weights
            good, bad = kernels[:, : self.good].sum(axis=1), kernels[:, self.good :].sum(axis=1)
            out[:, k] = np.log(good / bad)
        return out


def features_of(layout: Layout, points: Floats) -> Floats:
    """What kernels are linear in.

    Args:
        layout: What the d dimensions are.
        points: Shape (c, d), in the unit cube; NaN where a dimension is not active.

    Returns:
        Features, shape (c, features); 0 where a dimension is not active.
    """
    features = np.zeros((len(points), layout.features))
    u = points[:, layout.numeric]
    triples = features[:, : 3 * u.shape[1]].reshape(*u.shape, 3)
    triples[:, :, 0] = u * u
    triples[:, :, 1] = u
    triples[:, :, 2] = 1.0
    if layout.conditional:
        triples[np.isnan(u)] = 0.0
    for k, choices in layout.choices:
        (active,) = (~np.isnan(points[:, k])).nonzero()
        features[active, layout.spans[k].start + (points[active, k] * choices).astype(np.intp)] = 1.0
    return features


def split(layout: Layout, good: Side, bad: Side, *, joint: bool) -> Split:
    """The two densities.

    Bandwidths follow the farther one of both neighbors, per dimension (Bergstra et al. 2011; Watanabe 2023 names it
    "hyperopt"), but no kernel is narrower than the floor or than a bin, nor wider than 1. On a side of n records a
    categorical kernel spreads the weight 1 / (n + 1) over the choices.

    Args:
        layout: What the d dimensions are.
        good: The good records.
        bad: The bad ones.
        joint: One block of all dimensions, or one block each. In a block of its own a dimension is learned from the
            records in which it is active.
    """
    prior = np.full((1, len(layout.spans)), np.nan)
    kernels = np.concatenate([good.rows, prior, bad.rows, prior])
    ends = len(good.rows) + 1, len(bad.rows) + 1
    x = np.ascontiguousarray(kernels.T[layout.numeric])
    uniform = np.isnan(x)
    x[uniform] = 0.5
    widths = np.concatenate([_bandwidths(layout, good), _bandwidths(layout, bad)], axis=1)
    widths = np.minimum(np.maximum(widths, layout.bin_widths(x)), 1.0)
    chosen = tuple(_choices(kernels[:, k], choices) for k, choices in layout.choices)
    coefficients = np.empty((layout.features, len(kernels)))
    _set_numeric(x, widths, uniform, coefficients[: 3 * len(x)].reshape(len(x), 3, len(kernels)))
    for (k, _), own in zip(layout.choices, chosen, strict=True):
        _set_categorical(own, ends, coefficients[layout.spans[k]])
    return Split(
        layout=layout,
        joint=joint,
        good=ends[0],
        centers=x,
        widths=widths,
        uniform=uniform,
        chosen=chosen,
        weights=np.concatenate([_shares(good, joint=joint), _shares(bad, joint=joint)], axis=1),
        coefficients=coefficients,
    )


def _shares(side: Side, *, joint: bool) -> Floats:
    """The weights of a side's kernels in each block, the prior's last, shape (blocks, n + 1); rows sum to 1."""
    rows = side.weights[None, :] if joint else side.weights * ~np.isnan(side.rows.T)
    shares = np.ones((len(rows), rows.shape[1] + 1))
    shares[:, :-1] = rows
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _bandwidths(layout: Layout, side: Side) -> Floats:
    """Of a side's kernels, the prior's last, in the numeric dimensions, shape (m, n + 1), before bins are looked at."""
    x = np.ascontiguousarray(side.rows.T[layout.numeric])
    widths = np.ones((x.shape[0], x.shape[1] + 1))
    if layout.conditional:
        for row, active, out in zip(x, ~np.isnan(x), widths, strict=True):
            out[:-1][active] = _gaps(row[None, active])[0]
    else:
        widths[:, :-1] = _gaps(x)
    return np.maximum(widths, side.floor)


def _gaps(x: Floats) -> Floats:
    """Per row, how far each number is from the farther one of its neighbors, shape (m, n).

    The ends of the interval are neighbors too, but not of the outermost numbers, which would be wide for no reason; a
    single number has them both.
    """
    rows, order = np.arange(len(x))[:, None], np.argsort(x, axis=1, kind="stable")
    padded = np.empty((x.shape[0], x.shape[1] + 2))
    padded[:, 0], padded[:, -1] = 0.0, 1.0
    padded[:, 1:-1] = x[rows, order]
    between = padded[:, 1:] - padded[:, :-1]
    wider = np.maximum(between[:, :-1], between[:, 1:])
    if x.shape[1] > 1:
        wider[:, 0], wider[:, -1] = between[:, 1], between[:, -2]
    gaps = np.empty(x.shape)
    gaps[rows, order] = wider
    return gaps


def _truncated_normal(x: Floats, s: Floats, uniform: NDArray[np.bool_], t: Floats) -> Floats:
    """The t-quantiles of normal distributions around x of widths s, cut off outside [0, 1], or t where uniform."""
    low, high = ndtr(-x / s), ndtr((1.0 - x) / s)
    inside = np.minimum(np.maximum(x + s * ndtri(low + t * (high - low)), 0.0), 1.0)
    return np.where(uniform, t, inside)


def _set_numeric(x: Floats, s: Floats, uniform: NDArray[np.bool_], out: Floats) -> None:
    """Writes the coefficients of (u^2, u, 1) for kernels at x, (m, n), of widths s, (m, n), to `out`, (m, 3, n)."""
    precision = 1.0 / (s * s)
    out[:, 0] = -0.5 * precision
    out[:, 1] = x * precision
    out[:, 2] = -0.5 * x * out[:, 1] - np.log(s) - _LOG_ROOT_TAU
    near = np.minimum(x, 1.0 - x) < _FAR * s  # the others keep all of their mass
    x, s = x[near], s[near]
    out[:, 2][near] -= np.log(ndtr((1.0 - x) / s) - ndtr(-x / s))
    out.transpose(0, 2, 1)[uniform] = 0.0


def _product(left: Floats, right: Floats) -> Floats:
    """The product of matrices, in parts so small that BLAS leaves them to one thread.

    Waking others takes longer than all of the work, and may change last bits.
    """
    width = max(1, _ONE_THREAD // max(1, left.size))
    if right.shape[1] <= width:
        return np.asarray(left @ right)
    out = np.empty((len(left), right.shape[1]))
    for start in range(0, right.shape[1], width):
        out[:, start : start + width] = left @ right[:, start : start + width]
    return out


def _choices(column: Floats, choices: int) -> NDArray[np.intp]:
    """Indices of choices at bin centers, shape (n,); -1 for NaN."""
    return np.where(np.isnan(column), -1.0, np.floor(column * choices)).astype(np.intp)


def _smoothing(kernels: int, choices: int) -> tuple[float, float]:
    """The probabilities that one of so many kernels on a side gives to another choice than its own, and to its own."""
    spread = 1.0 / kernels
    total = 1.0 + choices * spread
    return spread / total, (1.0 + spread) / total


def _set_categorical(own: NDArray[np.intp], ends: tuple[int, int], out: Floats) -> None:
    """Writes the logarithms of the probabilities of choices to `out`, (choices, n).

    Args:
        own: The kernels' own choices, shape (n,); -1 where uniform.
        ends: How many kernels each side has, n in all.
        out: Where to.
    """
    (other, same), (other_bad, same_bad) = (_smoothing(end, len(out)) for end in ends)
    out[:, : ends[0]], out[:, ends[0] :] = math.log(other), math.log(other_bad)
    (known,) = (own >= 0).nonzero()
    out[own[known], known] = np.where(known < ends[0], math.log(same), math.log(same_bad))
    out[:, own < 0] = -math.log(len(out))
