"""The priors of the model and other settings: one set for schedules, one for runs of one generation.

The constants were found by experiment; docs/searchers/gp.md has the figures. Nothing here depends on data.
"""

import functools
import math

import attrs
import numpy as np

from gpbt_searchers.gp.kernel import Array, PointLayout

__all__ = ["LINEAGE", "PLAIN", "Assumptions", "prior"]


@attrs.frozen(kw_only=True)
class Assumptions:
    """Settings of the model; hashable, so that they can be part of a cache key.

    Attributes:
        noise: Prior median of the variance of the noise, in units of the scores' variance.
        noise_spread: Prior standard deviation of its log.
        warp_spread: Prior standard deviations of the logs of the warps' parameters.
        iterations: Of L-BFGS in a fit, at most.
        linear: Whether the better half of the losses keeps its distances; otherwise only ranks count.
    """

    noise: float
    noise_spread: float
    warp_spread: float
    iterations: int
    linear: bool


# Litters differ by more than their configs, and losses fall from generation to generation: ranks, and some noise.
LINEAGE = Assumptions(noise=0.05, noise_spread=1.2, warp_spread=0.6, iterations=15, linear=False)
# One function is followed down to its minimum; whether it is noisy, the data tell.
PLAIN = Assumptions(noise=0.003, noise_spread=2.5, warp_spread=0.3, iterations=25, linear=True)

_LENGTH, _LENGTH_SPREAD = 0.6, 0.8  # also with 50 hyperparameters: longer ones for more dimensions did not help
_STAGE, _STAGE_SPREAD = 1.0, 0.8
_SCALE_SPREAD = 0.5


@functools.lru_cache(maxsize=64)
def prior(layout: PointLayout, assumptions: Assumptions) -> tuple[Array, Array]:
    """Means and standard deviations of the logs of the kernel parameters, which are independent and normal.

    Args:
        layout: The columns of points.
        assumptions: The settings.

    Returns:
        Two read-only arrays of shape (layout.size,), in the order of `Hyper.from_logs`.
    """
    hps, stages, warps = len(layout.choices), int(layout.generation), 2 * layout.numeric.size
    mean = [math.log(_LENGTH)] * hps + [math.log(_STAGE)] * stages + [0.0, math.log(assumptions.noise)] + [0.0] * warps
    spread = [_LENGTH_SPREAD] * hps + [_STAGE_SPREAD] * stages + [_SCALE_SPREAD, assumptions.noise_spread]
    arrays = np.array(mean), np.array(spread + [assumptions.warp_spread] * warps)
    for array in arrays:
        array.flags.writeable = False
    return arrays
