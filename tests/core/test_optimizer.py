"""The loop as a caller sees it: what is asked, told and answered, and what each mistake says."""

import json
import math
import tracemalloc
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from gpbt_core import (
    ConfigError,
    Genealogical,
    Optimizer,
    ProtocolError,
    Quantile,
    Search,
    Status,
    Verdict,
    codec,
)
from gpbt_core.state import ENDED, LIFE
from gpbt_core.state.life import Move
from small_optimizers import LINE, Uniform, make, stopping


@pytest.mark.parametrize("count", [0, -1, True, 1.0, "2", None])
def test_a_count_is_a_whole_number_of_at_least_1(count: Any) -> None:
    optimizer = make()
    with pytest.raises(ConfigError, match="ask: count: must be a whole number of at least 1, got"):
        optimizer.ask(count)
    assert not optimizer.records


def test_ids_and_whole_numbers_may_be_numpys() -> None:
    whole: Any = np.int64
    optimizer = make(population=whole(6), steps=whole(4), seed=whole(1), max_concurrent=whole(4))
    optimizer.report(whole(optimizer.ask(whole(2))[0].id), whole(1), 0.5)
    optimizer.tell(whole(0), steps=whole(1))
    optimizer.requeue(whole(1))
    optimizer.fail(whole(1), "bad luck")
    optimizer.extend(whole(1))
    assert json.loads(json.dumps(codec.encode_state(optimizer.state))) == codec.encode_state(optimizer.state)


@pytest.mark.parametrize("score", ["1", b"1", None, True, np.True_, [1.0], np.array([1.0]), 1j, object(), 10**400])
@pytest.mark.parametrize("call", ["tell", "report"])
def test_a_score_that_is_no_number_changes_nothing(call: str, score: Any) -> None:
    optimizer = make()
    (trial,) = optimizer.ask()
    if call == "tell" and score is None:
        return  # the last reported one
    state = optimizer.state
    with pytest.raises(ConfigError, match=f"{call}: the score of trial 0 must be a number, got "):
        optimizer.tell(trial.id, score) if call == "tell" else optimizer.report(trial.id, 1, score)
    assert optimizer.state is state


@pytest.mark.parametrize(
    "score", [2, 2.0, np.float32(2), np.float64(2), np.int64(2), np.array(2.0), Fraction(2), Decimal(2)]
)
def test_a_score_may_be_of_any_type_that_is_a_number(score: Any) -> None:
    optimizer = make()
    (trial,) = optimizer.ask()
    optimizer.report(trial.id, 1, score)
    optimizer.tell(trial.id, score)
    record = optimizer.records[0]
    assert (record.loss, type(record.loss)) == (2.0, float)
    assert [(type(step), type(loss)) for step, loss in record.reports] == [(int, float)]


def test_a_step_may_be_of_numpy_s_type_but_not_a_fraction() -> None:
    optimizer = make()
    (trial,) = optimizer.ask()
    optimizer.report(trial.id, np.int64(1), 0.5)  # type: ignore[arg-type]  # converted
    assert type(optimizer.records[0].reports[0][0]) is int
    for step in (1.5, "2", True, None):
        with pytest.raises(ConfigError, match="report: step: must be a whole number, got"):
            optimizer.report(trial.id, step, 0.5)  # type: ignore[arg-type]  # the mistake under test


@pytest.mark.parametrize("trial_id", [-1, 1, 99, True, 0.0, "0", None])
def test_an_unknown_trial_is_named_by_every_call(trial_id: Any) -> None:
    optimizer = make()
    optimizer.ask()
    state = optimizer.state
    calls: dict[str, Callable[[], object]] = {
        "tell": lambda: optimizer.tell(trial_id, 0.5),
        "report": lambda: optimizer.report(trial_id, 1, 0.5),
        "cancel": lambda: optimizer.cancel(trial_id),
        "requeue": lambda: optimizer.requeue(trial_id),
    }
    for name, call in calls.items():
        with pytest.raises(ProtocolError, match=rf"{name}: trial .* is unknown; 1 trials were asked so far"):
            call()
    with pytest.raises(ProtocolError, match="is unknown"):
        optimizer.tell(trial_id)
    with pytest.raises(ProtocolError, match="is unknown"):
        optimizer.fail(trial_id, "why")
    assert optimizer.state is state


ENDS: dict[str, Callable[[Optimizer, int], None]] = {
    "was told already: it is completed": lambda o, i: o.tell(i, 0.5),
    "was told already: it is failed": lambda o, i: o.fail(i, "why"),
    r"was cancelled \(a mistake\)": lambda o, i: o.cancel(i, "a mistake"),
}


