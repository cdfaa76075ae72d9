"""Tests which faults besides kills a run survives: injects each kind at random moments and compares the outcome.

    python -m benchmarks.attacks [--tries 20] [--kinds suspended,clock,...] [--seed 0]

A try survives if the run, resumed where needed, has the same outcome as an undisturbed run. Where files were damaged,
it survives if the damage is reported and no state but the undisturbed one is ever accepted. Linux only.
"""

import argparse
import contextlib
import functools
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from benchmarks.chaos import SPACE, Descent
from gpbt_adapters.running.driver import Result, run
from gpbt_adapters.storing.checkpoints import CheckpointError, CheckpointStore
from gpbt_adapters.storing.journal import check_journal, open_study
from gpbt_core import ConfigError, GpbtError, Optimizer
from gpbt_core.state import Event

__all__ = ["ATTACKS", "Case", "main"]

SETTINGS: Mapping[str, Any] = {"population": 6, "steps": 10, "searcher": "random", "direction": "maximize"}


class Slow(Descent):
    """Takes two milliseconds per step, to leave time for a fault."""

    def step(self) -> float:
        """As `Descent`."""
        time.sleep(0.002)
        return super().step()


@attrs.frozen(kw_only=True)
class Case:
    """One try.

    Attributes:
        folder: An empty directory.
        seed: Seed of the run.
        moments: Generator of the times and kinds of faults.
    """

    folder: Path
    seed: int
    moments: random.Random

    def drive(self, *, name: str = "one", stop: int | None = None, **settings: Any) -> Result:
        """Drives the study until its end, or until Ctrl-C after the given number of trials."""
        lease = settings.pop("lease", 60.0)
        given = {"store": CheckpointStore(self.folder / "store", resume=True, durable=False), "progress": False}
        with self.open(name=name, lease=lease) as study:
            return run(study, Slow, callbacks=[_pressing(stop)], **{**given, **settings})

    def open(self, *, name: str = "one", lease: float = 60.0) -> Any:
        """Opens the study."""
        settings = {**SETTINGS, "seed": self.seed}
        return open_study(self.folder / "runs.db", name, SPACE, durability="process", lease=lease, **settings)

    def same(self) -> bool:
        """Whether the study, run to its end, equals an undisturbed run."""
        result = self.drive()
        wanted = run(Optimizer(SPACE, **SETTINGS, seed=self.seed), Descent, progress=False)
        with self.open() as study:
            told = [(record.trial.config, record.status, record.loss) for record in study.records]
        here = [(record.trial.config, record.status, record.loss) for record in wanted.optimizer.records]
        return told == here and result.restore().score() == wanted.best.score


def _pressing(stop: int | None) -> Callable[[Event, Optimizer], None]:
    def press(_: Event, optimizer: Optimizer) -> None:
        if len(optimizer.records) == stop:
            signal.raise_signal(signal.SIGINT)

    return press


def _forked(work: Callable[[], object]) -> int:
    """Starts work in a forked process without output; returns its id."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return child


def _ended(child: int, seconds: float = 120.0) -> bool:
    """Whether a process exited by itself with status 0."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _all_ended(children: Sequence[int]) -> bool:
    """Waits for all processes; returns whether all of them succeeded."""
    ended = [_ended(child) for child in children]
    return all(ended)


def suspended(case: Case) -> bool:
    """Two processes work on one study; each in turn is suspended for longer than its lease."""
    case.open().close()
    children = [_forked(lambda: case.drive(lease=0.3)) for _ in range(2)]
    for _ in range(2):
        time.sleep(case.moments.uniform(0.05, 0.4))
        child = case.moments.choice(children)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGSTOP)
            time.sleep(0.6)
            os.kill(child, signal.SIGCONT)
    return _all_ended(children) and case.same()


def clock(case: Case) -> bool:
    """Two processes work on one study while their clocks jump back and forth by up to a day."""
    case.open().close()
    children = [_forked(functools.partial(_with_jumps, case, seed)) for seed in range(2)]
    return _all_ended(children) and case.same()


def _with_jumps(case: Case, seed: int) -> None:
    jumps, true = random.Random(case.seed * 7 + seed), time.time  # noqa: S311  # not for security

    def jumping() -> float:
        return true() + (jumps.uniform(-86400, 86400) if jumps.random() < 0.05 else 0.0)

    time.time = jumping
    case.drive(lease=0.5)


def shared(case: Case) -> bool:
    """A study is interrupted, another one is started in its store, and the first one continues."""
    case.drive(stop=case.moments.randrange(2, 20))
    try:
        case.drive(name="two")
    except ConfigError as error:
        return "holds the checkpoints of study 'one'" in str(error) and case.same()
    return False


