"""What the tests of runs share: small optimizers, runs of toys, and programs of their own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from gpbt_adapters.running.driver import Result, run
from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_adapters.trainables.trainable import Factory
from gpbt_core import Float, Optimizer, Record, Search, Space, Status
from toy_trainables import Descent

SPACE = Space(lr=Float(0.01, 0.4, log=True), momentum=Float(0, 0.9))
SMALL: Mapping[str, Any] = {
    "population": 6,
    "steps": 10,
    "direction": "maximize",
    "searcher": Search("random", founders="sobol", number_of_founders=4),
    "reproduction": "genealogical",
}
"""A small run by the rules of a large one."""


def small(**settings: Any) -> Optimizer:
    """An optimizer of a small run."""
    return Optimizer(SPACE, **{**SMALL, **settings})


def small_run(factory: Factory = Descent, **settings: Any) -> Result:
    """A small run, in this thread and with a store that does not wait for the disk, unless `settings` say otherwise."""
    return run_small(small(), factory, **settings)


def run_small(optimizer: Optimizer, factory: Factory = Descent, **settings: Any) -> Result:
    """The same, of an optimizer that the test has made."""
    return run(optimizer, factory, **{"progress": False, "store": CheckpointStore(durable=False), **settings})


def records(result: Result) -> list[Record]:
    """All that a run has come to."""
    return list(result.optimizer.records)


def failed(optimizer: Optimizer) -> dict[int, str | None]:
    """The reasons of the trials that failed."""
    return {record.trial.id: record.reason for record in optimizer.records if record.status is Status.FAILED}


def spawned(workers: int) -> ProcessPoolExecutor:
    """A pool of fresh processes."""
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


def environment() -> dict[str, str]:
    """In which another interpreter finds what this one finds."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def run_program(path: Path) -> "subprocess.CompletedProcess[str]":
    """Runs a program to its end."""
    return subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, env=environment(), check=False, timeout=300
    )
