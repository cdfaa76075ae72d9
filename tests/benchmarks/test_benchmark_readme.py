"""What the README of the benchmarks says can be done as it says."""

import doctest
import re
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import ledger, run, statistics, testing
from benchmarks.loading import load_problem
from benchmarks.methods import METHODS
from benchmarks.problem import Options
from benchmarks.problems import PROBLEMS
from benchmarks.results import read_results

README = Path(__file__).parents[2] / "benchmarks" / "README.md"


@pytest.fixture(scope="module")
def text() -> str:
    return README.read_text()


def test_its_problem_and_its_method_run(text: str, tmp_path: Path) -> None:
    problem, method = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "problem.py").write_text(problem)
    (tmp_path / "method.py").write_text(method)
    out = tmp_path / "results.jsonl"
    names = ["--problem", f"{tmp_path}/problem.py:descent", "--method", f"{tmp_path}/method.py:climber,gpbt"]
    assert run.main([*names, "--out", str(out)]) == 0
    climber, gpbt = read_results(out)
    assert climber["used"] == 50
    assert climber["test"] < 1e-3
    assert gpbt["test"] < 1
    testing.check_problem(load_problem(names[1], Options()))


def test_its_tables_name_every_problem_and_every_field(text: str, tmp_path: Path) -> None:
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|[^|]*\|[^|]*\|[^|]*\|$", text, re.MULTILINE)) >= set(PROBLEMS)
    out = tmp_path / "results.jsonl"
    assert run.main(["--method", "random", "--smoke", "--out", str(out)]) == 0
    (line,) = read_results(out)
    fields = text[text.index("## A line of results") :]
    assert all(f"`{name}`" in fields for name in [*line, *line["trials"][0], *line["seconds"]])


def test_the_methods_it_speaks_of_exist(text: str) -> None:
    section = text[text.index("## Methods") : text.index("## A problem of your own")]
    named = set(re.findall(r"`([a-z][a-z0-9]*(?:-[a-z0-9]+)*)`", section))
    assert {"gpbt", "paper", "dehb"} <= named <= set(METHODS)


@pytest.mark.parametrize("module", [ledger, statistics, testing])
def test_the_examples_in_docstrings_hold(module: ModuleType) -> None:
    failed, tried = doctest.testmod(module)
    assert tried > 0
    assert failed == 0
