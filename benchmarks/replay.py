"""Is a schedule good, or were its weights lucky? Retrains the schedule of a run from scratch under fresh seeds.

    python -m benchmarks.replay results.jsonl --method gpbt,optuna-tpe,optuna-tpe-cosine --out replays.jsonl
    python -m benchmarks.replay results.jsonl --problem digits-mlp-quarter --on digits-mlp --out replays.jsonl
    python -m benchmarks.replay replays.jsonl --report --reference gpbt

For each run of the results file, the configs of its chosen model are trained again on new models, whose seeds no run
uses; they are the same for every run. Nothing is selected: the score is the one after the last step. With `--on` the
schedule of one problem is replayed on another with the same hyperparameters. Replays that are already in the file are
skipped, as by `benchmarks.run`.
"""

import argparse
import itertools
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.loading import LoadError, load_problem
from benchmarks.pages import as_markdown
from benchmarks.problem import Options, Problem, ProblemUnavailable
from benchmarks.results import ForeignLineError, Key, Results, read_results
from benchmarks.sections import Section, Table, number_text, p_text
from benchmarks.statistics import compare

__all__ = ["FIRST_SEED", "main", "replay", "schedule_of", "table_of"]

FIRST_SEED = 100_000
"""The first of the fresh seeds, far above those of the runs."""

_DIVERGED = 1e300  # worse than any mean loss, but finite, so that differences are defined