@pytest.mark.parametrize("message", ENDS)
def test_a_trial_that_has_ended_says_no_more(message: str) -> None:
    optimizer = make()
    (trial,) = optimizer.ask()
    optimizer.report(trial.id, 1, 0.7)
    ENDS[message](optimizer, trial.id)
    state, events = optimizer.state, optimizer.events
    calls: list[Callable[[], object]] = [
        lambda: optimizer.tell(0, 0.1),
        lambda: optimizer.tell(0),
        lambda: optimizer.report(0, 2, 0.1),
        lambda: optimizer.fail(0, "why"),
        lambda: optimizer.cancel(0),
        lambda: optimizer.requeue(0),
    ]
    for call in calls:
        with pytest.raises(ProtocolError, match=message):
            call()
    assert optimizer.state is state
    assert optimizer.events is events


def test_a_trial_that_is_to_stop_reports_no_more_and_is_told_with_its_last_score() -> None:
    optimizer, trial_id = stopping()
    state = optimizer.state
    with pytest.raises(ProtocolError, match="report: trial 3 was told to stop at step 1; tell its score"):
        optimizer.report(trial_id, 2, 0.1)
    assert optimizer.state is state
    optimizer.tell(trial_id)
    record = optimizer.records[trial_id]
    assert (record.status, record.loss, record.steps) == (Status.STOPPED, 0.25, 1)
    assert trial_id in optimizer.released()


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_trial_that_has_reported_its_last_step_is_to_be_told(step: int) -> None:
    optimizer = make()
    (trial,) = optimizer.ask()
    optimizer.report(trial.id, 2, 0.5)
    state = optimizer.state
    with pytest.raises(
        ProtocolError, match=f"already reported the last step of its segment, 2; tell it, got step {step}$"
    ):
        optimizer.report(trial.id, step, 0.5)
    assert optimizer.state is state


@pytest.mark.parametrize("step", [0, -1, 1, 3])
def test_steps_rise_within_the_segment(step: int) -> None:
    optimizer = make()
    (trial,) = optimizer.ask()
    optimizer.report(trial.id, 1, 0.5)
    state = optimizer.state
    with pytest.raises(ProtocolError, match=rf"trial 0, from 2 to 2, rising with each report, got {step}$"):
        optimizer.report(trial.id, step, 0.5)
    assert optimizer.state is state


def test_a_step_of_the_whole_line_is_told_from_one_of_the_segment() -> None:
    optimizer = make()
    for trial in (*optimizer.ask(4), *(optimizer.ask(1) or ())):
        optimizer.tell(trial, 0.5)
    while not (trials := [t for t in optimizer.ask() if t.start_step]):
        for record in optimizer.records:
            if record.status is Status.RUNNING:
                optimizer.tell(record.trial, 0.5)
    (child,) = trials
    message = rf"got {child.start_step + 1}; steps count from the start of the segment: subtract trial.start_step"
    with pytest.raises(ProtocolError, match=message):
        optimizer.report(child, child.start_step + 1, 0.5)
    with pytest.raises(ProtocolError, match=r"got 0$"):
        optimizer.report(child, 0, 0.5)


def test_a_score_left_out_must_have_been_reported() -> None:
    optimizer = make()
    (trial,) = optimizer.ask()
    with pytest.raises(ProtocolError, match="tell: trial 0 reported no score; give its score"):
        optimizer.tell(trial.id)
    optimizer.report(trial.id, 1, 0.5)
    optimizer.report(trial.id, 2, math.nan)
    optimizer.tell(trial.id)
    assert optimizer.records[0].status is Status.FAILED


