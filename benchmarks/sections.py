"""The sections of the report: tables of the results, as data that a page renders.

Each section is a pure function of a collection and independent of HTML and Markdown.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import attrs
import numpy as np

from benchmarks.collection import Collection, ProblemRuns
from benchmarks.statistics import Comparison, Summary, compare, holm, mean_ranks, steps_to_reach, summarize

__all__ = [
    "LEVEL",
    "Kind",
    "Section",
    "Table",
    "comparisons",
    "costs",
    "counted",
    "everywhere",
    "marked",
    "number_text",
    "outcome",
    "p_text",
    "pairs",
    "ranks",
    "rivals_of",
    "speed",
    "speed_matrix",
    "spread",
]

Kind = Literal["validation", "test"]
LEVEL = 0.05  # of significance, after Holm's correction


@attrs.frozen(kw_only=True)
class Table:
    """Cells of text under headers; the first column names the row. `strong` are (row, column) places to emphasize."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    strong: frozenset[tuple[int, int]] = frozenset()


@attrs.frozen(kw_only=True)
class Section:
    """A part of the report.

    Attributes:
        title: Its heading.
        text: The meaning of the numbers.
        table: The table; None if the figure is enough.
        figure: An SVG element; pages of text leave it out.
        sub: Whether it belongs to the section before it.
    """

    title: str
    text: str = ""
    table: Table | None = None
    figure: str | None = None
    sub: bool = False


def counted(number: int, noun: str) -> str:
    """A count with its noun: 1 seed, 2 seeds."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def everywhere(collection: Collection) -> list[str]:
    """The entrants with at least one run on every problem: those that can be ranked."""
    return [
        name for name in collection.entrants() if all(name in problem.runs for problem in collection.problems.values())
    ]


def ranks(collection: Collection) -> Section:
    """Mean ranks on validation and test, per problem and over all."""
    names = everywhere(collection)
    found: dict[Kind, list[list[float]]] = {"validation": [], "test": []}
    shared = {}
    for title, problem in collection.problems.items():
        seeds = problem.paired(names)
        most = max(len(problem.runs[name]) for name in names)
        shared[title] = str(len(seeds)) if len(seeds) == most else f"{len(seeds)} of {most}"
        for kind, columns in found.items():
            if seeds:
                columns.append(list(mean_ranks(np.array([problem.losses(name, kind, seeds) for name in names]))))
            else:
                columns.append([math.nan] * len(names))
    overall = {kind: _mean_of_known(columns) for kind, columns in found.items()}
    order = sorted(range(len(names)), key=lambda index: float(overall["test"][index]))
    rows = tuple(
        (
            names[index],
            number_text(overall["validation"][index], 3),
            number_text(overall["test"][index], 3),
            *(number_text(column[index], 3) for column in found["test"]),
        )
        for index in order
    )
    return Section(
        title="Ranks",
        text=(
            f"Mean rank (1 is best) among the {counted(len(names), 'entrant')} that ran on every problem: first over "
            f"the seeds that all of them have run on a problem ({_agreed(shared)}), then over problems. Problem "
            "columns are ranks on test."
        ),
        table=marked(Table(headers=("", "validation", "test", *collection.problems), rows=rows), lowest=True),
    )


def outcome(name: str, problem: ProblemRuns, reference: str) -> Section:
    """Scores of one problem: what validation chose, and its test."""
    names = sorted(problem.runs, key=lambda entrant: float(np.median(problem.losses(entrant, "test"))))
    rows = []
    for entrant in names:
        validation = _scores(problem, entrant, "validation")
        test = _scores(problem, entrant, "test")
        rows.append(
            (
                entrant,
                str(test.count),
                number_text(validation.median),
                f"{number_text(validation.low)} .. {number_text(validation.high)}",
                number_text(test.median),
                f"{number_text(test.low)} .. {number_text(test.high)}",
                f"{number_text(test.mean)} +- {number_text(test.sd, 2)}",
                _ratio(test.sd, _sd(problem, reference)),
            )
        )
    return Section(
        title=name,
        text=(
            f"Scores ({'lower' if problem.direction == 'minimize' else 'higher'} is better) of the model that "
            f"validation chose among all scored steps; sd ratio is to {reference}'s standard deviation of test scores."
        ),
        table=Table(
            headers=(
                "",
                "seeds",
                "validation",
                "quartiles",
                "test",
                "quartiles",
                "test mean +- sd",
                "sd ratio",
            ),
            rows=tuple(rows),
            strong=frozenset((row, 0) for row, line in enumerate(rows) if line[0] == reference),
        ),
        sub=True,
    )


def speed_matrix(name: str, problem: ProblemRuns, entrants: Sequence[str]) -> Section:
    """For one problem: the steps that each entrant needs to reach each other's final validation score."""
    names = [entrant for entrant in entrants if entrant in problem.runs]
    rows = tuple((row, *(_reached(problem, row, column) for column in names)) for row in names)
    return Section(
        title=f"{name}: steps to reach a rival's final score",
        text=(
            "The steps that the method of the row needs to reach the final validation score of the method of the "
            "column under the same seed: the median over seeds, or - if it gets there under fewer than half of them."
        ),
        table=Table(headers=("", *names), rows=rows),
        sub=True,
    )


