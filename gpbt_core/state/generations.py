"""How generations go by: the view moves, the next slot opens, a generation closes and the next one is planned."""

import math
from typing import NamedTuple

import attrs

from gpbt_core.early_stopping import GenerationStopping
from gpbt_core.errors import ProtocolError
from gpbt_core.persistent import Key, Ranking, Vector
from gpbt_core.records import Record, Status
from gpbt_core.reproduction import Closing, Plan, Slot
from gpbt_core.state.decisions import found_enough, founding_plan, next_plan, promise
from gpbt_core.state.model import ENDED, Generation, Open, State, Tally, View
from gpbt_core.state.selection import candidates as candidates_of
from gpbt_core.state.selection import free
from gpbt_core.state.settings import Settings, generator

__all__ = ["Order", "initial", "looked", "moved", "next_order", "settle", "slot_of"]

_NO_LOSSES = Ranking()


def initial(settings: Settings) -> State:
    """The state of a run in which nothing has happened yet."""
    first = _opened(settings, 0, 0, founding_plan(settings.reproduction, settings.population), ())
    return looked(
        State(
            settings,
            len(settings.lengths),
            Vector(),
            Vector(),
            first,
            None,
            (),
            (),
            Vector(),
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


def moved(
    state: State,
    records: Vector[Record],
    *,
    asked: int,
    ended: int,
    prefix: int,
    candidates: Ranking,
    litters: Vector[tuple[Key, ...]],
    latecomers: tuple[int, ...],
) -> Open:
    """The open generation after an event, made once with its view moved; the arguments are what the event changed."""
    o, settings = state.open, state.settings
    view, ready, over = o.view, False, o.over
    if o.index < state.generations:
        view, ready, over = _look(settings, state.closed, records, o, asked, prefix)
    return Open(
        o.index,
        o.first,
        o.steps,
        o.plan,
        o.keep,
        asked,
        ended,
        prefix,
        view,
        ready,
        over,
        candidates,
        litters,
        latecomers,
    )  # by position, as this is the hot path


def settle(state: State) -> State:
    """Closes generations of which nothing more can come, and opens those that follow."""
    while not state.extinct and state.open.index < state.generations:
        o, settings = state.open, state.settings
        waits_for_no_slot = o.over or (not o.ready and o.asked >= len(o.plan.slots))
        if not waits_for_no_slot or o.ended < settings.quorum * o.asked:
            break
        if settings.quorum < 1 and (o.ended < o.asked or state.late) and not candidates_of(state):
            break  # a straggler may yet be the only parent
        state = _closed(state)
    return state


def looked(state: State) -> State:
    """The state with its open generation's first look: whether its next slot may open."""
    s, o = state, state.open
    opened = moved(
        state,
        s.records,
        asked=o.asked,
        ended=o.ended,
        prefix=o.prefix,
        candidates=o.candidates,
        litters=o.litters,
        latecomers=o.latecomers,
    )
    return State(
        s.settings, s.generations, s.records, s.closed, opened, s.best, s.queue, s.late, s.released, s.extinct, s.tally
    )


def _look(
    settings: Settings, closed: Vector[Generation], records: Vector[Record], o: Open, asked: int, prefix: int
) -> tuple[View, bool, bool]:
    """The view of the next slot as far as the results go, whether it may open, and whether none will any more.

    The view of slot k holds slots 0 .. k-m. Where the budget forbids the slot at full length of those that are
    pending, the view is extended slot by slot until it allows it. What failed trials left over is refilled too.
    """
    k, view, steps, rule = asked, o.view, o.steps, settings.generation_stopping
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
    """Whether all planned slots have failed: refilled, a training that can't work would be tried T times as often."""
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
                found[step - 1] = found[step - 1].add((loss, record.trial.id))
        reported = tuple(found)
    best = view.best
    if record.status is Status.COMPLETED and record.loss is not None:
        best = min(best, record.loss)
    return View(view.end + 1, view.used + record.steps, best, reported)


def _opened(settings: Settings, index: int, first: int, plan: Plan, parents: tuple[Record, ...]) -> Open:
    steps = settings.lengths[min(index, len(settings.lengths) - 1)]
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
        view=View(0, 0, math.inf, (_NO_LOSSES,) * (steps - 1) if settings.trial_stopping else ()),
        ready=False,
        over=False,
        candidates=Ranking(sorted(standing)[: keep.count] if keep else ()),
        litters=Vector([()] * max(1, len(plan.parents)) if keep and keep.per_parent is not None else ()),
        latecomers=(),
    )


def _closed(state: State) -> State:
    """Closes the open generation and plans the next one; ends the run as extinct where there is nobody to beget it."""
    settings, o, records = state.settings, state.open, state.records
    members = [records[i] for i in range(o.first, o.first + o.asked)]
    parents = tuple(records[i] for i in o.plan.parents)
    candidates = candidates_of(state)
    if not candidates and not parents:
        return attrs.evolve(state, extinct=True, open=attrs.evolve(o, ready=False, over=True))
    closing = Closing(
        space=settings.space,
        population=settings.population,
        generation=o.index + 1,
        candidates=tuple(candidates) or parents,
        members=tuple(records[i] for i in sorted(o.latecomers)) + tuple(m for m in members if m.status in ENDED),
        parents=parents,
        generations=state.generations,
        steps=settings.steps,
        records=records,
    )
    plan = next_plan(settings.reproduction, closing, generator(settings, "plan", o.index + 1))
    best = min((m.loss for m in members if m.status is Status.COMPLETED and m.loss is not None), default=math.inf)
    cancelled = max(0, len(o.plan.slots) - o.asked) * o.steps
    late = (*state.late, *(m.trial.id for m in members if m.status not in ENDED))
    opened = _opened(settings, o.index + 1, o.first + o.asked, plan, tuple(records[i] for i in plan.parents))
    leavers = sorted({r.trial.id for r in candidates} | set(o.plan.parents))
    return looked(
        State(
            settings,
            state.generations,
            records,
            state.closed.append(Generation(o.first, o.asked, o.plan, best)),
            opened,
            state.best,
            state.queue,
            late,
            state.released.extend(free(leavers, records, opened, state.best, late)),
            state.extinct,
            Tally(state.tally.trained, state.tally.saved + cancelled, state.tally.refilled),
        )
    )
