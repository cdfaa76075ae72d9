"""What the journal costs per ask and tell, and how fast it opens, beside Optuna's storages on the same disk.

    python -m benchmarks.micro.journal_speed [--pairs 200] [--trials 10000 100000] [--folder DIR]

Writing: pairs of ask and tell of a random searcher over five floats, in blocks that take turns, so that a busy disk is
busy for all; wall-clock and processor time per pair, and where strace is installed, flushes to the disk per pair.
Opening: studies of so many told trials, each opened in a fresh process. Exits with an error where a bound is missed.
"""

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from gpbt_adapters.storing.journal import Study, open_study
from gpbt_core import Float, Optimizer, Space

__all__ = ["main", "opening", "writing"]

SPACE = Space({f"x{i}": Float(0, 1) for i in range(5)})
BLOCK = 10
"""Pairs in a row before the next contestant has its turn."""

BOUNDS = {"full": 3.0, "process": 50.0, "flushes": 2.02, "cpu": 1e-3, "opening": 6.0, "opening of the file": 1.0}
"""Two flushes a pair, and now and then the three with which SQLite moves its log into the file."""

Pair = Callable[[], None]


def study_pair(study: Study) -> Pair:
    """Asks and tells one trial."""

    def pair() -> None:
        (trial,) = study.ask()
        study.tell(trial.id, trial.config["x0"])

    return pair


def optuna_pair(study: optuna.Study) -> Pair:
    """Asks and tells one trial of Optuna's."""

    def pair() -> None:
        trial = study.ask()
        values = [trial.suggest_float(f"x{i}", 0, 1) for i in range(5)]
        study.tell(trial, values[0])

    return pair


@contextlib.contextmanager
def contestants(folder: Path) -> Iterator[dict[str, Pair]]:
    """The contestants by name."""
    settings: dict[str, Any] = {"population": 10_000, "steps": 1, "preset": "random"}
    sampler = optuna.samplers.RandomSampler(seed=0)
    rdb = optuna.create_study(storage=RDBStorage(f"sqlite:///{folder}/rdb.db"), sampler=sampler)
    file = optuna.create_study(storage=JournalStorage(JournalFileBackend(f"{folder}/file.log")), sampler=sampler)
    with (
        open_study(folder / "full.db", "run", SPACE, **settings) as full,
        open_study(folder / "process.db", "run", SPACE, durability="process", **settings) as process,
    ):
        yield {
            "gpbt, full durability": study_pair(full),
            "gpbt, process durability": study_pair(process),
            "Optuna, RDBStorage": optuna_pair(rdb),
            "Optuna, journal file": optuna_pair(file),
        }


