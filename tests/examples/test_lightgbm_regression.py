from pathlib import Path

import numpy as np
import pytest

from example_programs import load

pytest.importorskip("lightgbm")


def test_it_runs_on_a_table_of_the_users(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    inputs = rng.random((200, 4))
    rows = np.column_stack([inputs, 3 * inputs[:, 0] + rng.normal(0, 0.1, 200)])
    np.savetxt(tmp_path / "table.csv", rows, delimiter=",", header="a,b,c,d,target", comments="")
    result = load("lightgbm_regression").main([str(tmp_path / "table.csv"), "--small"])
    assert result.optimizer.finished
    assert result.best.score < 0.6  # the target's standard deviation is 0.87
    assert capsys.readouterr().out.startswith(f"error: {result.best.score:.4g} on the validation rows, ")


def test_it_runs_on_the_data_of_scikit_learn_without_a_table() -> None:
    result = load("lightgbm_regression").main(["--small"])
    assert result.best.score < 77  # the target's standard deviation
    assert result.schedule.steps <= 6
