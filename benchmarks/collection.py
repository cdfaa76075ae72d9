"""Results as arrays: runs by problem, entrant and seed, scores as losses.

An entrant is a method with a budget: `gpbt` is gpbt with the main budget, `gpbt 10x10` the same method with 10 models
of 10 steps. To compare problems under several budgets, each pair of a problem and a budget is a cell, which takes the
place of a problem.
"""

import collections
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import attrs
import numpy as np
from numpy.typing import NDArray

from benchmarks.problem import Direction

__all__ = ["Collection", "ProblemRuns", "Run", "collect", "flaw"]

_NEEDED = ("direction", "validation", "test", "used", "seconds", "versions", "trials")

Floats = NDArray[np.float64]


@attrs.frozen(kw_only=True, eq=False)
class Run:
    """One line of results.

    Attributes:
        validation: Loss of the chosen model on the validation data.
        test: Its loss on the test data.
        used: Steps trained.
        curve: The best validation loss so far after each step of the budget, shape (budget,).
        searcher: Seconds outside the training.
        training: Seconds inside the training.
    """

    validation: float
    test: float
    used: int
    curve: Floats
    searcher: float
    training: float


@attrs.frozen(kw_only=True)
class ProblemRuns:
    """All runs on one problem: by entrant, then by seed."""

    direction: Direction
    runs: Mapping[str, Mapping[int, Run]]

    def score(self, loss: float) -> float:
        """A loss in the problem's own direction."""
        return loss if self.direction == "minimize" else -loss

    def paired(self, entrants: Iterable[str]) -> list[int]:
        """The seeds that all these entrants have run, rising."""
        return sorted(set.intersection(*(set(self.runs[entrant]) for entrant in entrants)))

    def losses(self, entrant: str, kind: str, seeds: Iterable[int] | None = None) -> Floats:
        """`validation` or `test` losses of an entrant, by rising seed (of all its seeds, or of these)."""
        runs = self.runs[entrant]
        return np.array([getattr(runs[seed], kind) for seed in (sorted(runs) if seeds is None else seeds)])


@attrs.frozen(kw_only=True)
class Collection:
    """All results of a report.

    Attributes:
        problems: In the order of their first lines.
        budget: The main budget, "models x steps".
        versions: Every version of every distribution that the runs were made with.
        smoke: Whether these are runs at reduced size.
    """

    problems: Mapping[str, ProblemRuns]
    budget: tuple[int, int]
    versions: Mapping[str, tuple[str, ...]]
    smoke: bool

    def entrants(self) -> list[str]:
        """All names, in the order of their first runs."""
        return list(dict.fromkeys(name for problem in self.problems.values() for name in problem.runs))


def flaw(line: Mapping[str, Any]) -> str | None:
    """The reason to exclude a line of results from a comparison; None if there is none."""
    if missing := [name for name in _NEEDED if name not in line]:
        return f"{missing[0]} is missing"
    if line["direction"] not in get_args(Direction):  # its best model was chosen as if higher scores were better
        return f"direction must be one of {', '.join(get_args(Direction))}, got {line['direction']!r}"
    for kind in ("validation", "test"):
        if line[kind] is None:
            return f"the {kind} score must be finite, got null"
    return None


def collect(
    lines: Iterable[Mapping[str, Any]], budget: tuple[int, int] | None = None, *, cells: bool = False
) -> Collection:
    """Sorts lines of results; reads them once and keeps only the curve and figures of each.

    Args:
        lines: As `read_results` gives them, without a `flaw`.
        budget: The main budget, (models, steps); None: the one with the most runs.
        cells: Whether each problem under each budget is a problem of its own, "nqm 8x50", ordered by problem and then
            by budget; entrants are then methods.

    Raises:
        ValueError: There is no line, or full and reduced runs are mixed.
    """
    found: list[tuple[str, str, int, tuple[int, int], Run]] = []
    budgets: collections.Counter[tuple[int, int]] = collections.Counter()
    directions: dict[str, Direction] = {}
    versions: dict[str, dict[str, None]] = {}
    smoke = set()
    for line in lines:
        size = line["models"], line["steps"]
        found.append((line["problem"], line["method"], line["seed"], size, _run(line)))
        budgets[size] += 1
        directions[line["problem"]] = line["direction"]
        smoke.add(line["smoke"])
        for name, version in line["versions"].items():
            versions.setdefault(name, {})[version] = None
    if not found:
        raise ValueError("report: results must hold at least one run, got none")
    if len(smoke) > 1:
        raise ValueError("report: runs must be of one kind, got both full and reduced (--smoke) ones; keep two files")
    main = budget or budgets.most_common(1)[0][0]
    if cells:
        order = list(directions)
        found.sort(key=lambda one: (order.index(one[0]), one[3][1], one[3][0]))  # by steps, then by models; stable
    runs: dict[str, dict[str, dict[int, Run]]] = {}
    whole: dict[str, Direction] = {}
    for problem, method, seed, (models, steps), run in found:
        column, entrant = problem, method
        if cells:
            column = f"{problem} {models}x{steps}"
        elif (models, steps) != main:
            entrant = f"{method} {models}x{steps}"
        whole[column] = directions[problem]
        runs.setdefault(column, {}).setdefault(entrant, {})[seed] = run
    return Collection(
        problems={name: ProblemRuns(direction=whole[name], runs=mine) for name, mine in runs.items()},
        budget=main,
        versions={name: tuple(each) for name, each in versions.items()},
        smoke=smoke.pop(),
    )


def _run(line: Mapping[str, Any]) -> Run:
    sign = 1.0 if line["direction"] == "minimize" else -1.0
    curve = np.full(line["models"] * line["steps"], np.inf)
    for trial in line["trials"]:
        for clock, score in zip(trial["clock"], trial["scores"], strict=True):
            if score is not None:
                curve[clock - 1] = sign * score
    return Run(
        validation=sign * line["validation"],
        test=sign * line["test"],
        used=line["used"],
        curve=np.minimum.accumulate(curve),
        searcher=line["seconds"]["searcher"],
        training=line["seconds"]["training"],
    )
