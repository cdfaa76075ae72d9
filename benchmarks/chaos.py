"""Kills runs with a journal and a store at random moments, resumes them, and checks that the outcome is unchanged.

    python -m benchmarks.chaos [--kills 1000] [--seconds 600] [--workers serial|threads|processes] [--url postgresql://...]

Each life of a run is a forked process that opens the study and the store, trains on, and gets SIGKILL after a random
time, possibly within a transaction, a checkpoint, or between the two. Once a run has ended, its records, its
schedule, its best, the checkpoints that are left and the best model's own score are compared with those of a run that
nobody killed. Exits with an error at the first difference. Linux only. (Messages of
Python's resource tracker about leaked semaphores come from its cleanup after killed processes.)
"""

import argparse
import json
import math
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from gpbt_adapters.running.driver import Result, run
from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_adapters.storing.journal import Journal, open_study
from gpbt_adapters.trainables.trainable import Trainable
from gpbt_core import Float, Optimizer, Space
from gpbt_core.state import Requeued

__all__ = ["Descent", "Tally", "kill_and_resume", "main"]

SPACE = Space(rate=Float(0.01, 0.4, log=True), momentum=Float(0, 0.9))
LIFE = {"serial": 0.06, "threads": 0.06, "processes": 1.2}
"""Maximum seconds before a run is killed; longer if it made no progress. Processes take longest to start."""
POPULATION = {"serial": 6, "threads": 6, "processes": 24}
"""Chosen so that a run outlasts a single life."""


class Descent(Trainable):
    """Noisy gradient descent on w**2 with momentum; the score is -|w|, higher is better."""

    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        """Starts at random."""
        self.rng = np.random.default_rng(seed)
        self.weight, self.velocity, self.live = 1 + self.rng.random(), 0.0, dict(config)

    def apply(self, config: Mapping[str, Any]) -> None:
        """Sets rate and momentum."""
        self.live = dict(config)

    def applied(self) -> Mapping[str, Any]:
        """Rate and momentum."""
        return self.live

    def step(self) -> float:
        """Makes one step."""
        gradient = 2 * self.weight + 0.1 * self.rng.standard_normal()
        self.velocity = self.live["momentum"] * self.velocity - self.live["rate"] * gradient
        self.weight += self.velocity
        return self.score()

    def score(self) -> float:
        """How far it is from the optimum."""
        return -abs(self.weight)

    def save(self, path: Path) -> None:
        """Writes numbers and generator as JSON."""
        state = [self.weight, self.velocity, self.live, self.rng.bit_generator.state]
        (path / "state.json").write_text(json.dumps(state))

    def load(self, path: Path) -> None:
        """Reads them."""
        self.weight, self.velocity, self.live, generator = json.loads((path / "state.json").read_text())
        self.rng = np.random.default_rng()
        self.rng.bit_generator.state = generator


@attrs.frozen(kw_only=True)
class Tally:
    """The tally of a session.

    Attributes:
        runs: Number of completed runs.
        kills: Number of lives ended by SIGKILL.
        again: Number of trials that were trained again after a kill.
        differences: Differences from the runs without kills, in words.
    """

    runs: int
    kills: int
    again: int
    differences: tuple[str, ...]


