"""Executes a grid of problems, methods and seeds, and writes one JSON line per run.

    python -m benchmarks.run --problem nqm,digits-mlp --method gpbt,random --seed 0-19 --processes 2 --out results.jsonl

Runs that are already in the file are skipped, so an interrupted grid resumes where it stopped, and any number of these
commands may share one file. Runs are ordered by seed, so all cells have about the same number of seeds at any time.
"""

import argparse
import concurrent.futures
import itertools
import multiprocessing
import os
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import attrs

from benchmarks.cell import run_cell
from benchmarks.loading import LoadError, load_method, load_problem
from benchmarks.methods import METHODS
from benchmarks.problem import Options, ProblemUnavailable
from benchmarks.problems import PROBLEMS
from benchmarks.results import ForeignLineError, Key, Results
from benchmarks.testing import check_first_step

__all__ = ["main"]


@attrs.frozen(kw_only=True)
class Grid:
    """What all runs of the command line share, ready to be sent to another process."""

    options: Options
    out: Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Executes the grid of the command line.

    Returns:
        The exit status: 0, or 1 where a run failed (the others are executed nevertheless), or 2 for wrong arguments.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.list:
        _print_names()
        return 0
    options = Options(data=given.data, smoke=given.smoke)
    try:
        _check_out(given.out)
        keys = tuple(
            _key(problem, method, seed, budget, options)
            for seed, budget, problem, method in itertools.product(
                _seeds(given.seed),
                given.budget or [None],
                _words("--problem", given.problem),
                _words("--method", given.method),
            )
        )
        results = Results(given.out)
        todo = [key for key in keys if key not in results]
        _check_strangers(todo, options)
    except (ForeignLineError, LoadError, ProblemUnavailable, FileNotFoundError) as error:
        parser.error(str(error))
    print(f"{len(keys) - len(todo)} of {len(keys)} runs are in {given.out}; {len(todo)} to do", flush=True)
    return _execute(Grid(options=options, out=given.out), todo, processes=given.processes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--problem", default="nqm", help="names, comma-separated, or path/to/file.py:name")
    parser.add_argument("--method", default="gpbt", help="names, comma-separated, or path/to/file.py:name")
    parser.add_argument("--seed", default="0", help="such as 0, 3,5 or 0-19")
    parser.add_argument(
        "--budget",
        type=_budgets,
        metavar="BUDGETS",
        help="comma-separated: steps in all, such as 250 (the problem's own steps per model), or MODELSxSTEPS, such as "
        "4x20; without it, each problem's own",
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="where the Fashion-MNIST *-ubyte.gz files are")
    parser.add_argument("--smoke", action="store_true", help="all problems at a reduced size")
    parser.add_argument("--processes", type=_processes, default=1, help="runs at a time; each has one thread")
    parser.add_argument("--out", type=Path, default=Path("results.jsonl"), help="the results file")
    parser.add_argument("--list", action="store_true", help="print the names of problems and methods, and stop")
    return parser


def _check_out(out: Path) -> None:
    """Refuses a results file that cannot be written, before the first run.

    Raises:
        LoadError: Its directory is missing, or it or its directory is not writable.
    """
    if not out.parent.is_dir():
        raise LoadError(f"--out: the directory must exist, found no directory {str(out.parent)!r}")
    if out.is_dir() or not os.access(out if out.exists() else out.parent, os.W_OK):
        raise LoadError(f"--out: must be a file that can be written, got {str(out)!r}")


def _check_strangers(todo: Sequence[Key], options: Options) -> None:
    """Checks the first step of each external problem, which may be untested, before the first run.

    Raises:
        LoadError: Models of the problem that start from one state are not independent.
    """
    for key in {key.problem: key for key in reversed(todo) if ":" in key.problem}.values():
        try:
            check_first_step(load_problem(key.problem, attrs.evolve(options, length=key.steps)), seed=key.seed)
        except AssertionError as error:
            raise LoadError(f"{key.problem}: {error}") from error


def _execute(grid: Grid, todo: Sequence[Key], *, processes: int) -> int:
    if processes == 1:
        failed = sum(not _one(grid, key) for key in todo)
    else:
        # The thread pools of the workers' libraries read these as they are imported.
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[name] = "1"
        spawn = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(processes, mp_context=spawn) as pool:
            failed = sum(not done for done in pool.map(_one, itertools.repeat(grid), todo))
    if failed:
        print(f"{failed} of {len(todo)} runs failed", file=sys.stderr)
    return 1 if failed else 0


def _one(grid: Grid, key: Key) -> bool:
    """Executes one run and writes its line; reports an error without ending the grid."""
    results = Results(grid.out)
    name = f"{key.problem} {key.method} seed {key.seed} {key.models}x{key.steps}"
    if key in results:  # another command was faster
        return True
    try:
        options = attrs.evolve(grid.options, length=key.steps)
        line = run_cell(key, load_problem(key.problem, options), load_method(key.method))
        results.append(line)
    except Exception:  # noqa: BLE001  # no library error may end the other runs
        traceback.print_exc()
        print(f"{name}: failed", file=sys.stderr, flush=True)
        return False
    seconds = line["seconds"]
    print(
        f"{name}: validation {line['validation']:.4g} test {line['test']:.4g} steps {line['used']}"
        f" searcher {seconds['searcher']:.1f} s training {seconds['training']:.1f} s",
        flush=True,
    )
    return True


def _key(problem: str, method: str, seed: int, budget: tuple[int | None, int] | None, options: Options) -> Key:
    load_method(method)  # a wrong name ends the command before the first run
    built = load_problem(problem, options)
    models, steps = budget or (built.models, built.steps)
    if models is None:
        models, rest = divmod(steps, built.steps)
        if rest or not models:
            raise LoadError(
                f"--budget: must be a multiple of the {built.steps} steps per model of {problem}, got {steps}; "
                "MODELSxSTEPS sets both"
            )
        steps = built.steps
    return Key(problem=problem, method=method, seed=seed, models=models, steps=steps, smoke=options.smoke)


def _budgets(text: str) -> list[tuple[int | None, int]]:
    return [_budget(word) for word in text.split(",")]


def _budget(text: str) -> tuple[int | None, int]:
    """Models (None: as many as the steps pay for) and steps."""
    if not (match := re.fullmatch(r"(?:([1-9]\d*)x)?([1-9]\d*)", text)):
        raise argparse.ArgumentTypeError(f"must be STEPS or MODELSxSTEPS, such as 250 or 4x20, got {text!r}")
    return (int(match[1]) if match[1] else None), int(match[2])


def _processes(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"must be a number of at least 1, got {text!r}")
    return int(text)


def _words(option: str, text: str) -> list[str]:
    words = [word for word in text.split(",") if word]
    if not words:
        raise LoadError(f"{option}: must name at least one, got {text!r}")
    return words


def _seeds(text: str) -> list[int]:
    seeds: list[int] = []
    for word in _words("--seed", text):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", word)
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise LoadError(f"--seed: must be seeds such as 0, 3,5 or 0-19, got {text!r}")
        seeds.extend(range(int(match[1]), int(match[2] or match[1]) + 1))
    return seeds


def _print_names() -> None:
    print("problems")
    for name, offer in PROBLEMS.items():
        print(f"  {name:22} {offer.summary}")
    print("methods")
    for name, method in METHODS.items():
        print(f"  {name:22} {method.summary}")


if __name__ == "__main__":
    sys.exit(main())
