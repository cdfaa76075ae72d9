"""How much of a cluster's time is used, and at what cost in quality: a discrete-event simulation, without waiting.

    python -m benchmarks.cluster_simulation [--workers 8 16 64] [--searcher gp] [--seeds 3] [--steps 60]

`--workers` workers train a population of 64 models. Each step takes a log-normal time of mean 1 (sigma 0.5 of its
logarithm), drawn from the seed, the trial and the step alone. Shown are the share of all workers' time between start
and end of the run in which they train, and the final best score on two problems (noisy quadratics, higher is better),
both means over seeds: for gpbt with each `max_concurrent` and `quorum`, for PBT with a barrier after each step, and for
PBT without any. Asking takes no time. The last segments leave workers idle, whatever the method; the more so the
shorter the training. Exits with an error where no setting of gpbt reaches 90% for some number of workers.
"""

import argparse
import heapq
import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import attrs
import numpy as np

from benchmarks.problem import Options, Problem
from benchmarks.problems.quadratic import noisy_quadratic, short_horizon
from gpbt_core import Optimizer

__all__ = ["AsynchronousPbt", "Outcome", "Searched", "main", "simulate"]

POPULATION = 64
SIGMA = 0.5
GOAL = 0.9
PROBLEMS: Mapping[str, Callable[[Options], Problem]] = {"nqm": noisy_quadratic, "short-horizon": short_horizon}


@attrs.frozen
class Job:
    """Work for one worker.

    Attributes:
        id: Id of the trial, which decides how long its steps take.
        steps: Number of steps to train.
    """

    id: int
    steps: int


class Source(Protocol):
    """A source of work."""

    def take(self) -> Job | None:
        """Returns the next work; None if none is available yet."""

    def finish(self, job: Job) -> None:
        """Receives finished work."""

    @property
    def best(self) -> float:
        """The final best score."""


@attrs.frozen(kw_only=True)
class Outcome:
    """The outcome of a simulated run.

    Attributes:
        used: The share of the workers' time in which they trained, 0 .. 1.
        time: Duration in mean steps.
        score: The final best score.
    """

    used: float
    time: float
    score: float


def simulate(source: Source, workers: int, seed: int) -> Outcome:
    """Runs a source to its end.

    Args:
        source: The source of work.
        workers: Number of workers.
        seed: Seed of the step times.
    """
    now = busy = 0.0
    running: list[tuple[float, int, Job]] = []
    while True:
        while len(running) < workers and (job := source.take()) is not None:
            times = np.random.default_rng((seed, job.id)).lognormal(-(SIGMA**2) / 2, SIGMA, job.steps)
            busy += float(times.sum())
            heapq.heappush(running, (now + float(times.sum()), job.id, job))
        if not running:
            return Outcome(used=busy / (workers * now), time=now, score=source.best)
        now, _, done = heapq.heappop(running)
        source.finish(done)


class Searched:
    """An optimizer on a problem.

    Args:
        optimizer: A new optimizer.
        problem: The problem to train.
        seed: Seed of the problem.
    """

    def __init__(self, optimizer: Optimizer, problem: Problem, seed: int) -> None:
        self.optimizer, self.problem = optimizer, problem
        self.states: dict[int | None, Any] = {None: problem.start(seed)}
        self.scores: dict[int, list[float]] = {}

    def take(self) -> Job | None:
        """Asks and trains immediately; the result is told later. A limit fixed when asking decides where it stops."""
        trial = next(iter(self.optimizer.ask()), None)
        if trial is None:
            return None
        state, scores = self.states[trial.parent], list[float]()
        limits = self.optimizer.records[trial.id].limits
        for step in range(trial.steps):
            state, score = self.problem.train(state, trial.config)
            scores.append(score)
            if step < len(limits) and -score > limits[step]:  # higher scores are better
                break
        self.states[trial.id], self.scores[trial.id] = state, scores
        return Job(trial.id, len(scores))

    def finish(self, job: Job) -> None:
        """Reports and tells."""
        for step, score in enumerate(self.scores.pop(job.id), 1):
            self.optimizer.report(job.id, step, score)
        self.optimizer.tell(job.id)
        for gone in self.optimizer.released():
            del self.states[gone]

    @property
    def best(self) -> float:
        """The best score of all trials."""
        return self.optimizer.best.score


