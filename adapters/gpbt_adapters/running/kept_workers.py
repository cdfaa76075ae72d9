"""Worker processes that outlive a search: the next one need not start them and import everything again.

The processes are loky's, which joblib uses too: they need no guard of the main program, and end after five idle minutes
or with this process. A search that is interrupted, or that has to replace its workers, ends them.
"""

import importlib
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

__all__ = ["KeptExecutor"]

IDLE = 300
"""Seconds until an idle worker ends, as in joblib."""

_idle: dict[int, Executor] = {}
"""Executors between two searches, one for each number of workers."""

_lock = threading.Lock()


class KeptExecutor(Executor):
    """Processes of an earlier executor with as many workers, or new ones. Two that are in use share no processes.

    Args:
        workers: How many processes, at least 1.
    """

    def __init__(self, workers: int) -> None:
        self._max_workers = workers
        with _lock:
            inner = _idle.pop(workers, None)
        self._inner: Any = inner or importlib.import_module("joblib.externals.loky").ProcessPoolExecutor(
            workers, timeout=IDLE
        )

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """As any executor.

        Raises:
            BrokenExecutor: The processes have died.
        """
        future: Future[Any] = self._inner.submit(fn, *args, **kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False, kill_workers: bool = False) -> None:  # noqa: FBT001, FBT002 - as the base class
        """Keeps the processes for the next search, or ends them.

        Args:
            wait: Whether to wait for processes that are ended.
            cancel_futures: Has no effect: nothing is waiting when a search ends.
            kill_workers: Whether to end the processes at once.
        """
        del cancel_futures
        if kill_workers:
            self._inner.shutdown(wait=wait, kill_workers=True)
            return
        with _lock:
            surplus = _idle.get(self._max_workers)
            _idle[self._max_workers] = self._inner
        if surplus is not None and surplus is not self._inner:
            surplus.shutdown(wait=wait)
