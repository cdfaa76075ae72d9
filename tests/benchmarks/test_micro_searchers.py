"""The programs that compare searchers, on small work."""

from typing import Any

import numpy as np
import pytest

from benchmarks.micro import searcher_quality, tpe_speed
from benchmarks.micro.functions import FUNCTIONS
from gpbt_core.errors import PluginError

MINIMA: dict[str, list[dict[str, Any]]] = {
    "branin": [{"x": -np.pi, "y": 12.275}, {"x": np.pi, "y": 2.275}, {"x": 9.42478, "y": 2.475}],
    "hartmann6": [{"x1": 0.20169, "x2": 0.150011, "x3": 0.476874, "x4": 0.275332, "x5": 0.311652, "x6": 0.6573}],
    "levy8": [{f"x{k}": 1.0 for k in range(1, 9)}],
    "ackley5": [{f"x{k}": 0.0 for k in range(1, 6)}],
    "mixed": [
        {
            "learning_rate": 1e-3,
            "dropout": 0.15,
            "layers": 4,
            "width": 64,
            "optimizer": "adam",
            "activation": "relu",
            "norm": "batch",
        }
    ],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_its_minimum_where_it_should_and_nowhere_a_lower_one(name: str) -> None:
    function = FUNCTIONS[name]
    for config in MINIMA[name]:
        assert function.evaluate(function.space.validate(config)) == pytest.approx(function.minimum, abs=1e-4)
    rng = np.random.default_rng(0)
    assert min(function.evaluate(function.space.sample(rng)) for _ in range(2000)) > function.minimum


@pytest.mark.parametrize("name", ["tpe", "random", "optuna:RandomSampler"])
def test_regret_never_rises_and_depends_on_the_seed_alone(name: str) -> None:
    found, seconds = searcher_quality.regrets(name, "mixed", 3, 15)
    assert found.shape == (15,)
    assert (np.diff(found) <= 0).all()
    assert seconds > 0
    assert (found == searcher_quality.regrets(name, "mixed", 3, 15)[0]).all()
    assert (found != searcher_quality.regrets(name, "mixed", 4, 15)[0]).any()


def test_the_quality_program_prints_a_line_per_function_and_searcher(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--searchers", "random,sobol", "--functions", "branin,mixed", "--seeds", "2", "--evaluations", "60"]
    searcher_quality.main(arguments)
    head, columns, *lines = capsys.readouterr().out.splitlines()
    assert "2 seeds" in head
    assert [word for word in columns.split() if word.isdigit()] == ["50", "60"]
    assert [line.split()[:2] for line in lines] == [[f, s] for f in ("branin", "mixed") for s in ("random", "sobol")]


def test_unknown_names_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        searcher_quality.main(["--functions", "brannin"])
    assert "no function is called brannin; there are branin" in capsys.readouterr().err
    with pytest.raises(PluginError, match="tpee"):
        searcher_quality.regrets("tpee", "branin", 0, 1)


def test_the_speed_program_prints_the_ratio_of_both(capsys: pytest.CaptureFixture[str]) -> None:
    tpe_speed.main(["--told", "12", "--repeats", "1"])
    _, *lines = capsys.readouterr().out.splitlines()
    for line in lines:
        *_, ours, _, theirs, _, ratio = line.split()
        assert float(ratio) == pytest.approx(float(theirs) / float(ours), rel=0.1)
