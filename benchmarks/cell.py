"""One cell of the grid: a method on a problem under a seed, from the empty ledger to the line of results.

Only this module and the ledger measure time: all time of a run outside the training counts as the method's.
"""

import contextlib
import functools
import importlib.metadata
import json
import math
import platform
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from benchmarks.ledger import BudgetSpent, Ledger
from benchmarks.method import Method
from benchmarks.problem import Problem
from benchmarks.results import Key
from gpbt_core.errors import ConfigError

__all__ = ["run_cell"]

_ROOT = Path(__file__).parents[1]
_ALWAYS = ("gpbt", "numpy", "scipy", "scikit-learn", "torch")


def run_cell(key: Key, problem: Problem, method: Method) -> dict[str, Any]:
    """Runs a method to the end of its budget and tests the one model that validation chose.

    It uses one thread, so a step takes the same time however many runs are active, and sums have a fixed order.

    Args:
        key: The names, seed and budget of the run.
        problem: The problem of that name.
        method: The method of that name.

    Returns:
        The line of results; benchmarks/README.md has its fields.

    Raises:
        ConfigError: The method's settings are not plain data.
        RuntimeError: No step of the run had a finite score, or the test score is not finite.
    """
    try:
        json.dumps(dict(method.settings))  # before the training, since the line of results needs them
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"method {key.method!r}: settings must be plain data that JSON can write, got {method.settings!r}: {error}"
        ) from error
    with threadpool_limits(limits=1):
        ledger = Ledger(problem, models=key.models, steps=key.steps, seed=key.seed)
        began = time.perf_counter()
        with contextlib.suppress(BudgetSpent):  # the usual end of a method whose library owns the loop
            method.run(ledger)
        total = time.perf_counter() - began
        score, entry, step = ledger.best()
        test = float(problem.test(ledger.chosen_model()))
        if not math.isfinite(test):
            raise RuntimeError(
                f"problem {key.problem!r}: the test score of the chosen model must be finite, as its validation score "
                f"{score!r} is, got {test!r}"
            )
        return {
            "problem": key.problem,
            "method": key.method,
            "seed": key.seed,
            "models": key.models,
            "steps": key.steps,
            "smoke": key.smoke,
            "direction": ledger.direction,
            "validation": score,
            "test": test,
            "chosen": {"trial": entry, "step": step},
            "used": ledger.used,
            "seconds": {"searcher": total - ledger.training_seconds, "training": ledger.training_seconds},
            "versions": _versions(method),
            "settings": dict(method.settings),
            "trials": [
                {
                    "id": entry.id,
                    "parent": entry.parent,
                    "start": entry.start,
                    "config": dict(entry.config),
                    "scores": entry.scores,
                    "clock": entry.clock,
                }
                for entry in ledger.entries
                if entry.scores
            ],
        }


def _versions(method: Method) -> dict[str, str]:
    """The versions of Python and every named distribution that is installed, and the commit of a source tree."""
    versions = {"python": platform.python_version()}
    if commit := _commit():
        versions["commit"] = commit
    for name in (*_ALWAYS, *method.packages):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # run from a source tree, or not used by this method
    return versions


@functools.cache
def _commit() -> str:
    """The short hash of the commit that is checked out, with a plus where tracked files differ from it; empty: none."""
    git = shutil.which("git")
    if git is None:
        return ""
    found = [
        subprocess.run([git, "-C", str(_ROOT), *command], capture_output=True, text=True, check=False)  # noqa: S603  # fixed
        for command in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
    ]
    if any(part.returncode for part in found):
        return ""
    return found[0].stdout.strip() + ("+" if found[1].stdout.strip() else "")
