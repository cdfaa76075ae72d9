"""Runs on a Ray cluster, and classes written for Ray Tune as trainables."""

from gpbt_adapters.running.ray import BrokenClusterError, RayExecutor, RayStore, TuneTrainable, from_tune

__all__ = [
    "BrokenClusterError",
    "RayExecutor",
    "RayStore",
    "TuneTrainable",
    "from_tune",
]
