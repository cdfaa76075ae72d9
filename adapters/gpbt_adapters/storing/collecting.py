"""Python's garbage collector, paused while a large run is read or looked at."""

import contextlib
import gc
from collections.abc import Iterator

__all__ = ["uncollected"]


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Pauses the collection of cycles in this process.

    Reading 100,000 trials, or computing what is shown of them, makes millions of objects and no garbage. To search them
    for cycles again and again would take a third of the time, or more.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