class AsynchronousPbt:
    """PBT without barriers: a member that ends a step and is in the worst fifth of the last scores becomes a copy.

    Copies of a random one of the best fifth, each coordinate of the config moved by 0.2 of its range, up or down.

    References:
        Jaderberg et al., "Population Based Training of Neural Networks" (2017).
    """

    def __init__(self, problem: Problem, steps: int, seed: int) -> None:
        self.problem, self.steps, self.rng = problem, steps, np.random.default_rng(seed)
        self.cubes = self.rng.random((POPULATION, len(problem.space)))
        self.states = [problem.start(seed)] * POPULATION
        self.scores = np.full(POPULATION, np.nan)
        self.done = [0] * POPULATION
        self.waiting = list(range(POPULATION))
        self.best = -np.inf

    def take(self) -> Job | None:
        """The member that has waited longest."""
        if not self.waiting:
            return None
        member = self.waiting.pop(0)
        return Job(member + POPULATION * self.done[member], 1)

    def finish(self, job: Job) -> None:
        """Trains the step, exploits and explores."""
        member = job.id % POPULATION
        config = self.problem.space.decode(self.cubes[member])
        self.states[member], self.scores[member] = self.problem.train(self.states[member], config)
        self.done[member] += 1
        if self.done[member] == self.steps:
            self.best = max(self.best, float(self.scores[member]))
            return
        known = np.flatnonzero(~np.isnan(self.scores))
        ranked, share = known[np.argsort(-self.scores[known])], int(np.ceil(0.2 * len(known)))
        if len(known) > 1 and member in ranked[-share:]:
            model = self.rng.choice(ranked[:share])
            self.states[member], self.scores[member] = self.states[model], self.scores[model]
            move = self.rng.choice([-0.2, 0.2], self.cubes.shape[1])
            self.cubes[member] = np.clip(self.cubes[model] + move, 0, 1)
        self.waiting.append(member)


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulates, prints a table, and returns the exit status.

    Args:
        arguments: Command-line arguments; None: those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[8, 16, 64])
    parser.add_argument("--max-concurrent", type=int, nargs="+", help="default: 1, 2 and 4 times the workers, up to 64")
    parser.add_argument("--quorum", type=float, nargs="+", default=[1.0, 0.9, 0.75, 0.5, 0.25])
    parser.add_argument("--searcher", default="random")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    given = parser.parse_args(arguments)
    print("workers  method                 used %    time  " + "  ".join(f"{name:>14}" for name in PROBLEMS))
    short: list[int] = []
    for workers in given.workers:
        most = sorted({min(POPULATION, factor * workers) for factor in (1, 2, 4)})
        gpbt = {
            f"gpbt m={m} q={q:g}": _gpbt(given, {"max_concurrent": m, "quorum": q, "searcher": given.searcher})
            for m, q in itertools.product(given.max_concurrent or most, given.quorum)
        }
        synchronous = {"preset": "pbt", "max_concurrent": POPULATION}
        others = {"PBT, synchronous": _gpbt(given, synchronous), "PBT, asynchronous": _asynchronous(given)}
        reached = 0.0
        for name, make in (gpbt | others).items():
            outcomes = {
                problem: [simulate(make(build, seed), workers, seed) for seed in range(given.seeds)]
                for problem, build in PROBLEMS.items()
            }
            everything = list(itertools.chain.from_iterable(outcomes.values()))
            used = float(np.mean([outcome.used for outcome in everything]))
            reached = max(reached, used if name in gpbt else 0.0)
            scores = "  ".join(f"{np.mean([outcome.score for outcome in runs]):14.3f}" for runs in outcomes.values())
            time = float(np.mean([outcome.time for outcome in everything]))
            print(f"{workers:7}  {name:20} {100 * used:8.1f} {time:7.0f}  {scores}", flush=True)
        if reached < GOAL:
            short.append(workers)
    print(f"below {GOAL:.0%} with {short} workers" if short else f"at least {GOAL:.0%} for each number of workers")
    return 1 if short else 0


Make = Callable[[Callable[[Options], Problem], int], Source]


def _gpbt(given: argparse.Namespace, settings: Mapping[str, Any]) -> Make:
    def make(build: Callable[[Options], Problem], seed: int) -> Source:
        problem = build(Options())
        optimizer = Optimizer(
            problem.space, population=POPULATION, steps=given.steps, direction="maximize", seed=seed, **settings
        )
        return Searched(optimizer, problem, seed)

    return make


def _asynchronous(given: argparse.Namespace) -> Make:
    return lambda build, seed: AsynchronousPbt(build(Options()), given.steps, seed)


if __name__ == "__main__":
    sys.exit(main())
