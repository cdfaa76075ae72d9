"""Pure questions about a state: lineages, schedules, family histories, checkpoints.

These functions only read the state; they decide and change nothing.
"""

import math
from collections.abc import Iterator, Sequence

import attrs

from gpbt_core.records import Record, Schedule, Segment, Status, Trial
from gpbt_core.searcher import Family, History
from gpbt_core.space.parameters import alike
from gpbt_core.state import PENDING, State

__all__ = ["ancestry", "children", "family", "lineage", "needed", "revised", "schedule"]


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
    """The configs along a trial's lineage, each with the steps for which it was in force.

    Equal neighbors form one segment. The last segment counts the steps that the trial has trained, or all of its steps
    while it has not ended.
    """
    segments: list[Segment] = []
    for record in lineage(state, trial_id):
        trial = record.trial
        steps = trial.steps if record.status in PENDING else record.steps
        if segments and alike(segments[-1].config, trial.config):
            last = segments.pop()
            segments.append(Segment(config=last.config, start_step=last.start_step, steps=last.steps + steps))
        else:
            segments.append(Segment(config=trial.config, start_step=trial.start_step, steps=steps))
    return Schedule(tuple(segments))


def children(state: State, parent: int | None, generation: int) -> Iterator[int]:
    """The ids of the children of one parent in one generation, ascending; None: those that started from scratch."""
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
    # Slots that a refill added after the planned ones go to the parents in turn.
    turns = max(1, len(plan.parents))
    turn = plan.parents.index(parent) if parent is not None else 0
    yield from range(first + planned + (turn - planned) % turns, first + count, turns)


def family(state: State, parent: int | None, history: History = "family") -> Family:
    """The trials that the child in the next slot may learn from; O(their number + the parent's depth).

    Args:
        state: A state in which the next slot is ready.
        parent: The slot's parent; None: the child starts from scratch.
        history: "family": the trials that `ancestry` names; "all": all trials; "none": no trials.
    """
    if history == "none":
        return Family()
    ids = range(len(state.records)) if history == "all" else _relatives(state, parent)
    seen = state.open.first + state.open.view.end
    told: list[Record] = []
    pending = []
    for i in ids:
        record = state.records[i]
        if i >= seen or record.status in PENDING:  # beyond the view, not even a cancellation is known
            pending.append(record.trial)
        elif record.status is not Status.CANCELLED:
            told.append(record)
    return Family(told=tuple(told), pending=tuple(pending))


def revised(state: State, parent: int, history: History = "family") -> Family:
    """The trials that a revision of the best line may learn from, each with the best end of a complete line through it.

    A revision is judged by its end. So is every trial here: its loss is the lowest at the end of a line to which it
    belongs. Trials that are on no complete line are left out, and so are founders.
    Generations are those of the first lines: a trial's depth.

    Args:
        state: A state in which the next slot is ready.
        parent: The slot's parent.
        history: "family": trials that descend from the same founder; "all": all trials; "none": no trials.
    """
    if history == "none":
        return Family()
    records, o = state.records, state.open
    ends: dict[int, float] = {}
    for i in range(o.first + o.view.end):
        record = records[i]
        if record.trial.depth == state.settings.line - 1 and record.status is Status.COMPLETED:
            assert record.loss is not None  # a completed trial is one with a loss
            at: int | None = i
            while at is not None and record.loss < ends.get(at, math.inf):
                ends[at] = record.loss
                at = records[at].trial.parent
    founder = _founder(records, parent)
    told = [
        attrs.evolve(records[i], trial=_by_depth(records[i].trial), loss=ends[i])
        for i in sorted(ends)
        if records[i].trial.depth and (history == "all" or _founder(records, i) == founder)
    ]
    pending = [_by_depth(records[i].trial) for i in range(o.first, o.first + o.asked) if i not in ends]
    return Family(told=tuple(told), pending=tuple(pending))


def _founder(records: Sequence[Record], trial_id: int) -> int:
    while (parent := records[trial_id].trial.parent) is not None:
        trial_id = parent
    return trial_id


def _by_depth(trial: Trial) -> Trial:
    return attrs.evolve(trial, generation=trial.depth)


def ancestry(records: Sequence[Record], parent: int | None, generation: int) -> Iterator[tuple[int | None, range]]:
    """The rule of the family history: whose children a trial may learn from, and in which generations.

    A trial learns from the children of each ancestor, up to the generation in which its line left that ancestor.

    Args:
        records: Every trial asked so far, by id.
        parent: The trial's parent; None: it starts from scratch.
        generation: The trial's generation.

    Yields:
        Each ancestor, from the parent up, with the generations of its children; finally None, which stands for starting
        from scratch.
    """
    ancestor, left = parent, generation
    while ancestor is not None:
        trial = records[ancestor].trial
        yield ancestor, range(trial.generation + 1, left + 1)
        ancestor, left = trial.parent, trial.generation
    yield None, range(left + 1)


def _relatives(state: State, parent: int | None) -> Iterator[int]:
    """The ids of all trials of a family history, ascending."""
    for ancestor, generations in reversed(tuple(ancestry(state.records, parent, state.open.index))):
        for generation in generations:
            yield from children(state, ancestor, generation)


def needed(state: State) -> frozenset[int]:
    """The ids of ended trials whose checkpoints may still be needed; O(all trials), for inspection and tests."""
    released = set(state.released)
    return frozenset(r.trial.id for r in state.records if r.status not in PENDING and r.trial.id not in released)
