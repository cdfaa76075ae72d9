"""Watchers of a run: each is called with every event, in order, and cannot disturb the run.

An exception raised by a watcher is logged under its name and not propagated.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from gpbt_core.errors import ConfigError
from gpbt_core.registry import registry

__all__ = ["Watcher", "Watchers"]

logger = logging.getLogger(__name__)

Watcher: TypeAlias = Any
"""A callable `(event, optimizer)`, or an object with a method `gpbt_event` of these two arguments."""


class Watchers:
    """Passes events to the watchers of this run, then to those of the installed plugins.

    Args:
        watchers: The watchers of this run.
        display: The progress display, called after them.

    Raises:
        ConfigError: `watchers` is not iterable, or one is neither a callable nor an object with `gpbt_event`.
    """

    def __init__(self, watchers: Iterable[Watcher], display: Watcher) -> None:
        self._calls: list[tuple[str, Callable[..., object]]] = []
        if not isinstance(watchers, Iterable):
            raise ConfigError(f"run: callbacks must be a list, got {watchers!r}; pass [{_name(watchers)}]")
        for watcher in [*watchers, display]:
            call = getattr(watcher, "gpbt_event", watcher)
            if not callable(call):
                raise ConfigError(
                    f"run: expected callbacks (event, optimizer), or objects with gpbt_event, got {watcher!r}"
                )
            self._calls.append((_name(watcher), call))
        self._calls.append(("of a plugin", registry().event))

    def tell(self, event: object, optimizer: object) -> None:
        """Calls every watcher with an event that has just happened and the optimizer in the state after it."""
        for name, call in self._calls:
            try:
                call(event, optimizer)
            except Exception:
                logger.exception("watcher %s failed at %r; the run goes on", name, event)


def _name(watcher: Watcher) -> str:
    return str(getattr(watcher, "__qualname__", type(watcher).__qualname__))
