"""The course of generations: the view advances, slots open, a generation closes and a plan opens the next one."""

import math
from typing import Any, NamedTuple

from gpbt_core.early_stopping import GenerationStopping
from gpbt_core.errors import ProtocolError
from gpbt_core.persistent import Vector, with_key
from gpbt_core.records import Record, Status
from gpbt_core.reproduction import Closing, Plan, Slot
from gpbt_core.state.decisions import found_enough, founding_plan, promise
from gpbt_core.state.life import ENDED
from gpbt_core.state.model import Generation, Open, State, Tally, View, with_
from gpbt_core.state.selection import candidates as candidates_of
from gpbt_core.state.selection import free, lines
from gpbt_core.state.settings import Settings

__all__ = [
    "Order",
    "best_line",
    "closed",
    "closing",
    "due",
    "extinct_if_due",
    "initial",
    "looked",
    "moved",
    "next_order",
    "slot_of",
]


def initial(settings: Settings) -> State:
    """The state of a run in which nothing has happened yet."""
    first = _opened(settings, 0, 0, founding_plan(settings.reproduction, settings.population), ())
    return looked(
        State(
            settings=settings,
            generations=len(settings.lengths),
            records=Vector(),
            closed=Vector(),
            open=first,
            best=None,
            queue=(),
            late=(),
            released=Vector(),
            extinct=False,
            tally=Tally(),
        )
    )


def slot_of(plan: Plan, place: int) -> Slot:
    """The slot at a place of a generation; those behind the planned ones are opened by a refill."""
    if place < len(plan.slots):
        return plan.slots[place]
    return Slot(plan.parents[place % len(plan.parents)] if plan.parents else None)


class Order(NamedTuple):
    """What a slot stands for: a trial whose config is still to be found."""

    id: int
    parent: int | None
    generation: int
    depth: int
    steps: int
    start_step: int


def next_order(state: State) -> tuple[Slot, Order]:
    """The next slot, and the order that it stands for.

    Raises:
        ProtocolError: No slot is ready.
    """
    opened = state.open
    if not opened.ready:
        raise ProtocolError("ask: no slot is ready: wait for results, or see whether the run is finished")
    slot = slot_of(opened.plan, opened.asked)
    depth = start = 0
    if slot.parent is not None:
        parent = state.records[slot.parent]
        depth, start = parent.trial.depth + 1, parent.trial.start_step + parent.steps
    return slot, Order(opened.first + opened.asked, slot.parent, opened.index, depth, opened.steps, start)


def moved(state: State, records: Vector[Record], **changes: Any) -> Open:
    """The open generation after an event, with its view moved.

    Args:
        state: The state before the event.
        records: The records after it.
        changes: The fields of the open generation that the event changed.
    """
    o = state.open
    if o.index >= state.generations:
        return with_(o, ready=False, **changes)
    asked, prefix = changes.get("asked", o.asked), changes.get("prefix", o.prefix)
    changes["view"], changes["ready"], changes["over"] = _look(state.settings, state.closed, records, o, asked, prefix)
    return with_(o, **changes)


def looked(state: State) -> State:
    """The state after the first check of its open generation: whether its next slot may open."""
    return with_(state, open=moved(state, state.records))


def due(state: State) -> bool:
    """Whether the open generation can have no further results, so that the plan of the next one is due."""
    o = state.open
    if o.ready or state.extinct or o.index >= state.generations:
        return False
    quorum = state.settings.quorum
    if not (o.over or o.asked >= len(o.plan.slots)) or o.ended < quorum * o.asked:
        return False
    # With a quorum below 1 a straggler may yet be the only parent.
    return quorum == 1 or not (o.ended < o.asked or state.late) or bool(candidates_of(state))


def extinct_if_due(state: State) -> State:
    """The state, which is extinct if the next generation is due and there is no parent for it."""
    if not due(state) or state.open.plan.parents or candidates_of(state):
        return state
    return with_(state, extinct=True, open=with_(state.open, ready=False, over=True))


def closing(state: State) -> Closing:
    """What the reproduction rule may look at when the plan of the next generation is due."""
    settings, o, records = state.settings, state.open, state.records
    members = [records[i] for i in (*sorted(o.latecomers), *range(o.first, o.first + o.asked))]
    parents = tuple(records[i] for i in o.plan.parents)
    return Closing(
        space=settings.space,
        population=settings.population,
        generation=o.index + 1,
        candidates=tuple(candidates_of(state)) or parents,
        members=tuple(m for m in members if m.status in ENDED),
        parents=parents,
        generations=state.generations,
        steps=settings.steps,
        records=records,
        # In an extension, the checkpoints of the line are no longer kept.
        line=tuple(records[i] for i in best_line(state)) if o.index < len(settings.lengths) else (),
    )


