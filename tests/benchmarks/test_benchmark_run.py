"""The runner executes a grid once, whoever interrupts it, with problems and methods of anybody."""

import json
from pathlib import Path

import pytest

from benchmarks.results import read_results
from benchmarks.run import main

OUTSIDE = Path(__file__).with_name("counting.py")
PROBLEM = f"{OUTSIDE}:build"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl"


def run(out: Path, *arguments: str) -> int:
    return main([*arguments, "--out", str(out)])


def test_a_run_leaves_one_line_with_all_that_was_done(out: Path) -> None:
    assert run(out, "--problem", "nqm", "--method", "random", "--seed", "4", "--smoke") == 0
    (line,) = read_results(out)
    assert (line["problem"], line["method"], line["seed"], line["smoke"]) == ("nqm", "random", 4, True)
    assert (line["models"], line["steps"], line["used"]) == (6, 5, 30)
    assert sum(len(trial["scores"]) for trial in line["trials"]) == 30
    assert sorted(clock for trial in line["trials"] for clock in trial["clock"]) == list(range(1, 31))
    best = max(score for trial in line["trials"] for score in trial["scores"])
    chosen = next(trial for trial in line["trials"] if trial["id"] == line["chosen"]["trial"])
    assert line["validation"] == best == chosen["scores"][line["chosen"]["step"] - 1]
    assert line["test"] == best  # exact problems test what they validate
    assert set(chosen["config"]) == {"lr", "momentum"}
    assert {"python", "numpy"} <= set(line["versions"])
    assert line["seconds"]["searcher"] >= 0
    assert line["seconds"]["training"] > 0


