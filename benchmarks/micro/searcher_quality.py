"""How good searchers are as plain optimizers, beside Optuna's samplers, on functions with known minima.

    python -m benchmarks.micro.searcher_quality --searchers tpe,optuna:TPESampler --functions all --seeds 20

prints the regret (best value so far minus the minimum) as median and quartiles over seeds. Runs of one seed differ
between searchers: a seed is a repetition, not a common start.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from numpy.typing import NDArray

from benchmarks.micro.contestants import contestant
from benchmarks.micro.functions import FUNCTIONS

__all__ = ["main", "regrets"]

CHECKPOINTS = (50, 100, 200)


def regrets(searcher: str, function: str, seed: int, evaluations: int) -> tuple[NDArray[np.float64], float]:
    """One run.

    Args:
        searcher: Its name, or "optuna:" and a sampler's.
        function: The name of a function.
        seed: Of the run.
        evaluations: How many configs to try.

    Returns:
        The regret after each evaluation, shape (evaluations,), and the seconds spent in the searcher.
    """
    problem = FUNCTIONS[function]
    run = contestant(searcher)(problem.space, seed)
    found, seconds = np.empty(evaluations), 0.0
    for k in range(evaluations):
        start = time.perf_counter()
        config = run.ask()
        seconds += time.perf_counter() - start
        run.tell(config, problem.evaluate(config))
        found[k] = problem.regret(config)
    return np.minimum.accumulate(found), seconds


def _all_runs(
    searchers: Sequence[str], functions: Sequence[str], seeds: range, evaluations: int, jobs: int
) -> Iterator[tuple[str, str, NDArray[np.float64], float]]:
    """Per function and searcher the regrets, shape (seeds, evaluations), and the milliseconds per proposal."""
    with ProcessPoolExecutor(jobs) as pool:
        waiting = [
            (function, searcher, [pool.submit(regrets, searcher, function, seed, evaluations) for seed in seeds])
            for function in functions
            for searcher in searchers
        ]
        for function, searcher, futures in waiting:
            curves, seconds = zip(*(future.result() for future in futures), strict=True)
            yield function, searcher, np.stack(curves), 1e3 * sum(seconds) / (len(seconds) * evaluations)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the program.

    Args:
        arguments: Command-line arguments; None: those of the process.
    """
    parser = argparse.ArgumentParser(prog="searcher_quality", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--searchers", default="tpe,optuna:TPESampler", help="names, comma-separated; optuna:<sampler> for Optuna's"
    )
    parser.add_argument("--functions", default="all", help=f"comma-separated, of {', '.join(FUNCTIONS)}; or all")
    parser.add_argument("--seeds", type=int, default=20, help="how many runs of each")
    parser.add_argument("--first-seed", type=int, default=0, help="the seed of the first run")
    parser.add_argument("--evaluations", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    given = parser.parse_args(arguments)
    searchers = given.searchers.split(",")
    functions = list(FUNCTIONS) if given.functions == "all" else given.functions.split(",")
    unknown = sorted(set(functions) - set(FUNCTIONS))
    if unknown:
        parser.error(f"no function is called {', '.join(unknown)}; there are {', '.join(FUNCTIONS)}")
    marks = sorted({mark for mark in CHECKPOINTS if mark < given.evaluations} | {given.evaluations})
    width = max(map(len, searchers))
    print(f"regret: median [quartiles] over {given.seeds} seeds from {given.first_seed} on")
    print(
        f"{'function':10} {'searcher':{width}}"
        + "".join(f"{f'after {mark}':>32}" for mark in marks)
        + f"{'ms each':>10}"
    )
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    for function, searcher, curves, each in _all_runs(searchers, functions, seeds, given.evaluations, given.jobs):
        low, middle, high = np.quantile(curves[:, [mark - 1 for mark in marks]], [0.25, 0.5, 0.75], axis=0)
        cells = [f"{m:.3g} [{a:.3g}, {b:.3g}]" for a, m, b in zip(low, middle, high, strict=True)]
        print(
            f"{function:10} {searcher:{width}}" + "".join(f"{cell:>32}" for cell in cells) + f"{each:>10.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
