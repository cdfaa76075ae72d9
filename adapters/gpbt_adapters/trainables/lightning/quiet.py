"""Keeping Lightning quiet, in this process and in those that it starts."""

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator

from lightning.fabric.utilities.warnings import PossibleUserWarning

__all__ = ["Quiet", "quiet"]

_LOGGERS = ("lightning.pytorch", "lightning.fabric")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hides the messages that Lightning repeats at each fit, since a run has thousands. Other warnings are shown."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    try:
        with warnings.catch_warnings():
            _set()
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


class Quiet:
    """Makes the process quiet in which it is unpickled, which Lightning started for one fit."""

    def __reduce__(self) -> tuple[Callable[[], "Quiet"], tuple[()]]:
        """Pickles itself as a call."""
        return _quieten, ()


def _quieten() -> Quiet:
    _set()
    return Quiet()


def _set() -> None:
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.simplefilter("ignore", PossibleUserWarning)  # advice on speed, such as more workers of a loader
    warnings.filterwarnings("ignore", r".*treespec, LeafSpec", FutureWarning)  # Lightning's, of PyTorch's trees
