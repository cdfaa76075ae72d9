"""What a run gained: its best score beside that of constant configs, and beside that of its first generation."""

import math
from collections.abc import Iterable

import attrs

from gpbt_adapters.views.columns import PENDING, Run, sign_of, state_of
from gpbt_adapters.views.curves import losses_of
from gpbt_adapters.views.findings import amount, end_of
from gpbt_adapters.views.words import counted, number
from gpbt_core.controls import Controlled, control_of
from gpbt_core.genealogy import lineage
from gpbt_core.records import Record, Status
from gpbt_core.space.parameters import alike
from gpbt_core.state import State

__all__ = ["Gain", "gain_over_constant", "gain_over_first"]


@attrs.frozen(kw_only=True)
class Gain:
    """By how much the best schedule is better than something else.

    Attributes:
        gain: The difference of the scores, above 0 where the best schedule is better; NaN: unknown.
        score: The score that it is compared with; NaN: unknown.
        step: After how many steps both are compared.
        kind: "control": with control lines; "estimate": with lines that happened to keep their config; "itself": the
            best is such a line; "first": with the first generation.
        text: A sentence that says so.
    """

    gain: float
    score: float
    step: int
    kind: str
    text: str


def gain_over_constant(run: Run) -> Gain | None:
    """The gain of the best schedule over the best constant config of the run.

    With control lines, it is measured, since nothing selected them. Without, it is an estimate from the lines that kept
    their founder's config: scores chose them, so they are better than constant configs are on average, but only some
    configs were tried to the end.

    Returns:
        The gain, unknown where no constant config was scored that late; None if no trial is completed, and as long as
        the first generation trains, in which all configs are constant.
    """
    state = state_of(run)
    if state.final is None or _beginning(state):
        return None
    best = state.records[state.final]
    if isinstance(state.settings.reproduction, Controlled):
        return _over_controls(state, best)
    return _estimated(state, best)


def gain_over_first(run: Run) -> Gain | None:
    """The gain over the best trial of the first generation, that of more training included.

    None if there is no such trial, and as long as that generation trains.
    """
    state = state_of(run)
    first = [record for record in state.records if record.trial.generation == 0 and record.status is Status.COMPLETED]
    if state.final is None or _beginning(state) or not first:
        return None
    best, other = state.records[state.final], min(first, key=_loss)
    score, step = _score(state, other), end_of(other)
    text = (
        f"The best trial of the first generation scored {number(score)} after {counted(step, 'step')}: the run gained "
        f"{amount(_loss(other) - _loss(best))} on it, by more training and by search."
    )
    if best.trial.generation == 0:
        text = "The best trial is one of the first generation: nothing after it was better."
    return Gain(gain=_loss(other) - _loss(best) + 0.0, score=score, step=step, kind="first", text=text)


def _beginning(state: State) -> bool:
    """Whether the first generation still trains, so that there is nothing to compare it with."""
    return state.open.index == 0 and not state.finished


def _over_controls(state: State, best: Record) -> Gain:
    ends: dict[int, Record] = {}
    for record in state.records:
        founder = control_of(state.settings.reproduction, state.records, record.trial)
        if founder is not None and record.status not in PENDING:
            ends[founder] = record
    lines, end = counted(len(ends), "control line"), end_of(best)
    if any(record.trial.id == best.trial.id for record in ends.values()):
        text = f"The best schedule is one of {lines}: no other beat a constant config; the score may judge too early."
        return Gain(gain=0.0, score=_score(state, best), step=end, kind="control", text=text)
    found = [one for one in ends.values() if one.status is Status.COMPLETED and end_of(one) >= end]
    if not found:
        text = f"None of {lines} reached step {end}, so the gain over a constant config is unknown."
        return Gain(gain=math.nan, score=math.nan, step=end, kind="control", text=text)
    other = min(found, key=_loss)
    gain, score = _loss(other) - _loss(best), _score(state, other)
    text = (
        f"The best of {lines}, configs that were held from start to end, scored {number(score)}: the schedule gains "
        f"{amount(gain)}."
    )
    return Gain(gain=gain, score=score, step=end, kind="control", text=text)


def _estimated(state: State, best: Record) -> Gain:
    kept = _constant_lines(state)
    end = end_of(best)
    if best.trial.id in kept:
        text = "The best schedule is itself one constant config, so it gains nothing over it."
        return Gain(gain=0.0, score=_score(state, best), step=end, kind="itself", text=text)
    losses = {step: loss for record in lineage(state, best.trial.id) for step, loss in losses_of(record)}
    first = state.settings.lengths[0]
    lines = [state.records[i] for i in kept if first < end_of(state.records[i]) <= end]
    lines = [record for record in lines if end_of(record) in losses]
    if not lines:
        text = (
            "The gain over a constant config is unknown: no line kept its config beyond the first generation. With "
            "controls=3, a run holds three configs to the end for comparison."
        )
        return Gain(gain=math.nan, score=math.nan, step=end, kind="estimate", text=text)
    step = max(map(end_of, lines))
    same = [record for record in lines if end_of(record) == step]
    other = min(same, key=_loss)
    gain = _loss(other) - losses[step]
    text = (
        f"{_beats(gain)} the best of {counted(len(_founders(state, same)), 'line')} that kept a constant config "
        f"({number(_score(state, other))})"
    )
    if step < end:
        text += f", compared after {counted(step, 'step')} of {end}, the last that such a line reached"
    text += ". This is an estimate, since few constant configs were tried that long; controls=3 measures it."
    return Gain(gain=gain, score=_score(state, other), step=step, kind="estimate", text=text)


def _constant_lines(state: State) -> frozenset[int]:
    """The completed trials whose lines have kept their founder's config."""
    kept: set[int] = set()
    for record in state.records:
        trial = record.trial
        parent = trial.parent
        keeps = parent is None or (parent in kept and alike(state.records[parent].trial.config, trial.config))
        if keeps and record.status is Status.COMPLETED:
            kept.add(trial.id)
    return frozenset(kept)


def _founders(state: State, ends: Iterable[Record]) -> set[int]:
    return {lineage(state, record.trial.id)[0].trial.id for record in ends}


def _beats(gain: float) -> str:
    if gain == 0:
        return "The best schedule is level with"
    return f"The best schedule is {amount(abs(gain))} {'better' if gain > 0 else 'worse'} than"


def _loss(record: Record) -> float:
    return math.inf if record.loss is None else record.loss


def _score(state: State, record: Record) -> float:
    return sign_of(state) * _loss(record) + 0.0
