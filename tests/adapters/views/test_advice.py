"""What to do next, in runs whose answer is known."""

import itertools
import math
import statistics
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gpbt_adapters.views import Importance, Replays, advice
from gpbt_adapters.views.advice import _expected_best
from gpbt_core import Categorical, Float, Optimizer, Space, Trial

SPACE = Space(rate=Float(0, 1))


def _run(loss: Callable[[Trial], float], space: Space = SPACE, **settings: Any) -> Optimizer:
    chosen = {"population": 16, "steps": 20, "preset": "steady", "searcher": "random", "seed": 1, **settings}
    optimizer = Optimizer(space, **chosen)
    while not optimizer.finished:
        for trial in optimizer.ask():
            optimizer.tell(trial, loss(trial))
    return optimizer


def _texts(optimizer: Optimizer, **more: Any) -> str:
    return "\n".join(one.text for one in advice(optimizer, **more))


def test_a_run_that_still_improves_is_to_be_extended() -> None:
    optimizer = _run(lambda trial: -float(trial.start_step + trial.steps) + trial.config["rate"])
    found = _texts(optimizer)
    assert "extend the run" in found
    assert "Stop here" not in found
    steps = optimizer.budget
    optimizer.extend(2)
    assert optimizer.generations < 12, "the advice is by 2 generations"
    assert f"by 2 generations (about {optimizer.budget - steps:,} steps)" in found


def test_a_run_that_no_longer_improves_is_to_be_stopped() -> None:
    optimizer = _run(lambda trial: float(trial.depth > 1))
    found = _texts(optimizer)
    assert "Stop here: the best score did not improve" in found
    assert "extend" not in found


def test_revisions_do_not_count_as_training_on_which_nothing_was_gained() -> None:
    # The score improves with each step, so the revisions, which train no further, cannot improve on the last parents.
    optimizer = _run(lambda trial: -float(trial.start_step + trial.steps), preset="gpbt", population=20, steps=10)
    recent = max(2, optimizer.settings.line // 4)
    assert optimizer.generations > optimizer.settings.line + recent
    found = _texts(optimizer)
    assert "Stop here" not in found
    assert f"in the last {recent} of {optimizer.settings.line} generations, not counting revisions" in found


def test_an_improvement_that_repeats_could_give_is_no_reason_to_extend() -> None:
    # Of each kind there are many repeats, which differ by more than the generations improve.
    rng = np.random.default_rng(0)
    optimizer = _run(lambda trial: rng.normal() - 0.01 * trial.depth, Space(kind=Categorical(["a", "b"])))
    found = _texts(optimizer)
    assert "extend" not in found
    assert "Score the finalists again" in found


def test_a_population_whose_trials_are_all_alike_can_be_smaller() -> None:
    alike = _texts(_run(lambda trial: -float(trial.depth)))
    assert "A smaller population, such as 8 instead of 16" in alike
    assert "larger" not in alike


def test_a_population_in_which_one_trial_does_it_all_can_be_larger() -> None:
    optimizer = _run(lambda trial: -0.01 * trial.depth - float(trial.id % 16 == 3))
    replays = Replays(schedule=optimizer.best.schedule, seeds=(1, 2), scores=((-1.0,), (-1.1,)))
    found = _texts(optimizer, replays=replays)
    assert "A larger population, such as 32 instead of 16" in found
    assert "smaller" not in found
    assert "population" not in _texts(optimizer), "without repeats and replays, the best of each generation may be luck"


def test_a_bound_is_to_be_moved_and_an_idle_parameter_fixed() -> None:
    space = Space(rate=Float(1, 2), idle=Float(-1, 1))
    optimizer = _run(lambda trial: float(trial.config["rate"] != 1), space, known_configs=[{"rate": 1.0, "idle": 0.5}])
    assert "let rate go beyond 1 if smaller values make sense" in _texts(optimizer)
    shares = {"rate": 1.0, "idle": 0.0}
    floor = {"rate": 0.4, "idle": 0.4}
    told = Importance(shares=shares, low=shares, high=shares, floor=floor, named=("rate",), first=0, trials=9)
    assert "you can fix idle" in _texts(optimizer, importance={0: told})
    unclear = attrs.evolve(told, shares={"rate": 0.7, "idle": 0.3})  # more trials might show an effect
    assert "you can fix" not in _texts(optimizer, importance={0: unclear})
    assert "you can fix" not in _texts(optimizer)


def test_a_replay_is_advised_until_it_is_made() -> None:
    optimizer = _run(lambda trial: trial.config["rate"])
    assert "result.replay(seeds=5)" in _texts(optimizer)
    replays = Replays(schedule=optimizer.best.schedule, seeds=(1, 2), scores=((0.5,), (0.5,)))
    assert "replay" not in _texts(optimizer, replays=replays)


def test_there_is_no_advice_without_a_result_and_little_on_the_way() -> None:
    optimizer = Optimizer(SPACE, population=4, steps=8, preset="random")
    assert advice(optimizer) == ()
    (trial,) = optimizer.ask()
    optimizer.tell(trial, 1.0)
    assert "Let the run finish: 0 of 1 generation complete so far." in _texts(optimizer)
    assert "replay" not in _texts(optimizer)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=8), st.data())
def test_the_expected_best_of_some_is_the_mean_over_all_choices(losses: list[float], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(losses)))
    mean = statistics.fmean(min(chosen) for chosen in itertools.combinations(losses, count))
    found = _expected_best(np.sort(losses), count)
    assert math.isclose(found, mean, rel_tol=1e-9, abs_tol=1e-9)
