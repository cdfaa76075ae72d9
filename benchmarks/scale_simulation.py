"""What breaks first on clusters of hundreds and thousands of workers: a discrete-event simulation with real decisions.

    python -m benchmarks.scale_simulation [--workers 256 1024 4096] [--preset steady] [--keep 0]

A real optimizer (random searcher) decides for a population of `--per-worker` models per worker; everything around it is
simulated. The preset is `steady`, because revisions, the last part of a run of the default, have work for few workers.
A step takes a log-normal time of mean `--step` seconds. A worker reads its parent's checkpoint and writes its own over
a store that all workers share, one after the other at `--store` bytes per second; with `--keep`, it holds its last
models in memory. A worker fails at random (`--failures` per hour), is noticed after a minute and replaced after five;
its trial is trained again. One driver asks and tells: each call takes the processor time that it really took here,
`--propose` seconds of a searcher for each config, and a durable transaction of the database; `--one-by-one` asks for
each trial in a transaction of its own.

Shown are the share of the workers' time in which they trained what counted, and where the rest went: waiting for the
store, waiting for the driver, lost with failed workers, and without work, as a generation ends. Then the traffic of the
store, the transactions per second (mean, and the most in ten seconds), and, if each worker were a process of its own on
the shared study, its queries per second as it looks for work, with a fixed pause and with the one that grows. The
largest loss, and a database above `--queries` per second, are named as what breaks first.
"""

import argparse
import heapq
import itertools
import sys
import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from gpbt_adapters.running.loop import POLL, pause
from gpbt_core import PRESETS, Float, Optimizer, Space
from gpbt_core.presets import PresetName
from gpbt_core.records import Trial

__all__ = ["Cluster", "Use", "main", "simulate"]

SIGMA = 0.5
NOTICED, REPLACED = 60.0, 300.0
QUERIES = 5
"""Queries of a process that looks for work and finds none: events, leases, the study and its head."""


@attrs.frozen(kw_only=True)
class Cluster:
    """What is simulated; see the arguments of the program.

    Attributes:
        workers: How many workers.
        population: How many models.
        preset: Of the optimizer.
        steps: Steps per model.
        step: Mean seconds per step.
        size: Bytes of a checkpoint.
        store: Bytes per second.
        failures: Failures of a worker per hour.
        keep: Models that a worker keeps in memory.
        propose: Seconds to find a config.
        transaction: Seconds of a durable transaction.
        batched: Whether trials that can start together are asked in one transaction.
        quorum: As of the optimizer.
    """

    workers: int
    population: int
    preset: PresetName
    steps: int
    step: float
    size: float
    store: float
    failures: float
    keep: int
    propose: float
    transaction: float
    batched: bool
    quorum: float


@attrs.frozen(kw_only=True)
class Use:
    """What came of it: shares of the workers' time, which sum to 1, and rates.

    Attributes:
        trained: Trained, and the result counted.
        store: Waited for the store.
        driver: Waited for the driver, with a trial ready.
        failed: Lost with workers that failed.
        idle: Without work.
        hours: How long the run took.
        traffic: Mean bytes per second of the store.
        busy: The share of time in which the driver was busy.
        transactions: Mean per second.
        most: The most transactions per second in ten seconds.
        fixed: Queries per second of idle processes at the worst time, with a fixed pause.
        growing: The same with the pause of `run`.
        memory: The share of the children that continued in memory.
    """

    trained: float
    store: float
    driver: float
    failed: float
    idle: float
    hours: float
    traffic: float
    busy: float
    transactions: float
    most: float
    fixed: float
    growing: float
    memory: float


def simulate(cluster: Cluster, seed: int) -> Use:
    """Simulates one run.

    Args:
        cluster: The cluster.
        seed: Seed of the run, the times and the failures.
    """
    return _Simulation(cluster, seed).run()


