"""Optuna's samplers as searchers."""

from gpbt_adapters.searching.optuna import OptunaSearcher, sampler_named

__all__ = [
    "OptunaSearcher",
    "sampler_named",
]
