"""Results as arrays: runs by problem, entrant and seed, scores as losses.

An entrant is a method with a budget: `gpbt` is gpbt with the main budget, `gpbt 10x10` the same method with 10 models
of 10 steps.
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
        searcher: Seconds outside of the training.
        training: Seconds inside.
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
    """What keeps a line of results out of a comparison; None: nothing."""
    if missing := [name for name in _NEEDED if name not in line]:
        return f"wanted {missing[0]}, got none"
    if line["direction"] not in get_args(Direction):  # its best model was chosen as if scores were to rise
        return f"wanted direction to be one of {', '.join(get_args(Direction))}, got {line['direction']!r}"
    for kind in ("validation", "test"):
        if line[kind] is None:
            return f"wanted a finite {kind} score, got null"
    return None


def collect(lines: Iterable[Mapping[str, Any]], budget: tuple[int, int] | None = None) -> Collection:
    """Sorts lines of results.

    Args:
        lines: As `read_results` gives them, without a `flaw`.
        budget: The main budget, (models, steps); None: the one with the most runs.

    Raises:
        ValueError: There is no line, or full and reduced runs are mixed.
    """
    lines = list(lines)
    if not lines:
        raise ValueError("report: wanted at least one run, got none")
    if len({line["smoke"] for line in lines}) > 1:
        raise ValueError("report: wanted runs of one kind, got both full and reduced (--smoke) ones; keep two files")
    if budget is None:
        budget = collections.Counter((line["models"], line["steps"]) for line in lines).most_common(1)[0][0]
    directions: dict[str, Direction] = {}
    runs: dict[str, dict[str, dict[int, Run]]] = {}
    versions: dict[str, dict[str, None]] = {}
    for line in lines:
        size = line["models"], line["steps"]
        entrant = line["method"] if size == budget else f"{line['method']} {size[0]}x{size[1]}"
        directions[line["problem"]] = line["direction"]
        runs.setdefault(line["problem"], {}).setdefault(entrant, {})[line["seed"]] = _run(line)
        for name, version in line["versions"].items():
            versions.setdefault(name, {})[version] = None
    return Collection(
        problems={name: ProblemRuns(direction=directions[name], runs=found) for name, found in runs.items()},
        budget=budget,
        versions={name: tuple(found) for name, found in versions.items()},
        smoke=lines[0]["smoke"],
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