Segment = tuple[int, Mapping[str, Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Replays the runs of the command line, or reports replays; returns the exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        if given.report:
            lines = itertools.chain.from_iterable(read_results(path) for path in given.results)
            print(as_markdown("Replays", "", [table_of(lines, given.reference)]))
            return 0
        done = Results(given.out)
        for line in itertools.chain.from_iterable(read_results(path) for path in given.results):
            if _wanted(line["problem"], given.problem) and _wanted(line["method"], given.method):
                _replay_line(line, given, done)
    except (ForeignLineError, LoadError, ProblemUnavailable, FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    return 0


def schedule_of(line: Mapping[str, Any]) -> list[Segment]:
    """The (steps, config) pairs that the chosen model of a run was trained under, from its first step on."""
    trials = {trial["id"]: trial for trial in line["trials"]}
    trial, steps = trials[line["chosen"]["trial"]], line["chosen"]["step"]
    segments: list[Segment] = [(steps, trial["config"])]
    while trial["parent"] is not None:
        parent = trials[trial["parent"]]
        if trial["start"] > parent["start"]:
            segments.append((trial["start"] - parent["start"], parent["config"]))
        trial = parent
    return segments[::-1]


def replay(problem: Problem, schedule: Iterable[Segment], seed: int) -> tuple[float, float]:
    """Trains a new model under a schedule; returns its final validation and test scores, both NaN if it diverged."""
    state, score = problem.start(seed), math.nan
    with threadpool_limits(limits=1):
        for steps, config in schedule:
            valid = problem.space.validate(config)
            for _ in range(steps):
                state, score = problem.train(state, valid)
                if not math.isfinite(score):
                    return math.nan, math.nan
        return score, float(problem.test(state))


def table_of(lines: Iterable[Mapping[str, Any]], reference: str | None = None) -> Section:
    """The table of replays by cell and method.

    Args:
        lines: As this module writes them.
        reference: A method to compare with the others, run by run; None: the first.

    Raises:
        ValueError: There is no line.
    """
    cells: dict[str, dict[str, dict[int, Mapping[str, Any]]]] = {}
    for line in lines:
        cell = f"{line['problem']} {line['models']}x{line['steps']}"
        cells.setdefault(cell, {}).setdefault(line["method"], {})[line["seed"]] = line
    if not cells:
        raise ValueError("report: results must hold at least one replay, got none")
    first = reference or next(iter(next(iter(cells.values()))))
    rows = [
        _row(cell, method, runs, methods.get(first, {}) if method != first else {})
        for cell, methods in cells.items()
        for method, runs in methods.items()
    ]
    return Section(
        title="Replays under fresh seeds",
        text=(
            "Test scores. Found: of the run's own chosen model, mean over the runs. Replayed: new models under the "
            "same schedule, mean over the fresh seeds and then over the runs; sd: over the fresh seeds, mean over the "
            f"runs. Wins: the share of runs of equal seed in which the mean of {first}'s replays is better than this "
            "method's (ties half), and p of the Wilcoxon signed-rank test."
        ),
        table=Table(
            headers=("cell", "method", "runs", "found", "replayed", "sd", "diverged", "wins", "p"), rows=tuple(rows)
        ),
    )


def _replay_line(line: Mapping[str, Any], given: argparse.Namespace, done: Results) -> None:
    on = given.on or line["problem"]
    title = on if on == line["problem"] else f"{on} from {line['problem']}"
    key = attrs.evolve(Key.of(dict(line)), problem=title)
    if key in done:
        return
    problem = load_problem(on, Options(data=given.data, smoke=line["smoke"], length=line["steps"]))
    schedule = schedule_of(line)
    seeds = range(FIRST_SEED, FIRST_SEED + given.seeds)
    found = [(seed, *replay(problem, schedule, seed)) for seed in seeds]
    done.append(
        {
            **attrs.asdict(key),
            "direction": problem.direction,
            "found": {"on": line["problem"], "validation": line["validation"], "test": line["test"]},
            "schedule": [[steps, dict(config)] for steps, config in schedule],
            "replays": [{"seed": seed, "validation": valid, "test": test} for seed, valid, test in found],
        }
    )
    print(
        f"{title} {key.method} seed {key.seed} {key.models}x{key.steps}: found {line['test']:.4g}, replayed "
        + " ".join(f"{test:.4g}" for _, _, test in found),
        flush=True,
    )


def _row(
    cell: str, method: str, runs: Mapping[int, Mapping[str, Any]], rival: Mapping[int, Mapping[str, Any]]
) -> tuple[str, ...]:
    lines = list(runs.values())
    scores = [_tests(line) for line in lines]
    spreads = [float(np.std(each, ddof=1)) for each in scores if len(each) > 1 and np.isfinite(each).all()]
    alive = [float(np.mean(each[np.isfinite(each)])) for each in scores if np.isfinite(each).any()]
    both = sorted(set(runs) & set(rival))
    wins, p = "", ""
    if both:
        compared = compare(
            np.array([_mean_loss(rival[seed]) for seed in both]), np.array([_mean_loss(runs[seed]) for seed in both])
        )
        wins, p = f"{compared.wins:.0%}", p_text(compared.p)
    return (
        cell,
        method,
        str(len(lines)),
        number_text(float(np.mean([line["found"]["test"] for line in lines]))),
        number_text(float(np.mean(alive)) if alive else math.nan),
        number_text(float(np.mean(spreads)) if spreads else math.nan, 2),
        str(sum(int(np.sum(~np.isfinite(each))) for each in scores) or ""),
        wins,
        p,
    )


def _tests(line: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([math.nan if one["test"] is None else one["test"] for one in line["replays"]], dtype=np.float64)


def _mean_loss(line: Mapping[str, Any]) -> float:
    """The loss, lower is better; very large if a model diverged."""
    sign = 1.0 if line["direction"] == "minimize" else -1.0
    mean = sign * float(np.mean(_tests(line)))
    return mean if math.isfinite(mean) else _DIVERGED


def _wanted(name: str, names: str | None) -> bool:
    return names is None or name in names.split(",")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay", description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "results", type=Path, nargs="+", help="files of python -m benchmarks.run; with --report, of this"
    )
    parser.add_argument("--problem", metavar="NAMES", help="only these, comma-separated")
    parser.add_argument("--method", metavar="NAMES", help="only these, comma-separated")
    parser.add_argument("--on", metavar="NAME", help="the problem to replay on; each run's own")
    parser.add_argument("--seeds", type=int, default=5, help="how many fresh seeds")
    parser.add_argument("--data", type=Path, metavar="DIR", help="where the Fashion-MNIST *-ubyte.gz files are")
    parser.add_argument("--out", type=Path, default=Path("replays.jsonl"), help="the file of replays")
    parser.add_argument("--report", action="store_true", help="print a table of the replays in the given files")
    parser.add_argument("--reference", metavar="NAME", help="whom to compare with all others; the first of the file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
