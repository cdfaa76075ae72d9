"""The state of a run and its transitions: all that affects what may happen next lives here, and nothing else does.

How it works. A run is a row of generations; the last one is open. Its plan says which parent each slot has. Slots are
asked in order, so a trial's id is its generation's first id plus its slot. What is decided for slot k may use only a
*view*: the results of a prefix of the slots, fixed by the rule of `max_concurrent` and never by who finished first. The
view moves slot by slot, as does everything else, through `apply`:

    Asked      the next slot opens, or a trial that was given back is handed out again
    Reported   a running trial has a loss at a step of its segment; past its limit it is to stop
    Told       a trial has ended: completed, stopped or failed
    Cancelled  a trial has ended without a result
    Requeued   a trial was given back
    Planned    the generation is closed, and the next one opens by this plan
    Extended   there are to be more generations

After each event the view moves as far as the results allow, and it is known whether the next slot may open. When none
will any more, the plan of the next generation is due: the reproduction rule makes it (`plans_due`), and the event that
carries it closes the generation. A replay takes the plans from the log and asks no rule. The run is finished when the
generation that would be next lies beyond the last; its plan then stands ready for an extension.
"""

from gpbt_core.state.events import Asked, Cancelled, Event, Extended, Planned, Reported, Requeued, Told
from gpbt_core.state.generations import Order, initial, next_order, slot_of
from gpbt_core.state.life import ENDED, LIFE, PENDING
from gpbt_core.state.model import Generation, Open, State, Tally, View
from gpbt_core.state.planning import happen, plans_due, replay
from gpbt_core.state.settings import Settings, generator
from gpbt_core.state.transitions import apply

__all__ = [
    "ENDED",
    "LIFE",
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
