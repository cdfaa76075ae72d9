"""The sign of life of a process: its leases are renewed in the background for as long as it has the study open.

The thread knows nothing of the study, so that a study which nobody holds any more lets go of its trials.
"""

import contextlib
import logging
import os
import threading

from gpbt_adapters.storing.journal.storage import Journal, JournalError

__all__ = ["Heartbeat"]

logger = logging.getLogger(__name__)


class Heartbeat:
    """Renews the leases of a worker three times within their length.

    Args:
        journal: Where they are; closed at the end.
        study: Whose.
        worker: By whom they are held.
        lease: Seconds that they run.
    """

    def __init__(self, journal: Journal, study: int, worker: str, lease: float) -> None:
        self._journal, self._study, self._worker, self._lease = journal, study, worker, lease
        self._process = os.getpid()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins, if it has not begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._beat, name="gpbt-heartbeat", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Ends, gives up the leases and closes the journal; for a database that fails they expire."""
        if os.getpid() != self._process:
            return  # a forked child has no part in this
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
