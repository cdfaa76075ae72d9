"""Expected improvement in logs, and its gradient.

The log is exact where the value itself underflows, so that there is always a direction to go (Ament et al. 2023).
"""

import math

import numpy as np
from scipy.special import erfcx, ndtr

from gpbt_searchers.gp.kernel import Array

__all__ = ["log_improvement", "log_improvement_slopes"]

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_MILLS = math.sqrt(0.5 * math.pi)
_FAR = 1e4  # beyond so many deviations 1 + z R loses all digits and 1 / z^2 is exact


def log_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """Log of E max(f - best, 0) for f ~ N(mean, deviation^2), shape (m,).

    Args:
        mean: Shape (m,).
        deviation: Shape (m,), positive.
        best: The value to improve on; higher is better.
    """
    return np.asarray(np.log(deviation) + _log_h((mean - best) / deviation)[0])


def log_improvement_slopes(
    mean: Array, deviation: Array, mean_slope: Array, deviation_slope: Array, best: float
) -> tuple[Array, Array]:
    """`log_improvement`, shape (m,), and its gradient, shape (m, d), from the gradients of mean and deviation."""
    z = (mean - best) / deviation
    log_h, slope = _log_h(z)
    by_mean = slope / deviation
    by_deviation = (1.0 - z * slope) / deviation
    return np.log(deviation) + log_h, by_mean[:, None] * mean_slope + by_deviation[:, None] * deviation_slope


def _log_h(z: Array) -> tuple[Array, Array]:
    """Log h and its derivative for h(z) = phi(z) + z Phi(z).

    Below -1 through R = Phi / phi, the Mills ratio, as h = phi (1 + z R): equation 9 of Ament et al. 2023.
    """
    low = np.minimum(z, -1.0)
    ratio = _MILLS * erfcx(-low / math.sqrt(2.0))
    far = low < -_FAR
    rest = np.where(far, 1.0 / (low * low), 1.0 + np.where(far, 0.0, low) * ratio)
    high = np.maximum(z, -1.0)
    phi = np.exp(-0.5 * high * high - _HALF_LOG_2PI)
    h = phi + high * ndtr(high)
    below = z < -1.0
    value = np.where(below, -0.5 * low * low - _HALF_LOG_2PI + np.log(rest), np.log(h))
    return value, np.where(below, ratio / rest, ndtr(high) / h)
