"""How many threads the linear algebra of a searcher uses: one.

Its matrices are small; sharing them among threads costs more than it saves, tenfold where the other cores are busy
with training, and lets the last bits of an answer depend on how many there are.
"""

import functools
from contextlib import AbstractContextManager
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["one_blas_thread"]


def one_blas_thread() -> AbstractContextManager[Any]:
    """Holds BLAS to one thread while it is entered; the libraries that were loaded when it was first called."""
    limit: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return limit


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks at every library that the process has loaded
