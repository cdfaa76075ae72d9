"""Explains the best schedule: what else was tried, from the same weights and by control lines, and how that did."""

import itertools
import statistics
from collections.abc import Sequence

from gpbt_adapters.views.columns import Run, state_of
from gpbt_adapters.views.findings import end_of
from gpbt_adapters.views.gains import gain_over_constant
from gpbt_adapters.views.words import counted, number
from gpbt_core.controls import Controlled
from gpbt_core.genealogy import children, lineage, schedule
from gpbt_core.records import Record, Status
from gpbt_core.space.parameters import alike
from gpbt_core.state import State

__all__ = ["shape", "story"]

_SCORED = frozenset({Status.COMPLETED, Status.STOPPED})


def story(run: Run) -> tuple[str, ...]:
    """Explains why the best schedule is constant or ends before the run's last step, and what control lines gave.

    Empty if the schedule does neither and the run has no control lines.

    Args:
        run: The run, finished or not.

    Returns:
        Sentences.

    Examples:
        >>> from gpbt import Float, Optimizer, Space
        >>> optimizer = Optimizer(Space(rate=Float(0, 1)), population=4, steps=4, seed=1)
        >>> while not optimizer.finished:
        ...     for trial in optimizer.ask():
        ...         optimizer.tell(trial.id, trial.config["rate"] + trial.id)
        >>> story(optimizer)[-1].startswith("The best schedule ends after step 1 of 4: ")
        True
    """
    told = shape(run)
    if isinstance(state_of(run).settings.reproduction, Controlled):
        gain = gain_over_constant(run)
        told += () if gain is None else (gain.text,)
    return told


def shape(run: Run) -> tuple[str, ...]:
    """Explains why the best schedule is constant or ends before the run's last step; empty if it does neither."""
    state = state_of(run)
    if state.final is None:
        return ()
    best = state.records[state.final]
    line = lineage(state, state.final)
    told = []
    if len(line) > 1 and len(schedule(state, state.final).segments) == 1:
        told.append(_constant(state, line))
    end = end_of(best)
    if end < state.settings.steps and state.finished:
        told.append(f"{'It' if told else 'The best schedule'} {_early(state, best, end)}")
    return tuple(told)


def _constant(state: State, line: Sequence[Record]) -> str:
    """Why a line kept its config: how its siblings with other configs did."""
    start = "The best schedule is the same config from start to end"
    pairs = [
        (sibling, child)
        for parent, child in itertools.pairwise(line)
        for sibling in _scored(state, parent.trial.id, child.trial.generation)
        if not alike(sibling.trial.config, child.trial.config)
    ]
    if not pairs:
        return f"{start}: no other config was tried from its weights."
    return f"{start}: {_among(len(pairs), 'other config', 'tried from the same weights')}{_worse(pairs)}."


def _early(state: State, best: Record, end: int) -> str:
    """Why a line ends early: how the trials that continued from it did."""
    start = f"ends after step {end} of {state.settings.steps}"
    generations = range(best.trial.generation + 1, len(state.closed) + 1)
    pairs = [(one, best) for generation in generations for one in _scored(state, best.trial.id, generation)]
    if not pairs:
        return f"{start}, because no trial that continued from its weights was scored."
    return f"{start}: {_among(len(pairs), 'trial', 'that continued from its weights')}{_worse(pairs)}."


def _scored(state: State, parent: int, generation: int) -> list[Record]:
    if generation > state.open.index:
        return []
    found = (state.records[i] for i in children(state, parent, generation))
    return [record for record in found if record.status in _SCORED]


def _worse(pairs: Sequence[tuple[Record, Record]]) -> str:
    """How many of the first trials of the pairs did worse than the second, and by how much."""
    stopped = sum(one.status is Status.STOPPED for one, _ in pairs)
    gaps = [one.loss - other.loss for one, other in pairs if _completed(one, other)]  # type: ignore[operator]  # completed
    above = [gap for gap in gaps if gap > 0]
    parts = []
    if above:
        by = f"by {number(above[0])}" if len(above) == 1 else f"by {number(float(min(above)))} or more"
        middle = f" (median {number(float(statistics.median(above)))})" if len(above) > 2 else ""
        parts.append(f"{_share(len(above), len(pairs))}scored worse {by}{middle}")
    if stopped:
        parts.append(f"{_share(stopped, len(pairs))}{'was' if stopped == 1 else 'were'} stopped early")
    rest = len(pairs) - len(above) - stopped
    if rest:
        most = _share(rest, len(pairs))
        parts.append(f"{most}did as well or better at first, but no line that continued from there ended better")
    return ", ".join(parts)


def _among(count: int, noun: str, which: str) -> str:
    return f"the only {noun} {which} " if count == 1 else f"of {counted(count, noun)} {which}, "


def _share(part: int, whole: int) -> str:
    return "" if whole == 1 else "all " if part == whole else f"{part} "


def _completed(one: Record, other: Record) -> bool:
    return one.status is Status.COMPLETED and one.loss is not None and other.loss is not None