def test_a_verdict_is_true_only_if_the_trial_is_to_stop() -> None:
    assert bool(Verdict.STOP)
    assert not Verdict.CONTINUE
    by_identity, by_truth = (make(trial_stopping=Quantile(), population=8) for _ in range(2))
    while not by_identity.finished:
        for trial in by_identity.ask():
            for step in range(1, trial.steps + 1):
                if by_identity.report(trial.id, step, trial.config["x"]) is Verdict.STOP:
                    break
            by_identity.tell(trial.id)
    while not by_truth.finished:
        for trial in by_truth.ask():
            for step in range(1, trial.steps + 1):
                if by_truth.report(trial.id, step, trial.config["x"]):
                    break
            by_truth.tell(trial.id)
    assert by_truth.state == by_identity.state
    assert {record.status for record in by_truth.records} == {Status.COMPLETED, Status.STOPPED}


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("move", ["report", "stop", "tell", "fail", "cancel", "requeue"])
def test_the_table_of_a_trial_s_life_says_what_every_call_does(status: Status, move: Move) -> None:
    optimizer, i = stopping()
    if status is Status.RUNNING:
        optimizer.tell(i)
        i = optimizer.ask()[0].id
    ways: dict[Status, Callable[[], object]] = {
        Status.QUEUED: lambda: optimizer.requeue(i),
        Status.STOPPED: lambda: optimizer.tell(i),
        Status.FAILED: lambda: optimizer.fail(i, "why"),
        Status.CANCELLED: lambda: optimizer.cancel(i),
    }
    if status is Status.COMPLETED:
        i = 0
    ways.get(status, lambda: None)()
    assert optimizer.records[i].status is status
    calls: dict[Move, Callable[[], object]] = {
        "report": lambda: optimizer.report(i, 1, 0.0),
        "stop": lambda: optimizer.report(i, 1, 9.0),
        "tell": lambda: optimizer.tell(i, 0.5),
        "fail": lambda: optimizer.tell(i, math.nan),
        "cancel": lambda: optimizer.cancel(i),
        "requeue": lambda: optimizer.requeue(i),
    }
    after = LIFE[status].get(move)
    if after is None:
        with pytest.raises(ProtocolError, match=f"trial {i} was "):
            calls[move]()
    else:
        calls[move]()
        assert optimizer.records[i].status is after
    assert (status in ENDED) == (not LIFE[status])


def test_a_trial_that_reported_part_of_its_steps_is_not_completed_by_a_tell_without_a_score() -> None:
    optimizer = make(steps=8, reproduction=Genealogical(segments=4, spread=0.0))
    (trial,) = optimizer.ask()
    optimizer.report(trial.id, 1, 0.5)
    state = optimizer.state
    with pytest.raises(
        ProtocolError,
        match=r"tell: trial 0 reported 1 of 4 steps: train on, or give a score and the steps, "
        r"tell\(0, score, steps=1\)$",
    ):
        optimizer.tell(trial.id)
    with pytest.raises(ProtocolError, match="tell: trial 0 reported no score at step 2, its last one was at step 1"):
        optimizer.tell(trial.id, steps=2)
    assert optimizer.state is state
    optimizer.report(trial.id, 4, 0.4)
    optimizer.tell(trial.id)
    assert optimizer.records[0].steps == 4


def test_a_segment_that_its_caller_ends_early_counts_the_steps_that_it_trained() -> None:
    optimizer = make(steps=8, max_concurrent=1, population=1, reproduction=Genealogical(segments=4, refill=False))
    (trial,) = optimizer.ask()
    optimizer.report(trial.id, 1, 0.5)
    optimizer.tell(trial.id, 0.25, steps=3)
    record = optimizer.records[trial.id]
    assert (record.status, record.loss, record.steps) == (Status.COMPLETED, 0.25, 3)
    assert (optimizer.tally.trained, optimizer.tally.saved) == (3, 1)
    assert optimizer.schedule(trial.id).steps == 3
    (child,) = optimizer.ask()
    assert (child.parent, child.start_step) == (trial.id, 3)
    optimizer.report(child.id, 2, 0.125)
    optimizer.tell(child.id, steps=2)
    assert (optimizer.best.score, optimizer.best.schedule.steps) == (0.125, 5)
    again = Optimizer.from_events(
        LINE,
        [codec.decode_event(json.loads(json.dumps(codec.encode_event(event)))) for event in optimizer.events],
        population=1,
        steps=8,
        max_concurrent=1,
        searcher=Search(Uniform()),
        reproduction=Genealogical(segments=4, refill=False),
        trial_stopping=None,
    )
    assert again.state == optimizer.state


@pytest.mark.parametrize("steps", [0, 1, 5, -1, True, 2.5])
def test_the_steps_of_a_segment_that_ended_early_lie_between_its_reports_and_its_length(steps: Any) -> None:
    optimizer = make(steps=8, reproduction=Genealogical(segments=4, spread=0.0))
    (trial,) = optimizer.ask()
    optimizer.report(trial.id, 2, 0.5)
    state = optimizer.state
    with pytest.raises(ProtocolError, match=r"tell: steps must be how many steps trial 0 trained, from 2 to 4, got "):
        optimizer.tell(trial.id, 0.5, steps=steps)
    assert optimizer.state is state


