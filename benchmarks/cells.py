"""Report sections on a grid of cells, each a problem under a budget: who leads over all cells, and in each.

Each section is a pure function of a collection whose problems are cells.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from benchmarks.collection import Collection, ProblemRuns
from benchmarks.sections import (
    LEVEL,
    Kind,
    Section,
    Table,
    comparisons,
    counted,
    everywhere,
    marked,
    number_text,
    p_text,
    rivals_of,
)
from benchmarks.statistics import holm, mean_ranks

__all__ = ["grouped", "rivals", "standing"]

Ranks = Mapping[str, Mapping[str, float]]
"""By cell, then by entrant."""


def standing(collection: Collection, reference: str) -> Section:
    """All entrants, best mean rank first: ranks over all cells, cells won, and the reference's record against each."""
    names = everywhere(collection)
    ranks: dict[Kind, Ranks] = {"validation": _ranks(collection, "validation"), "test": _ranks(collection, "test")}
    record = {kind: _record(collection, reference, kind) for kind in ranks}
    mean = {kind: {name: _mean(each, name) for name in names} for kind, each in ranks.items()}
    won = {kind: _won(each, names) for kind, each in ranks.items()}
    order = sorted(collection.entrants(), key=lambda name: mean["test"].get(name, math.inf))
    rows = tuple(
        (
            name,
            number_text(mean["validation"].get(name, math.nan), 3),
            number_text(mean["test"].get(name, math.nan), 3),
            number_text(won["validation"].get(name, math.nan), 3),
            number_text(won["test"].get(name, math.nan), 3),
            *record["validation"].get(name, ("", "")),
            *record["test"].get(name, ("", "")),
        )
        for name in order
    )
    return Section(
        title="Over all cells",
        text=(
            f"Mean rank (1 is best) among the {counted(len(names), 'entrant')} that ran in every one of the "
            f"{counted(len(collection.problems), 'cell')}, first over the seeds that all of them have run, then over "
            "cells; and the cells in which an entrant has the best mean rank (shared where several have it). Then how "
            f"{reference} stands against each: the share of all pairs of equal seeds that it wins (ties half), and the "
            "cells in which it is significantly better / neither / significantly worse (Wilcoxon signed-rank test, "
            f"Holm's correction over all cells and rivals, p < {LEVEL})."
        ),
        table=Table(
            headers=(
                "",
                "rank, validation",
                "rank, test",
                "cells won, validation",
                "cells won, test",
                "pairs, validation",
                "cells",
                "pairs, test",
                "cells",
            ),
            rows=rows,
            strong=frozenset((row, 0) for row, line in enumerate(rows) if line[0] == reference),
        ),
    )


def rivals(collection: Collection, reference: str) -> Section:
    """Cell by cell: the reference, and the strongest rival by name."""
    compared = comparisons(collection, reference, "test")
    p_values = dict(zip(compared, holm([one.p for one in compared.values()]), strict=True))
    rows: list[tuple[str, ...]] = []
    strong: set[tuple[int, int]] = set()
    for name, cell in collection.problems.items():
        others = [other for other in rivals_of(collection, reference) if (other, name) in compared]
        if reference not in cell.runs or not others:
            continue
        present = [reference, *others]
        ranks = _cell_ranks(cell, present, "test")
        validation = _cell_ranks(cell, present, "validation")
        best = min(others, key=lambda other: ranks[other])
        comparison = compared[best, name]
        worse = [other for other in others if p_values[other, name] < LEVEL and compared[other, name].effect < 0]
        if ranks[reference] <= ranks[best]:
            strong.add((len(rows), 0))
        rows.append(
            (
                name,
                str(comparison.count),
                f"{_place(validation, reference)} of {len(present)}",
                f"{_place(ranks, reference)} of {len(present)}",
                number_text(_median(cell, reference)),
                best,
                number_text(_median(cell, best)),
                f"{comparison.wins:.0%}",
                p_text(comparison.p),
                ", ".join(worse),
            )
        )
    return Section(
        title=f"{reference} and its strongest rival in each cell",
        text=(
            f"The place of {reference} by mean rank, its median test score, and the rival of the best mean rank on "
            f"test with its median; the share of the seeds that {reference} wins against that rival, p of that pair "
            "alone, and the rivals that are significantly better after Holm's correction over the whole table. Strong "
            f"where {reference} has the best mean rank."
        ),
        table=Table(
            headers=(
                "cell",
                "seeds",
                "place, validation",
                "place, test",
                reference,
                "strongest rival",
                "its median",
                "wins",
                "p",
                "significantly better",
            ),
            rows=tuple(rows),
            strong=frozenset(strong),
        ),
    )