class _Simulation:
    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.c, self.rng = cluster, np.random.default_rng(seed)
        self.optimizer = Optimizer(
            Space(x=Float(0, 1), y=Float(0, 1)),
            population=cluster.population,
            steps=cluster.steps,
            preset=cluster.preset,
            searcher="random",
            max_concurrent=min(cluster.population, 2 * cluster.workers),
            quorum=cluster.quorum,
            trial_stopping=False,
            seed=seed,
        )
        self.loss: dict[int | None, float] = {None: 1.0}
        self.events: list[tuple[float, int, str, int, Trial | None]] = []
        self.numbers = itertools.count()
        self.free: OrderedDict[int, float] = OrderedDict((worker, 0.0) for worker in range(cluster.workers))
        self.memory: list[OrderedDict[int, None]] = [OrderedDict() for _ in range(cluster.workers)]
        self.spent: defaultdict[str, float] = defaultdict(float)
        self.link = self.driver = self.moved = self.driving = 0.0
        self.transactions: list[float] = []
        self.fixed = self.growing = self.sampled = 0.0
        self.continued = self.children = 0

    def run(self) -> Use:
        self._fill(0.0)
        now = 0.0
        while self.events:
            now, _, kind, worker, trial = heapq.heappop(self.events)
            getattr(self, f"_{kind}")(now, worker, trial)
        for since in self.free.values():
            self.spent["idle"] += now - since
        total = self.c.workers * now
        shares = {kind: self.spent[kind] / total for kind in ("trained", "store", "driver", "failed", "idle")}
        windows = Counter(int(moment // 10) for moment in self.transactions)
        return Use(
            **shares,
            hours=now / 3600,
            traffic=self.moved / now,
            busy=self.driving / now,
            transactions=len(self.transactions) / now,
            most=max(windows.values()) / 10,
            fixed=self.fixed,
            growing=self.growing,
            memory=self.continued / max(1, self.children),
        )

    def _push(self, when: float, kind: str, worker: int, trial: Trial | None) -> None:
        heapq.heappush(self.events, (when, next(self.numbers), kind, worker, trial))

    def _drive(self, now: float, seconds: float, *, commits: bool) -> float:
        """The driver is busy for some seconds from now on, or once it has done what came before; returns its end."""
        seconds += self.c.transaction * commits
        self.driver = max(now, self.driver) + seconds
        self.driving += seconds
        if commits:
            self.transactions.append(self.driver)
        return self.driver

    def _fill(self, now: float) -> None:
        while self.free:
            began = time.process_time()
            asked = self.optimizer.ask(len(self.free) if self.c.batched else 1)
            took = time.process_time() - began
            if not asked:
                break
            ready = self._drive(now, took + self.c.propose * len(asked), commits=True)
            for trial in asked:
                self._start(now, ready, trial)
        waiting = len(self.free)
        if waiting and now > self.sampled + 10:
            self.sampled = now
            paused = [pause(now - since) for since in self.free.values()]
            self.fixed = max(self.fixed, QUERIES * waiting / POLL)
            self.growing = max(self.growing, QUERIES * sum(1 / one for one in paused))

    def _start(self, now: float, ready: float, trial: Trial) -> None:
        near = next(iter(self.free))
        if self.c.keep:
            near = next((one for one in self.free if trial.parent in self.memory[one]), near)
        since = self.free.pop(near)
        self.spent["idle"] += now - since
        self.spent["driver"] += ready - now
        self.children += trial.parent is not None
        loaded = ready
        if trial.parent is not None and trial.parent in self.memory[near]:
            del self.memory[near][trial.parent]
            self.continued += 1
        elif trial.parent is not None:
            loaded = self._moved(ready)
        self.spent["store"] += loaded - ready
        trains = self.c.step * float(self.rng.lognormal(-(SIGMA**2) / 2, SIGMA, trial.steps).sum())
        fails = float(self.rng.exponential(3600 / self.c.failures)) if self.c.failures else float("inf")
        if fails < trains:
            self.spent["failed"] += fails + REPLACED
            self.memory[near].clear()
            self._push(loaded + fails + NOTICED, "noticed", near, trial)
            self._push(loaded + fails + REPLACED, "replaced", near, None)
            return
        self.spent["trained"] += trains
        self._push(loaded + trains, "saving", near, trial)

    def _moved(self, now: float) -> float:
        """A checkpoint passes through the store, after those that came before; returns when it has arrived."""
        self.link = max(now, self.link) + self.c.size / self.c.store
        self.moved += self.c.size
        return self.link

    def _saving(self, now: float, worker: int, trial: Trial) -> None:
        saved = self._moved(now)
        self.spent["store"] += saved - now
        self._push(saved, "saved", worker, trial)

    def _saved(self, now: float, worker: int, trial: Trial) -> None:
        self.loss[trial.id] = self.loss[trial.parent] * (1 - 0.1 * trial.config["x"]) + float(self.rng.normal(0, 1e-3))
        began = time.process_time()
        self.optimizer.tell(trial, self.loss[trial.id])
        gone = self.optimizer.released()
        told = self._drive(now, time.process_time() - began, commits=True)
        self.spent["driver"] += told - now
        for one in gone:
            self.loss.pop(one, None)
        kept = self.memory[worker]
        kept[trial.id] = None
        while len(kept) > self.c.keep:
            kept.popitem(last=False)
        self.free[worker] = told
        self._fill(told)

    def _noticed(self, now: float, _: int, trial: Trial) -> None:
        self.optimizer.requeue(trial)
        self._fill(self._drive(now, 0.0, commits=True))

    def _replaced(self, now: float, worker: int, _: None) -> None:
        self.free[worker] = now
        self._fill(max(now, self.driver))


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulates, prints a table and returns the exit status.

    Args:
        arguments: Command-line arguments; None: those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--per-worker", type=int, default=2)
    parser.add_argument("--preset", choices=PRESETS, default="steady")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--step", type=float, default=60.0)
    parser.add_argument("--megabytes", type=float, default=100.0)
    parser.add_argument("--store", type=float, default=1e9)
    parser.add_argument("--failures", type=float, default=0.01)
    parser.add_argument("--keep", type=int, default=0)
    parser.add_argument("--propose", type=float, default=0.004, help="of gp; measured with 256 and 1,024 models")
    parser.add_argument("--transaction", type=float, default=0.005)
    parser.add_argument("--one-by-one", action="store_true")
    parser.add_argument("--quorum", type=float, default=1.0)
    parser.add_argument("--queries", type=float, default=10_000)
    given = parser.parse_args(arguments)
    print(
        "workers  models  hours  trained   store  driver  failed    idle  store GB/s  driver busy  tx/s  most tx/s  "
        "queries/s, fixed  growing  in memory  breaks first"
    )
    for workers in given.workers:
        cluster = Cluster(
            workers=workers,
            population=given.per_worker * workers,
            preset=given.preset,
            steps=given.steps,
            step=given.step,
            size=given.megabytes * 1e6,
            store=given.store,
            failures=given.failures,
            keep=given.keep,
            propose=given.propose,
            transaction=given.transaction,
            batched=not given.one_by_one,
            quorum=given.quorum,
        )
        use = simulate(cluster, 0)
        print(f"{workers:7}  {cluster.population:6}  {_row(use)}  {_breaks(use, given.queries)}", flush=True)
    return 0


def _row(use: Use) -> str:
    shares: Any = (use.trained, use.store, use.driver, use.failed, use.idle)
    percent = "  ".join(f"{share:6.1%}" for share in shares)
    return (
        f"{use.hours:5.1f}  {percent}  {use.traffic / 1e9:10.3f}  {use.busy:11.1%}"
        f"  {use.transactions:4.1f}  {use.most:9.1f}  {use.fixed:16,.0f}  {use.growing:7,.0f}  {use.memory:9.1%}"
    )


def _breaks(use: Use, queries: float) -> str:
    losses = {
        "the store": use.store,
        "the driver": use.driver,
        "the ends of generations": use.idle,
        "failures": use.failed,
    }
    worst = max(losses, key=lambda name: losses[name])
    database = f"; the database, if each worker is a process ({use.growing:,.0f}/s)" if use.growing > queries else ""
    return f"{worst} ({losses[worst]:.0%}){database}"


if __name__ == "__main__":
    sys.exit(main())
