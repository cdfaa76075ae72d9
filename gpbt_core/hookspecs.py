"""What a plugin can offer: the hooks of the pluggy project "gpbt", found through the entry-point group of that name.

This module contains specifications only; each says who calls it. A plugin marks its implementations with `hookimpl`.
"""

from collections.abc import Iterable
from typing import Any

import pluggy

from gpbt_core.early_stopping import EarlyStoppingSpec
from gpbt_core.reproduction import ReproductionSpec
from gpbt_core.searcher import SearcherSpec

__all__ = ["gpbt_early_stoppings", "gpbt_event", "gpbt_reproductions", "gpbt_searchers", "hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("gpbt")
"""Marks the hooks below."""

hookimpl = pluggy.HookimplMarker("gpbt")
"""Marks a function of a plugin that implements one of the hooks."""


@hookspec
def gpbt_searchers() -> Iterable[SearcherSpec]:  # type: ignore[empty-body]  # a specification has none
    """Returns the searchers that the plugin offers; called once, when a plugin is first needed."""


@hookspec
def gpbt_reproductions() -> Iterable[ReproductionSpec]:  # type: ignore[empty-body]  # likewise
    """Returns the reproduction rules that the plugin offers; called once, when a plugin is first needed."""


@hookspec
def gpbt_early_stoppings() -> Iterable[EarlyStoppingSpec]:  # type: ignore[empty-body]  # likewise
    """Returns the early-stopping rules that the plugin offers; called once, when a plugin is first needed."""


@hookspec
def gpbt_event(event: Any, optimizer: Any) -> None:
    """Watches a run; called by drivers, never by the core, after each event.

    Args:
        event: The event that just happened, one of `gpbt_core.state.Event`.
        optimizer: The Optimizer after the event; do not change it.
    """
