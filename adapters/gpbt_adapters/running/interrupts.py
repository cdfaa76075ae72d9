"""Ctrl-C in two strengths, the first to ask a run to end, the second to end it; and SIGTERM, which is both in turn.

Signals are the main thread's; anywhere else this does nothing, and an interrupt is what it always was. A handler runs
between any two instructions, perhaps while a lock is held that printing needs: so it notes what came, and another
thread says and does the rest.
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
    """While it is entered, counts presses of Ctrl-C instead of raising `KeyboardInterrupt`.

    SIGTERM, which batch systems send some time before they kill, counts as a press, and after `shutdown` seconds as
    another one.

    Args:
        on_press: Called in the signal handler with the number of presses so far; must be quick and re-entrant, so it
            may set flags and put something into a `SimpleQueue`. What it raises leaves the code that was interrupted.
        on_first: Called once, in a thread of its own, with the name of the signal, after the first press.
        shutdown: Seconds between SIGTERM and the press that ends what is in training.

    Attributes:
        presses: How many there were.
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
                if number == signal.SIGINT or before is signal.SIG_DFL:  # whoever handles SIGTERM already goes on
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
            self._thread.join(timeout=2)  # until it has said what it has to say

    def _pressed(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as signal.signal wants it
        self.presses += 1
        self._heard.put(number)
        self._on_press(self.presses)

    def _serve(self) -> None:
        """Does in its own thread what a handler must not do."""
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
