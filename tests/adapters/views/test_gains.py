"""What a run gained over constant configs and over its first generation."""

import math
from typing import Any, Literal

import pytest

from gpbt_adapters.views import brief, gain_over_constant, gain_over_first
from gpbt_core import Float, Optimizer, Space, Status
from gpbt_core.space.parameters import alike


def _run(direction: Literal["minimize", "maximize"] = "minimize", **settings: Any) -> Optimizer:
    """A run whose losses are the sum of the rate and of what the line's depth gains."""
    given = {"population": 9, "steps": 10, "searcher": "random", "trial_stopping": None, **settings}
    optimizer = Optimizer(Space(rate=Float(0, 1)), direction=direction, **given)
    sign = 1 if direction == "minimize" else -1
    while not optimizer.finished:
        for trial in optimizer.ask():
            optimizer.tell(trial, sign * (trial.config["rate"] - 0.3 * trial.depth))
    return optimizer


def _end(record: Any) -> int:
    return int(record.trial.start_step + record.steps)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("seed", range(4))
def test_the_estimate_is_taken_from_the_lines_that_kept_their_config_as_long_as_the_best_did(
    direction: Literal["minimize", "maximize"], seed: int
) -> None:
    optimizer = _run(direction, preset="steady", seed=seed)
    best = optimizer.records[optimizer.best.trial.id]
    gain = gain_over_constant(optimizer)
    assert gain is not None
    kept = [
        record
        for record in optimizer.records
        if record.status is Status.COMPLETED
        and all(alike(one.trial.config, record.trial.config) for one in optimizer.lineage(record.trial.id))
    ]
    if best in kept:
        assert (gain.gain, gain.kind) == (0, "itself")
        return
    assert gain.kind == "estimate"
    reached = max(_end(record) for record in kept if _end(record) <= _end(best))
    assert gain.step == reached
    (ancestor,) = (one for one in optimizer.lineage(best.trial.id) if _end(one) == reached)
    losses = [record.loss for record in kept if _end(record) == reached and record.loss is not None]
    assert ancestor.loss is not None
    assert gain.gain == pytest.approx(min(losses) - ancestor.loss)
    assert "an estimate" in gain.text


def test_without_a_line_that_kept_its_config_the_gain_is_unknown() -> None:
    optimizer = Optimizer(Space(rate=Float(0, 1)), population=6, steps=6, preset="pbt", seed=1)
    while not optimizer.finished:
        for trial in optimizer.ask():
            if trial.depth and trial.config["rate"] == optimizer.records[trial.parent or 0].trial.config["rate"]:
                optimizer.fail(trial, "a repeat")
            else:
                optimizer.tell(trial, trial.config["rate"] - trial.depth)
    gain = gain_over_constant(optimizer)
    assert gain is not None
    assert math.isnan(gain.gain)
    assert "controls=3" in gain.text


def test_control_lines_measure_it() -> None:
    optimizer = _run(controls=2, seed=1)
    gain = gain_over_constant(optimizer)
    assert gain is not None
    assert gain.kind == "control"
    ends = [record for record in optimizer.records if _end(record) == 10 and record.trial.config["rate"] in {
        one.trial.config["rate"] for one in optimizer.records[:2]
    }]  # fmt: skip
    losses = [record.loss for record in ends if record.loss is not None]
    assert gain.gain == pytest.approx(min(losses) - optimizer.best.score)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_gain_over_the_first_generation_is_the_difference_of_the_best_scores(
    direction: Literal["minimize", "maximize"],
) -> None:
    optimizer = _run(direction, seed=2)
    losses = [record.loss for record in optimizer.records if record.trial.generation == 0 and record.loss is not None]
    gain = gain_over_first(optimizer)
    assert gain is not None
    sign = 1 if direction == "minimize" else -1
    assert gain.score == pytest.approx(sign * min(losses))
    assert gain.gain == pytest.approx(min(losses) - sign * optimizer.best.score)


def test_a_run_without_a_completed_trial_gained_nothing_that_is_known() -> None:
    optimizer = Optimizer(Space(rate=Float(0, 1)), population=4, steps=4)
    assert gain_over_constant(optimizer) is gain_over_first(optimizer) is None


@pytest.mark.parametrize("controls", [0, 2])
def test_there_is_no_gain_while_the_first_generation_trains(controls: int) -> None:
    optimizer = Optimizer(Space(rate=Float(0, 1)), population=8, steps=6, controls=controls)
    for trial in optimizer.ask(count=4):
        optimizer.tell(trial, trial.config["rate"])
    assert gain_over_constant(optimizer) is gain_over_first(optimizer) is None
    assert "gain" not in dict(brief(optimizer))
