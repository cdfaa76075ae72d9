"""Runs on a Ray cluster, and classes written for Ray Tune as trainables.

`RayExecutor` is the executor of a cluster, for `run(..., executor=RayExecutor(...))`; `RayStore` keeps checkpoints in
its object store; `from_tune` makes a factory of trainables from a Tune class. Importing this needs Ray; nothing else
in gpbt_adapters imports it.
"""

try:
    import ray as _ray  # noqa: F401 - distinguishes a missing extra from a broken module
except ImportError as error:
    raise ImportError('gpbt.ray needs Ray, which is not installed: pip install "gpbt[ray]"') from error

from gpbt_adapters.running.ray.executor import BrokenClusterError, RayExecutor
from gpbt_adapters.running.ray.store import RayStore
from gpbt_adapters.running.ray.tune import TuneTrainable, from_tune

__all__ = ["BrokenClusterError", "RayExecutor", "RayStore", "TuneTrainable", "from_tune"]
