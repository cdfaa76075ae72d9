"""Finalists, scored again."""

import math
from typing import Any, Literal

import pytest

from gpbt_adapters.running.finalists import reevaluate
from gpbt_core import Float, Optimizer, Space, Trial
from gpbt_core.errors import ConfigError, ProtocolError


def finished(direction: Literal["minimize", "maximize"] = "minimize", *, fail: bool = False) -> Optimizer:
    optimizer = Optimizer(Space(x=Float(0, 1)), population=10, steps=4, direction=direction, searcher="random", seed=4)
    while not optimizer.finished:
        for trial in optimizer.ask():
            optimizer.tell(trial.id, math.nan if fail else trial.config["x"])
    return optimizer


def test_a_finalist_is_scored_by_trials_of_no_steps_from_its_own_weights() -> None:
    optimizer, asked = finished(), list[Trial]()

    def score(trial: Trial) -> float:
        asked.append(trial)
        return 1.0

    reevaluate(optimizer, score, times=3, count=1)
    first = optimizer.finalists[0].trial
    assert [(t.parent, t.steps, t.config, t.start_step) for t in asked] == [
        (first.id, 0, first.config, first.start_step + first.steps)
    ] * 3
    assert [t.id for t in asked] == [len(optimizer.records) + k for k in range(3)]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_best_mean_comes_first_whatever_was_told(direction: Literal["minimize", "maximize"]) -> None:
    optimizer = finished(direction)
    before = optimizer.state
    order = [finalist.trial.id for finalist in optimizer.finalists]
    noise = iter([0.5, -0.5] * len(order))
    value = {trial_id: float(place) for place, trial_id in enumerate(order)}
    found = reevaluate(optimizer, lambda trial: value[trial.parent or 0] + next(noise), times=2)
    assert len(found) == len(order) > 1
    assert [one.finalist.trial.id for one in found] == (order if direction == "minimize" else order[::-1])
    assert found[0].score == (0.0 if direction == "minimize" else len(order) - 1)
    assert set(found[0].scores) == {found[0].score - 0.5, found[0].score + 0.5}
    assert optimizer.state is before


def test_a_score_that_is_not_finite_puts_a_finalist_last() -> None:
    optimizer = finished()
    first = optimizer.finalists[0].trial.id
    found = reevaluate(optimizer, lambda trial: math.nan if trial.parent == first else 9.0, times=1)
    assert found[-1].finalist.trial.id == first


@pytest.mark.parametrize("options", [{"times": 0}, {"times": True}, {"count": 0}, {"count": 1.5}])
def test_numbers_below_1_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"(times|count) must be"):
        reevaluate(finished(), lambda _: 0.0, **options)


def test_a_run_must_be_finished_and_an_extinct_one_has_no_finalists() -> None:
    with pytest.raises(ProtocolError, match="not finished"):
        reevaluate(Optimizer(Space(x=Float(0, 1)), population=2, steps=1), lambda _: 0.0)
    assert reevaluate(finished(fail=True), lambda _: 0.0) == ()