def test_a_grid_goes_on_where_it_stopped(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = ("--problem", "nqm,short-horizon", "--method", "random", "--smoke")
    assert run(out, *grid, "--seed", "0") == 0
    before = out.read_text()
    capsys.readouterr()
    assert run(out, *grid, "--seed", "0-2") == 0
    assert "2 of 6 runs are in" in capsys.readouterr().out
    assert out.read_text().startswith(before)
    assert len(list(read_results(out))) == 6
    assert run(out, *grid, "--seed", "0-2") == 0
    assert len(out.read_text().splitlines()) == 6


def test_several_processes_write_the_same_grid(out: Path, tmp_path: Path) -> None:
    grid = ("--problem", "nqm", "--method", "random,cmaes", "--seed", "0-1", "--smoke")
    assert run(out, *grid, "--processes", "2") == 0
    alone = tmp_path / "alone.jsonl"
    assert run(alone, *grid) == 0

    def scores(path: Path) -> dict[tuple[str, int], float]:
        return {(line["method"], line["seed"]): line["test"] for line in read_results(path)}

    assert scores(out) == scores(alone)


def test_problems_and_methods_come_from_files_outside(out: Path) -> None:
    assert run(out, "--problem", PROBLEM, "--method", f"{OUTSIDE}:spender", "--seed", "0,2") == 0
    first, second = read_results(out)
    assert (first["seed"], second["seed"]) == (0, 2)
    assert first["used"] == 12
    assert first["validation"] == 1.0
    assert first["test"] == -1.0
    assert second["test"] == -3.0
    assert first["settings"] == {"rate": 1.0}
    assert "nobody-has-this" not in first["versions"]


def test_a_method_that_raises_fails_its_run_and_no_other(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    methods = f"{OUTSIDE}:quitter,{OUTSIDE}:spender"
    assert run(out, "--problem", PROBLEM, "--method", methods) == 1
    assert [line["method"] for line in read_results(out)] == [f"{OUTSIDE}:spender"]
    said = capsys.readouterr().err
    assert "out of ideas after 0 steps" in said
    assert "1 of 2 runs failed" in said


@pytest.mark.parametrize(
    ("given", "models", "steps"), [("6", 2, 3), ("5x4", 5, 4), (None, 4, 3)], ids=["steps", "both", "default"]
)
def test_the_budget_is_in_steps_or_in_models_and_steps(out: Path, given: str | None, models: int, steps: int) -> None:
    budget = () if given is None else ("--budget", given)
    assert run(out, "--problem", PROBLEM, "--method", "random", *budget) == 0
    (line,) = read_results(out)
    assert (line["models"], line["steps"], line["used"]) == (models, steps, models * steps)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--problem", "nqn"), "must be one of nqm"),
        (("--method", "gppt"), "must be one of gpbt"),
        (("--problem", "nowhere.py:name"), "found none at 'nowhere.py'"),
        (("--problem", f"{OUTSIDE}:missing"), "has no 'missing'"),
        (("--method", f"{OUTSIDE}:no_method"), "must be a benchmarks.method.Method, got 7"),
        (("--seed", "one"), "must be seeds such as"),
        (("--budget", "255"), "must be a multiple of the 10 steps"),
        (("--budget", "0"), "must be STEPS or MODELSxSTEPS"),
        (("--problem", "fmnist-mlp-log"), "name it with --data"),
        (("--problem", f"{OUTSIDE}:downward"), "direction must be one of minimize, maximize, got 'down'"),
        (("--problem", f"{OUTSIDE}:nothing"), "problem NoneType: space must be a Space, got None"),
        (("--problem", f"{OUTSIDE}:in_place"), "got 1.0 and then 2.0; train and test must not change the state"),
        (("--problem", ","), "--problem: must name at least one, got ','"),
        (("--method", ","), "--method: must name at least one, got ','"),
        (("--seed", ","), "--seed: must name at least one, got ','"),
        (("--seed", "5-3"), "must be seeds such as"),
        (("--processes", "0"), "must be a number of at least 1, got '0'"),
    ],
)
def test_wrong_arguments_end_the_command_before_any_run(
    out: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SystemExit) as error:
        run(out, *arguments)
    assert error.value.code == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_a_file_that_cannot_be_written_ends_the_command_before_any_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = tmp_path / "foreign.jsonl"
    foreign.write_text('{"a": 1}\n')
    for out, said in (
        (tmp_path / "nowhere" / "x.jsonl", "found no directory"),
        (tmp_path, "must be a file that can be written"),
        (foreign, "lines must be as python -m benchmarks.run writes them"),
    ):
        with pytest.raises(SystemExit) as error:
            run(out, "--method", "random", "--smoke")
        assert error.value.code == 2
        found = capsys.readouterr()
        assert said in found.err
        assert "to do" not in found.out
    assert foreign.read_text() == '{"a": 1}\n'


def test_settings_that_are_no_json_fail_their_run_before_it_trains_and_no_other(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    methods = f"{OUTSIDE}:unwritable,{OUTSIDE}:spender"
    assert run(out, "--problem", PROBLEM, "--method", methods, "--seed", "0-1") == 1
    assert [line["method"] for line in read_results(out)] == [f"{OUTSIDE}:spender"] * 2
    said = capsys.readouterr().err
    assert "settings must be plain data that JSON can write" in said
    assert "out of ideas" not in said
    assert "2 of 4 runs failed" in said


def test_a_test_score_that_is_no_number_fails_the_run(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(out, "--problem", f"{OUTSIDE}:untestable,{PROBLEM}", "--method", "random") == 1
    assert [line["problem"] for line in read_results(out)] == [PROBLEM]
    assert "the test score of the chosen model must be finite" in capsys.readouterr().err


def test_names_are_listed(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(out, "--list") == 0
    said = capsys.readouterr().out
    assert "digits-mlp-mixed" in said
    assert "ray-pb2" in said


def test_results_are_plain_json(out: Path) -> None:
    assert run(out, "--problem", PROBLEM, "--method", "gpbt") == 0
    json.loads(out.read_text(), parse_constant=pytest.fail)
