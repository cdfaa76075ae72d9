"""Selects the store for a path or a URL."""

import os

from gpbt_adapters.storing.checkpoints.directory import CheckpointStore
from gpbt_adapters.storing.checkpoints.remote import RemoteStore
from gpbt_adapters.storing.checkpoints.store import Store

__all__ = ["open_store"]


def open_store(where: str | os.PathLike[str] | None = None, *, resume: bool = False) -> Store:
    """Opens a store in a directory or at a URL.

    Args:
        where: A path, or a URL such as "s3://bucket/run". By default, a temporary directory.
        resume: Whether `where` may already be a store; see `CheckpointStore`.

    Raises:
        ConfigError: It is already a store and `resume` is not set, or it cannot be opened.

    Examples:
        >>> open_store("memory://runs/first")
        RemoteStore('memory://runs/first')
    """
    if isinstance(where, str) and "://" in where:
        return RemoteStore(where, resume=resume)
    return CheckpointStore(where, resume=resume)
