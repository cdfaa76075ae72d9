"""The one name to import: what `gpbt` offers, what it costs, and what type checkers and editors see of it."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import gpbt

ROOT = Path(__file__).parents[1]
PROGRAM = """
import gpbt
from gpbt import Float, Optimizer, Space, Trainable, Verdict, run
from gpbt.sklearn import WarmStart
from gpbt.testing import check_trainable

optimizer = Optimizer(Space(lr=Float(1e-4, 1, log=True)), population=4, steps=3)
for trial in optimizer.ask(count=2):
    identity: int = trial.id
    verdict: Verdict = optimizer.report(trial.id, 1, 0.5)
steps: list[int] = [segment.steps for segment in optimizer.best.schedule.segments]


def train(factory: WarmStart) -> float:
    check_trainable(factory, optimizer.space)
    return run(optimizer, factory, workers=2).best.score


wrong: str = optimizer.best.score  # the one mistake
store: gpbt.CheckpointStore = gpbt.CheckpointStore("checkpoints")
"""


SETTINGS_OF_MYPY = """
[mypy-catboost.*,lightgbm.*,optuna.*,rich.*,sqlalchemy.*,xgboost.*]
follow_imports = skip
"""
"""Libraries, and what they import, of which the program sees nothing; mypy needs a minute to read them."""


def test_the_names_for_type_checkers_are_the_names_at_run_time() -> None:
    tree = ast.parse((ROOT / "adapters" / "gpbt" / "__init__.py").read_text(encoding="utf-8"))
    seen = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert seen == gpbt._HOMES
    assert sorted(gpbt.__all__) == sorted(seen)


@pytest.mark.parametrize("name", gpbt.__all__)
def test_each_public_name_is_what_its_home_has(name: str) -> None:
    home = gpbt._HOMES[name]
    if "journal" in home:
        pytest.importorskip("sqlalchemy")
    assert getattr(gpbt, name) is getattr(importlib.import_module(home), name)


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        getattr(gpbt, "nonsense")  # noqa: B009 - type checkers know that it is not there


def test_importing_gpbt_loads_nothing_that_it_stands_for() -> None:
    program = "import gpbt, sys; print([n for n in sys.modules if n.startswith(('gpbt_', 'numpy', 'scipy', 'attr'))])"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "checker",
    [
        ["mypy", "--python-executable", sys.executable, "--no-error-summary", "--cache-dir", "cache"],
        ["basedpyright", "--level", "error", "--pythonpath", sys.executable],
    ],
    ids=["mypy", "pyright"],
)
def test_type_checkers_see_all_of_it_in_a_program_of_a_user(checker: list[str], tmp_path: Path) -> None:
    pytest.importorskip(checker[0])
    (tmp_path / "tune.py").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "mypy.ini").write_text(SETTINGS_OF_MYPY, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", *checker, "tune.py"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    errors = [line for line in done.stdout.splitlines() if "error" in line and "tune.py" in line]
    (error,) = errors or [done.stdout + done.stderr]
    line = PROGRAM.splitlines().index("wrong: str = optimizer.best.score  # the one mistake") + 1
    assert f"tune.py:{line}" in error, done.stdout
