"""The methods by name: gpbt and its ablations, and the peers through their own libraries.

Libraries are imported only inside the runs that use them, so that a missing one costs nothing but its own methods.
"""

from collections.abc import Mapping
from types import MappingProxyType

from benchmarks.method import Method
from benchmarks.methods import constant, genealogical, hyperopt_tpe, optuna_samplers, ray_tune, subprocesses

__all__ = ["METHODS"]

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        **genealogical.METHODS,
        **constant.METHODS,
        **optuna_samplers.METHODS,
        **hyperopt_tpe.METHODS,
        **ray_tune.METHODS,
        **subprocesses.METHODS,
    }
)
