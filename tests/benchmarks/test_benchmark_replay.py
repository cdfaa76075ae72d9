"""A schedule that a run has found is trained again from scratch, under fresh seeds and on other problems."""

import math
from pathlib import Path
from typing import Any

import pytest
from counting import Counting
from recorded import line

from benchmarks import run
from benchmarks.problem import Options
from benchmarks.problems import PROBLEMS
from benchmarks.replay import FIRST_SEED, main, replay, schedule_of, table_of
from benchmarks.results import read_results

OUTSIDE = Path(__file__).with_name("counting.py")


def found(tmp_path: Path, *arguments: str) -> Path:
    out = tmp_path / "results.jsonl"
    assert run.main([*arguments, "--smoke", "--out", str(out)]) == 0
    return out


@pytest.mark.parametrize("method", ["gpbt", "pbt", "gp-cosine", "optuna-tpe", "optuna-tpe-ramps"])
def test_the_schedule_of_a_run_trains_its_chosen_model_again(tmp_path: Path, method: str) -> None:
    if method.startswith("optuna"):
        pytest.importorskip("optuna")
    for one in read_results(found(tmp_path, "--problem", "digits-mlp", "--method", method, "--seed", "3,4")):
        problem = PROBLEMS["digits-mlp"].build(Options(smoke=True))
        assert replay(problem, schedule_of(one), one["seed"]) == (one["validation"], one["test"])


def test_replays_are_made_once_under_the_same_fresh_seeds(tmp_path: Path) -> None:
    results, out = found(tmp_path, "--problem", "nqm,digits-mlp", "--method", "gpbt,random"), tmp_path / "again.jsonl"
    arguments = [str(results), "--problem", "digits-mlp", "--seeds", "2", "--out", str(out)]
    assert main(arguments) == 0
    lines = list(read_results(out))
    assert [one["method"] for one in lines] == ["gpbt", "random"]
    assert [[again["seed"] for again in one["replays"]] for one in lines] == [[FIRST_SEED, FIRST_SEED + 1]] * 2
    before = out.read_text()
    assert main(arguments) == 0
    assert out.read_text() == before


def test_a_schedule_is_replayed_on_more_data(tmp_path: Path) -> None:
    results = found(tmp_path, "--problem", "digits-mlp-quarter", "--method", "random")
    out = tmp_path / "again.jsonl"
    assert main([str(results), "--on", "digits-mlp", "--seeds", "1", "--out", str(out)]) == 0
    (one,) = read_results(out)
    assert one["problem"] == "digits-mlp from digits-mlp-quarter"
    assert one["found"]["on"] == "digits-mlp-quarter"
    assert one["replays"][0]["test"] != one["found"]["test"]


def test_problems_from_outside_are_replayed(tmp_path: Path) -> None:
    results, out = found(tmp_path, "--problem", f"{OUTSIDE}:build", "--method", "random"), tmp_path / "again.jsonl"
    assert main([str(results), "--seeds", "1", "--out", str(out)]) == 0
    (one,) = read_results(out)
    assert one["replays"][0]["test"] < -FIRST_SEED  # the state begins at the seed


def test_a_model_that_diverges_has_no_scores() -> None:
    valid, test = replay(Counting(limit=5.0), [(3, {"rate": 2.0})], 0)
    assert math.isnan(valid)
    assert math.isnan(test)


def replayed(method: str, seed: int, tests: list[float | None]) -> dict[str, Any]:
    again = [{"seed": at, "validation": test, "test": test} for at, test in enumerate(tests)]
    return {**line(method, seed, [1.0, 1.0]), "found": {"on": "falls", "test": 1.0}, "replays": again}


def test_the_report_compares_means_over_fresh_seeds() -> None:
    runs: dict[str, list[float | None]] = {"good": [2.0, 4.0], "bad": [5.0, 6.0], "wild": [1.0, None]}
    lines = [replayed(method, seed, tests) for seed in range(4) for method, tests in runs.items()]
    table = table_of(lines, "good").table
    assert table is not None
    rows = {row[1]: dict(zip(table.headers, row, strict=True)) for row in table.rows}
    assert rows["good"]["cell"] == "falls 1x2"
    assert (rows["good"]["found"], rows["good"]["replayed"], rows["good"]["sd"]) == ("1.000", "3.000", "1.4")
    assert (rows["good"]["wins"], rows["bad"]["wins"], rows["bad"]["p"]) == ("", "100%", "0.125")
    assert (rows["wild"]["wins"], rows["wild"]["diverged"]) == ("100%", "4")


def test_wrong_arguments_end_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = found(tmp_path, "--problem", "nqm", "--method", "random")
    for arguments, said in (
        ([str(tmp_path / "none.jsonl")], "none.jsonl"),
        ([str(results), "--on", "nqn", "--out", str(tmp_path / "x")], "must be one of nqm"),
    ):
        with pytest.raises(SystemExit):
            main(arguments)
        assert said in capsys.readouterr().err


def test_the_report_goes_to_the_screen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results, out = found(tmp_path, "--problem", "nqm", "--method", "gpbt,random"), tmp_path / "again.jsonl"
    assert main([str(results), "--seeds", "1", "--out", str(out)]) == 0
    capsys.readouterr()
    assert main([str(out), "--report", "--reference", "gpbt"]) == 0
    said = capsys.readouterr().out
    assert "| nqm 6x5 | random | 1 |" in said
