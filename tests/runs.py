"""Runs for any test that wants arbitrary ones: settings drawn by hypothesis, a world that gives scores, a searcher.

What becomes of a trial is a pure function of the configs of its lineage, so that two runs that ask the same trials see
the same, whoever trains them and when.
"""

import zlib
from collections.abc import Callable
from typing import Any, Literal

import attrs
import numpy as np
from hypothesis import strategies as st

from gpbt_core import (
    Categorical,
    Float,
    Genealogical,
    Improvement,
    Independent,
    Int,
    Optimizer,
    Quantile,
    Search,
    Space,
    Truncation,
    Verdict,
    When,
)
from gpbt_core.early_stopping import GenerationStopping, TrialStopping
from gpbt_core.records import Status
from gpbt_core.reproduction import Reproduction
from gpbt_core.searcher import Query

__all__ = ["SPACE", "Curious", "Life", "World", "run_interleaved", "run_sequentially", "setups", "summary"]

SPACE = Space(
    rate=Float(1e-4, 1, log=True),
    layers=Int(1, 4),
    kind=Categorical(["sgd", "adam"]),
    momentum=When(Float(0, 0.9), {"kind": ["sgd"]}),
)

RUNNING = frozenset({Status.RUNNING, Status.STOPPING, Status.QUEUED})


class Curious:
    """Proposes what depends on all that its query tells: if that depends on the workers, so does the run."""

    def propose(self, query: Query, rng: np.random.Generator) -> Any:
        """A sample of the space, from a generator that hashes the query and a draw of the given one."""
        known = (
            [(r.trial, r.status, r.loss, r.steps, r.reports, r.reason, r.limits) for r in query.history],
            query.pending,
            query.parent,
            (query.generation, query.generations, query.depth, query.slot, query.seed),
            rng.integers(1 << 30),
        )
        return query.space.sample(np.random.default_rng(zlib.crc32(repr(known).encode())))


@attrs.frozen
class Life:
    """What becomes of a trial: reports up to its end, unless it is stopped, and then the end."""

    reports: tuple[tuple[int, float], ...]
    end: Literal["tell", "tell last", "nan", "fail", "cancel"]
    score: float


@attrs.frozen
class World:
    """Gives lives: how likely failures of all kinds are, and whether steps are reported.

    Attributes:
        trouble: The share of trials that fail or are cancelled.
        reports: The share of steps that are reported.
        ties: Round scores, so that many are equal.
    """

    trouble: float = 0.2
    reports: float = 0.8
    ties: bool = False

    def life(self, optimizer: Optimizer, trial_id: int) -> Life:
        """What becomes of a trial; a function of the configs of its lineage alone."""
        line = [sorted(record.trial.config.items()) for record in optimizer.lineage(trial_id)]
        rng = np.random.default_rng(zlib.crc32(repr(line).encode()))
        trial = optimizer.records[trial_id].trial

        def score() -> float:
            value = float(rng.normal())
            return float(round(value)) if self.ties else value

        reports = [(step, score()) for step in range(1, trial.steps + 1) if rng.random() < self.reports]
        reports = [(step, np.nan if rng.random() < self.trouble / 8 else value) for step, value in reports]
        if rng.random() >= self.trouble:
            whole = bool(reports) and bool(np.isfinite(reports[-1][1])) and reports[-1][0] == trial.steps
            return Life(tuple(reports), "tell last" if whole and rng.random() < 0.5 else "tell", score())
        ends: list[Literal["nan", "fail", "cancel"]] = ["nan", "fail", "cancel"]
        return Life(tuple(reports[: rng.integers(len(reports) + 1)]), ends[rng.integers(3)], float("nan"))


class _Worker:
    """Lives the life of one trial, an action at a time."""

    def __init__(self, optimizer: Optimizer, trial_id: int, world: World) -> None:
        self.optimizer, self.trial_id = optimizer, trial_id
        self.life = world.life(optimizer, trial_id)
        self.done = 0
        self.stopped = False

    def act(self) -> bool:
        """The next action; whether it was the last."""
        optimizer, i = self.optimizer, self.trial_id
        if self.stopped:
            optimizer.tell(i)
            return True
        if self.done < len(self.life.reports):
            step, score = self.life.reports[self.done]
            self.done += 1
            self.stopped = optimizer.report(i, step, score) is Verdict.STOP
            return False
        match self.life.end:
            case "tell" | "nan":
                optimizer.tell(i, self.life.score)
            case "tell last":
                optimizer.tell(i)
            case "fail":
                optimizer.fail(i, "bad luck")
            case "cancel":
                optimizer.cancel(i)
        return True


def run_sequentially(optimizer: Optimizer, world: World, until: int | None = None) -> None:
    """One trial after the other, to the end or until so many are asked."""
    while not optimizer.finished and (until is None or len(optimizer.records) < until):
        (trial,) = optimizer.ask()
        worker = _Worker(optimizer, trial.id, world)
        while not worker.act():
            pass


