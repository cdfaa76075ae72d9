"""Limits the linear algebra of a searcher to one thread.

Its matrices are small. Several threads cost more than they save, ten times as much where the other cores are busy with
training, and the last bits of a result would depend on their number.
"""

import contextlib
import functools
import os
import threading
from collections.abc import Iterator

from threadpoolctl import ThreadpoolController

__all__ = ["one_blas_thread"]


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limits BLAS to one thread inside the context; applies to the libraries that were loaded when it was first called.

    The setting belongs to the process. Only one thread is inside at a time; otherwise the last one to leave would
    restore what another one had set.
    """
    with _turn.lock, _controller().limit(limits=1, user_api="blas"):
        yield


class _Turn:
    """Whose turn it is; a forked process has a turn of its own, as the thread that had it may be gone."""

    def __init__(self) -> None:
        self.renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self.lock = threading.RLock()


_turn = _Turn()


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks at every library that the process has loaded
