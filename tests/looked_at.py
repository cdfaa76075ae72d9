"""Runs to look at: of any size, with trials of every fate, and names that a careless page would take for HTML."""

import math
from typing import Any, Literal

import numpy as np

from gpbt_core import Categorical, Float, Int, Optimizer, Search, Space, Verdict, When

__all__ = ["EVIL", "SPACE", "advance", "run_of"]

EVIL = "</script><img src=x onerror=alert(1)>"

SPACE = Space(
    lr=Float(1e-5, 1, log=True),
    layers=Int(1, 4),
    kind=Categorical(["sgd", EVIL]),
    momentum=When(Float(0, 0.9), {"kind": ["sgd"]}),
)


def run_of(
    trials: int, *, population: int = 12, direction: Literal["minimize", "maximize"] = "minimize", **settings: Any
) -> Optimizer:
    """A run of at most so many trials; every 13th fails."""
    given: dict[str, Any] = {"searcher": Search("random"), "reproduction": "genealogical", "trial_stopping": "median"}
    given |= {"seed": 3, **settings}
    optimizer = Optimizer(SPACE, population=population, steps=10, direction=direction, **given)
    advance(optimizer, trials)
    return optimizer


def advance(optimizer: Optimizer, trials: int) -> None:
    """Trains until so many trials are asked."""
    rng = np.random.default_rng(1)
    while not optimizer.finished and len(optimizer.records) < trials:
        (trial,) = optimizer.ask()
        if trial.id % 13 == 5:
            optimizer.fail(trial.id, f"out of memory {EVIL}")
            continue
        quality = math.exp(-((math.log10(trial.config["lr"]) + 2) ** 2)) * (trial.start_step + 1)
        for step in range(1, trial.steps + 1):
            score = 100 - quality * step + rng.normal(0, 0.1)
            verdict = optimizer.report(trial.id, step, score if optimizer.direction == "minimize" else -score)
            if verdict is Verdict.STOP:
                break
        optimizer.tell(trial.id)