def run_interleaved(
    optimizer: Optimizer,
    world: World,
    choose: Callable[[int], int],
    *,
    workers: int,
    one_by_one: bool = False,
    on_turn: Callable[[Optimizer], Optimizer] = lambda optimizer: optimizer,
) -> Optimizer:
    """As many workers, who act in an order that `choose(n)`, from 0 to n - 1, decides; some are lost at times.

    Args:
        optimizer: The run.
        world: What becomes of trials.
        choose: Decides.
        workers: How many trials may be in training.
        one_by_one: Ask for one trial at a time.
        on_turn: Called before each turn; the run goes on with the optimizer that it answers.

    Returns:
        The optimizer that the run ended with.
    """
    busy: list[_Worker] = []
    while not optimizer.finished or busy:
        optimizer = on_turn(optimizer)
        for worker in busy:
            worker.optimizer = optimizer
        free = workers - len(busy)
        if free and (not busy or choose(3) == 0):
            trials = optimizer.ask(1 if one_by_one else 1 + choose(free))
            assert trials or busy or optimizer.finished, "neither a trial, nor one in training, nor the end"
            busy += [_Worker(optimizer, trial.id, world) for trial in trials]
            if trials or not busy:
                continue
        worker = busy[choose(len(busy))]
        if choose(20) == 0:
            optimizer.requeue(worker.trial_id)
            busy.remove(worker)
        elif worker.act():
            busy.remove(worker)
    return optimizer


def summary(optimizer: Optimizer) -> dict[str, Any]:
    """All that a run came to and that must not depend on its workers."""
    state = optimizer.state
    return {
        "records": [attrs.asdict(record, recurse=False) for record in state.records],
        "generations": list(state.closed),
        "next": state.open.plan,
        "best": state.best,
        "schedule": None if state.best is None else optimizer.best.schedule,
        "tally": state.tally,
        "released": set(state.released),
        "finished": state.finished,
        "extinct": state.extinct,
    }


def segments() -> st.SearchStrategy[int | tuple[float, ...]]:
    """Lengths of segments: equal ones, or shares."""
    return st.integers(1, 4) | st.lists(st.sampled_from([0.1, 0.2, 0.4]), min_size=1, max_size=5).map(tuple)


@st.composite
def genealogies(draw: st.DrawFn) -> Genealogical:
    """Rules of our own kind."""
    shares = st.lists(st.sampled_from([0.05, 0.3, 0.5, 1.0]), min_size=1, max_size=3).map(tuple)
    return Genealogical(
        segments=draw(segments()),
        parents=draw(st.none() | shares),
        c=1.0,
        per_parent=draw(st.sampled_from([None, 1, 2])),
        steady=draw(st.booleans()),
        spread=draw(st.sampled_from([0.0, 0.1, 0.5])),
        survivors=draw(st.booleans()),
        repeat=draw(st.booleans()),
        noise=draw(st.sampled_from([0.0, 0.0, 0.5])),
        order=draw(st.sampled_from(["round-robin", "litter"])),
        refill=draw(st.booleans()),
    )


def reproductions() -> st.SearchStrategy[Reproduction]:
    """Rules of all kinds; our own as often as the others together."""
    truncation = st.builds(Truncation, segments=segments(), quantile=st.sampled_from([0.0, 0.2, 0.34, 0.5]))
    return genealogies() | st.one_of(truncation, st.builds(Independent, segments=segments()))


def founders_that_fit(rule: Genealogical, population: int, steps: int) -> st.SearchStrategy[int]:
    """Numbers of founders that leave a slot for each later segment."""
    first = rule.segment_lengths(population, steps)[0]
    return st.integers(1, (population * steps - (steps - first)) // first)


@st.composite
def setups(draw: st.DrawFn, *, quorum: float | None = 1.0, stopping: bool = True) -> dict[str, Any]:
    """Arguments of an Optimizer, but for the space.

    Args:
        draw: Hypothesis' own.
        quorum: The quorum; None: any.
        stopping: Whether generations may be stopped.
    """
    trials: st.SearchStrategy[TrialStopping] = st.builds(
        Quantile, quantile=st.sampled_from([0.3, 0.5, 1.0]), min_trials=st.integers(1, 3)
    )
    generations: st.SearchStrategy[GenerationStopping] = st.builds(Improvement, factor=st.sampled_from([0.0, 0.3, 1.0]))
    population, steps = draw(st.integers(2, 9) | st.just(1)), draw(st.integers(4, 12) | st.integers(1, 3))
    rule = draw(reproductions())
    if isinstance(rule, Genealogical) and draw(st.booleans()):
        rule = attrs.evolve(rule, founders=draw(founders_that_fit(rule, population, steps)))
    elif isinstance(rule, Genealogical) and population > 2 and draw(st.booleans()):
        rule = attrs.evolve(rule, revisions=draw(st.sampled_from([0.1, 0.3, 0.5])), together=draw(st.integers(1, 3)))
        rule = attrs.evolve(rule, founders=max(1, population // 3))
    return {
        "population": population,
        "steps": steps,
        "direction": draw(st.sampled_from(["minimize", "maximize"])),
        "seed": draw(st.integers(0, 5)),
        "max_concurrent": draw(st.integers(1, 10)),
        "quorum": draw(st.sampled_from([0.3, 0.6, 0.9, 1.0])) if quorum is None else quorum,
        "searcher": Search(Curious(), history=draw(st.sampled_from(["family", "family", "all", "none"]))),
        "reproduction": rule,
        "trial_stopping": draw(st.none() | trials),
        "generation_stopping": draw(st.none() | st.none() | generations) if stopping else None,
    }
