"""What a run finds: its scores, its best trial and schedule, and the checkpoints that it no longer needs."""

import math
from typing import Any

import numpy as np
import pytest

from gpbt_core import (
    Categorical,
    ConfigError,
    ExtinctError,
    Genealogical,
    NoResultError,
    Optimizer,
    ProtocolError,
    Space,
    Status,
)
from runs import World, run_sequentially
from small_optimizers import make


def test_scores_are_in_the_direction_of_the_run_and_losses_always_lower_is_better() -> None:
    up, down = make(direction="maximize"), make(direction="minimize")
    for optimizer, sign in ((up, 1.0), (down, -1.0)):
        while not optimizer.finished:
            for trial in optimizer.ask(2):
                optimizer.tell(trial.id, sign * trial.config["x"])
    assert [r.trial for r in up.records] == [r.trial for r in down.records]
    assert [r.loss for r in up.records] == [r.loss for r in down.records]
    assert up.best.score == -down.best.score == max(r.trial.config["x"] for r in up.records)


def test_the_best_of_equal_ones_is_the_earliest_and_has_its_schedule() -> None:
    optimizer = make()
    with pytest.raises(ProtocolError, match="best: no trial is completed yet"):
        _ = optimizer.best
    while not optimizer.finished:
        for trial in optimizer.ask(4)[::-1]:
            optimizer.tell(trial.id, 1.0 if trial.generation == 0 else 0.5)
    best = optimizer.best
    assert (best.trial.id, best.score) == (6, 0.5)
    assert best.trial.parent is not None
    assert best.schedule.steps == 4
    assert best.schedule.at(0) == optimizer.records[best.trial.parent].trial.config
    assert best.schedule.at(3) == best.trial.config


def test_a_run_without_a_parent_is_extinct_and_says_so_when_its_best_is_asked() -> None:
    optimizer = make(population=3)
    for trial in optimizer.ask(3):
        optimizer.fail(trial.id, f"reason {trial.id % 2}")
    assert optimizer.finished
    assert optimizer.extinct
    assert optimizer.ask(4) == ()
    with pytest.raises(
        ExtinctError, match=r"no trial of this run was completed; .* reason 0 \(2 trials\); reason 1 \(1 trial\)$"
    ):
        _ = optimizer.best
    with pytest.raises(ProtocolError, match="extend: the run is extinct"):
        optimizer.extend(1)
    assert set(optimizer.released()) == {0, 1, 2}


def test_the_parents_stay_where_no_child_is_completed() -> None:
    optimizer = make(steps=6)
    for generation in range(3):
        for _ in range(6):
            (trial,) = optimizer.ask()
            assert trial.generation == generation
            if generation == 1:
                optimizer.fail(trial.id, "bad luck")
            else:
                optimizer.tell(trial.id, trial.config["x"])
    first, third = optimizer.state.closed[1].plan, optimizer.state.closed[2].plan
    assert third.parents == first.parents[: len(third.parents)]
    assert not any(slot.repeat for slot in third.slots)  # they have repeated already
    assert {optimizer.records[i].trial.depth for i in range(12, 18)} == {1}


def test_an_extinct_best_names_three_reasons_and_counts_the_others() -> None:
    optimizer = make(population=9, max_concurrent=9)
    for trial in optimizer.ask(9):
        error = MemoryError("no room") if trial.id < 4 else ValueError(f"bad {min(trial.id, 7)}")
        optimizer.fail(trial, error)
    message = (
        r"because: MemoryError: no room \(4 trials\); ValueError: bad 7 \(2 trials\); ValueError: bad 4 \(1 trial\); "
        r"and 2 other reasons$"
    )
    with pytest.raises(ExtinctError, match=message):
        _ = optimizer.best


def test_whether_there_is_a_best_can_be_asked() -> None:
    optimizer = make(population=1, steps=1)
    assert not hasattr(optimizer, "best")
    assert not hasattr(optimizer, "finalists")
    with pytest.raises(NoResultError, match="best: no trial is completed yet"):
        _ = optimizer.best
    (trial,) = optimizer.ask()
    optimizer.tell(trial, 0.5)
    assert hasattr(optimizer, "best")
    assert hasattr(optimizer, "finalists")


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_results_are_in_the_scores_that_were_told(direction: str) -> None:
    optimizer = make(direction=direction)
    told, stopped, failed, _ = optimizer.ask(4)
    optimizer.report(told, 1, 0.7)
    optimizer.report(told, 2, math.nan)
    optimizer.tell(told, 0.9)
    optimizer.report(stopped, 1, 0.25)
    optimizer.fail(failed, "why")
    first, second, third, fourth = optimizer.results
    worst = math.inf if direction == "minimize" else -math.inf
    assert (first.trial, first.score, first.reports) == (told, 0.9, ((1, 0.7), (2, worst)))
    assert (second.status, second.score, second.reports) == (Status.RUNNING, None, ((1, 0.25),))
    assert (third.status, third.score, third.reason) == (Status.FAILED, None, "why")
    assert optimizer.results[-1] == fourth
    assert optimizer.results[1:3] == (second, third)
    assert len(optimizer.results) == 4
    assert optimizer.best.score == 0.9


