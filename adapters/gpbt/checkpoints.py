"""Where checkpoints are kept: in a directory, behind a URL, or in a store of your own."""

from gpbt_adapters.storing.checkpoints import (
    CheckpointError,
    CheckpointStore,
    MissingCheckpointError,
    RemoteStore,
    Store,
    is_trusted,
    open_store,
    trusting,
)

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
