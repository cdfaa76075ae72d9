"""How many threads the linear algebra of a searcher uses: one.

Its matrices are small; sharing them among threads costs more than it saves, tenfold where the other cores are busy
with training, and lets the last bits of an answer depend on how many there are.
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
    """Holds BLAS to one thread while it is entered; the libraries that were loaded when it was first called.

    The setting is the whole process's: of several threads one is inside at a time, or the last one to leave would put
    back what another one had set.
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