def test_a_trial_told_to_stop_has_trained_the_steps_that_it_reported() -> None:
    optimizer, trial_id = stopping()
    with pytest.raises(ProtocolError, match="tell: steps must be how many steps trial 3 trained, from 1 to 1, got 2"):
        optimizer.tell(trial_id, 0.25, steps=2)
    optimizer.tell(trial_id, 0.25, steps=1)
    assert optimizer.records[trial_id].status is Status.STOPPED


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_score_that_is_not_finite_is_a_failure(score: float, direction: str) -> None:
    optimizer = make(direction=direction)
    (trial,) = optimizer.ask()
    optimizer.report(trial.id, 1, score)
    optimizer.tell(trial.id, score)
    record = optimizer.records[0]
    assert (record.status, record.loss, record.reports) == (Status.FAILED, None, ((1, math.inf),))
    assert record.reason == f"its score is {score}"


def test_a_trial_given_back_is_asked_again_first_and_as_it_was() -> None:
    optimizer = make()
    first, second = optimizer.ask(2)
    optimizer.report(first.id, 1, 0.5)
    optimizer.requeue(second.id)
    optimizer.requeue(first.id)
    with pytest.raises(ProtocolError, match="requeue: trial 0 was given back by requeue; wait until ask hands it out"):
        optimizer.requeue(first.id)
    with pytest.raises(ProtocolError, match="report: trial 0 was given back by requeue"):
        optimizer.report(first.id, 2, 0.5)
    third = optimizer.ask(3)
    assert third[:2] == (second, first)
    assert third[2].id == 2
    optimizer.report(first.id, 1, 0.5)  # what it had reported is forgotten
    assert optimizer.records[0].reports == ((1, 0.5),)


def test_a_worker_that_was_given_up_does_not_speak_for_the_one_that_took_its_place() -> None:
    optimizer = make(steps=8, reproduction=Genealogical(segments=4, spread=0.0))
    (first,) = optimizer.ask()
    optimizer.report(first, 1, 0.5)
    optimizer.requeue(first)
    (second,) = optimizer.ask()
    assert second == first
    assert (first.attempt, second.attempt) == (0, 1)
    state = optimizer.state
    calls: list[tuple[str, Callable[[], object]]] = [
        ("report", lambda: optimizer.report(first, 3, 0.1)),
        ("tell", lambda: optimizer.tell(first, 0.1)),
        ("tell", lambda: optimizer.tell(first, math.nan)),
        ("fail", lambda: optimizer.fail(first, "why")),
        ("requeue", lambda: optimizer.requeue(first)),
        ("cancel", lambda: optimizer.cancel(first)),
    ]
    for name, call in calls:
        with pytest.raises(
            ProtocolError,
            match=f"{name}: trial 0 was given back and handed out again as attempt 1, this is attempt 0; train it no",
        ):
            call()
    assert optimizer.state is state
    for step in (1, 2, 3, 4):
        optimizer.report(second, step, 0.5)
    optimizer.tell(second)
    assert optimizer.records[0].status is Status.COMPLETED
    with pytest.raises(ProtocolError, match="tell: trial 0 was told already"):
        optimizer.tell(first, 0.1)


def test_a_report_late_in_a_long_segment_takes_no_more_memory_than_an_early_one() -> None:
    optimizer = Optimizer(LINE, population=1, steps=10_000, preset="random")
    (trial,) = optimizer.ask()
    for step in range(1, 9_001):
        optimizer.report(trial, step, 0.5)
    needs = []
    tracemalloc.start()
    try:
        for step in range(9_001, 9_011):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            optimizer.report(trial, step, 0.5)
            needs.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    assert min(needs) < 10_000  # bytes; a copy of the reports has 72,000
    optimizer.tell(trial, 0.5)
    assert len(optimizer.records[0].reports) == 9_010
    assert type(optimizer.records[0].reports) is tuple


def test_the_result_of_a_worker_that_was_given_up_counts_while_no_other_trains() -> None:
    optimizer = make()
    (trial,) = optimizer.ask()
    optimizer.requeue(trial)
    with pytest.raises(ProtocolError, match="report: trial 0 was given back by requeue"):
        optimizer.report(trial, 1, 0.5)
    optimizer.tell(trial, 0.5)
    assert optimizer.records[0].loss == 0.5


def test_a_trial_given_back_may_still_be_told_and_is_not_asked_again() -> None:
    optimizer = make()
    (trial,) = optimizer.ask()
    optimizer.requeue(trial.id)
    optimizer.tell(trial.id, 0.5)
    assert [t.id for t in optimizer.ask(9)] == [1, 2, 3, 4]
