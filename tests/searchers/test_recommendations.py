"""What each searcher proposes for queries that never change, as it was recorded.

A proposal that differs is a change of behavior: users' runs would not repeat. Where the change is meant, write the
record anew with `python tests/searchers/test_recommendations.py`.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpbt_core.records import Record, Status, Trial
from gpbt_core.searcher import Family, Query
from gpbt_core.space import Categorical, Float, Int, Space, When
from gpbt_searchers import gpbt_searchers

RECORD = Path(__file__).with_name("recommendations.json")
SPACE = Space(
    lr=Float(1e-5, 1, log=True),
    dropout=Float(0, 0.9, step=0.1),
    layers=Int(1, 6),
    width=Int(8, 512, log=True),
    optimizer=Categorical(["sgd", "adam", "rmsprop"]),
    momentum=When(Float(0, 0.99), {"optimizer": ["sgd", "rmsprop"]}),
)
NAMES = ("random", "sobol", "perturb", "tpe")


def loss_of(config: Mapping[str, Any]) -> float | None:
    if config["layers"] == 6:
        return None  # failed
    far = abs(math.log10(config["lr"]) + 2) + abs(math.log2(config["width"] / 64)) + config["dropout"]
    return round(float(far + abs(config.get("momentum", 0.5) - 0.9)), 6)


def query(slot: int) -> Query:
    """Of slot 0 without a parent, of the others with the best of the 40 told trials, and two in training."""
    rng = np.random.default_rng(2024)
    trials = [
        Trial(id=k, parent=None, generation=0, depth=0, config=SPACE.sample(rng), steps=1, start_step=0)
        for k in range(42)
    ]
    told = []
    for trial in trials[:40]:
        loss = loss_of(trial.config)
        told.append(Record(trial=trial, status=Status.FAILED if loss is None else Status.COMPLETED, loss=loss))
    best = min((record for record in told if record.loss is not None), key=lambda record: record.loss or 0.0)
    family = Family(told=tuple(told), pending=tuple(trials[40:]))
    parent = best if slot else None
    return Query(
        space=SPACE, parent=parent, generation=slot % 2, generations=2, slot=slot, seed=7, family=lambda: family
    )


def proposals(name: str) -> list[dict[str, Any]]:
    (spec,) = [spec for spec in gpbt_searchers() if spec.name == name]
    searcher = spec.build()
    return [dict(searcher.propose(query(slot), np.random.default_rng([7, slot]))) for slot in range(6)]


@pytest.mark.parametrize("name", NAMES)
def test_a_searcher_proposes_what_it_always_has(name: str) -> None:
    expected = json.loads(RECORD.read_text())[name]
    found = proposals(name)
    assert [list(config) for config in found] == [list(config) for config in expected]
    for config, recorded in zip(found, expected, strict=True):
        for parameter, value in config.items():
            tolerant = isinstance(value, float)  # the last bits may differ between machines
            assert value == (pytest.approx(recorded[parameter], rel=1e-6) if tolerant else recorded[parameter])


if __name__ == "__main__":
    RECORD.write_text(json.dumps({name: proposals(name) for name in NAMES}, indent=1) + "\n")
