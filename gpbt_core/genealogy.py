"""Pure questions about a state: lineages, schedules, family histories, checkpoints.

Nothing here decides or changes anything; what is asked about is settled by the state.
"""

from collections.abc import Iterator

from gpbt_core.records import Record, Schedule, Segment, Status
from gpbt_core.searcher import Family, History
from gpbt_core.space.parameters import alike
from gpbt_core.state import State

__all__ = ["children", "family", "lineage", "needed", "schedule"]

_PENDING = frozenset({Status.RUNNING, Status.STOPPING, Status.QUEUED})


def lineage(state: State, trial_id: int) -> tuple[Record, ...]:
    """The chain of trials from a founder down to a trial; O(its depth)."""
    line: list[Record] = []
    at: int | None = trial_id
    while at is not None:
        record = state.records[at]
        line.append(record)
        at = record.trial.parent
    return tuple(reversed(line))


def schedule(state: State, trial_id: int) -> Schedule:
    """The configs along a trial's lineage with the steps that each held for; neighbours that are equal are one segment.

    The last segment counts what the trial has trained, or is to train while it has not ended.
    """
    segments: list[Segment] = []
    for record in lineage(state, trial_id):
        trial = record.trial
        steps = trial.steps if record.status in _PENDING else record.steps
        if segments and alike(segments[-1].config, trial.config):
            last = segments.pop()
            segments.append(Segment(config=last.config, start_step=last.start_step, steps=last.steps + steps))
        else:
            segments.append(Segment(config=trial.config, start_step=trial.start_step, steps=steps))
    return Schedule(tuple(segments))


def children(state: State, parent: int | None, generation: int) -> Iterator[int]:
    """The ids of the children that one parent got in one generation, by rising id; None: the founders."""
    opened = state.open
    if generation == opened.index:
        first, count, plan = opened.first, opened.asked, opened.plan
    else:
        closed = state.closed[generation]
        first, count, plan = closed.first, closed.count, closed.plan
    places = plan.litters.get(parent)
    if places is None:
        return
    for place in places:
        if place >= count:
            return
        yield first + place
    planned = len(plan.slots)
    if count <= planned or (parent is None and plan.parents):
        return
    # Slots that a refill opened behind the planned ones go to the parents in turn.
    turns = max(1, len(plan.parents))
    turn = plan.parents.index(parent) if parent is not None else 0
    yield from range(first + planned + (turn - planned) % turns, first + count, turns)


def family(state: State, parent: int | None, history: History = "family") -> Family:
    """What the next slot's child of a parent may learn from; O(what it returns + the parent's depth).

    Args:
        state: A state in which that slot is ready.
        parent: The slot's parent; None: a founder's.
        history: "family": for each ancestor, parent included, the ancestor's children up to the generation in which
            the line left it, where starting from scratch is the first ancestor; "all": everybody; "none": nobody.
    """
    if history == "none":
        return Family()
    ids = range(len(state.records)) if history == "all" else _relatives(state, parent)
    seen = state.open.first + state.open.view.end
    told: list[Record] = []
    pending = []
    for i in ids:
        record = state.records[i]
        if i >= seen or record.status in _PENDING:  # beyond the view even a cancelled one is not known to be
            pending.append(record.trial)
        elif record.status is not Status.CANCELLED:
            told.append(record)
    return Family(told=tuple(told), pending=tuple(pending))


def _relatives(state: State, parent: int | None) -> Iterator[int]:
    line = lineage(state, parent) if parent is not None else ()
    ancestor, born = None, -1
    for record in line:
        for generation in range(born + 1, record.trial.generation + 1):
            yield from children(state, ancestor, generation)
        ancestor, born = record.trial.id, record.trial.generation
    for generation in range(born + 1, state.open.index + 1):
        yield from children(state, ancestor, generation)


def needed(state: State) -> frozenset[int]:
    """The ids of ended trials whose checkpoints may still be needed; O(all trials), for people and tests."""
    released = set(state.released)
    return frozenset(r.trial.id for r in state.records if r.status not in _PENDING and r.trial.id not in released)
