"""Trained models that a worker keeps in memory, so that a child can continue its parent without a checkpoint."""

import logging
import threading
from collections import OrderedDict

from gpbt_adapters.trainables.trainable import Trainable

__all__ = ["Kept", "close"]

logger = logging.getLogger(__name__)


class Kept:
    """The models of one process, by the digests of their lines; thread-safe.

    A digest stands for everything that a model was trained under, so a model that is found here has the same bits as
    one that is loaded from its checkpoint, if its trainable keeps the promises of `Trainable`.

    Args:
        most: How many models may be in memory, at least 1, including one that is in training.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._models: OrderedDict[str, Trainable] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def lines(self) -> tuple[str, ...]:
        """The digests of the models that are here, the oldest first."""
        with self._lock:
            return tuple(self._models)

    def take(self, line: str) -> Trainable | None:
        """Removes a model and returns it; if it is not here, drops the oldest ones until there is room for another."""
        with self._lock:
            found = self._models.pop(line, None)
        if found is None:
            self._shrink(self.most - 1)
        return found

    def add(self, line: str, trainable: Trainable) -> None:
        """Keeps a model, which nobody else may use from now on."""
        with self._lock:
            old = self._models.pop(line, None)
            self._models[line] = trainable
        if old is not None:
            close(old)
        self._shrink(self.most)

    def clear(self) -> None:
        """Drops all models."""
        self._shrink(0)

    def _shrink(self, most: int) -> None:
        while True:
            with self._lock:
                if len(self._models) <= most:
                    return
                _, oldest = self._models.popitem(last=False)
            close(oldest)


def close(trainable: Trainable) -> None:
    """Closes a trainable; an error there does not affect any result."""
    try:
        trainable.close()
    except Exception:
        logger.warning("%s.close() failed", type(trainable).__name__, exc_info=True)
