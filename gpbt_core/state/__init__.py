"""The state of a run and its transitions: this package holds everything that affects what may happen next.

A run is a sequence of generations; the last one is open. Its plan gives each slot a parent. Slots are asked in order,
so a trial's id is its generation's first id plus its slot. A decision for slot k may use only a *view*: the results of
a prefix of the slots, determined by `max_concurrent` and never by which trial finished first. The view advances slot by
slot. Every change, that of the view included, goes through `apply`:

    Asked      the next slot opens, or a requeued trial is asked again
    Reported   a running trial has a loss at a step of its segment; above its limit it must stop
    Told       a trial has ended: completed, stopped or failed
    Cancelled  a trial has ended without a result
    Requeued   a trial was requeued
    Planned    the generation is closed, and the next one opens by this plan
    Extended   the run has more generations

After each event the view advances as far as the results allow, which determines whether the next slot may open. When
no more slots will open, the plan of the next generation is due: the reproduction rule makes it (`plans_due`), and the
event that carries it closes the generation. A replay takes the plans from the log and calls no rule. The run is
finished when the next generation would be beyond the last; its plan is then ready for an extension.
"""

from gpbt_core.state.decisions import MOST_MODELS
from gpbt_core.state.events import Asked, Cancelled, Event, Extended, Planned, Reported, Requeued, Told
from gpbt_core.state.generations import Order, initial, next_order, slot_of
from gpbt_core.state.life import ENDED, LIFE, PENDING
from gpbt_core.state.model import Generation, Open, State, Tally, View
from gpbt_core.state.planning import happen, plans_due, replay
from gpbt_core.state.settings import MOST_STEPS, Settings, generator
from gpbt_core.state.transitions import apply

__all__ = [
    "ENDED",
    "LIFE",
    "MOST_MODELS",
    "MOST_STEPS",
    "PENDING",
    "Asked",
    "Cancelled",
    "Event",
    "Extended",
    "Generation",
    "Open",
    "Order",
    "Planned",
    "Reported",
    "Requeued",
    "Settings",
    "State",
    "Tally",
    "Told",
    "View",
    "apply",
    "generator",
    "happen",
    "initial",
    "next_order",
    "plans_due",
    "replay",
    "slot_of",
]
