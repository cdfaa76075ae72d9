"""Which files may be unpickled: those of which somebody who knows their author has said so, in this thread.

Nothing is trusted by its looks; `trusting` is the one way in.
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
    """Says that the files under `path` may be unpickled, in this thread and inside the block.

    A pickle runs whatever code its author wrote; say so only of files whose author you know. The store says it of
    checkpoints that its own run wrote, after comparing their checksums.
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
