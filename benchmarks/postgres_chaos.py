"""Kills processes that share a study on PostgreSQL, and the server itself, and checks that nothing is lost or repeated.

    python -m benchmarks.postgres_chaos [--processes 16] [--runs 3] [--kills 200] [--crashes 10] [--seed 0]

In each run, so many processes train one study. At random moments one of them gets SIGKILL, or the server is stopped
without a checkpoint and started again after a while; whatever died, or gave up as the server was gone, is started
again. Each process writes down what it was told to be durable: each `tell` that returned. At the end the study is
compared with an undisturbed run in one process, and its events with what was written down. Linux only. Reported are
runs, kills, crashes, processes that gave up and trials that were trained again; exits with an error at the first
difference.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from benchmarks.chaos import SPACE, Descent
from benchmarks.postgres import Server, postgres_server
from gpbt_adapters.running.driver import run
from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_adapters.storing.journal import Journal, open_study
from gpbt_core import Optimizer
from gpbt_core.errors import GpbtError
from gpbt_core.state import Asked, Requeued, Told

__all__ = ["Tally", "attack", "main"]

PAUSE = 0.3
"""Longest pause between two faults of a run, in seconds, until it makes no progress."""


class Slow(Descent):
    """Takes some milliseconds per step."""

    def step(self) -> float:
        """As `Descent`."""
        time.sleep(0.005)
        return super().step()


@attrs.frozen(kw_only=True)
class Tally:
    """The counts of one run.

    Attributes:
        trials: How many trials the run has.
        kills: How many processes were killed.
        crashes: How often the server crashed.
        gave_up: How many processes ended with an error, since the database was gone.
        again: How many trials were handed out again.
        differences: What differs from an undisturbed run, in words.
    """

    trials: int
    kills: int
    crashes: int
    gave_up: int
    again: int
    differences: tuple[str, ...]


def attack(server: Server, folder: Path, *, processes: int, kills: int, crashes: int, seed: int) -> Tally:
    """Trains one study in many processes, with faults.

    Args:
        server: The database; running at the end.
        folder: An empty directory.
        processes: How many processes train at a time.
        kills: How many of them are killed at most; fewer if the run ends first.
        crashes: How often the server crashes at most, likewise.
        seed: Seed of the run and of the faults.
    """
    moments = random.Random(seed)  # noqa: S311 - not for security
    settings: dict[str, Any] = {"population": 4 * processes, "steps": 10, "searcher": "random", "seed": seed}
    settings |= {"direction": "maximize", "max_concurrent": 2 * processes}
    name = f"run-{seed}"
    open_study(server.url, name, SPACE, **settings).close()
    faults = [*["kill"] * kills, *["crash"] * crashes]
    moments.shuffle(faults)
    done = Counter[str]()
    lives, ended = 0, 0
    alive: set[int] = set()
    pause = PAUSE
    while ended < processes:
        while len(alive) + ended < processes:
            alive.add(_forked(server.url, name, folder, lives))
            lives += 1
        time.sleep(moments.uniform(0, pause))
        if faults:
            fault = faults.pop()
            done[fault] += 1
            if fault == "kill":
                os.kill(moments.choice(sorted(alive)), signal.SIGKILL)
            else:
                server.crash()
                time.sleep(moments.uniform(0, pause))
                server.start()
            pause *= 1.01  # a busy machine may make no progress in a short pause
        for child in sorted(alive):
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                alive.remove(child)
                code = os.waitstatus_to_exitcode(status)
                ended += code == 0
                done["gave up"] += code == 3
                if code not in {0, 3, -signal.SIGKILL}:
                    raise RuntimeError(f"a process ended with status {code}")
    return _compared(server.url, name, folder, settings, done)


def _forked(url: str, name: str, folder: Path, life: int) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        status = _train(url, name, folder, life)
    finally:
        os._exit(status)


def _train(url: str, name: str, folder: Path, life: int) -> int:
    """One process; 3 if the database is gone."""
    try:
        with open_study(url, name, lease=5) as study, (folder / f"told-{life}").open("w") as log:
            tell = study.tell

            def noted(trial: Any, *score: Any, **steps: Any) -> None:
                tell(trial, *score, **steps)
                log.write(f"{trial.id} {study.records[trial.id].loss!r}\n")
                log.flush()

            study.tell = noted  # type: ignore[method-assign]
            store = CheckpointStore(folder / "store", resume=True, durable=False)
            result = run(study, Slow, store=store, progress=False)
            return 0 if result.optimizer.finished else 3
    except GpbtError:
        return 3


def _compared(url: str, name: str, folder: Path, settings: dict[str, Any], done: Counter[str]) -> Tally:
    wanted = run(Optimizer(SPACE, **settings), Descent, progress=False)
    with open_study(url, name) as study:
        found = run(study, Descent, progress=False)
        differences = [] if list(study.records) == list(wanted.optimizer.records) else ["the records differ"]
        differences += [] if found.restore().score() == wanted.best.score else ["the best model differs"]
        differences += [] if found.store.ids() == wanted.store.ids() else ["the checkpoints differ"]
    with Journal(url) as journal:
        events = journal.events(journal.get(name).id)
    told = Counter(event.trial_id for event in events if isinstance(event, Told))
    losses = {event.trial_id: event.loss for event in events if isinstance(event, Told)}
    asked = Counter(event.trial.id for event in events if isinstance(event, Asked))
    again = Counter(event.trial_id for event in events if isinstance(event, Requeued))
    differences += [f"trial {trial} was told {count} times" for trial, count in told.items() if count != 1]
    differences += [
        f"trial {trial} was handed out {count} times and given back {again[trial]} times"
        for trial, count in asked.items()
        if count != 1 + again[trial]
    ]
    noted = [line.split() for path in sorted(folder.glob("told-*")) for line in path.read_text().splitlines()]
    for trial, loss in noted:
        if losses.get(int(trial)) != float(loss):
            differences.append(f"the result of trial {trial}, which was durable, is lost or another")
    differences += [
        f"trial {trial} was acknowledged twice" for trial, n in Counter(t for t, _ in noted).items() if n > 1
    ]
    return Tally(
        trials=len(asked),
        kills=done["kill"],
        crashes=done["crash"],
        gave_up=done["gave up"],
        again=sum(again.values()),
        differences=tuple(differences),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program and returns the exit status.

    Args:
        arguments: Command-line arguments; None: those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--kills", type=int, default=200, help="of each run, at most")
    parser.add_argument("--crashes", type=int, default=10, help="of the server in each run, at most")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    differences: list[str] = []
    with postgres_server() as server:
        for seed in range(given.seed, given.seed + given.runs):
            with tempfile.TemporaryDirectory() as folder:
                tally = attack(
                    server,
                    Path(folder),
                    processes=given.processes,
                    kills=given.kills,
                    crashes=given.crashes,
                    seed=seed,
                )
            print(
                f"run {seed}: {tally.trials} trials in {given.processes} processes; {tally.kills} killed, "
                f"{tally.gave_up} gave up, the server crashed {tally.crashes} times, {tally.again} trials were handed "
                f"out again; {'; '.join(tally.differences) or 'no differences'}",
                flush=True,
            )
            differences += tally.differences
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
