"""How long `pb2` takes for a proposal: the first of a generation, which fits the kernel, and the ones after it.

    OMP_NUM_THREADS=1 python -m benchmarks.micro.pb2_speed

The figures are CPU time, with one thread the same as the time on a machine that does nothing else.
"""

import argparse
import statistics
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.micro.functions import FUNCTIONS
from gpbt_core.records import Record, Status, Trial
from gpbt_core.searcher import Family, Query
from gpbt_core.space import Float, Space
from gpbt_searchers.pb2 import PB2

__all__ = ["main", "measure"]

POPULATION = 25
AFTER = 4  # proposals timed after the first of a generation


def population_of(space: Space, generations: int, seed: int) -> tuple[Record, ...]:
    """Told records of a population whose members continue under new configs in each generation."""
    rng = np.random.default_rng(seed)
    found = []
    for k in range(POPULATION * generations):
        generation = k // POPULATION
        trial = Trial(
            id=k,
            parent=k - POPULATION if generation else None,
            generation=generation,
            depth=generation,
            config=space.sample(rng),
            steps=1,
            start_step=generation,
        )
        loss = float(np.exp(-0.3 * generation) + 0.1 * rng.standard_normal())
        found.append(Record(trial=trial, status=Status.COMPLETED, loss=loss, steps=1))
    return tuple(found)


def measure(space: Space, rows: int, repeats: int) -> tuple[float, float]:
    """Median CPU seconds of the first proposal of a generation, and of those after it.

    Args:
        space: The search space.
        rows: How many score changes were seen; a multiple of 25.
        repeats: Number of populations.
    """
    first: list[float] = []
    later: list[float] = []
    for seed in range(repeats):
        generations = rows // POPULATION + 1
        records = population_of(space, generations, seed)
        query = Query(
            space=space,
            parent=records[-1],
            generation=generations,
            generations=generations + 1,
            family=lambda records=records: Family(told=records),  # type: ignore[misc]  # a default is no parameter
        )
        for k in range(1 + AFTER):
            rng = np.random.default_rng([seed, k])
            start = time.process_time()
            PB2().propose(query, rng)
            (later if k else first).append(time.process_time() - start)
    return statistics.median(first), statistics.median(later)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the program.

    Args:
        arguments: Command-line arguments; None: those of the process.
    """
    parser = argparse.ArgumentParser(prog="pb2_speed", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", default="25,100,250", help="multiples of 25, comma-separated")
    parser.add_argument("--repeats", type=int, default=5, help="populations")
    given = parser.parse_args(arguments)
    print(f"CPU milliseconds per proposal\n{'space':12}{'rows':>6}{'first':>10}{'later':>10}")
    ten = Space({f"x{k}": Float(0, 1) for k in range(10)})
    for name, space in [("10 floats", ten), ("mixed", FUNCTIONS["mixed"].space)]:
        for rows in map(int, given.rows.split(",")):
            first, later = measure(space, rows, given.repeats)
            print(f"{name:12}{rows:>6}{1e3 * first:>10.1f}{1e3 * later:>10.1f}", flush=True)


if __name__ == "__main__":
    main()
