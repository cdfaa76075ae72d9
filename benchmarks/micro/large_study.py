"""What a large study costs to look at: open, status, report and dashboard, in seconds and in memory.

    python -m benchmarks.micro.large_study [--population 1000] [--trials 100000] [--preset pbt] [--folder DIR]

The study is written as `run` would write it, with the times of each trial, but without training: the score follows a
random walk that depends on the config. Each command runs in a fresh process, `--repeats` times; shown are the medians
by the clock and in processor time (which a busy machine disturbs less), imports included, and the most memory that the
process had. The dashboard is measured until its first page with the whole run has arrived. Exits with an error where a
bound is missed: 3 s of processor time, 10 s for the report, and 500 MB.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from gpbt_adapters.storing.journal import open_study
from gpbt_adapters.views.notes import Timing, noted
from gpbt_core import Float, Optimizer, Space

__all__ = ["Cost", "looking", "main", "write"]

SPACE = Space(rate=Float(1e-4, 1, log=True), momentum=Float(0, 0.99), decay=Float(1e-7, 1e-2, log=True))
SECONDS = {"open": 3.0, "status": 3.0, "report": 10.0, "dashboard": 3.0}
"""The most processor time of each command, in seconds."""
MEGABYTES = 500.0
BLOCK = 4000
"""Events that are written at once, so that snapshots fall about where they would."""

OPEN = """
import sys
from gpbt_adapters.storing.journal import open_study
with open_study(sys.argv[1], "large") as study:
    assert study.best
"""

GPBT = "import sys; from gpbt_adapters.cli.main import main; sys.exit(main())"


@attrs.frozen(kw_only=True)
class Cost:
    """What a command took.

    Attributes:
        clock: Seconds.
        processor: Seconds of processor time.
        memory: The most memory of the process, in MB.
    """

    clock: float
    processor: float
    memory: float


def write(path: Path, population: int, trials: int, preset: str) -> int:
    """Writes a finished study and returns its number of trials.

    Args:
        path: The SQLite file.
        population: The number of models.
        trials: How many trials it has at least; the preset must train each step as a trial of its own.
        preset: The name of the preset.
    """
    settings: dict[str, Any] = {
        "population": population,
        "steps": max(1, round(trials / population)),
        "preset": preset,
        "searcher": "random",
        "max_concurrent": 8,
    }
    optimizer = Optimizer(SPACE, **settings)
    rng = np.random.default_rng(0)
    losses: dict[int | None, float] = {None: 1.0}
    begun, now = 1.7e9, 0.0
    with open_study(path, "large", SPACE, durability="process", **settings) as study:
        while not optimizer.finished:
            known = len(optimizer.events)
            while not optimizer.finished and len(optimizer.events) < known + BLOCK:
                for trial in optimizer.ask(8):
                    step = abs(np.log10(trial.config["rate"]) + 2) / 2 - trial.config["momentum"]
                    losses[trial.id] = losses[trial.parent] * (0.98 + 0.01 * step) + 0.001 * rng.standard_normal()
                    now += 0.5
                    timing = Timing(
                        worker=f"host:{trial.id % 8}",
                        run=begun,
                        begin=begun + now,
                        loading=0.1,
                        training=3.0 + rng.random(),
                        saving=0.1,
                        searching=0.01,
                    )
                    optimizer.tell(trial, losses[trial.id], notes=noted(timing, {}))
            study.replay(optimizer.events[known:])
    return len(optimizer.records)


def looking(path: Path, folder: Path) -> Mapping[str, Callable[[], Cost]]:
    """The commands by name; each call runs one in a fresh process.

    Args:
        path: The journal.
        folder: Where the report goes.
    """
    gpbt = [sys.executable, "-c", GPBT]
    return {
        "open": lambda: _cost([sys.executable, "-c", OPEN, str(path)]),
        "status": lambda: _cost([*gpbt, "status", str(path)]),
        "report": lambda: _cost([*gpbt, "report", str(path), "-o", str(folder / "report.html")]),
        "dashboard": lambda: _cost([*gpbt, "dashboard", str(path), "--port", "0"], meanwhile=_visit),
    }


def _cost(command: Sequence[str], meanwhile: Callable[[Any], None] | None = None) -> Cost:
    begin = time.perf_counter()
    output = subprocess.PIPE if meanwhile else subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=output, text=True)  # noqa: S603 - commands of gpbt
    if meanwhile:
        meanwhile(process.stdout)
        clock = time.perf_counter() - begin
        process.send_signal(signal.SIGKILL)
    _, status, used = os.wait4(process.pid, 0)
    if not meanwhile:
        clock = time.perf_counter() - begin
    if os.waitstatus_to_exitcode(status) != (-signal.SIGKILL if meanwhile else 0):
        raise RuntimeError(f"{' '.join(command)} failed")
    return Cost(clock=clock, processor=used.ru_utime + used.ru_stime, memory=used.ru_maxrss * 1024 / 1e6)


def _visit(output: Any) -> None:
    """Asks the dashboard for its page and for the whole run, as a browser does."""
    address = output.readline().split()[-1]
    for path in ("", "page.css", "plotly.js", "page.js", "api/run"):
        request = urllib.request.Request(address + path, headers={"Accept-Encoding": "gzip"})  # noqa: S310 - this machine
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - likewise
            answer.read()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints and returns the exit status.

    Args:
        arguments: Command-line arguments; None: those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--population", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--preset", default="pbt", help="one that trains each step as a trial of its own")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; default: a temporary directory")
    given = parser.parse_args(arguments)
    missed = []
    with tempfile.TemporaryDirectory(dir=given.folder) as place:
        folder = Path(place)
        path = folder / "large.db"
        with get_context("spawn").Pool(1) as pool:  # what this process has had in memory counts for its children, too
            count = pool.apply(write, [path, given.population, given.trials, given.preset])
        print(f"{count:,} trials of {given.population:,} models: {path.stat().st_size / 1e6:.0f} MB", flush=True)
        print("command       clock, s  processor, s  memory, MB", flush=True)
        for name, look in looking(path, folder).items():
            costs = [look() for _ in range(given.repeats)]
            clock, processor, memory = (
                statistics.median(getattr(cost, field) for cost in costs) for field in ("clock", "processor", "memory")
            )
            good = processor <= SECONDS[name] and memory <= MEGABYTES
            missed += [] if good else [name]
            print(f"{name:10} {clock:11.2f} {processor:13.2f} {memory:11.0f}{'' if good else '  MISSED'}", flush=True)
    print(f"missed: {', '.join(missed)}" if missed else "all bounds are kept")
    return 1 if missed else 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
