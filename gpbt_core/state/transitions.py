"""Every change of a run: `apply` and its handler for each event; no other code derives one state from another."""

import math

import attrs

from gpbt_core.controls import control_of
from gpbt_core.errors import ConfigError, ProtocolError
from gpbt_core.numbers import as_int, whole
from gpbt_core.persistent import Key, Log
from gpbt_core.records import Record, Status, Trial
from gpbt_core.state.decisions import limits
from gpbt_core.state.events import Asked, Cancelled, Event, Extended, Planned, Reported, Requeued, Told
from gpbt_core.state.generations import best_line, closed, due, extinct_if_due, looked, moved, next_order
from gpbt_core.state.life import ENDED, following
from gpbt_core.state.model import State, Tally, with_
from gpbt_core.state.selection import candidates as candidates_of
from gpbt_core.state.selection import free, with_candidate

__all__ = ["apply"]


def apply(state: State, event: Event) -> State:
    """The next state; every change of a run goes through here.

    Raises:
        ConfigError: The event has an invalid loss or number of generations.
        ProtocolError: The event is not legal in this state, which does not change.
    """
    match event:
        case Asked():
            return _asked(state, event.trial)
        case Reported():
            return _reported(state, event)
        case Told() | Cancelled():
            return _ended(state, event)
        case Planned():
            return _planned(state, event)
        case Requeued():
            return _requeued(state, event)
        case Extended():
            return _extended(state, event.generations)


def _refuse_before_plan(state: State, call: str) -> None:
    """Refuses events that may change a plan that is due: late results, an extension."""
    if due(state):
        raise ProtocolError(
            f"{call}: the plan of generation {state.open.index + 1} must come first, which `plans_due` makes"
        )


def _asked(state: State, trial: Trial) -> State:
    if state.queue and state.queue[0] == trial.id:
        _refuse_before_plan(state, "ask")
        record = state.records[trial.id]
        if trial != record.trial:
            raise ProtocolError(f"ask: the next trial must be {record.trial!r}, which was given back, got {trial!r}")
        again = attrs.evolve(record, status=following(record, "ask", "ask"))
        return with_(state, records=state.records.replace(trial.id, again), queue=state.queue[1:])
    _, order = next_order(state)
    if (trial.id, trial.parent, trial.generation, trial.depth, trial.steps, trial.start_step) != order:
        raise ProtocolError(f"ask: the next trial must be {order!r}, with any config, got {trial!r}")
    is_control = control_of(state.settings.reproduction, state.records, trial) is not None
    stops = () if is_control else limits(state.settings.trial_stopping, state.open.view.reported)
    records = state.records.append(Record(trial=trial, status=Status.RUNNING, limits=stops))
    return extinct_if_due(with_(state, records=records, open=moved(state, records, asked=state.open.asked + 1)))


def _reported(state: State, event: Reported) -> State:
    record = _known(state, event.trial_id, event.attempt, "report")
    status = following(record, "report", "report")
    if not record.steps < event.step <= record.trial.steps:
        trial = record.trial
        if record.steps == trial.steps:
            raise ProtocolError(
                f"report: trial {trial.id} has already reported the last step of its segment, {trial.steps}; tell it, "
                f"got step {event.step}"
            )
        hint = "; steps count from the start of the segment: subtract trial.start_step" if trial.start_step else ""
        raise ProtocolError(
            f"report: the step must be one of the segment of trial {trial.id}, from {record.steps + 1} to "
            f"{trial.steps}, rising with each report, got {event.step}{hint if event.step > trial.steps else ''}"
        )
    if not event.loss > -math.inf:
        raise ConfigError(
            f"report: the loss of trial {event.trial_id} must be a number above -inf, or inf if there is none, "
            f"got {event.loss!r}"
        )
    if event.step <= len(record.limits) and event.loss > record.limits[event.step - 1]:
        status = following(record, "stop", "report")
    reports = record.reports if isinstance(record.reports, Log) else Log(record.reports)
    new = Record(
        trial=record.trial,
        status=status,
        steps=event.step,
        reports=reports.append((event.step, event.loss)),
        limits=record.limits,
    )
    return with_(state, records=state.records.replace(event.trial_id, new))


def _ended(state: State, event: Told | Cancelled) -> State:
    if state.settings.quorum < 1:  # else all trials have ended when a plan is due
        _refuse_before_plan(state, event.call if type(event) is Told else "cancel")
    record = _ended_record(state, event)
    trial, trial_id, steps = record.trial, event.trial_id, record.steps
    records = state.records.replace(trial_id, record)
    o = state.open
    in_open = trial_id >= o.first
    completed = record.status is Status.COMPLETED
    best, candidates, litters = state.best, o.candidates, o.litters
    leavers = [] if completed else [trial_id]  # a candidate stays
    if completed:
        assert record.loss is not None  # a completed trial is one with a loss
        key = (record.loss, trial_id)
        if best is None or key < best:
            leavers += [best[1]] if best else []
            best = key
        candidates, litters, outranked = with_candidate(o, key, trial, records)
        leavers += outranked
    refilling = state.settings.reproduction.refill and trial_id >= _first_refill(state, trial.generation)
    tally = state.tally
    tally = Tally(
        trained=tally.trained + steps,
        saved=tally.saved + (trial.steps - steps if record.loss is not None else 0),
        refilled=tally.refilled + (steps if refilling else 0),
    )
    queue, late = state.queue, state.late
    if trial_id in queue:
        queue = tuple(i for i in queue if i != trial_id)
    if in_open:
        prefix = o.prefix
        if trial_id == o.first + prefix:
            prefix += 1
            while prefix < o.asked and records[o.first + prefix].status in ENDED:
                prefix += 1
        opened = moved(state, records, ended=o.ended + 1, prefix=prefix, candidates=candidates, litters=litters)
    else:
        late = tuple(i for i in late if i != trial_id)
        opened = moved(state, records, latecomers=(*o.latecomers, trial_id), candidates=candidates, litters=litters)
        if trial.parent is not None:
            leavers.append(trial.parent)
    released = state.released
    if leavers:
        released = released.extend(free(leavers, records, opened, best, late, state.held))
    return extinct_if_due(
        with_(
            state,
            records=records,
            open=opened,
            best=best,
            queue=queue,
            late=late,
            released=released,
            tally=tally,
            whole=_whole(state, record) if completed and state.settings.revisits else state.whole,
        )
    )


