"""Which files may be unpickled: only those that the caller has explicitly trusted in this thread.

Files are never trusted because of their content; `trusting` is the only way to trust them.
"""

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

__all__ = ["is_trusted", "trusting"]

_trusted: ContextVar[tuple[Path, ...]] = ContextVar("gpbt_trusted_paths", default=())


@contextlib.contextmanager
def trusting(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Allows files under `path` to be unpickled, in this thread and inside the block.

    Unpickling runs whatever code the author of the file wrote, so trust only files whose author you know. The store
    trusts checkpoints that its own run wrote, after verifying their checksums.
    """
    trusted = Path(path).resolve()
    token = _trusted.set((*_trusted.get(), trusted))
    try:
        yield Path(path)
    finally:
        _trusted.reset(token)


def is_trusted(path: str | os.PathLike[str]) -> bool:
    """Whether this thread is inside a `trusting` block for `path` or a directory above it."""
    resolved = Path(path).resolve()
    return any(resolved.is_relative_to(trusted) for trusted in _trusted.get())
