"""The plans that are due: the reproduction rule makes each once, and the log records it."""

from collections.abc import Iterable, Iterator

from gpbt_core.state.decisions import next_plan
from gpbt_core.state.events import Event, Planned
from gpbt_core.state.generations import closing, due
from gpbt_core.state.model import State
from gpbt_core.state.settings import generator
from gpbt_core.state.transitions import apply

__all__ = ["happen", "plans_due", "replay"]


def happen(state: State, event: Event) -> tuple[State, list[Event]]:
    """The state after an event and after the plans that are due then, with the event and those plans.

    Raises:
        ConfigError: As `apply`.
        ProtocolError: As `apply`.
        PluginError: The reproduction rule raised, or its plan is not one.
    """
    state = apply(state, event)
    if not due(state):
        return state, [event]
    state, planned = plans_due(state)
    return state, [event, *planned]


def plans_due(state: State) -> tuple[State, list[Planned]]:
    """The state after the plans that are due, and these; none where nothing is due.

    Raises:
        PluginError: The reproduction rule raised, or its plan is not one.
    """
    made: list[Planned] = []
    while due(state):
        generation = state.open.index + 1
        rng = generator(state.settings, "plan", generation)
        plan = next_plan(state.settings.reproduction, closing(state), rng, most=_most_slots(state, generation))
        made.append(Planned(generation=generation, plan=plan))
        state = apply(state, made[-1])
    return state, made


def _most_slots(state: State, generation: int) -> int | None:
    """How many slots the budget leaves for a generation; None: no limit (an extension, a quorum)."""
    settings, lengths = state.settings, state.settings.lengths
    if generation >= len(lengths) or settings.quorum < 1:
        return None
    plans = [*(closed.plan for closed in state.closed), state.open.plan]
    planned = sum(len(plan.slots) * length for plan, length in zip(plans, lengths, strict=False))
    return (settings.population * settings.steps - planned) // lengths[generation]


def replay(state: State, events: Iterable[Event]) -> Iterator[tuple[State, Event]]:
    """The state after each event of a log; plans that the log lacks, as one of version 1 does, are made and inserted.

    A log may be replayed in pieces. If a piece ends just before a plan, the plan is made there, and the same plan at
    the beginning of the next piece is skipped.

    Args:
        state: The state before the first event.
        events: In order.

    Yields:
        The state after an event, and the event: of the log, or a plan that it lacks.

    Raises:
        ConfigError: As `apply`.
        ProtocolError: As `apply`.
        PluginError: The log lacks a plan, and the reproduction rule raised, or its plan is not one.
    """
    for event in events:
        if type(event) is Planned:
            if _is_made(state, event):
                continue
        elif due(state):
            state, planned = plans_due(state)
            for plan in planned:
                yield state, plan
        state = apply(state, event)
        yield state, event
    state, planned = plans_due(state)
    for plan in planned:
        yield state, plan


def _is_made(state: State, event: Planned) -> bool:
    o = state.open
    return event.generation == o.index and o.asked == 0 and event.plan == o.plan
