"""Spaces from those of other libraries: Optuna, scipy.stats and ConfigSpace."""

from gpbt_adapters.searching.spaces import from_configspace, from_optuna, from_scipy

__all__ = [
    "from_configspace",
    "from_optuna",
    "from_scipy",
]
