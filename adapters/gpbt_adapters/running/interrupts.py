"""Ctrl-C in two strengths: the first asks a run to end, the second ends it.

Signals are the main thread's; anywhere else this does nothing, and an interrupt is what it always was.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["Interrupts"]


class Interrupts:
    """While it is entered, counts presses of Ctrl-C instead of raising `KeyboardInterrupt`.

    Args:
        on_press: Called in the signal handler with the number of presses so far; must be quick and re-entrant. What it
            raises leaves the code that was interrupted.

    Attributes:
        presses: How many there were.
    """

    def __init__(self, on_press: Callable[[int], None]) -> None:
        self.presses = 0
        self._on_press = on_press
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._pressed)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _pressed(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as signal.signal wants it
        self.presses += 1
        self._on_press(self.presses)
