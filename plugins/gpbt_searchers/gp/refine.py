"""A climb in the unit cube, from a start along a gradient.

Pure: the start and the function decide where it ends.
"""

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from gpbt_searchers.gp.kernel import Array

__all__ = ["climb"]

_ITERATIONS = 30


def climb(uphill: Callable[[Array], tuple[float, Array]], start: Array) -> Array:
    """The point that L-BFGS reaches in at most 30 iterations.

    Args:
        uphill: A point of shape (d,) -> the value there and its gradient, shape (d,).
        start: Shape (d,), in [0, 1].

    Returns:
        Shape (d,), in [0, 1].

    Example:
        >>> climb(lambda u: (-float(((u - 0.3) ** 2).sum()), -2 * (u - 0.3)), np.array([0.9, 0.5])).round(3).tolist()
        [0.3, 0.3]
    """
    if not start.size:
        return start

    def downhill(u: Array) -> tuple[float, Array]:
        value, gradient = uphill(u)
        return -value, -gradient

    options = {"maxiter": _ITERATIONS}
    found = minimize(downhill, start, jac=True, method="L-BFGS-B", bounds=[(0.0, 1.0)] * start.size, options=options)
    return np.asarray(np.clip(found.x, 0.0, 1.0))