def terminal(case: Case) -> bool:
    """The terminal closes at a random moment of a run with a progress bar."""
    ours, theirs = os.openpty()

    def work() -> None:
        os.close(ours)
        sys.stderr = os.fdopen(theirs, "w")
        case.drive(progress=True)

    child = _forked(work)
    os.close(theirs)
    time.sleep(case.moments.uniform(0, 0.5))
    os.close(ours)
    return _ended(child) and case.same()


def sigterm(case: Case) -> bool:
    """SIGTERM at random moments, up to three times."""
    for _ in range(3):
        child = _forked(lambda: _quiet(lambda: case.drive(shutdown=0.05)))
        time.sleep(case.moments.uniform(0.1, 0.6))
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
        if not _ended(child, 30):
            pass  # SIGTERM before the run has begun ends the program, as it always does
    return case.same()


def checkpoint(case: Case) -> bool:
    """A file of a checkpoint is damaged, or a checkpoint is lost, while a run is interrupted."""
    case.drive(stop=case.moments.randrange(4, 20))
    store = case.folder / "store"
    there = sorted(store.glob("trial-*"))
    if not there:
        return case.same()
    chosen = case.moments.choice(there)
    file = case.moments.choice([chosen / "manifest.json", chosen / "data" / "state.json"])
    match case.moments.randrange(4):
        case 0:
            shutil.rmtree(chosen)
        case 1:
            file.unlink()
        case 2:
            file.write_bytes(file.read_bytes()[: case.moments.randrange(file.stat().st_size)])
        case _:
            _flip(file, case.moments)
    for _ in range(2):
        try:
            return case.same()
        except CheckpointError as error:
            if "damaged" not in str(error) and "expected a checkpoint" not in str(error):
                return False
            shutil.rmtree(chosen)  # as the error says
    return False


def journal(case: Case) -> bool:
    """A bit of the journal file flips while no process has it open, or its last events are lost."""
    result = case.drive(stop=case.moments.randrange(4, 20))
    wanted = result.optimizer.state
    path = case.folder / "runs.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
        if case.moments.random() < 0.2:
            connection.execute("DELETE FROM gpbt_events WHERE sequence > ?", [case.moments.randrange(1, 30)])
            connection.commit()
    if case.moments.random() < 0.8:
        _flip(path, case.moments)
    try:
        damage = check_journal(path)
    except GpbtError:
        damage = {"": "cannot be read"}
    try:
        with open_study(path, "one") as study:
            return bool(study.state == wanted)
    except GpbtError:
        return any(damage.values()) or "one" not in damage


def _flip(path: Path, moments: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[moments.randrange(len(content))] ^= 1 << moments.randrange(8)
    path.write_bytes(content)


def _quiet(work: Callable[[], object]) -> None:
    with Path(os.devnull).open("w") as nothing:
        sys.stderr = nothing
        work()


ATTACKS: Mapping[str, Callable[[Case], bool]] = {
    "suspended": suspended,
    "clock": clock,
    "shared": shared,
    "terminal": terminal,
    "sigterm": sigterm,
    "checkpoint": checkpoint,
    "journal": journal,
}
"""The kinds of faults; each function returns whether the run survived the try."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs all tries, prints a line for each kind, and returns 1 if a run did not survive one.

    Args:
        arguments: Command-line arguments; None: those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=20, help="of each kind")
    parser.add_argument("--kinds", default=",".join(ATTACKS), help="which, separated by commas")
    parser.add_argument("--seed", type=int, default=0, help="of the runs and of the moments")
    given = parser.parse_args(arguments)
    survived_all = True
    for kind in given.kinds.split(","):
        lost = []
        for number in range(given.tries):
            moments = random.Random(f"{kind} {given.seed} {number}")  # noqa: S311  # not for security
            with tempfile.TemporaryDirectory() as folder:
                case = Case(folder=Path(folder), seed=given.seed + number, moments=moments)
                try:
                    survived = ATTACKS[kind](case)
                except Exception as error:  # noqa: BLE001  # any exception means that the run did not survive
                    print(f"{kind} {number}: {type(error).__name__}: {error}", flush=True)
                    survived = False
            lost += [] if survived else [number]
        survived_all = survived_all and not lost
        said = f"; not survived: {lost}" if lost else ""
        print(f"{kind}: {given.tries - len(lost)} of {given.tries} survived{said}", flush=True)
    return 0 if survived_all else 1


if __name__ == "__main__":
    sys.exit(main())
