"""What the driver costs per segment beside the training: in its own process, and in a process pool.

    python -m benchmarks.micro.driver_cost [--population 25] [--repeats 5]

A trainable whose step is one multiplication is driven to the end, with configs drawn at random, so that all the time is
the driver's own: asking and telling, the way to the worker and back, the checkpoint written, verified and deleted. The
processes are warm. The best of several runs counts, as what else the machine does can only add. Exits with an error
above the bound of 5 ms per segment.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from gpbt_adapters.running.driver import run
from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_adapters.trainables.trainable import Trainable
from gpbt_core import Float, Optimizer, Space

__all__ = ["main", "milliseconds"]

BOUND = 5.0
SPACE = Space(rate=Float(0.01, 0.5, log=True), decay=Float(0, 1))


class Halving(Trainable):
    """Shrinks a number."""

    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        """Starts from a number that the seed decides."""
        self.number, self.live = 1 + seed / 2**32, dict(config)

    def apply(self, config: Mapping[str, Any]) -> None:
        """Sets the rate."""
        self.live = dict(config)

    def applied(self) -> Mapping[str, Any]:
        """The current rate."""
        return self.live

    def step(self) -> float:
        """Shrinks the number once."""
        self.number *= 1 - self.live["rate"]
        return self.number

    def score(self) -> float:
        """The number."""
        return self.number

    def save(self, path: Path) -> None:
        """Writes the number."""
        (path / "number").write_text(repr(self.number))

    def load(self, path: Path) -> None:
        """Reads the number."""
        self.number, self.live = float((path / "number").read_text()), {}


def milliseconds(population: int, executor: Executor | None, *, durable: bool) -> float:
    """Of one run, per segment."""
    optimizer = Optimizer(SPACE, population=population, steps=10, searcher="random")
    with CheckpointStore(durable=durable) as store:
        start = time.perf_counter()
        run(optimizer, Halving, executor=executor, store=store, progress=False)
        return 1000 * (time.perf_counter() - start) / len(optimizer.records)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the figures; 1 where one is above the bound."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--population", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(arguments)
    worst = 0.0
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        milliseconds(options.population, pool, durable=False)  # the workers import what they need
        for name, executor in (("own process", None), ("process pool of 2", pool)):
            for durable in (False, True):
                best = min(milliseconds(options.population, executor, durable=durable) for _ in range(options.repeats))
                print(f"{name:<18} {'durable' if durable else 'not durable':<12} {best:6.2f} ms per segment")
                worst = max(worst, best)
    return int(worst > BOUND)


if __name__ == "__main__":
    sys.exit(main())
