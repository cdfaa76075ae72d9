"""Checkpoints of a run: each trial's files are there whole and unharmed, or not there.

A `Store` keeps them: `CheckpointStore` in a directory, `RemoteStore` behind a URL of fsspec's, and on a Ray cluster
`gpbt.ray.RayStore` in its object store. `open_store` finds the one that a path or a URL means.
"""

from gpbt_adapters.storing.checkpoints.directory import CheckpointStore
from gpbt_adapters.storing.checkpoints.opening import open_store
from gpbt_adapters.storing.checkpoints.remote import RemoteStore
from gpbt_adapters.storing.checkpoints.store import CheckpointError, MissingCheckpointError, Store
from gpbt_adapters.storing.checkpoints.trust import is_trusted, trusting

__all__ = [
    "CheckpointError",
    "CheckpointStore",
    "MissingCheckpointError",
    "RemoteStore",
    "Store",
    "is_trusted",
    "open_store",
    "trusting",
]
