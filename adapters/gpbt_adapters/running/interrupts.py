"""Handles Ctrl-C and SIGTERM: the first Ctrl-C asks a run to end, the second ends it; SIGTERM does both in turn.

Only the main thread receives signals; in other threads this does nothing, and interrupts behave as usual. A handler may
run between any two instructions, perhaps while a lock is held that printing needs. It therefore only records the
signal, and another thread does the rest.
"""

import _thread
import signal
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["Interrupts"]


class Interrupts:
    """Context manager that counts presses of Ctrl-C instead of raising `KeyboardInterrupt`.

    SIGTERM, which batch systems send some time before they kill a process, counts as one press, and after `shutdown`
    seconds as another.

    Args:
        on_press: Called in the signal handler with the number of presses so far. It must be quick and re-entrant: it
            may set flags and put items into a `SimpleQueue`. An exception it raises leaves the interrupted code.
        on_first: Called once, in a separate thread, with the name of the signal, after the first press.
        shutdown: Seconds between SIGTERM and the press that ends the trials in training.

    Attributes:
        presses: The number of presses so far.
    """

    def __init__(
        self, on_press: Callable[[int], None], on_first: Callable[[str], None] = lambda _: None, shutdown: float = 20.0
    ) -> None:
        self.presses = 0
        self._on_press, self._on_first, self._shutdown = on_press, on_first, shutdown
        self._before: dict[int, Any] = {}
        self._heard: SimpleQueue[int | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.getsignal(number)
                if number == signal.SIGINT or before is signal.SIG_DFL:  # an existing SIGTERM handler is kept
                    self._before[number] = signal.signal(number, self._pressed)
            self._thread = threading.Thread(target=self._serve, name="gpbt-interrupts", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self._heard.put(None)
        if self._thread is not None:
            self._thread.join(timeout=2)  # until its message is printed

    def _pressed(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature for signal.signal
        self.presses += 1
        self._heard.put(number)
        self._on_press(self.presses)

    def _serve(self) -> None:
        """Does, in a separate thread, what a handler must not do."""
        number = self._heard.get()
        if number is None:
            return
        self._on_first("SIGTERM" if number == signal.SIGTERM else "Ctrl-C")
        while number is not None:
            try:
                number = self._heard.get(timeout=self._shutdown if number == signal.SIGTERM else None)
            except Empty:
                if self.presses == 1:
                    _thread.interrupt_main()
                number = signal.SIGINT
