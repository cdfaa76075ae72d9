"""Checkpoints of a run: the checkpoint of a trial is complete and undamaged, or does not exist.

A `Store` keeps them: `CheckpointStore` in a directory, `RemoteStore` at an fsspec URL, and `gpbt.ray.RayStore` in the
object store of a Ray cluster. `open_store` selects the store for a path or a URL.
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