def kill_and_resume(
    folder: Path,
    *,
    kills: int,
    seed: int,
    seconds: float = math.inf,
    workers: str = "serial",
    url: str | None = None,
    say: bool = False,
) -> Tally:
    """Kills and resumes runs until the number of kills is reached or the time is up.

    Args:
        folder: An empty directory.
        kills: Minimum number of kills.
        seed: Seed of the runs and of the moments of the kills.
        seconds: No run starts after this time.
        workers: "serial", "threads" or "processes".
        url: The database; None: a SQLite file in `folder`.
        say: Whether to print a line for each run.
    """
    end = time.monotonic() + seconds
    moments = random.Random(seed)  # noqa: S311  # not for security
    runs = killed = again = 0
    differences: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:  # imports once here, so a life does not start with imports
        _run(f"{scratch}/journal.db", "warm", Path(scratch) / "store", "serial", {"population": 2, "steps": 2})
    while killed < kills and time.monotonic() < end and not differences:
        settings: dict[str, Any] = {
            "population": POPULATION[workers],
            "steps": 10,
            "searcher": "random",
            "seed": seed + runs,
        }
        place, name = folder / f"run-{runs}", f"run-{seed}-{runs}"
        database = url or str(folder / f"journal-{runs % 3}.db")
        before, life = killed, LIFE[workers]
        while not _live(lambda: _run(database, name, place, workers, settings), moments.uniform(0, life)):  # noqa: B023  # called immediately
            killed += 1
            if (killed - before) % 20 == 0:
                life *= 1.5  # a busy machine makes no progress in such a short time
        with Journal(database) as journal:
            tried = sum(isinstance(event, Requeued) for event in journal.events(journal.get(name).id))
        with open_study(database, name) as study:
            found = run(study, Descent, store=CheckpointStore(place, resume=True), progress=False)
        differences += [f"{name}: {one}" for one in _differences(found, _undisturbed(settings))]
        runs, again = runs + 1, again + tried
        if say:
            print(f"{name}: {killed - before} kills, {tried} trials trained again", flush=True)
    return Tally(runs=runs, kills=killed, again=again, differences=tuple(differences))


def _run(database: str, name: str, place: Path, workers: str, settings: Mapping[str, Any]) -> None:
    where: dict[str, dict[str, Any]] = {
        "serial": {},
        "threads": {"executor": lambda: ThreadPoolExecutor(3)},
        "processes": {"workers": 2},
    }
    with open_study(database, name, SPACE, direction="maximize", durability="process", **settings) as study:
        store = CheckpointStore(place, resume=True, durable=False)
        run(study, Descent, **where[workers], store=store, progress=False)


def _live(work: Callable[[], None], seconds: float) -> bool:
    """Runs work in a forked process; returns whether it finished before it was killed.

    Raises:
        RuntimeError: It failed.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return _ended(status)
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    return _ended(os.waitpid(child, 0)[1])


def _ended(status: int) -> bool:
    code = os.waitstatus_to_exitcode(status)
    if code not in {0, -signal.SIGKILL}:
        raise RuntimeError(f"a run failed with status {code}")
    return code == 0


def _undisturbed(settings: Mapping[str, Any]) -> Result:
    return run(Optimizer(SPACE, direction="maximize", **settings), Descent, progress=False)


def _differences(found: Result, wanted: Result) -> list[str]:
    pairs: dict[str, Callable[[Result], object]] = {
        "records": lambda result: list(result.optimizer.records),
        "best": lambda result: result.best,
        "steps": lambda result: result.optimizer.tally,
        "checkpoints": lambda result: result.store.ids(),
        "score of the best model": lambda result: result.restore().score(),
    }
    return [f"the {name} differ" for name, look in pairs.items() if look(found) != look(wanted)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program and returns the exit status.

    Args:
        arguments: Command-line arguments; None: those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000, help="how many, at least; the run they fall into ends first")
    parser.add_argument(
        "--seconds", type=float, default=math.inf, help="after which no run is begun; default: no limit"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the runs and of the moments of the kills")
    parser.add_argument("--workers", choices=["serial", "threads", "processes"], default="serial", help="of each run")
    parser.add_argument("--url", help="of a database; else a SQLite file")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        tally = kill_and_resume(
            Path(folder),
            kills=given.kills,
            seed=given.seed,
            seconds=given.seconds,
            workers=given.workers,
            url=given.url,
            say=True,
        )
    print(f"{tally.runs} runs, {tally.kills} kills, {tally.again} trials trained again")
    print("\n".join(tally.differences) or "no differences")
    return 1 if tally.differences else 0


if __name__ == "__main__":
    sys.exit(main())