@pytest.mark.parametrize("trial_id", [-1, 4, True, "0", None, 0.5])
def test_an_unknown_trial_has_no_schedule_and_no_lineage(trial_id: Any) -> None:
    optimizer = make()
    optimizer.ask(4)
    for question in (optimizer.schedule, optimizer.lineage):
        with pytest.raises(ProtocolError, match="is unknown; 4 trials were asked so far"):
            question(trial_id)


def test_a_run_can_be_extended_after_its_end_and_during_it() -> None:
    optimizer = make()
    assert (optimizer.generations, optimizer.budget) == (2, 24)
    run_sequentially(optimizer, World(trouble=0))
    assert optimizer.finished
    assert optimizer.ask() == ()
    optimizer.extend(2)
    assert (optimizer.generations, optimizer.budget, optimizer.generation) == (4, 48, 2)
    assert not optimizer.finished
    run_sequentially(optimizer, World(trouble=0), until=20)
    optimizer.extend(1)
    run_sequentially(optimizer, World(trouble=0))
    assert len(optimizer.records) == 30
    assert {r.trial.steps for r in optimizer.records} == {2}
    assert optimizer.tally.trained == optimizer.budget == 60


@pytest.mark.parametrize("generations", [0, -1, True, 1.5, "1"])
def test_an_extension_is_by_at_least_one_generation(generations: Any) -> None:
    optimizer = make()
    state = optimizer.state
    with pytest.raises(ConfigError, match="extend: generations: must be a whole number of at least 1, got"):
        optimizer.extend(generations)
    assert optimizer.state is state


def test_each_checkpoint_is_released_once_and_none_too_early() -> None:
    optimizer = make(population=8, steps=12)
    live: set[int] = set()
    while not optimizer.finished:
        for trial in optimizer.ask(3):
            assert trial.parent is None or trial.parent in live
            optimizer.tell(trial.id, trial.config["x"])
            live.add(trial.id)
        released = set(optimizer.released())
        assert released <= live
        live -= released
        assert optimizer.released() == ()
    assert optimizer.best.trial.id in live


def test_a_resumed_optimizer_releases_all_of_them_again() -> None:
    optimizer = make(population=8, steps=12, searcher="random")
    run_sequentially(optimizer, World(trouble=0))
    resumed = [
        Optimizer.from_dict(optimizer.to_dict()),
        Optimizer.from_state(optimizer.state),
    ]
    released = optimizer.released()
    assert released
    assert [other.released() for other in resumed] == [released, released]
    assert [other.released() for other in resumed] == [(), ()]


@pytest.mark.parametrize("seed", range(3))
def test_a_checkpoint_is_released_once_though_better_clones_of_its_trial_come_later(seed: int) -> None:
    rule = Genealogical(segments=1, parents=(0.25,), spread=0.0, per_parent=2)
    exhausted = Space(kind=Categorical(["a", "b"]))
    optimizer = Optimizer(exhausted, population=12, steps=5, preset="random", reproduction=rule, max_concurrent=12)
    rng = np.random.default_rng(seed)
    released: list[int] = []
    while not optimizer.finished:
        for trial in optimizer.ask(12):
            optimizer.tell(trial, rng.random())
            released += optimizer.released()
    assert len(released) == len(set(released))


@pytest.mark.parametrize("survivors", [False, True])
def test_a_child_that_can_no_longer_be_a_parent_is_released_at_once(survivors: bool) -> None:
    rule = Genealogical(segments=1, parents=(0.5,), survivors=survivors, spread=0.0, per_parent=None)
    optimizer = make(population=2, steps=3, reproduction=rule, max_concurrent=1)
    for score in (0.1, 0.5):
        (trial,) = optimizer.ask()
        optimizer.tell(trial.id, score)
    assert optimizer.released() == (1,)  # one parent is to be, and 0 is better
    (trial,) = optimizer.ask()
    optimizer.tell(trial.id, 0.2)
    assert optimizer.released() == ((trial.id,) if survivors else ())  # 0 competes with its children, or does not