def speed(collection: Collection, reference: str) -> Section:
    """Over all problems: the steps that the reference needs to reach each rival's final validation score."""
    rows = []
    for rival in rivals_of(collection, reference):
        steps = [
            (_median_steps(problem, reference, rival), _budget(problem, rival))
            for problem in collection.problems.values()
            if _both(problem, reference, rival)
        ]
        times = float(np.quantile([budget / needed for needed, budget in steps] or [0], 0.5, method="lower"))
        rows.append(
            (
                rival,
                f"{times:.2f}x" if times else "-",
                *(
                    _reached(problem, reference, rival) if _both(problem, reference, rival) else ""
                    for problem in collection.problems.values()
                ),
            )
        )
    return Section(
        title=f"Steps that {reference} needs to reach its rivals' final scores",
        text=(
            f"The steps after which {reference}'s best validation score is at least as good as the rival's final one "
            "under the same seed: the median over seeds, or - if it gets there under fewer than half of them. The "
            "first column is the rival's budget divided by those steps, as the (lower) median over problems."
        ),
        table=Table(headers=("rival", "times cheaper", *collection.problems), rows=tuple(rows)),
    )


def spread(collection: Collection, reference: str) -> Section:
    """The reference's standard deviation of test scores over each rival's."""
    rows: list[tuple[str, ...]] = []
    for rival in rivals_of(collection, reference):
        found = [
            _sd(problem, reference) / _sd(problem, rival) if _sd(problem, rival) else math.nan
            for problem in collection.problems.values()
            if _both(problem, reference, rival)
        ]
        known = [ratio for ratio in found if not math.isnan(ratio)]
        rows.append(
            (
                rival,
                number_text(float(np.median(known)), 2) if known else "",
                *(
                    _ratio(_sd(problem, reference), _sd(problem, rival)) if _both(problem, reference, rival) else ""
                    for problem in collection.problems.values()
                ),
            )
        )
    return Section(
        title="Spread over seeds",
        text=(
            f"Standard deviation of {reference}'s test scores over the rival's, on all seeds of each; below 1 "
            f"{reference} is the steadier one."
        ),
        table=Table(headers=("rival", "median", *collection.problems), rows=tuple(rows)),
    )


def pairs(collection: Collection, reference: str, kind: Kind) -> Section:
    """The reference against each rival over the same seeds: win rates, and where the difference is significant."""
    found = comparisons(collection, reference, kind)
    corrected = dict(zip(found, holm([comparison.p for comparison in found.values()]), strict=True))
    rows: list[tuple[str, ...]] = []
    strong: set[tuple[int, int]] = set()
    for rival in rivals_of(collection, reference):
        mine = {problem: comparison for (other, problem), comparison in found.items() if other == rival}
        if not mine:
            continue
        count = sum(comparison.count for comparison in mine.values())
        wins = sum(comparison.wins * comparison.count for comparison in mine.values()) / count
        cells = []
        for place, problem in enumerate(collection.problems):
            if problem not in mine:
                cells.append("")
                continue
            comparison, p = mine[problem], corrected[rival, problem]
            cells.append(f"{comparison.wins:.0%} {comparison.effect:+.2f} (p {p_text(p)})")
            if p < LEVEL:
                strong.add((len(rows), 3 + place))
        verdicts = [
            ("better" if comparison.effect > 0 else "worse")
            for problem, comparison in mine.items()
            if corrected[rival, problem] < LEVEL
        ]
        rows.append(
            (
                rival,
                f"{wins:.0%}",
                f"{verdicts.count('better')} / {len(mine) - len(verdicts)} / {verdicts.count('worse')}",
                *cells,
            )
        )
    return Section(
        title=f"{reference} against each rival, seed by seed: {kind}",
        text=(
            "Share of the seeds on which it is better (ties half), matched-pairs rank-biserial correlation (+1: better "
            "on all), and p of the Wilcoxon signed-rank test after Holm's correction for the "
            f"{counted(len(found), 'comparison')} of this table. Strong where p < {LEVEL}. Pooled: over all pairs of "
            "all problems. The third column counts problems on which it is significantly better / neither / "
            "significantly worse."
        ),
        table=Table(
            headers=("rival", "pooled", "better / equal / worse", *collection.problems),
            rows=tuple(rows),
            strong=frozenset(strong),
        ),
    )


