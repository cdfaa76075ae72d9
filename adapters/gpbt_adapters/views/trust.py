"""How far the result of a run can be trusted: luck, bounds, the shape of the schedule, failures, importance."""

import itertools
import math
from collections.abc import Iterator, Mapping
from statistics import NormalDist

from gpbt_adapters.views.columns import Run, sign_of, state_of
from gpbt_adapters.views.failing import failures
from gpbt_adapters.views.findings import Edge, Finding, amount, edges, end_of, listed, repeats
from gpbt_adapters.views.importances import Importance
from gpbt_adapters.views.replays import Replays
from gpbt_adapters.views.story import shape
from gpbt_adapters.views.summary import overview
from gpbt_adapters.views.words import counted, number
from gpbt_core.genealogy import children, lineage, schedule
from gpbt_core.records import Record, Status
from gpbt_core.space.parameters import alike
from gpbt_core.state import State

__all__ = ["idle", "rival_gap", "trust"]

_CLEAR = 2.0
"""Standard deviations from which on a difference is not called luck."""


def trust(
    run: Run, importance: Mapping[int, Importance] | None = None, replays: Replays | None = None
) -> tuple[Finding, ...]:
    """What speaks for and against the result of a run, in the order of weight.

    Args:
        run: The run, finished or not.
        importance: By generation, the known shares of the hyperparameters; None: not computed.
        replays: Replays of the best schedule, if you made any.

    Returns:
        Findings; empty if no trial is completed and none failed.
    """
    state = state_of(run)
    found = list(_failed(state))
    if state.final is not None:
        found = [
            *_luck(state, replays),
            _bounds(edges(state)),
            _shaped(state),
            *_selection(state),
            *found,
            *_mattering(state, importance),
        ]
    return tuple(found)


def rival_gap(state: State) -> float:
    """How much better the best trial is than the next one that ends at the same step under another config, as a loss.

    NaN if there is no other.
    """
    if state.final is None:
        return math.nan
    best = state.records[state.final]
    losses = [
        record.loss
        for record in state.records
        if record.status is Status.COMPLETED
        and record.loss is not None
        and end_of(record) == end_of(best)
        and not (record.trial.parent == best.trial.parent and alike(record.trial.config, best.trial.config))
    ]
    return min(losses) - float(best.loss or 0.0) if losses else math.nan


def idle(state: State, importance: Mapping[int, Importance]) -> tuple[str, ...]:
    """Hyperparameters whose share stays within half of the noise floor, if at least half of the generations name any.

    One that is only never named may matter: it may have lacked the trials to show it.
    """
    telling = [one for one in importance.values() if one.enough]
    if not telling or 2 * len(telling) < len(importance):
        return ()
    return tuple(
        name for name in state.settings.space.names if all(one[name] <= one.floor[name] / 2 for one in telling)
    )


def _luck(state: State, replays: Replays | None) -> Iterator[Finding]:
    seen, repeated, gap = overview(state), repeats(state), rival_gap(state)
    if replays is not None:
        yield _replayed(seen.score, replays, sign_of(state))
    if repeated.spread > 0 and not math.isnan(gap):
        times = gap / repeated.spread
        count = sum(r.status is Status.COMPLETED and end_of(r) == _best_end(state) for r in state.records)
        text = (
            f"{counted(repeated.trials, 'trial')} that repeated a config from the same weights differ by "
            f"{amount(repeated.spread)} (standard deviation). The best is {amount(gap)} better than the next config "
            f"after as many steps, {times:.1f} times that."
        )
        if times < _CLEAR:
            luck = repeated.spread * NormalDist().inv_cdf((count - 0.375) / (count + 0.25))
            text += f" That may be luck: the best of {count} scores is up to {amount(luck)} too good by chance."
        yield Finding(level="good" if times >= _CLEAR else "look", text=text)
    elif replays is None:
        why = "No config was repeated from the same weights"
        if repeated.trials:
            why = f"All {repeated.trials} trials that repeated a config scored the same, so training repeats exactly"
        text = f"{why}, so the run does not tell how much of the best score is luck. Replay the schedule to find out."
        yield Finding(level="unknown", text=text)
    if seen.best_by != "score":
        text = (
            f"The best trial was selected by {seen.best_by}, not by its own score, which averages out some of the luck."
        )
        yield Finding(level="good", text=text)


def _best_end(state: State) -> int:
    return 0 if state.final is None else end_of(state.records[state.final])


