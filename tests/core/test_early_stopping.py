"""Which trials and which generations end early, from what the asking slot may see, and what that saved."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_core import ConfigError, Float, Genealogical, Improvement, Optimizer, Quantile, Search, Space, Status, Verdict
from runs import Curious, World, run_sequentially

LINE = Space(x=Float(0, 1))


def make(**changes: Any) -> Optimizer:
    """5 models in generations of 4 steps, which stop by the median, one slot after the other."""
    setup: dict[str, Any] = {"population": 5, "steps": 8, "max_concurrent": 1, "searcher": Search(Curious())}
    setup |= {"reproduction": Genealogical(segments=4, spread=0.0), "trial_stopping": Quantile()}
    return Optimizer(LINE, **(setup | changes))


def train(optimizer: Optimizer, *scores: float) -> Verdict:
    """Trains the next trial; the answer to its last report."""
    (trial,) = optimizer.ask()
    verdict = Verdict.CONTINUE
    for step, score in enumerate(scores, start=1):
        assert verdict is Verdict.CONTINUE
        verdict = optimizer.report(trial.id, step, score)
    optimizer.tell(trial.id, scores[-1])
    return verdict


# -------------------------------------------------------------------------------------------------------------- rules


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=20), st.floats(0.01, 1))
def test_the_limit_is_the_quantile_of_the_losses(losses: list[float], quantile: float) -> None:
    ranking = sorted((loss, i) for i, loss in enumerate(losses))
    limit = Quantile(quantile=quantile).limit(ranking)
    assert limit == pytest.approx(np.quantile(losses, quantile), rel=1e-12, abs=1e-9)


def test_the_median_of_an_even_number_lies_between_two_losses() -> None:
    assert Quantile().limit([(1.0, 0), (2.0, 1), (4.0, 2), (9.0, 3)]) == 3.0
    assert Quantile().limit([(1.0, 0), (2.0, 1), (math.inf, 2), (math.inf, 3)]) == math.inf
    assert Quantile().limit([(1.0, 0), (math.inf, 1), (math.inf, 2)]) == math.inf


def test_nothing_stops_below_the_least_number_of_reports() -> None:
    ranking = [(float(i), i) for i in range(4)]
    assert Quantile(min_trials=5).limit(ranking) == math.inf
    assert Quantile(min_trials=4).limit(ranking) == 1.5
    assert Quantile(min_trials=1).limit(ranking[:1]) == 0.0


def test_a_generation_has_found_enough_once_it_gained_as_much_as_the_one_before() -> None:
    rule = Improvement()
    assert not rule.enough(0.0, [])
    assert not rule.enough(0.0, [0.9])
    assert rule.enough(0.0, [1.0, 0.5])
    assert not rule.enough(0.01, [1.0, 0.5])
    assert Improvement(factor=0.4).enough(0.26, [1.0, 0.5])
    assert rule.enough(0.0, [7.0, 1.0, 0.5])  # the last two alone count


def test_a_generation_that_gained_nothing_has_never_found_enough() -> None:
    for before in ([0.5, 0.5], [0.5, 0.6]):
        assert not Improvement(factor=0).enough(before[-1], before)
        assert Improvement().enough(before[-1] - 0.01, before)


@pytest.mark.parametrize(("best", "before"), [(math.inf, [1.0, 0.5]), (0.1, [math.inf, 0.5]), (0.1, [1.0, math.inf])])
def test_a_generation_without_a_completed_trial_is_no_measure(best: float, before: list[float]) -> None:
    assert not Improvement().enough(best, before)


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        (Quantile, {"quantile": 0}, "median: quantile must be above 0 and at most 1, got 0"),
        (Quantile, {"quantile": 1.1}, r"median: quantile must be .* got 1\.1"),
        (Quantile, {"quantile": math.nan}, r"median: quantile must be .* got nan"),
        (Quantile, {"min_trials": 0}, "median: min_trials must be a number of at least 1, got 0"),
        (Improvement, {"factor": -0.1}, r"improvement: factor must be a finite number of at least 0, got -0\.1"),
        (Improvement, {"factor": math.inf}, r"improvement: factor must be a finite number of at least 0, got inf"),
        (Improvement, {"factor": math.nan}, r"improvement: factor must be a finite number of at least 0, got nan"),
    ],
)
def test_options_out_of_range_are_refused(rule: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rule(**options)


# ------------------------------------------------------------------------------------------------------ trials in a run


def test_a_trial_worse_than_the_median_of_its_step_stops_there() -> None:
    optimizer = make()
    for score in (0.1, 0.2, 0.3):
        assert train(optimizer, score, score, score, score) is Verdict.CONTINUE
    (trial,) = optimizer.ask()
    assert optimizer.report(trial.id, 1, 0.2) is Verdict.CONTINUE  # as good as the median
    assert optimizer.report(trial.id, 2, 0.21) is Verdict.STOP
    optimizer.tell(trial.id)
    record = optimizer.records[trial.id]
    assert (record.status, record.loss, record.steps) == (Status.STOPPED, 0.21, 2)


def test_a_trial_s_last_step_stops_nothing() -> None:
    optimizer = make()
    for score in (0.1, 0.2, 0.3):
        train(optimizer, score, score, score, score)
    assert train(optimizer, 0.1, 0.1, 0.1, 9.0) is Verdict.CONTINUE
    assert optimizer.records[3].status is Status.COMPLETED


def test_a_step_that_was_left_out_stops_nothing_and_counts_for_nothing() -> None:
    optimizer = make()
    for _ in range(3):
        (trial,) = optimizer.ask()
        optimizer.report(trial.id, 2, 0.1)
        optimizer.tell(trial.id, 0.1)
    (trial,) = optimizer.ask()
    assert optimizer.report(trial.id, 1, 9.0) is Verdict.CONTINUE
    assert optimizer.report(trial.id, 3, 9.0) is Verdict.CONTINUE
    optimizer.tell(trial.id, 9.0)
    assert train(optimizer, 0.1, 0.2) is Verdict.STOP


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_not_finite_is_worse_than_every_median(score: float) -> None:
    optimizer = make()
    for good in (0.1, 0.2, 0.3):
        train(optimizer, good, good, good, good)
    assert train(optimizer, score) is Verdict.STOP
    assert optimizer.records[3].status is Status.FAILED  # its last score is none


def test_a_median_is_of_the_scores_direction() -> None:
    optimizer = make(direction="maximize")
    for score in (0.1, 0.2, 0.3):
        train(optimizer, score, score, score, score)
    assert train(optimizer, 0.19) is Verdict.STOP
    assert optimizer.records[3].loss == -0.19


def test_only_visible_trials_count_even_if_more_have_arrived() -> None:
    optimizer = make(max_concurrent=3)  # slot 4 sees slots 0 and 1, slot 5 sees slot 2 as well
    for score in (0.1, 0.2, 0.3):
        train(optimizer, score, score, score, score)
    assert train(optimizer, 9.0, 9.0, 9.0, 9.0) is Verdict.CONTINUE  # slot 3 sees slot 0
    assert train(optimizer, 9.0, 9.0, 9.0, 9.0) is Verdict.CONTINUE
    other = make(max_concurrent=3, population=6)
    for score in (0.1, 0.2, 0.3):
        train(other, score, score, score, score)
    trials = other.ask(3)
    verdicts = [other.report(trial.id, 1, 0.25) for trial in trials]
    assert [trial.id for trial in trials] == [3, 4, 5]
    assert verdicts == [Verdict.CONTINUE, Verdict.CONTINUE, Verdict.STOP]


def test_the_median_of_another_generation_does_not_count() -> None:
    optimizer = make()
    for score in (0.1, 0.2, 0.3, 0.15, 0.1):
        train(optimizer, score, score, score, score)
    assert optimizer.generation == 1
    for _ in range(3):
        assert train(optimizer, 9.0, 9.0, 9.0, 9.0) is Verdict.CONTINUE
    assert train(optimizer, 9.1) is Verdict.STOP


def test_a_stopped_trial_reported_counts_in_medians_and_is_no_parent() -> None:
    optimizer = make(reproduction=Genealogical(segments=4, spread=0.0, refill=False))
    for score in (0.1, 0.2, 0.3):
        train(optimizer, score, score, score, score)
    assert train(optimizer, 0.25) is Verdict.STOP
    assert train(optimizer, 0.22) is Verdict.CONTINUE  # the median of .1 .2 .25 .3 is .225
    optimizer = make(reproduction=Genealogical(segments=4, spread=0.0, refill=False, parents=(1.0,)))
    for score in (0.1, 0.2, 0.3):
        train(optimizer, score, score, score, score)
    for _ in range(2):
        assert train(optimizer, 0.29) is Verdict.STOP
    assert set(optimizer.state.open.plan.parents) == {0, 1, 2}


# ------------------------------------------------------------------------------------------------------------- refills


def test_what_stopped_trials_leave_over_opens_further_slots_and_is_counted() -> None:
    optimizer = make()
    for score in (0.1, 0.2, 0.3):
        train(optimizer, score, score, score, score)
    for _ in range(2):
        assert train(optimizer, 9.0) is Verdict.STOP  # 1 of 4 steps each
    assert optimizer.tally.saved == 6
    assert optimizer.generation == 0
    (trial,) = optimizer.ask()  # 14 of 20 steps are used
    assert (trial.id, trial.generation) == (5, 0)
    optimizer.tell(trial.id, 0.5)
    (trial,) = optimizer.ask()  # 2 steps are left: half a segment
    assert (trial.id, trial.generation) == (6, 0)
    optimizer.tell(trial.id, 0.5)
    assert optimizer.generation == 1
    tally = optimizer.tally
    assert (tally.trained, tally.saved, tally.refilled) == (3 * 4 + 2 + 8, 6, 8)


def test_a_refilled_slot_goes_to_the_parents_in_turn_and_searches() -> None:
    optimizer = make(reproduction=Genealogical(segments=4, spread=0.0, parents=(0.4,)))
    for score in (0.1, 0.2, 0.3, 0.15, 0.1):
        train(optimizer, score, score, score, score)
    assert optimizer.state.open.plan.parents == (0, 4)
    for score in (0.1, 0.2, 0.3):
        train(optimizer, score, score, score, score)
    for _ in range(2):
        assert train(optimizer, 9.0) is Verdict.STOP
    trials = [r.trial for r in list(optimizer.records)[5:]]
    assert [t.parent for t in trials] == [0, 4, 0, 4, 0]
    (trial,) = optimizer.ask()
    assert (trial.generation, trial.parent, trial.steps) == (1, 4, 4)
    assert trial.config != optimizer.records[4].trial.config


def test_pending_slots_count_at_full_length_until_the_view_must_move() -> None:
    optimizer = make(max_concurrent=5)
    trials = optimizer.ask(9)
    assert len(trials) == 5
    assert optimizer.ask() == ()  # all five might need their steps
    optimizer.fail(trials[4].id, "bad luck")
    optimizer.report(trials[0].id, 1, 0.5)
    optimizer.fail(trials[0].id, "bad luck")
    assert len(optimizer.ask(9)) == 1  # slot 0 left 3 of 20 steps; slots 1 to 4 count in full, though one has ended


def test_steps_left_over_are_not_spent_on_a_training_that_fails_every_time() -> None:
    optimizer = make(steps=400, reproduction=Genealogical(segments=200, spread=0.0))
    while not optimizer.finished:
        (trial,) = optimizer.ask()
        optimizer.report(trial.id, 1, math.nan)
        optimizer.tell(trial.id)
    assert optimizer.extinct
    assert len(optimizer.records) <= 5 + 1


def test_without_stops_a_generation_has_as_many_slots_as_models() -> None:
    optimizer = make()
    run_sequentially(optimizer, World(trouble=0, reports=0))
    assert len(optimizer.records) == 10
    assert (optimizer.tally.saved, optimizer.tally.refilled) == (0, 0)
    assert optimizer.tally.trained == optimizer.budget == 40


# --------------------------------------------------------------------------------------------------------- generations


def test_a_generation_that_has_found_enough_cancels_the_slots_not_yet_asked() -> None:
    rule = Genealogical(segments=2, spread=0.0, refill=False)
    optimizer = make(reproduction=rule, trial_stopping=None, generation_stopping=Improvement(), steps=8)
    for score in (1.0, 1.1, 1.2, 1.3, 1.4):
        train(optimizer, score, score)
    for score in (0.8, 0.9, 0.9, 0.9, 0.9):
        train(optimizer, score, score)  # gains .2
    assert optimizer.generation == 2
    train(optimizer, 0.7, 0.7)
    assert optimizer.generation == 2
    train(optimizer, 0.55, 0.55)  # gains .25
    assert optimizer.generation == 3
    assert len(optimizer.records) == 12
    assert (optimizer.tally.trained, optimizer.tally.saved) == (24, 6)
    assert optimizer.state.closed[2].best == 0.55


def test_what_is_in_training_when_a_generation_has_found_enough_still_counts() -> None:
    rule = Genealogical(segments=2, spread=0.0, refill=False)
    optimizer = make(reproduction=rule, trial_stopping=None, generation_stopping=Improvement(), max_concurrent=2)
    for score in (1.0, 1.1, 1.2, 1.3, 1.4, 0.8, 0.9, 0.9, 0.9, 0.9):
        train(optimizer, score, score)
    first, second = optimizer.ask(2)
    optimizer.tell(first.id, 0.5)
    assert optimizer.ask() == ()
    assert optimizer.generation == 2  # waits for the second one
    optimizer.tell(second.id, 0.1)
    assert optimizer.generation == 3
    assert optimizer.state.open.plan.parents[0] == second.id
