"""Small optimizers for tests of the loop, with a searcher that needs no plugin."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gpbt_core import (
    Float,
    Genealogical,
    Optimizer,
    Quantile,
    Search,
    Space,
    Verdict,
)
from gpbt_core.searcher import Query

__all__ = ["LINE", "Uniform", "make", "stopping"]

LINE = Space(x=Float(0, 1), y=Float(0, 1))


class Uniform:
    """The simplest searcher."""

    def propose(self, query: Query, rng: np.random.Generator) -> Mapping[str, Any]:
        return query.space.sample(rng)


def make(**changes: Any) -> Optimizer:
    """A small run of a searcher without any plugin: 6 models, 4 steps each, in generations of 2 steps."""
    setup: dict[str, Any] = {"population": 6, "steps": 4, "searcher": Search(Uniform())}
    setup |= {"reproduction": Genealogical(segments=2, spread=0.0), "trial_stopping": None}
    return Optimizer(LINE, **(setup | changes))


def stopping() -> tuple[Optimizer, int]:
    """A run whose fourth trial was told to stop at its first step."""
    optimizer = make(trial_stopping=Quantile(), max_concurrent=1)
    for score in (0.1, 0.2, 0.3):
        (trial,) = optimizer.ask()
        optimizer.report(trial.id, 1, score)
        optimizer.tell(trial.id, score)
    (trial,) = optimizer.ask()
    assert optimizer.report(trial.id, 1, 0.25) is Verdict.STOP
    return optimizer, trial.id
