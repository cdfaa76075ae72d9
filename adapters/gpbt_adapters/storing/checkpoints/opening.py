"""The store that a path or a URL means."""

import os

from gpbt_adapters.storing.checkpoints.directory import CheckpointStore
from gpbt_adapters.storing.checkpoints.remote import RemoteStore
from gpbt_adapters.storing.checkpoints.store import Store

__all__ = ["open_store"]


def open_store(where: str | os.PathLike[str] | None = None, *, resume: bool = False) -> Store:
    """A store in a directory, or behind a URL.

    Args:
        where: A path; or a URL, such as "s3://bucket/run"; or None: a temporary directory.
        resume: Whether it may be a store already; see `CheckpointStore`.

    Raises:
        ConfigError: It is a store already and `resume` is not set, or cannot be opened.

    Examples:
        >>> open_store("memory://runs/first")
        RemoteStore('memory://runs/first')
    """
    if isinstance(where, str) and "://" in where:
        return RemoteStore(where, resume=resume)
    return CheckpointStore(where, resume=resume)