def _replayed(score: float, replays: Replays, sign: float) -> Finding:
    said = f"Models trained from scratch under this schedule: {replays}."
    excess = sign * (replays.mean - score)  # above 0: the run's score was better than the mean
    if math.isnan(replays.spread):
        return Finding(level="look", text=f"{said} The spread is unknown, as a model diverged or only one was trained.")
    if excess > _CLEAR * replays.spread:
        text = f"{said} The best score of the run, {number(score)}, is {amount(excess)} better: part was luck."
        return Finding(level="look", text=text)
    better = "their mean is even better" if excess < -_CLEAR * replays.spread else "it is within their spread"
    return Finding(level="good", text=f"{said} The best score of the run was {number(score)}: {better}.")


def _bounds(found: tuple[Edge, ...]) -> Finding:
    if not found:
        return Finding(level="good", text="The best schedule starts and ends inside the ranges of all hyperparameters.")
    said = [f"{edge.name} {edge.where} at its {edge.bound} bound, {number(edge.value)}" for edge in found[:5]]
    more = f" (and {len(found) - 5} more)" if len(found) > 5 else ""
    it = "it" if len(found) == 1 else "them"
    values = "values beyond it" if len(found) == 1 else "values beyond"
    return Finding(level="look", text=f"{'; '.join(said)}{more}: widen {it} if {values} make sense.")


def _shaped(state: State) -> Finding:
    told = shape(state)
    if told:
        return Finding(level="look", text=" ".join(told))
    assert state.final is not None  # the caller has checked
    if state.records[state.final].trial.generation == 0:
        text = "The best trial is of the first generation, so its schedule is one config so far."
        return Finding(level="unknown", text=text)
    found = schedule(state, state.final)
    changes = len(found.segments) - 1
    text = f"The best schedule has {counted(found.steps, 'step')} and {counted(changes, 'change')} of config."
    return Finding(level="good", text=text)


def _selection(state: State) -> Iterator[Finding]:
    """How much the changed configs gained over siblings that kept the config, from the same weights."""
    assert state.final is not None  # the caller has checked
    pairs = list(itertools.pairwise(lineage(state, state.final)))
    changed = [(parent, child) for parent, child in pairs if not alike(parent.trial.config, child.trial.config)]
    if not changed:
        return
    gains = []
    for parent, child in changed:
        steady = [
            other.loss
            for other in map(state.records.__getitem__, children(state, parent.trial.id, child.trial.generation))
            if other.status is Status.COMPLETED
            and other.loss is not None
            and other.steps == child.steps
            and alike(other.trial.config, parent.trial.config)
        ]
        if steady and child.loss is not None:
            gains.append(min(steady) - child.loss)
    whole = _improvement(pairs)
    if not gains:
        text = (
            f"The config changed {_times(len(changed))} along the best line, and no sibling kept the old one, so the "
            "run does not tell what the changes gained beyond training and selection."
        )
        yield Finding(level="unknown", text=text)
        return
    total = math.fsum(gains)
    text = (
        f"The best line improved by {amount(whole)} after its first segment. Where its config changed, the new configs "
        f"were {amount(abs(total))} {'better' if total > 0 else 'worse'} in sum than siblings that kept the old one "
        f"({len(gains)} of {counted(len(changed), 'change')} had one); the rest is training and selection."
    )
    yield Finding(level="good" if total > 0 else "look", text=text)


def _improvement(pairs: list[tuple[Record, Record]]) -> float:
    first, last = pairs[0][0].loss, pairs[-1][1].loss
    return math.nan if first is None or last is None else first - last


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _failed(state: State) -> Iterator[Finding]:
    found = [one for one in failures(state) if one.status is Status.FAILED]
    count = sum(len(one.trials) for one in found)
    if not count:
        if state.final is not None:
            yield Finding(level="good", text="No trial failed.")
        return
    said = "; ".join(f"{len(one.trials)}: {' '.join(one.reason.split())[:80]}" for one in found[:3])
    more = f"; and {counted(len(found) - 3, 'other reason')}" if len(found) > 3 else ""
    yield Finding(level="look", text=f"{count:,} of {counted(len(state.records), 'trial')} failed ({said}{more}).")


def _mattering(state: State, importance: Mapping[int, Importance] | None) -> Iterator[Finding]:
    if not importance:
        return
    never, telling = idle(state, importance), sum(one.enough for one in importance.values())
    if 2 * telling < len(importance):
        text = "There were too few trials to tell which hyperparameters matter."
        if telling:
            text = f"Only {telling} of {len(importance)} generations tell which hyperparameters matter."
        yield Finding(level="unknown", text=text)
    elif never:
        yield Finding(level="look", text=f"{listed(never)} showed no effect above chance.")
    else:
        yield Finding(level="good", text="No hyperparameter is clearly without effect.")