def _whole(state: State, record: Record) -> Key:
    """The end of the line that later generations may revisit, after a trial was completed: the best of the deepest."""
    assert record.loss is not None  # as above
    key, depth = (record.loss, record.trial.id), record.trial.depth
    if state.whole is None:
        return key
    deepest = state.records[state.whole[1]].trial.depth
    if depth >= state.settings.line or depth < deepest:  # an extension's, or not the deepest
        return state.whole
    return key if depth > deepest else min(key, state.whole)


def _ended_record(state: State, event: Told | Cancelled) -> Record:
    """The record of a trial after the event that ends it."""
    call = event.call if type(event) is Told else "cancel"
    record = _known(state, event.trial_id, event.attempt, call)
    # A trial without a score and reports may have trained its whole segment, so the whole segment is counted.
    steps = record.steps if record.reports else record.trial.steps
    loss = None
    if type(event) is Told:
        loss = event.loss
        status = following(record, "fail" if loss is None else "tell", call)
        if loss is not None and not math.isfinite(loss):
            raise ConfigError(
                f"tell: the loss of trial {event.trial_id} must be finite, or None with a reason, got {loss!r}"
            )
        if event.steps is not None:
            steps = _told_steps(record, event.steps)
        elif status is Status.COMPLETED:
            steps = record.trial.steps
    else:
        status = following(record, "cancel", call)
    return Record(
        trial=record.trial,
        status=status,
        loss=loss,
        steps=steps,
        reports=tuple(record.reports),
        reason=event.reason,
        notes=event.notes if type(event) is Told else None,
    )


def _told_steps(record: Record, steps: int) -> int:
    """The steps that the caller says a trial trained, checked."""
    low = record.steps or min(1, record.trial.steps)
    high = record.steps if record.status is Status.STOPPING else record.trial.steps
    if as_int(steps) is None or not low <= steps <= high:
        raise ProtocolError(
            f"tell: steps must be how many steps trial {record.trial.id} trained, from {low} to {high}, got {steps!r}"
        )
    return steps


def _requeued(state: State, event: Requeued) -> State:
    _refuse_before_plan(state, "requeue")
    record = _known(state, event.trial_id, event.attempt, "requeue")
    new = attrs.evolve(
        record,
        trial=attrs.evolve(record.trial, attempt=record.trial.attempt + 1),
        status=following(record, "requeue", "requeue"),
        steps=0,
        reports=(),
    )
    return with_(state, records=state.records.replace(event.trial_id, new), queue=(*state.queue, event.trial_id))


def _extended(state: State, generations: int) -> State:
    whole("extend: generations", generations, 1)
    _refuse_before_plan(state, "extend")
    if state.extinct:
        raise ProtocolError(
            "extend: the run is extinct: no trial was completed that could be a parent; start another run"
        )
    return extinct_if_due(looked(with_(state, generations=state.generations + generations)))


def _planned(state: State, event: Planned) -> State:
    if not due(state) or event.generation != state.open.index + 1:
        raise ProtocolError(
            f"apply: the plan of generation {event.generation} must follow the event that closes generation "
            f"{event.generation - 1}, got it in generation {state.open.index}; if a log was cut between the two, "
            f"replay it in one piece"
        )
    parents = set(event.plan.parents)
    allowed = {r.trial.id for r in candidates_of(state)} | set(state.open.plan.parents) | set(best_line(state))
    if not parents <= allowed or not {slot.parent for slot in event.plan.slots} <= parents | {None}:
        raise ProtocolError(
            f"apply: the plan of generation {event.generation} must take its parents from {sorted(allowed)}, got "
            f"{event.plan!r:.200}"
        )
    return extinct_if_due(closed(state, event.plan))


def _known(state: State, trial_id: int, attempt: int | None, call: str) -> Record:
    """The record of a trial, if the worker of the given attempt may still change it."""
    if as_int(trial_id) is None or not 0 <= trial_id < len(state.records):
        raise ProtocolError(f"{call}: trial {trial_id!r} is unknown; {len(state.records)} trials were asked so far")
    record = state.records[trial_id]
    # A requeued trial that has not been asked again has no other worker, so a late result may count.
    if attempt is not None and attempt != record.trial.attempt and record.status in (Status.RUNNING, Status.STOPPING):
        raise ProtocolError(
            f"{call}: trial {trial_id} was given back and handed out again as attempt {record.trial.attempt}, this is "
            f"attempt {attempt}; train it no more and drop its result"
        )
    return record


def _first_refill(state: State, generation: int) -> int:
    """The id of the first trial of a generation in a slot after the planned ones."""
    found = state.open if generation == state.open.index else state.closed[generation]
    return found.first + len(found.plan.slots)
