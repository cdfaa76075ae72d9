import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightgbm")
pytest.importorskip("optuna")
pytest.importorskip("xgboost")

from benchmarks.search_cv import METHODS, Budget, main, rungs, summary


def _line(method: str, seed: int, score: float, seconds: float) -> dict[str, Any]:
    return {"task": "sgd-digits", "method": method, "seed": seed, "score": score, "seconds": seconds}


def test_the_summary_ranks_the_methods_and_divides_median_times() -> None:
    lines = [
        *(_line("gpbt", seed, 1.0, seconds) for seed, seconds in enumerate([2.0, 4.0, 30.0])),
        *(_line("random", seed, score, 2.0) for seed, score in enumerate([0.5, 1.0, 2.0])),
    ]
    rows = {row.split()[0]: row.split() for row in summary(lines).splitlines() if row.strip()}
    assert rows["random"][1:4] == ["1.50", "1.5/3", "2.00"]
    assert rows["gpbt"][1] == "1.50"


@pytest.mark.parametrize(("models", "steps"), [(4, 4), (12, 10), (25, 20)])
def test_halving_stays_within_the_budget_of_the_others(models: int, steps: int) -> None:
    lengths, candidates = rungs(Budget(models=models, steps=steps))
    spent = sum(-(-candidates // 3**rung) * length for rung, length in enumerate(lengths))
    assert models * steps / 2 < spent <= models * steps
    assert lengths[-1] == steps


def test_every_method_searches_a_small_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "lines.jsonl"
    main(["--task", "sgd-digits", "--models", "3", "--steps", "3", "--seeds", "0", "--out", str(out)])
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["method"] for line in lines] == list(METHODS)
    assert "mean rank" in capsys.readouterr().out
