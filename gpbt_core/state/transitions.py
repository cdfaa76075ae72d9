"""Every change of a run: `apply` and what it does for each event; nothing else makes one state from another."""

import math
from typing import Literal

import attrs

from gpbt_core.errors import ConfigError, ProtocolError
from gpbt_core.records import Record, Status, Trial
from gpbt_core.state.decisions import limits
from gpbt_core.state.events import Asked, Cancelled, Event, Extended, Reported, Requeued, Told
from gpbt_core.state.generations import looked, moved, next_order, settle
from gpbt_core.state.model import ENDED, State, Tally
from gpbt_core.state.selection import free, with_candidate

__all__ = ["apply"]


def apply(state: State, event: Event) -> State:
    """The next state; every change of a run goes through here.

    Raises:
        ConfigError: A loss or a number of generations in the event is none.
        ProtocolError: The event is not legal in this state, which stays as it was.
    """
    match event:
        case Asked():
            return _asked(state, event.trial)
        case Reported():
            return _reported(state, event)
        case Told():
            return _ended(state, event.trial_id, event.loss, event.reason, "tell")
        case Cancelled():
            return _ended(state, event.trial_id, None, event.reason, "cancel")
        case Requeued():
            return _requeued(state, event.trial_id)
        case Extended():
            return _extended(state, event.generations)


def _asked(state: State, trial: Trial) -> State:
    if state.queue and state.queue[0] == trial.id:
        record = state.records[trial.id]
        if trial != record.trial:
            raise ProtocolError(f"ask: wanted {record.trial!r} again, which was given back, got {trial!r}")
        records = state.records.replace(trial.id, attrs.evolve(record, status=Status.RUNNING))
        return attrs.evolve(state, records=records, queue=state.queue[1:])
    _, order = next_order(state)
    if (trial.id, trial.parent, trial.generation, trial.depth, trial.steps, trial.start_step) != order:
        raise ProtocolError(f"ask: wanted {order!r} next, whatever its config, got {trial!r}")
    o = state.open
    stops = limits(state.settings.trial_stopping, o.view.reported)
    records = state.records.append(Record(trial=trial, status=Status.RUNNING, limits=stops))
    opened = moved(
        state,
        records,
        asked=o.asked + 1,
        ended=o.ended,
        prefix=o.prefix,
        candidates=o.candidates,
        litters=o.litters,
        latecomers=o.latecomers,
    )
    s = state
    return settle(
        State(
            s.settings,
            s.generations,
            records,
            s.closed,
            opened,
            s.best,
            s.queue,
            s.late,
            s.released,
            s.extinct,
            s.tally,
        )
    )


def _reported(state: State, event: Reported) -> State:
    record = _known(state, event.trial_id, "report")
    if record.status is Status.STOPPING:
        raise ProtocolError(
            f"report: trial {event.trial_id} was told to stop at step {record.steps}; tell its score, train no more"
        )
    if record.status is Status.QUEUED:
        raise ProtocolError(
            f"report: trial {event.trial_id} was given back by requeue; wait until ask hands it out again"
        )
    if not record.steps < event.step <= record.trial.steps:
        raise ProtocolError(
            f"report: wanted a step of the segment of trial {event.trial_id}, from {record.steps + 1} to "
            f"{record.trial.steps}, rising with each report, got {event.step}"
        )
    if not event.loss > -math.inf:
        raise ConfigError(
            f"report: wanted a loss of trial {event.trial_id}, inf where there is none, got {event.loss!r}"
        )
    stops = event.step <= len(record.limits) and event.loss > record.limits[event.step - 1]
    new = Record(
        trial=record.trial,
        status=Status.STOPPING if stops else Status.RUNNING,
        loss=None,
        steps=event.step,
        reports=(*record.reports, (event.step, event.loss)),
        reason=None,
        limits=record.limits,
    )
    s, records = state, state.records.replace(event.trial_id, new)
    return State(
        s.settings, s.generations, records, s.closed, s.open, s.best, s.queue, s.late, s.released, s.extinct, s.tally
    )


