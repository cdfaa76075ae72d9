"""Without its extra, an adapter says which one it is."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WITHOUT = """
import sys, pytest


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {libraries}:
            raise ModuleNotFoundError(name, name=name)


sys.meta_path.insert(0, Absent())
few = "--hypothesis-profile=few"  # the first examples import all that the others do
deselected = [f"--deselect={test}" for test in {long}]
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", few, *deselected, "tests/core", "gpbt_core"]))
"""
LONG = [
    "tests/core/test_state.py::test_any_sequence_of_calls_keeps_the_promises",
    "tests/core/test_testing.py::test_every_default_rule_passes_at_all_sizes",
]
"""Tests that repeat what others of their files do, with more examples."""


@pytest.mark.parametrize(
    ("module", "name", "missing", "extra"),
    [
        ("gpbt.pytorch", "TorchTrainable", "torch", "torch"),
        ("gpbt.lightning", "LightningTrainable", "lightning", "lightning"),
        ("gpbt.transformers", "TransformersTrainable", "transformers", "transformers"),
        ("gpbt.jax", "FunctionalTrainable", "jax", "jax"),
        ("gpbt.sb3", "SB3Trainable", "stable_baselines3", "sb3"),
        ("gpbt.keras", "KerasTrainable", "keras", "tensorflow"),
        ("gpbt.boosting", "XGBoostTrainable", "xgboost", "boosting"),
        ("gpbt.boosting", "LightGBMTrainable", "lightgbm", "boosting"),
        ("gpbt.boosting", "CatBoostTrainable", "catboost", "catboost"),
        ("gpbt.ray", "RayExecutor", "ray", "ray"),
        ("gpbt.optuna", "OptunaSearcher", "optuna", "optuna"),
        ("gpbt", "open_study", "sqlalchemy", "journal"),
    ],
)
def test_a_missing_library_is_an_error_that_names_the_extra(module: str, name: str, missing: str, extra: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None\nfrom {module} import {name}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f'pip install "gpbt[{extra}]"' in done.stderr.splitlines()[-1]


def test_the_packages_and_what_all_adapters_share_need_no_extra() -> None:
    libraries = ["torch", "keras", "tensorflow", "xgboost", "lightgbm", "pandas"]
    modules = [
        "trainables.bindings",
        "trainables.boosting",
        "trainables.random_states",
        "trainables.sample_order",
        "views.frames",
    ]
    program = f"import sys; sys.modules.update(dict.fromkeys({libraries}))\n" + "\n".join(
        f"import gpbt_adapters.{module}" for module in modules
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_core_and_its_tests_need_no_extra() -> None:
    libraries = {
        *("torch", "keras", "tensorflow", "xgboost", "lightgbm", "optuna", "cmaes", "ray", "distributed", "sqlalchemy"),
        *("psycopg", "matplotlib", "plotly", "starlette", "uvicorn", "mlflow", "tensorboard", "wandb", "pandas"),
    }
    program = WITHOUT.replace("{libraries}", repr(libraries)).replace("{long}", repr(LONG))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-4000:]
