"""The heartbeat of a process: its leases are renewed in the background as long as it has the study open.

The thread holds no reference to the study, so that the leases of a study end when it is garbage-collected.
"""

import contextlib
import logging
import os
import threading

from gpbt_adapters.storing.journal.storage import Journal, JournalError

__all__ = ["Heartbeat"]

logger = logging.getLogger(__name__)


class Heartbeat:
    """Renews the leases of a worker three times per lease period.

    Args:
        journal: The journal that holds the leases; closed at the end.
        study: The id of the study.
        worker: The holder of the leases.
        lease: The length of a lease in seconds.
    """

    def __init__(self, journal: Journal, study: int, worker: str, lease: float) -> None:
        self._journal, self._study, self._worker, self._lease = journal, study, worker, lease
        self._process = os.getpid()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread unless it is already running."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._beat, name="gpbt-heartbeat", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Stops the thread, ends the leases and closes the journal. If the database fails, the leases expire."""
        if os.getpid() != self._process:
            return  # a forked child has no heartbeat to stop
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            with contextlib.suppress(JournalError):
                self._journal.renew(self._study, self._worker, 0.0)
        self._journal.close()

    def _beat(self) -> None:
        while not self._ended.wait(self._lease / 3):
            try:
                self._journal.renew(self._study, self._worker, self._lease)
            except JournalError as error:
                logger.warning("leases could not be renewed; tried again in %g s: %s", self._lease / 3, error)