def writing(folder: Path, pairs: int) -> dict[str, tuple[float, float]]:
    """Median over blocks of wall-clock and processor seconds per pair, by contestant.

    Args:
        folder: An empty directory on the disk to be measured.
        pairs: At least 2 blocks; the first block of each is not counted.
    """
    times: dict[str, list[tuple[float, float]]] = {}
    with contestants(folder) as pairing:
        for _ in range(pairs // BLOCK + 1):
            for name, pair in pairing.items():
                wall, cpu = time.perf_counter(), time.thread_time()
                for _ in range(BLOCK):
                    pair()
                spent = ((time.perf_counter() - wall) / BLOCK, (time.thread_time() - cpu) / BLOCK)
                times.setdefault(name, []).append(spent)
    return {
        name: (statistics.median(wall for wall, _ in blocks[1:]), statistics.median(cpu for _, cpu in blocks[1:]))
        for name, blocks in times.items()
    }


def flushes(folder: Path, pairs: int) -> float | None:
    """Flushes to the disk per pair at full durability, those of moving the log among them; None without strace."""
    strace = shutil.which("strace")
    if strace is None:
        return None
    log = folder / "strace"
    work = (
        "import sys; from pathlib import Path; from benchmarks.micro.journal_speed import *;"
        "from benchmarks.micro import journal_speed as j;"
        f"study = j.open_study(Path({str(folder)!r}) / 'flushes.db', 'run', j.SPACE, population=10_000, steps=1,"
        "preset='random'); pair = j.study_pair(study); pair(); open('/dev/null').close();"
        f"[pair() for _ in range({pairs})]; open('/dev/null').close(); study.close()"
    )
    command = [strace, "-f", "-o", str(log), "-e", "trace=fsync,fdatasync,openat", sys.executable, "-c", work]
    subprocess.run(command, check=True)  # noqa: S603  # this program
    lines = log.read_text().splitlines()
    start, end = [i for i, line in enumerate(lines) if '"/dev/null"' in line][-2:]
    return sum("sync(" in line for line in lines[start:end]) / pairs


def fill(folder: Path, trials: int) -> None:
    """Writes studies with the given numbers of told trials; Optuna's only up to 10,000, which take minutes."""
    settings: dict[str, Any] = {"population": trials, "steps": 1, "preset": "random", "max_concurrent": 8}
    optimizer = Optimizer(SPACE, **settings)
    with open_study(folder / f"{trials}.db", "run", SPACE, durability="process", **settings) as study:
        while not optimizer.finished:
            known = len(optimizer.events)
            for _ in range(500):  # as many events as are written at once, so that snapshots fall where they would
                for trial in optimizer.ask(8):
                    optimizer.tell(trial.id, trial.config["x0"])
            study.replay(optimizer.events[known:])
    if trials > 10_000:
        return
    distributions: Any = {f"x{i}": optuna.distributions.FloatDistribution(0, 1) for i in range(5)}
    frozen = [
        optuna.trial.create_trial(params=dict(record.trial.config), distributions=distributions, value=record.loss)
        for record in optimizer.records
    ]
    rdb = RDBStorage(f"sqlite:///{folder}/rdb-{trials}.db")
    sqlalchemy.event.listen(rdb.engine, "connect", _hurry)  # fast writes do not affect reading
    rdb.engine.dispose()
    for storage in (rdb, _file(folder, trials)):
        optuna.create_study(storage=storage, study_name="run").add_trials(frozen)


def _hurry(connection: Any, _: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA journal_mode=MEMORY")


def _file(folder: Path, trials: int) -> JournalStorage:
    return JournalStorage(JournalFileBackend(f"{folder}/file-{trials}.log"))


OPENING = """
import sys, time
from pathlib import Path
import optuna
from optuna.storages import RDBStorage
from benchmarks.micro.journal_speed import _file
from gpbt_adapters.storing.journal import open_study
kind, folder, trials = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
optuna.logging.set_verbosity(optuna.logging.WARNING)
if kind == "gpbt":
    with open_study(folder / "warm.db", "warm") as study:  # what is imported late, for all
        assert len(study.records)
elif kind == "rdb":
    RDBStorage(f"sqlite:///{folder}/warm-rdb.db")
start = time.perf_counter()
if kind == "gpbt":
    study = open_study(folder / f"{trials}.db", "run")
    assert len(study.records) == trials and study.best
else:
    storage = RDBStorage(f"sqlite:///{folder}/rdb-{trials}.db") if kind == "rdb" else _file(folder, trials)
    study = optuna.load_study(study_name="run", storage=storage)
    assert len(study.trials) == trials and study.best_trial
print(time.perf_counter() - start)
"""


def opening(folder: Path, trials: int, repeats: int) -> dict[str, float]:
    """Median seconds to open a study and find its best trial, by contestant."""
    fill(folder, trials)
    if not (folder / "warm.db").exists():
        with open_study(folder / "warm.db", "warm", SPACE, population=1, steps=1, preset="random") as study:
            study.tell(study.ask()[0].id, 0.0)
    kinds = ["gpbt", "rdb", "file"] if trials <= 10_000 else ["gpbt"]
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(repeats):
        for kind in kinds:
            command = [sys.executable, "-c", OPENING, kind, str(folder), str(trials)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  # likewise
            times[kind].append(float(done.stdout))
    return {kind: statistics.median(values) for kind, values in times.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program and returns the exit status.

    Args:
        arguments: Command-line arguments; None: those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--trials", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; default: the temporary directory")
    given = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    missed: list[str] = []

    def check(what: str, value: float, bound: float, *, least: bool) -> str:
        good = value >= bound if least else value <= bound
        if not good:
            missed.append(what)
        return f"{value:.2f} (bound: at {'least' if least else 'most'} {bound:g}{'' if good else ', MISSED'})"

    with tempfile.TemporaryDirectory(dir=given.folder) as place:
        folder = Path(place)
        times = writing(folder, given.pairs)
        for name, (wall, cpu) in times.items():
            print(f"{name:28} {1e3 * wall:8.2f} ms a pair, {1e3 * cpu:6.2f} ms of processor time")
        slow, (full, cpu) = times["Optuna, RDBStorage"][0], times["gpbt, full durability"]
        process = times["gpbt, process durability"][0]
        print("faster than RDBStorage, full   ", check("full", slow / full, BOUNDS["full"], least=True))
        print("faster than RDBStorage, process", check("process", slow / process, BOUNDS["process"], least=True))
        print("processor time, ms             ", check("cpu", 1e3 * cpu, 1e3 * BOUNDS["cpu"], least=False))
        count = flushes(folder, given.pairs)
        if count is not None:
            print("flushes a pair                 ", check("flushes", count, BOUNDS["flushes"], least=False))
        for trials in given.trials:
            opened = opening(folder, trials, given.repeats)
            print(f"opening {trials:,} trials: " + ", ".join(f"{kind} {value:.2f} s" for kind, value in opened.items()))
            if "rdb" in opened:
                ratio, file = opened["rdb"] / opened["gpbt"], opened["file"] / opened["gpbt"]
                print("faster than RDBStorage         ", check("opening", ratio, BOUNDS["opening"], least=True))
                print("faster than the journal file   ", check("file", file, BOUNDS["opening of the file"], least=True))
    print(f"missed: {', '.join(missed)}" if missed else "all bounds are kept")
    return 1 if missed else 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