def grouped(collection: Collection, by: Literal["problem", "budget"]) -> Section:
    """Mean ranks on test over the cells of each problem, or of each budget."""
    names = everywhere(collection)
    ranks = _ranks(collection, "test")
    groups: dict[str, list[str]] = {}
    for cell in collection.problems:
        problem, budget = cell.rsplit(" ", 1)
        groups.setdefault(problem if by == "problem" else budget, []).append(cell)
    rows = tuple(
        (name, *(number_text(_mean({cell: ranks[cell] for cell in cells}, name), 3) for cells in groups.values()))
        for name in sorted(names, key=lambda name: _mean(ranks, name))
    )
    return Section(
        title=f"Ranks by {by}",
        text=f"Mean ranks on test over the cells of each {by}.",
        table=marked(Table(headers=("", *groups), rows=rows), lowest=True),
        sub=True,
    )


def _ranks(collection: Collection, kind: Kind) -> Ranks:
    names = everywhere(collection)
    return {cell: _cell_ranks(runs, names, kind) for cell, runs in collection.problems.items()}


def _cell_ranks(cell: ProblemRuns, names: Sequence[str], kind: Kind) -> Mapping[str, float]:
    """Mean ranks over the seeds that all entrants have run; NaN if there are none."""
    seeds = cell.paired(names) if names else []
    if not seeds:
        return dict.fromkeys(names, math.nan)
    ranks = mean_ranks(np.array([cell.losses(name, kind, seeds) for name in names]))
    return dict(zip(names, ranks.tolist(), strict=True))


def _mean(ranks: Ranks, name: str) -> float:
    known = [cell[name] for cell in ranks.values() if not math.isnan(cell[name])]
    return float(np.mean(known)) if known else math.nan


def _won(ranks: Ranks, names: Sequence[str]) -> Mapping[str, float]:
    won = dict.fromkeys(names, 0.0)
    for cell in ranks.values():
        best = [name for name in names if cell[name] == min(cell.values())]
        for name in best:
            won[name] += 1 / len(best)
    return won


def _record(collection: Collection, reference: str, kind: Kind) -> Mapping[str, tuple[str, str]]:
    """By rival: the pairs that the reference wins, and better / neither / worse."""
    found = comparisons(collection, reference, kind)
    corrected = dict(zip(found, holm([one.p for one in found.values()]), strict=True))
    record = {}
    for rival in rivals_of(collection, reference):
        mine = {cell: one for (other, cell), one in found.items() if other == rival}
        if not mine:
            continue
        pairs = sum(one.count for one in mine.values())
        wins = sum(one.wins * one.count for one in mine.values()) / pairs
        signs = [math.copysign(1, one.effect) for cell, one in mine.items() if corrected[rival, cell] < LEVEL]
        better, worse = signs.count(1), signs.count(-1)
        record[rival] = f"{wins:.0%}", f"{better} / {len(mine) - better - worse} / {worse}"
    return record


def _place(ranks: Mapping[str, float], name: str) -> int:
    return 1 + sum(rank < ranks[name] for rank in ranks.values())


def _median(cell: ProblemRuns, name: str) -> float:
    return cell.score(float(np.median(cell.losses(name, "test"))))
