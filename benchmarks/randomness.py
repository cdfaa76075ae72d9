"""Temporary global seeds, for libraries that use only global generators."""

import contextlib
import random
from collections.abc import Iterator

import numpy as np

__all__ = ["global_randomness"]


@contextlib.contextmanager
def global_randomness(seed: int) -> Iterator[None]:
    """Seeds the global generators of `random` and numpy for a library that uses only these; restores them."""
    python, array = random.getstate(), np.random.get_state()  # noqa: NPY002  # it is what the library uses
    try:
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002  # as above
        yield
    finally:
        random.setstate(python)
        np.random.set_state(array)  # noqa: NPY002  # as above
