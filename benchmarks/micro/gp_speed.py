"""How long `gp` takes for a proposal, as the history grows: with the fit in the cache, and without.

    OMP_NUM_THREADS=1 python -m benchmarks.micro.gp_speed

Each history grows by one record at a time, as in a real run, so the kernel is fitted anew at every fifth proposal, and
more rarely from 200 records on. Only proposing is timed, including the arrays of the history. "plain" is a run of one
generation; "lineage" has a parent, six generations and three pending siblings. The figures are CPU time; with one
thread that is the time on an idle machine.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Sequence

import numpy as np

from gpbt_core.records import Record, Status, Trial
from gpbt_core.searcher import Family, Query
from gpbt_core.space import Categorical, Float, Int, Parameter, Space
from gpbt_searchers.gp import GaussianProcess
from gpbt_searchers.gp.belief import fitted_length

__all__ = ["main", "measure"]

GENERATIONS = 6
PENDING = 3
ROUND = 5  # proposals per fit


def space_of(hps: int) -> Space:
    """A space of so many hyperparameters: of ten, seven are floats, two ints and one a category."""
    floats: Sequence[Parameter] = [Float(1e-5, 1, log=True)] * 4 + [Float(0, 1)] * 3
    kinds = [*floats, Int(1, 8), Int(8, 512, log=True), Categorical(["a", "b", "c"])]
    return Space({f"x{k}": kinds[k % len(kinds)] for k in range(hps)})


def records_of(space: Space, count: int, seed: int) -> list[Record]:
    """Told records of a bowl with noise, spread over the generations."""
    rng = np.random.default_rng(seed)
    found = []
    for k in range(count):
        config = space.sample(rng)
        loss = float(((np.nan_to_num(space.encode([config])) - 0.4) ** 2).sum() + 0.05 * rng.standard_normal())
        trial = Trial(
            id=k, parent=None, generation=k * GENERATIONS // count, depth=0, config=config, steps=1, start_step=0
        )
        found.append(Record(trial=trial, status=Status.COMPLETED, loss=loss, steps=1))
    return found


def _same(family: Family) -> Family:
    return family


def measure(hps: int, told: int, *, lineage: bool, repeats: int) -> tuple[float, float]:
    """Times proposals.

    Args:
        hps: How many hyperparameters.
        told: The records of the history at first; a multiple of 5, from 200 on of 10, from 400 of 20, from 800 of 40.
        lineage: Whether there are a parent, generations and pending siblings.
        repeats: How many histories, each of which grows by nine records.

    Returns:
        Median CPU seconds of all proposals, and of those for which the kernel had to be fitted.
    """
    space, searcher = space_of(hps), GaussianProcess()
    every: list[float] = []
    fitted: list[float] = []
    for seed in range(repeats):
        records = records_of(space, told + 2 * ROUND + PENDING, seed)
        for extra in range(2 * ROUND):
            family = Family(
                told=tuple(records[: told + extra]),
                pending=tuple(record.trial for record in records[told + extra :][:PENDING]) if lineage else (),
            )
            query = Query(
                space=space,
                parent=records[told // 2] if lineage else None,
                generation=GENERATIONS - 1 if lineage else 0,
                generations=GENERATIONS if lineage else 1,
                family=functools.partial(_same, family),
            )
            rng = np.random.default_rng([seed, extra])
            start = time.process_time()
            searcher.propose(query, rng)
            every.append(time.process_time() - start)
            if fitted_length(told + extra) == told + extra:
                fitted.append(every[-1])
    return statistics.median(every), statistics.median(fitted)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the program.

    Args:
        arguments: Command-line arguments; None: those of the process.
    """
    parser = argparse.ArgumentParser(prog="gp_speed", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--told", default="25,100,250,500,2000", help="records at first, multiples of 5, comma-separated"
    )
    parser.add_argument("--hps", default="2,10,50", help="hyperparameters, comma-separated")
    parser.add_argument("--repeats", type=int, default=4, help="histories of each kind")
    given = parser.parse_args(arguments)
    print("CPU milliseconds per proposal: median of all / of those with a fit")
    print(f"{'HPs':>5}{'told':>8}{'plain':>20}{'lineage':>20}")
    for hps in map(int, given.hps.split(",")):
        for told in map(int, given.told.split(",")):
            cells = [measure(hps, told, lineage=lineage, repeats=given.repeats) for lineage in (False, True)]
            shown = "".join(f"{1e3 * middle:>11.1f} /{1e3 * fit:>7.1f}" for middle, fit in cells)
            print(f"{hps:>5}{told:>8}{shown}", flush=True)


if __name__ == "__main__":
    main()