def best_line(state: State) -> tuple[int, ...]:
    """The ids of the trials of the line that later generations may revisit, from its founder on; else empty."""
    return () if state.whole is None else lines([state.whole[1]], state.records)


def closed(state: State, plan: Plan) -> State:
    """The state after the open generation is closed, with the next one opened by its plan."""
    settings, o, records = state.settings, state.open, state.records
    members = [records[i] for i in range(o.first, o.first + o.asked)]
    best = min((m.loss for m in members if m.status is Status.COMPLETED and m.loss is not None), default=math.inf)
    cancelled = max(0, len(o.plan.slots) - o.asked) * o.steps
    late = (*state.late, *(m.trial.id for m in members if m.status not in ENDED))
    opened = _opened(settings, o.index + 1, o.first + o.asked, plan, tuple(records[i] for i in plan.parents))
    held: tuple[int, ...] = ()
    if settings.revisits and opened.index < len(settings.lengths):
        ancestors = (records[i].trial.parent for i in late)  # what is in training has no checkpoint to keep yet
        held = lines([*plan.parents, *ancestors, state.whole and state.whole[1]], records)
    leavers = sorted({record.trial.id for record in candidates_of(state)} | set(o.plan.parents) | set(state.held))
    return looked(
        with_(
            state,
            closed=state.closed.append(Generation(o.first, o.asked, o.plan, best)),
            open=opened,
            late=late,
            released=state.released.extend(free(leavers, records, opened, state.best, late, held)),
            held=held,
            tally=with_(state.tally, saved=state.tally.saved + cancelled),
        )
    )


def _look(
    settings: Settings, closed: Vector[Generation], records: Vector[Record], o: Open, asked: int, prefix: int
) -> tuple[View, bool, bool]:
    """The view of the next slot as far as the results go, whether it may open, and whether none will any more.

    The view of slot k holds slots 0 .. k-m. If the budget does not allow the slot while pending trials count at full
    length, the view is extended slot by slot until it does. Steps left over by failed trials are refilled too.
    """
    k, view, steps = asked, o.view, o.steps
    rule = None if settings.is_revision(o.index) else settings.generation_stopping
    end = k - settings.max_concurrent + 1
    while view.end < end:
        if view.end == prefix:
            return view, False, o.over
        view = _included(view, records[o.first + view.end], steps)
    planned = len(o.plan.slots)
    while True:
        if (rule and _found_enough(rule, closed, view)) or (k >= planned and not settings.reproduction.refill):
            return view, False, True
        left = planned * steps - view.used - (k - view.end) * steps
        if k < planned or (2 * left >= steps and not _hopeless(records, o.first, view, planned)):
            return view, True, False
        if view.end == k:
            return view, False, True
        if view.end == prefix:
            return view, False, False
        view = _included(view, records[o.first + view.end], steps)


def _hopeless(records: Vector[Record], first: int, view: View, planned: int) -> bool:
    """Whether all planned slots have failed: with refills, a broken training would be tried T times as often."""
    return view.end >= planned and all(
        records[first + i].status in (Status.FAILED, Status.CANCELLED) for i in range(view.end)
    )


def _found_enough(rule: GenerationStopping, closed: Vector[Generation], view: View) -> bool:
    return view.end > 0 and found_enough(rule, view.best, [generation.best for generation in closed])


def _included(view: View, record: Record, steps: int) -> View:
    reported = view.reported
    if reported and record.reports:
        found = list(reported)
        for step, loss in record.reports:
            if step < steps:
                found[step - 1] = with_key(found[step - 1], (loss, record.trial.id))
        reported = tuple(found)
    best = view.best
    if record.status is Status.COMPLETED and record.loss is not None:
        best = min(best, record.loss)
    return View(view.end + 1, view.used + record.steps, best, reported)


def _opened(settings: Settings, index: int, first: int, plan: Plan, parents: tuple[Record, ...]) -> Open:
    steps = settings.lengths[min(index, len(settings.lengths) - 1)]
    stops = settings.trial_stopping is not None and not settings.is_revision(index)
    # Late results join the candidates of a later selection, so that with a quorum no promise about one can be kept.
    keep = promise(settings.reproduction, index + 1, settings.population) if settings.quorum == 1 else None
    standing = [(p.loss, p.trial.id) for p in parents if p.loss is not None] if keep and keep.survivors else []
    return Open(
        index=index,
        first=first,
        steps=steps,
        plan=plan,
        keep=keep,
        asked=0,
        ended=0,
        prefix=0,
        view=View(0, 0, math.inf, ((),) * (steps - 1) if stops else ()),
        ready=False,
        over=False,
        candidates=tuple(sorted(standing)[: keep.count]) if keep else (),
        litters=Vector([()] * max(1, len(plan.parents)) if keep and keep.per_parent is not None else ()),
        latecomers=(),
    )
