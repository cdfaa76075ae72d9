"""Silences Optuna during our calls, and keeps the user's verbosity everywhere else."""

import contextlib
import threading
import warnings
from collections.abc import Iterator

import optuna

__all__ = ["quiet"]

_ONE_AT_A_TIME = threading.RLock()  # verbosity and warning filters are global: two threads would mix them up


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within it Optuna logs errors alone and does not warn of what it calls experimental; one thread at a time."""
    with _ONE_AT_A_TIME:
        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(max(before, optuna.logging.ERROR))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                yield
        finally:
            optuna.logging.set_verbosity(before)
