"""Conformance kits for trainables, searchers and rules of your own."""

from gpbt_adapters.trainables.testing import BrokenPromiseError, check_trainable
from gpbt_core.testing import check_early_stopping, check_reproduction, check_searcher

__all__ = [
    "BrokenPromiseError",
    "check_early_stopping",
    "check_reproduction",
    "check_searcher",
    "check_trainable",
]
