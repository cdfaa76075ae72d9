"""The report says of given results what they are: ranks, wins, speed and spread."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from recorded import line

from benchmarks.collection import collect
from benchmarks.report import main
from benchmarks.sections import Section, Table, costs, outcome, pairs, ranks, speed, speed_matrix, spread


def lines() -> list[dict[str, Any]]:
    """`good` is ahead of `bad` on both problems, by a constant; `once` has run on one of them."""
    found = []
    for seed in range(8):
        a = seed / 100
        found += [
            line("good", seed, [3.0, 1.0 + a, 1.0 + a, 0.5 + a]),
            line("bad", seed, [4.0, None, 2.0 + a, 1.5 + 2 * a]),
            line("good", seed, [0.2, 0.7 + a, 0.9, 0.8], problem="rises", direction="maximize"),
            line("bad", seed, [0.1, 0.2, 0.3, 0.6 + a], problem="rises", direction="maximize"),
            line("once", seed, [0.1, 0.2, 0.3, 0.95], problem="rises", direction="maximize"),
        ]
    return found


def rows(section: Section) -> dict[str, dict[str, str]]:
    table = section.table
    assert isinstance(table, Table)
    return {row[0]: dict(zip(table.headers, row, strict=True)) for row in table.rows}


def test_ranks_are_among_those_that_ran_everywhere() -> None:
    found = rows(ranks(collect(lines())))
    assert list(found) == ["good", "bad"]
    assert float(found["good"]["test"]) == 1
    assert float(found["bad"]["rises"]) == 2


def test_wins_are_counted_in_the_direction_of_the_problem() -> None:
    found = rows(pairs(collect(lines()), "good", "validation"))
    assert found["bad"]["pooled"] == "100%"
    assert found["bad"]["falls"].startswith("100% +1.00")
    assert found["once"]["rises"].startswith("0% -1.00")
    assert found["once"]["falls"] == ""
    assert found["bad"]["better / equal / worse"] == "2 / 0 / 0"
    assert found["once"]["better / equal / worse"] == "0 / 0 / 1"


def test_p_values_are_corrected_for_all_comparisons_of_the_table() -> None:
    found = rows(pairs(collect(lines()), "good", "test"))
    smallest = 2 / 2**8  # of eight pairs that all point one way
    assert f"(p {3 * smallest:.3f})" in found["bad"]["falls"]


def test_scores_are_given_as_the_problem_gives_them() -> None:
    collection = collect(lines())
    found = rows(outcome("rises", collection.problems["rises"], "good"))
    assert float(found["good"]["validation"]) == 0.9
    assert list(found) == ["once", "good", "bad"]
    assert found["bad"]["test mean +- sd"] == "0.6350 +- 0.024"
    assert found["good"]["sd ratio"] == ""  # of nothing to nothing


def test_the_steps_to_a_rivals_final_score_are_those_of_the_running_best() -> None:
    collection = collect(lines())
    found = rows(speed(collection, "good"))
    assert (found["bad"]["falls"], found["bad"]["rises"]) == ("2", "2")
    assert found["bad"]["times cheaper"] == "2.00x"
    assert (found["once"]["rises"], found["once"]["times cheaper"]) == ("-", "-")
    matrix = rows(speed_matrix("falls", collection.problems["falls"], ["good", "bad"]))
    assert matrix["bad"] == {"": "bad", "good": "-", "bad": "4"}


def test_spread_is_the_ratio_of_standard_deviations() -> None:
    assert float(rows(spread(collect(lines()), "good"))["bad"]["falls"]) == 0.5


def test_costs_are_shares_of_all_the_time() -> None:
    found = rows(costs(collect(lines())))["good"]
    assert (found["method's share"], found["steps used"], found["runs"]) == ("25.0%", "100.0%", "16")


def test_another_budget_is_another_entrant() -> None:
    small = [line("good", seed, [1.0, 0.6]) for seed in range(8)]
    collection = collect(lines() + small)
    assert collection.budget == (1, 4)
    assert "good 1x2" in collection.entrants()
    assert "good 1x4" in collect(lines() + small, (1, 2)).entrants()


def test_full_and_reduced_runs_are_not_mixed() -> None:
    with pytest.raises(ValueError, match="keep two files"):
        collect([line("a", 0, [1.0]), line("a", 1, [1.0], smoke=True)])
    with pytest.raises(ValueError, match="got none"):
        collect([])


def test_ranks_say_how_many_seeds_they_stand_on() -> None:
    def said(*more: dict[str, Any]) -> str:
        return ranks(collect([*lines(), *more])).text

    assert "among the 2 entrants that ran on every problem" in said()
    assert "(8 on each)" in said()
    short = line("short", 3, [1.0] * 4)
    assert "(1 of 8 on falls, 8 on rises)" in said(
        short, *(line("short", seed, [1.0] * 4, problem="rises", direction="maximize") for seed in range(8))
    )


@pytest.mark.filterwarnings("error")
def test_entrants_that_share_no_seed_or_no_problem_have_no_ranks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.jsonl"
    for other in ({"seed": 1}, {"problem": "rises"}):
        apart = [line("a", 0, [1.0]), {**line("b", 0, [2.0]), **other}]
        path.write_text("".join(json.dumps(found) + "\n" for found in apart))
        assert main([str(path)]) == 0
        assert "2 runs: " in capsys.readouterr().out


def test_one_of_a_thing_is_no_plural(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps(line("a", 0, [1.0])) + "\n")
    main([str(path)])
    text = capsys.readouterr().out
    assert "1 run: 1 problem, 1 entrant, 1 seed each." in text
    assert not re.search(r"\b1 (?:runs|problems|entrants|seeds|comparisons)\b", text)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "results.jsonl"
    path.write_text("".join(json.dumps(found) + "\n" for found in lines()))
    return path


def test_the_page_needs_nothing_else_and_has_all_tables_and_plots(results: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    page = tmp_path / "report.html"
    assert main([str(results), "--html", str(page), "--title", "Runs & more"]) == 0
    text = page.read_text()
    assert "<h1>Runs &amp; more</h1>" in text
    assert not re.search(r"(?:src|href)=[\"']https?:", re.sub(r"xmlns\S*|xlink:href=\"#", "", text))
    seen: list[str] = []
    parser = type("Tags", (HTMLParser,), {"handle_starttag": lambda _self, tag, _attributes: seen.append(tag)})()
    parser.feed(text)
    assert seen.count("svg") == 4
    assert seen.count("table") == 10
    ids = re.findall(r'\bid="([^"]+)"', text)
    figures = [set(re.findall(r'\bid="([^"]+)"', part)) for part in text.split("<svg")[1:]]
    shared = set.intersection(*figures) - {name for name in ids if re.search(r"_\d+$", name)}
    assert not {name for name in shared if f"#{name}" in text}  # what one picture refers to is in none of the others


@pytest.mark.filterwarnings("error")
def test_losses_that_fall_by_many_powers_of_ten_are_drawn_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps(line("a", 0, [10.0**-k for k in range(10)])) + "\n")
    assert main([str(path), "--html", str(tmp_path / "report.html")]) == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"test": None}, "the test score must be finite, got null"),
        ({"direction": "min"}, "direction must be one of minimize, maximize, got 'min'"),
        ({"trials": ...}, "trials is missing"),
    ],
    ids=["test", "direction", "trials"],
)
def test_a_line_that_cannot_be_compared_is_named_and_left_out(
    results: Path, capsys: pytest.CaptureFixture[str], wrong: dict[str, Any], said: str
) -> None:
    main([str(results)])
    expected = capsys.readouterr().out
    spoilt = {key: value for key, value in {**line("good", 99, [1.0] * 4), **wrong}.items() if value is not ...}
    with results.open("a") as file:
        file.write(json.dumps(spoilt) + "\n")
    assert main([str(results)]) == 0
    found = capsys.readouterr()
    assert found.err == f"falls good seed 99 1x4: left out: {said}\n"
    assert found.out == expected


@pytest.mark.parametrize("foreign", ['{"a": 1}', "[1, 2]", "3"])
def test_a_file_of_something_else_is_refused(results: Path, capsys: pytest.CaptureFixture[str], foreign: str) -> None:
    with results.open("a") as file:
        file.write(foreign + "\n")
    with pytest.raises(SystemExit):
        main([str(results)])
    said = capsys.readouterr().err
    assert f"{results}: lines must be as python -m benchmarks.run writes them" in said
    assert f"got {foreign!r}" in said


def test_equal_results_make_equal_pages(results: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pages = [tmp_path / "a.html", tmp_path / "b.html"]
    for page in pages:
        main([str(results), "--html", str(page)])
    assert pages[0].read_text() == pages[1].read_text()


def test_markdown_has_the_tables(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "report.md"
    assert main([str(results), "--markdown", str(page), "--reference", "bad"]) == 0
    text = page.read_text()
    assert "## bad against each rival, seed by seed: test" in text
    assert "| good | 0% |" in text
    assert capsys.readouterr().out == ""
    main([str(results), "--reference", "bad"])
    assert capsys.readouterr().out.strip() == text.strip()


def test_a_markdown_page_can_begin_with_a_preface(results: Path, tmp_path: Path) -> None:
    preface, page = tmp_path / "preface.md", tmp_path / "page.md"
    preface.write_text("How it was run.\n", "utf-8")
    assert main([str(results), "--markdown", str(page), "--preface", str(preface)]) == 0
    assert page.read_text("utf-8").startswith("# Benchmarks\n\nHow it was run.\n\n")


def test_a_report_can_be_of_some_problems_and_methods(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(results), "--problem", "falls", "--method", "good,bad"])
    text = capsys.readouterr().out
    assert "16 runs: 1 problem, 2 entrants, 8 seeds each" in text
    assert "rises" not in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--reference", "nobody"), "must be one of good, bad, once"), (("--show", "nobody"), "must be some of good")],
)
def test_unknown_entrants_are_refused(
    results: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, str], said: str
) -> None:
    with pytest.raises(SystemExit):
        main([str(results), *arguments])
    assert said in capsys.readouterr().err


def test_missing_results_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path / "none.jsonl")])
    assert "none.jsonl" in capsys.readouterr().err