def costs(collection: Collection, *, detailed: bool = True) -> Section:
    """Steps used and seconds spent outside of the training; in detail: problem by problem, too."""
    rows = []
    for entrant in collection.entrants():
        runs = [run for problem in collection.problems.values() for run in problem.runs.get(entrant, {}).values()]
        searcher = float(np.mean([run.searcher for run in runs]))
        training = float(np.mean([run.training for run in runs]))
        used = float(np.mean([run.used / len(run.curve) for run in runs]))
        per_problem = [
            number_text(float(np.median([run.searcher for run in problem.runs[entrant].values()])), 2)
            if entrant in problem.runs
            else ""
            for problem in (collection.problems.values() if detailed else ())
        ]
        rows.append(
            (
                entrant,
                str(len(runs)),
                f"{used:.1%}",
                number_text(searcher, 2),
                number_text(training, 2),
                f"{searcher / (searcher + training):.1%}",
                *per_problem,
            )
        )
    return Section(
        title="Costs",
        text=(
            "Means over all runs: share of the budget that was used, wall seconds a run inside the method (all that is "
            "not training) and inside the training, and the method's share of both."
            + (" Problem columns are median seconds inside the method." if detailed else "")
        ),
        table=Table(
            headers=(
                "",
                "runs",
                "steps used",
                "method s",
                "training s",
                "method's share",
                *(collection.problems if detailed else ()),
            ),
            rows=tuple(rows),
        ),
    )


def _mean_of_known(columns: Sequence[Sequence[float]]) -> list[float]:
    """Means of the columns that have numbers; NaN where none has."""
    known = [column for column in columns if not math.isnan(column[0])] or columns
    return [float(mean) for mean in np.mean(known, axis=0)]


def _agreed(numbers: Mapping[str, str]) -> str:
    """The numbers per problem, or a single one if all problems agree."""
    if len(set(numbers.values())) == 1:
        return f"{next(iter(numbers.values()))} on each"
    return ", ".join(f"{number} on {name}" for name, number in numbers.items())


def comparisons(collection: Collection, reference: str, kind: Kind) -> Mapping[tuple[str, str], Comparison]:
    """The reference against each (rival, problem) over the seeds that both have run."""
    found = {}
    for rival in rivals_of(collection, reference):
        for name, problem in collection.problems.items():
            if _both(problem, reference, rival) and (seeds := problem.paired([reference, rival])):
                found[rival, name] = compare(problem.losses(reference, kind, seeds), problem.losses(rival, kind, seeds))
    return found


def rivals_of(collection: Collection, reference: str) -> list[str]:
    """All entrants but the reference."""
    return [name for name in collection.entrants() if name != reference]


def _both(problem: ProblemRuns, reference: str, rival: str) -> bool:
    return reference in problem.runs and rival in problem.runs


def _budget(problem: ProblemRuns, entrant: str) -> int:
    return max(len(run.curve) for run in problem.runs[entrant].values())


def _median_steps(problem: ProblemRuns, entrant: str, rival: str) -> float:
    """Median over the common seeds; infinite where fewer than half get there."""
    seeds = problem.paired([entrant, rival])
    if not seeds:
        return math.inf
    return float(
        np.quantile(
            [steps_to_reach(problem.runs[entrant][seed].curve, problem.runs[rival][seed].validation) for seed in seeds],
            0.5,
            method="higher",  # avoids the mean of a number and infinity
        )
    )


def _reached(problem: ProblemRuns, entrant: str, rival: str) -> str:
    steps = _median_steps(problem, entrant, rival)
    return "-" if math.isinf(steps) else f"{steps:.0f}"


def _scores(problem: ProblemRuns, entrant: str, kind: Kind) -> Summary:
    losses = problem.losses(entrant, kind)
    return summarize(np.array([problem.score(loss) for loss in losses]))


def _sd(problem: ProblemRuns, entrant: str) -> float:
    return _scores(problem, entrant, "test").sd if entrant in problem.runs else math.nan


def _ratio(above: float, below: float) -> str:
    return number_text(above / below, 2) if below and not math.isnan(above / below) else ""


def number_text(value: float, digits: int = 4) -> str:
    """A number with the given number of digits; empty for NaN."""
    return "" if math.isnan(value) else f"{value:#.{digits}g}".rstrip(".")


def p_text(value: float) -> str:
    """A p-value."""
    return f"{value:.1e}" if value < 0.001 else f"{value:.3f}"


def marked(table: Table, *, lowest: bool) -> Table:
    """Emphasizes the best number of each column but the first."""
    strong = set()
    for column in range(1, len(table.headers)):
        numbers = {row: float(line[column]) for row, line in enumerate(table.rows) if line[column]}
        if numbers:
            best = (min if lowest else max)(numbers.values())
            strong |= {(row, column) for row, number in numbers.items() if number == best}
    return attrs.evolve(table, strong=frozenset(strong))