def _ended(
    state: State, trial_id: int, loss: float | None, reason: str | None, call: Literal["tell", "cancel"]
) -> State:
    record = _known(state, trial_id, call)
    trial = record.trial
    if loss is not None and not math.isfinite(loss):
        raise ConfigError(f"{call}: wanted a finite loss of trial {trial_id}, or None and a reason, got {loss!r}")
    if loss is None:
        status = Status.FAILED if call == "tell" else Status.CANCELLED
    elif record.status is Status.STOPPING:
        status = Status.STOPPED
    else:
        status = Status.COMPLETED
    # A failed trial without reports may have trained its whole segment: the budget counts what it may have cost.
    steps = trial.steps if status is Status.COMPLETED or not record.reports else record.steps
    ended = Record(trial=trial, status=status, loss=loss, steps=steps, reports=record.reports, reason=reason)
    records = state.records.replace(trial_id, ended)
    o = state.open
    in_open = trial_id >= o.first
    best, candidates, litters = state.best, o.candidates, o.litters
    leavers = [] if o.keep is not None and status is Status.COMPLETED else [trial_id]  # a candidate stays
    if status is Status.COMPLETED:
        assert loss is not None  # a completed trial is one with a loss
        key = (loss, trial_id)
        if best is None or key < best:
            leavers += [best[1]] if best else []
            best = key
        candidates, litters, outranked = with_candidate(o, key, trial.parent)
        leavers += outranked
    refilling = state.settings.reproduction.refill and trial_id >= _first_refill(state, trial.generation)
    tally = state.tally
    tally = Tally(
        tally.trained + steps,
        tally.saved + (trial.steps - steps if status is Status.STOPPED else 0),
        tally.refilled + (steps if refilling else 0),
    )
    prefix = o.prefix
    if in_open and trial_id == o.first + prefix:
        prefix += 1
        while prefix < o.asked and records[o.first + prefix].status in ENDED:
            prefix += 1
    opened = moved(
        state,
        records,
        asked=o.asked,
        ended=o.ended + in_open,
        prefix=prefix,
        candidates=candidates,
        litters=litters,
        latecomers=o.latecomers if in_open else (*o.latecomers, trial_id),
    )
    queue = state.queue if record.status is not Status.QUEUED else tuple(i for i in state.queue if i != trial_id)
    late = state.late if in_open else tuple(i for i in state.late if i != trial_id)
    if not in_open and trial.parent is not None:
        leavers.append(trial.parent)
    released = state.released
    if leavers:
        released = released.extend(free(leavers, records, opened, best, late))
    s = state
    return settle(
        State(s.settings, s.generations, records, s.closed, opened, best, queue, late, released, s.extinct, tally)
    )


def _requeued(state: State, trial_id: int) -> State:
    record = _known(state, trial_id, "requeue")
    if record.status is Status.QUEUED:
        raise ProtocolError(f"requeue: trial {trial_id} was given back already; ask hands it out again")
    new = attrs.evolve(record, status=Status.QUEUED, steps=0, reports=())
    return attrs.evolve(state, records=state.records.replace(trial_id, new), queue=(*state.queue, trial_id))


def _extended(state: State, generations: int) -> State:
    if isinstance(generations, bool) or not isinstance(generations, int) or generations < 1:
        raise ConfigError(f"extend: wanted at least 1 generation, got {generations!r}")
    if state.extinct:
        raise ProtocolError(
            "extend: the run is extinct: no trial was completed that could be a parent; start another run"
        )
    return settle(looked(attrs.evolve(state, generations=state.generations + generations)))


def _known(state: State, trial_id: int, call: str) -> Record:
    """The record of a trial that has not ended."""
    if isinstance(trial_id, bool) or not isinstance(trial_id, int) or not 0 <= trial_id < len(state.records):
        raise ProtocolError(f"{call}: trial {trial_id!r} is unknown; {len(state.records)} trials were asked so far")
    record = state.records[trial_id]
    if record.status in ENDED:
        if record.status is Status.CANCELLED:
            raise ProtocolError(f"{call}: trial {trial_id} was cancelled ({record.reason}); drop its result")
        raise ProtocolError(f"{call}: trial {trial_id} was told already: it is {record.status.value}; drop this result")
    return record


def _first_refill(state: State, generation: int) -> int:
    """The id from which on the trials of a generation are in slots behind the planned ones."""
    found = state.open if generation == state.open.index else state.closed[generation]
    return found.first + len(found.plan.slots)
