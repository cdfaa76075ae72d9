"""What to do after a run: extend it, widen or fix a range, change the population, score again.

Where the run does not tell, there is no advice.
"""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from gpbt_adapters.views.columns import Floats, Run, by_generation, state_of, trials
from gpbt_adapters.views.findings import Finding, amount, edges, listed, repeats
from gpbt_adapters.views.importances import Importance
from gpbt_adapters.views.replays import Replays
from gpbt_adapters.views.results import scores
from gpbt_adapters.views.trust import idle
from gpbt_adapters.views.words import counted, number
from gpbt_core.records import Status
from gpbt_core.state import State

__all__ = ["advice"]

_SMALL, _LARGE = 0.05, 0.5
"""Of what a generation gained: the loss by half as many trials at which a smaller or a larger population is advised."""


def advice(
    run: Run, importance: Mapping[int, Importance] | None = None, replays: Replays | None = None
) -> tuple[Finding, ...]:
    """What to do next, in the order of weight; "good" findings ask for nothing.

    Args:
        run: The run, finished or not.
        importance: By generation, the known shares of the hyperparameters; None: not computed.
        replays: Replays of the best schedule, if you made any.
    """
    state = state_of(run)
    if state.extinct:
        return (Finding(level="look", text="Correct what made the trials fail, and start another run."),)
    if state.final is None:
        return ()
    noise = repeats(state).spread if replays is None else replays.spread
    found = [] if state.finished else [_wait(state)]
    if state.finished:
        found += [*_extend(state, noise), *_rescore(state, noise)]
    if state.finished and replays is None:
        text = "Replay the best schedule with fresh seeds to see how good it is without luck: result.replay(seeds=5)."
        found.append(Finding(level="look", text=text))
    found += [*_widen(state), *_fix(state, importance or {}), *_population(state, noise)]
    return tuple(found)


def _wait(state: State) -> Finding:
    return Finding(
        level="good",
        text=f"Let the run finish: {state.open.index} of {counted(state.generations, 'generation')} complete so far.",
    )


def _extend(state: State, noise: float) -> Iterator[Finding]:
    growing = [index for index in range(len(state.closed)) if not state.settings.is_revision(index)]
    so_far = scores(state).so_far[growing]  # revisions train no further, so they cannot tell
    recent = max(2, len(so_far) // 4)
    if len(so_far) <= recent or not np.isfinite(so_far[[0, -1]]).all():
        return
    before = so_far[-recent - 1]
    gained, whole = abs(so_far[-1] - before), abs(so_far[-1] - so_far[0])
    last = f"the last {recent} of {len(so_far)} generations"
    if state.settings.revisits:
        last += ", not counting revisions"
    if gained > max(0.01 * whole, 0.0 if math.isnan(noise) else noise):
        steps = state.settings.steps_of(state.generations + recent) - state.settings.steps_of(state.generations)
        text = (
            f"The best score still improved by {amount(gained)} in {last} ({gained / whole:.0%} of all its improvement "
            f"after the first): extend the run, for example by {recent} generations (about {steps:,} steps)."
        )
        yield Finding(level="look", text=text)
    elif gained == 0:
        yield Finding(level="good", text=f"Stop here: the best score did not improve in {last}.")
    else:
        less = "no more than repeats differ" if gained <= noise else f"{gained / whole:.1%} of all its improvement"
        text = f"Stop here: the best score improved by only {amount(gained)} in {last}: {less}."
        yield Finding(level="good", text=text)


def _rescore(state: State, noise: float) -> Iterator[Finding]:
    losses = sorted(float(state.records[i].loss or 0.0) for i in state.open.plan.parents)
    if not noise > 0 or len(losses) < 2:  # noise may be NaN
        return
    close = sum(loss - losses[0] <= 2 * noise for loss in losses)
    if close > 1:
        text = (
            f"Score the finalists again on other data (gpbt.reevaluate): {close} of {len(losses)} are within twice the "
            f"noise of the best ({amount(noise)})."
        )
        yield Finding(level="look", text=text)


def _widen(state: State) -> Iterator[Finding]:
    for edge in edges(state)[:5]:
        way = "smaller" if edge.bound == "lower" else "larger"
        text = f"In the next run, let {edge.name} go beyond {number(edge.value)} if {way} values make sense."
        yield Finding(level="look", text=text)


def _fix(state: State, importance: Mapping[int, Importance]) -> Iterator[Finding]:
    never = idle(state, importance)
    if never and len(never) < len(state.settings.space):
        text = f"In the next run, you can fix {listed(never)}: it is easier to search a smaller space."
        yield Finding(level="look", text=text)


def _population(state: State, noise: float) -> Iterator[Finding]:
    """Compares what half as many trials would have cost a generation with what it gained; revisions do not count."""
    table, line = trials(state), state.settings.line
    so_far = scores(state).so_far[:line]
    completed = set(table.having(Status.COMPLETED).tolist())
    costs = []
    for ids in by_generation(table)[: min(line, len(state.closed))]:
        losses = np.sort(table.loss[[i for i in ids.tolist() if i in completed]])
        if len(losses) >= 8:
            costs.append(_expected_best(losses, len(losses) // 2) - losses[0])
    if len(costs) < 3 or not np.isfinite(so_far[[0, -1]]).all():
        return
    cost, gained = float(np.median(costs)), abs(float(so_far[-1] - so_far[0])) / (len(so_far) - 1)
    if gained == 0:
        return
    said = (
        f"with half as many trials, the best of a generation would have been worse by about {amount(cost)}, "
        f"{cost / gained:.0%} of what a generation gained (a rough estimate)"
    )
    n = state.settings.population
    if cost < _SMALL * gained and n > 4:
        text = f"A smaller population, such as {max(4, n // 2)} instead of {n}, may do as well: {said}."
        yield Finding(level="look", text=text)
    elif cost > _LARGE * gained and cost > noise:  # where the noise is unknown, NaN, the best may be luck
        text = f"A larger population, such as {2 * n} instead of {n}, may find better schedules: {said}."
        yield Finding(level="look", text=text)


def _expected_best(losses: Floats, count: int) -> float:
    """The expected minimum of `count` of the ascending losses, drawn without replacement."""
    n = len(losses)
    expected, above = 0.0, 1.0  # above: the probability that all drawn ones are among the worse
    for place, loss in enumerate(losses.tolist()):
        if place > n - count:
            break
        chosen = above * count / (n - place)
        expected += chosen * loss
        above -= chosen
    return expected
