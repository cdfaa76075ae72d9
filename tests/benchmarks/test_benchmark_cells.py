"""A report on cells says who is ahead over all of them, and names the strongest rival in each."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recorded import line

from benchmarks.cells import grouped, rivals, standing
from benchmarks.collection import Collection, collect
from benchmarks.report import main
from benchmarks.sections import Section, Table

LOSSES = {
    ("falls", 1, 2): {"ours": 1.0, "theirs": 2.0, "others": 3.0},
    ("falls", 1, 4): {"ours": 2.0, "theirs": 1.0, "others": 3.0},
    ("climbs", 2, 2): {"ours": 1.0, "theirs": 3.0, "others": 2.0},
}


def lines(seeds: int = 8) -> Iterator[dict[str, Any]]:
    for seed in range(seeds):
        for (problem, models, steps), methods in LOSSES.items():
            for method, each in methods.items():
                rising = problem == "climbs"
                # No two differences are equal: with ties, SciPy's exact test takes seconds.
                loss = each * (1 + seed / 100)
                yield line(
                    method,
                    seed,
                    [-loss if rising else loss] * steps,
                    problem=problem,
                    direction="maximize" if rising else "minimize",
                    models=models,
                )
        yield line("once", seed, [0.5] * 2)


@pytest.fixture
def cells() -> Collection:
    return collect(lines(), cells=True)


def table(section: Section) -> Table:
    assert section.table is not None
    return section.table


def row(section: Section, name: str) -> dict[str, str]:
    found = table(section)
    (mine,) = (line for line in found.rows if line[0] == name)
    return dict(zip(found.headers, mine, strict=True))


def test_a_cell_is_a_problem_with_a_budget(cells: Collection) -> None:
    assert list(cells.problems) == ["falls 1x2", "falls 1x4", "climbs 2x2"]
    assert cells.entrants() == ["ours", "theirs", "others", "once"]
    assert cells.problems["climbs 2x2"].direction == "maximize"


def test_all_cells_rank_those_who_ran_in_each(cells: Collection) -> None:
    found = standing(cells, "ours")
    assert [line[0] for line in table(found).rows] == ["ours", "theirs", "others", "once"]
    assert row(found, "ours")["rank, test"] == "1.33"
    assert row(found, "theirs")["cells won, test"] == "1.00"
    assert row(found, "once")["rank, test"] == ""
    cells_column = table(found).headers.index("pairs, test")
    assert {line[0]: line[cells_column] for line in table(found).rows} == {
        "ours": "", "theirs": "67%", "others": "100%", "once": "0%"
    }  # fmt: skip


def test_significance_is_counted_in_cells(cells: Collection) -> None:
    assert table(standing(cells, "ours")).rows[1][-1] == "0 / 3 / 0"  # 8 seeds, 7 comparisons: p .055 at best
    more = collect(lines(seeds=12), cells=True)
    assert table(standing(more, "ours")).rows[1][-1] == "2 / 0 / 1"
    assert row(rivals(more, "ours"), "falls 1x4")["significantly better"] == "theirs"


def test_the_strongest_rival_of_each_cell_is_named(cells: Collection) -> None:
    found = rivals(cells, "ours")
    assert [line[0] for line in table(found).rows] == ["falls 1x2", "falls 1x4", "climbs 2x2"]
    assert row(found, "falls 1x2")["strongest rival"] == "once"
    assert row(found, "falls 1x4")["strongest rival"] == "theirs"
    last = row(found, "climbs 2x2")
    assert (last["strongest rival"], last["its median"], last["ours"]) == ("others", "-2.070", "-1.035")
    assert (last["place, test"], last["wins"]) == ("1 of 3", "100%")
    assert {table(found).rows[place][0] for place, _ in table(found).strong} == {"climbs 2x2"}


def test_ranks_are_grouped_by_problem_and_by_budget(cells: Collection) -> None:
    by_problem, by_budget = grouped(cells, "problem"), grouped(cells, "budget")
    assert table(by_problem).headers == ("", "falls", "climbs")
    assert row(by_problem, "ours") == {"": "ours", "falls": "1.50", "climbs": "1.00"}
    assert table(by_budget).headers == ("", "1x2", "1x4", "2x2")
    assert row(by_budget, "theirs") == {"": "theirs", "1x2": "2.00", "1x4": "1.00", "2x2": "3.00"}


def test_the_command_writes_a_page_of_cells(tmp_path: Path) -> None:
    results, page = tmp_path / "results.jsonl", tmp_path / "page.md"
    results.write_text("".join(json.dumps(one) + "\n" for one in lines(seeds=2)))
    assert main([str(results), "--cells", "--reference", "ours", "--markdown", str(page)]) == 0
    text = page.read_text()
    assert "3 cells, 4 entrants" in text
    for title in ("Over all cells", "ours and its strongest rival in each cell", "Ranks by budget", "falls 1x4"):
        assert f"## {title}" in text
