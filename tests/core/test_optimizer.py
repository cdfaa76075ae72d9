"""The loop as a caller sees it: what is asked, told and answered, and what each mistake says."""

import contextlib
import copy
import inspect
import json
import math
import pickle
import threading
import time
import tracemalloc
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpbt_core import (
    Categorical,
    Config,
    ConfigError,
    ExtinctError,
    Float,
    Genealogical,
    Improvement,
    Independent,
    Needs,
    NoResultError,
    Optimizer,
    PluginError,
    ProtocolError,
    Quantile,
    Search,
    SearcherError,
    Space,
    Status,
    Verdict,
    codec,
)
from gpbt_core.optimizer import RunSettings
from gpbt_core.registry import resolve_rule
from gpbt_core.searcher import Query
from gpbt_core.state import ENDED, LIFE, Asked, Extended, Reported, Told
from gpbt_core.state.life import Move
from runs import SPACE, World, run_interleaved, run_sequentially, setups

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
    """A run whose fifth trial was told to stop at its first step."""
    optimizer = make(trial_stopping=Quantile(), max_concurrent=1)
    for score in (0.1, 0.2, 0.3):
        (trial,) = optimizer.ask()
        optimizer.report(trial.id, 1, score)
        optimizer.tell(trial.id, score)
    (trial,) = optimizer.ask()
    assert optimizer.report(trial.id, 1, 0.25) is Verdict.STOP
    return optimizer, trial.id


# ---------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"population": 0}, r"population: must be a whole number of at least 1, got 0"),
        ({"population": 2.0}, r"population: must be a whole number of at least 1, got 2\.0"),
        ({"population": True}, r"population: must be .*, got True"),
        ({"population": 10**9}, r"population: must be a whole number of at most 1,000,000, got 1,000,000,000"),
        ({"steps": 10**12}, r"steps: must be a whole number of at most 10,000,000, got 1,000,000,000,000"),
        ({"steps": 0}, r"steps: must be a whole number of at least 1, got 0"),
        ({"steps": "10"}, r"steps: must be .*, got '10'"),
        ({"seed": -1}, r"seed: must be a whole number of at least 0, got -1"),
        ({"seed": None}, r"seed: must be .*, got None"),
        ({"max_concurrent": 0}, r"max_concurrent: must be a whole number of at least 1, got 0"),
        ({"quorum": 0}, r"quorum: must be a number above 0 and at most 1, got 0"),
        ({"quorum": 1.5}, r"quorum: must be .*, got 1\.5"),
        ({"quorum": math.nan}, r"quorum: must be .*, got nan"),
        ({"quorum": True}, r"quorum: must be .*, got True"),
        ({"direction": "up"}, r'direction: must be "minimize" or "maximize", got \'up\''),
        ({"direction": None}, r"direction: must be .*, got None"),
        ({"preset": "gptb"}, r"preset: must be one of .*, got 'gptb'; did you mean 'gpbt'\?"),
        ({"preset": None}, r"preset: must be one of .*, got None"),
        ({"preset": ["gpbt"]}, r"preset: must be one of .*, got \['gpbt'\]"),
        ({"searcher": 3}, r"searcher: must be a name, .*, got 3"),
        ({"searcher": ("random",)}, r"searcher: must be a name, .*, got \('random',\)"),
        ({"reproduction": 3}, r"reproduction: must be a name, .*, got 3"),
        ({"reproduction": Quantile()}, r"reproduction: must be a rule as Reproduction describes it, got Quantile"),
        ({"trial_stopping": 0.5}, r"early stopping: must be a name, .*, got 0\.5"),
        ({"trial_stopping": "improvement"}, r"trial_stopping: must be a rule as TrialStopping .*, got Improvement"),
        ({"generation_stopping": "median"}, r"generation_stopping: must be a rule as GenerationStopping .* Quantile"),
        ({"trial_stopping": ("median", {"quantile": 2})}, r"median: quantile must be above 0 and at most 1, got 2"),
        (
            {"trial_stopping": ("median", {"share": 2})},
            r"early stopping 'median': .*'share'.*; it has quantile, min_trials",
        ),
        ({"trial_stopping": ("median", {"quantil": 1})}, r"'quantil' is not an option; did you mean 'quantile'\?"),
        ({"trial_stopping": True}, r"trial_stopping: must be a name, .*, None or False, got True"),
        (
            {"reproduction": ("genealogical", {"parents": None, "c": 7})},
            r"c must be from 1/n = 0\.1667 to n = 6.*got 7",
        ),
        ({"reproduction": ("genealogical", {"parents": None, "c": 0.1})}, r"c must be from 1/n = .*got 0\.1"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_wanted(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**wrong)


def test_the_space_must_be_one() -> None:
    with pytest.raises(ConfigError, match=r"space: must be a Space, got {'x': "):
        Optimizer({"x": Float(0, 1)}, steps=3)  # type: ignore[arg-type]  # the mistake under test


@pytest.mark.parametrize("part", ["searcher", "reproduction", "trial_stopping", "generation_stopping"])
def test_an_unknown_name_is_an_error_at_the_start(part: str) -> None:
    with pytest.raises(PluginError, match=r"unknown .* 'no-such-thing'; known are"):
        make(**{part: "no-such-thing"})
    with pytest.raises(PluginError, match=r"unknown .* 'no-such-thing'; known are"):
        make(searcher=Search(Uniform(), founders="no-such-thing", number_of_founders=1))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"number_of_founders": -1}, r"number_of_founders: must be a whole number of at least 0, got -1"),
        ({"number_of_founders": 1.5}, r"number_of_founders: must be .*, got 1\.5"),
        ({"number_of_founders": True}, r"number_of_founders: must be .*, got True"),
        ({"history": "cousins"}, r'history: must be "family", "all" or "none", got \'cousins\''),
        ({"history": ""}, r"history: must be .*, got ''"),
        ({"founders": Uniform}, r"searcher: must be a name, .*, got <class"),
        ({"known_configs": 3}, r"known_configs: must be a list of dicts from names to values, got 3"),
        ({"known_configs": {"x": 1}}, r"known_configs: must be a list of dicts from names to values, got {'x': 1}"),
    ],
)
def test_what_makes_no_search_is_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Search("random", **wrong)


def test_what_the_preset_says_holds_unless_it_is_changed() -> None:
    own = Optimizer(SPACE, steps=10, preset="gpbt", searcher=Search(Uniform()))
    assert own.settings.trial_stopping == Quantile()
    assert own.settings.reproduction == Genealogical()
    changed = Optimizer(SPACE, steps=10, preset="gpbt", searcher=Search(Uniform()), trial_stopping=None)
    assert changed.settings.trial_stopping is None
    named = Optimizer(SPACE, steps=10, searcher=Search(Uniform()), reproduction=("genealogical", {"noise": 0.5}))
    assert named.settings.reproduction == Genealogical(noise=0.5)


def test_founders_are_asked_for_the_first_slots_of_generation_0_alone() -> None:
    class Ends:
        def propose(self, query: Query, rng: np.random.Generator) -> Mapping[str, Any]:  # noqa: ARG002 - a searcher's
            return {"x": 1.0, "y": 1.0}

    optimizer = make(searcher=Search(Uniform(), founders=Ends(), number_of_founders=2))
    run_sequentially(optimizer, World(trouble=0))
    founded = [r.trial.id for r in optimizer.records if r.trial.config["x"] == 1.0 and r.trial.generation == 0]
    assert founded == [0, 1]
    assert all(r.trial.config["x"] != 1.0 or r.trial.parent in founded for r in list(optimizer.records)[2:])


# ---------------------------------------------------------------------------------------------------------- the loop


@pytest.mark.parametrize("count", [0, -1, True, 1.0, "2", None])
def test_a_count_is_a_whole_number_of_at_least_1(count: Any) -> None:
    optimizer = make()
    with pytest.raises(ConfigError, match="ask: count: must be a whole number of at least 1, got"):
        optimizer.ask(count)
    assert not optimizer.records


@pytest.mark.parametrize(
    "setup",
    [
        {"reproduction": Genealogical},
        {"trial_stopping": Quantile},
        {"generation_stopping": Improvement},
        {"searcher": Uniform},
    ],
    ids=str,
)
def test_a_class_is_no_rule_and_no_searcher(setup: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"must be .*, got <class"):
        make(**setup)


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


def test_a_config_and_a_state_cannot_be_changed() -> None:
    optimizer = make()
    (trial,) = optimizer.ask()
    with pytest.raises(TypeError):
        trial.config["x"] = 0.5
    with pytest.raises(AttributeError):
        trial.steps = 3  # type: ignore[misc]  # the mistake under test
    with pytest.raises(AttributeError):
        optimizer.state.extinct = True  # type: ignore[misc]  # the mistake under test


def test_a_state_is_a_value_that_later_events_leave_alone() -> None:
    optimizer = make()
    seen = []
    while not optimizer.finished:
        (trial,) = optimizer.ask()
        optimizer.tell(trial.id, trial.config["x"])
        seen.append((optimizer.state, copy.deepcopy(optimizer.state)))
    for state, as_it_was in seen:
        assert state == as_it_was


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


def test_no_early_stopping_may_be_said_with_false() -> None:
    made = make(trial_stopping=False, generation_stopping=False)
    assert (made.settings.trial_stopping, made.settings.generation_stopping) == (None, None)


def test_a_sampler_of_optuna_is_answered_with_what_to_write() -> None:
    TPESampler = type("TPESampler", (), {"__module__": "optuna.samplers._tpe.sampler"})  # noqa: N806 - a class
    for wrong in (TPESampler(), TPESampler):
        with pytest.raises(ConfigError, match=r'write searcher="optuna:TPESampler", or .*gpbt.optuna.OptunaSearcher'):
            make(searcher=wrong)


def test_the_settings_that_others_pass_on_are_those_of_an_optimizer() -> None:
    arguments = list(inspect.signature(Optimizer).parameters)
    assert arguments == ["space", *RunSettings.__annotations__]


@settings(max_examples=60)
@given(setups(stopping=False), st.sampled_from([World(), World(trouble=0.0), World(reports=1.0)]), st.integers(1, 6))
def test_a_run_needs_no_more_than_it_says(setup: dict[str, Any], world: World, workers: int) -> None:
    optimizer = Optimizer(SPACE, **setup)
    needs = optimizer.needs
    live: set[int] = set()
    most = 0

    def look(optimizer: Optimizer) -> Optimizer:
        nonlocal most, live
        live = {r.trial.id for r in optimizer.records if r.status in (Status.COMPLETED, Status.STOPPED, Status.FAILED)}
        live -= set(optimizer.state.released)
        most = max(most, len(live))
        return optimizer

    run_interleaved(optimizer, world, lambda n: n - 1, workers=workers, on_turn=look)
    assert needs.checkpoints is not None
    assert most <= needs.checkpoints
    assert optimizer.tally.trained <= needs.steps
    planned = sum(min(g.count, len(g.plan.slots)) for g in optimizer.state.closed)
    assert planned <= needs.trials
    assert optimizer.needs == needs


def test_what_the_default_needs_is_told_before_it_starts() -> None:
    optimizer = Optimizer(LINE, population=25, steps=10, searcher=Search(Uniform()))
    assert optimizer.needs == Needs(trials=150, steps=253, checkpoints=31)
    assert Optimizer(LINE, steps=10, quorum=0.5, searcher=Search(Uniform())).needs.checkpoints is None


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


# --------------------------------------------------------------------------------------------------------- searchers


class Strange:
    """Answers rightly up to a trial, then otherwise."""

    def __init__(self, answer: Callable[[Query], Any], since: int = 2) -> None:
        self.answer, self.since = answer, since

    def propose(self, query: Query, rng: np.random.Generator) -> Any:
        return query.space.sample(rng) if query.slot < self.since else self.answer(query)


def _raise(query: Query) -> Any:
    raise ZeroDivisionError(f"slot {query.slot}")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (_raise, "raised ZeroDivisionError: slot 2"),
        (lambda _: {"x": 2.0, "y": 0.5}, "proposed what is not a config of the space: .*x.*2.0"),
        (lambda _: {"x": 0.5}, "proposed what is not a config of the space: .*y"),
        (lambda _: {"x": 0.5, "y": 0.5, "z": 0.5}, "proposed what is not a config of the space: .*z"),
        (lambda _: {"x": math.nan, "y": 0.5}, "proposed what is not a config of the space: .*nan"),
        (lambda _: {"x": "0.5", "y": 0.5}, "proposed what is not a config of the space: .*'0.5'"),
        (lambda _: None, "proposed what is not a config of the space: .*None"),
    ],
)
def test_a_searcher_that_fails_is_named_and_nothing_is_asked(answer: Callable[[Query], Any], message: str) -> None:
    optimizer = make(searcher=Search(Strange(answer)))
    state, events = optimizer.state, optimizer.events
    with pytest.raises(SearcherError, match=r"test_optimizer\.Strange, asked for slot 2 of generation 0, " + message):
        optimizer.ask(4)
    assert optimizer.state is state
    assert optimizer.events is events
    assert [trial.id for trial in optimizer.ask(2)] == [0, 1]


def test_a_result_told_while_a_searcher_proposes_is_kept_and_the_ask_is_refused() -> None:
    optimizer = make()
    (first,) = optimizer.ask()

    class CallsBack(Uniform):
        def propose(self, query: Query, rng: np.random.Generator) -> Mapping[str, Any]:
            if optimizer.records[first.id].status is Status.RUNNING:
                optimizer.tell(first.id, 0.5)
            return super().propose(query, rng)

    optimizer = Optimizer.from_state(optimizer.state, search=Search(CallsBack()))
    with pytest.raises(ProtocolError, match="another call changed it while this one was computing"):
        optimizer.ask(2)
    assert optimizer.records[first.id].loss == 0.5
    assert [type(event) for event in optimizer.events] == [Told]
    assert [trial.id for trial in optimizer.ask(2)] == [1, 2]


def test_threads_never_get_the_same_trial_twice_and_lose_no_result() -> None:
    class Slow(Uniform):
        def propose(self, query: Query, rng: np.random.Generator) -> Mapping[str, Any]:
            time.sleep(0.0002)  # lets other threads run
            return super().propose(query, rng)

    optimizer = make(population=24, max_concurrent=24, searcher=Slow())
    given: list[int] = []
    told: list[int] = []

    def work() -> None:
        while not optimizer.finished:
            with contextlib.suppress(ProtocolError):
                for trial in optimizer.ask():
                    given.append(trial.id)
                    while True:
                        try:
                            optimizer.tell(trial.id, trial.config["x"])
                        except ProtocolError:
                            continue
                        told.append(trial.id)
                        break

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(given) == sorted(told) == list(range(len(optimizer.records)))
    assert all(record.status is Status.COMPLETED for record in optimizer.records)
    assert sum(type(event) is Told for event in optimizer.events) == len(given)


def test_a_searcher_s_numpy_scalars_do_not_leak_into_a_config() -> None:
    space = Space(x=Float(0, 1), kind=Categorical(["a", True]))
    proposed = {"x": np.float64(0.5), "kind": np.str_("a")}
    optimizer = Optimizer(space, steps=2, searcher=Search(Strange(lambda _: proposed, since=0)))
    (trial,) = optimizer.ask()
    assert {name: type(value) for name, value in trial.config.items()} == {"x": float, "kind": str}


# ------------------------------------------------------------------------------------------------------------ resume


def test_a_state_goes_on_in_its_own_space_alone() -> None:
    optimizer = make()
    optimizer.ask()
    resumed = Optimizer.from_state(optimizer.state, space=LINE)
    assert resumed.state is optimizer.state
    assert not resumed.events
    assert resumed.search is optimizer.search
    other = Space(x=Float(0, 1), y=Float(0, 2))
    with pytest.raises(ConfigError, match=r"from_state: the space must be the one that the state .*, got "):
        Optimizer.from_state(optimizer.state, space=other)


def test_a_state_goes_on_with_the_search_of_its_run_or_says_that_it_does_not_know_it() -> None:
    search = Search(Uniform(), history="none", known_configs=[{"x": 0.25, "y": 0.5}])
    optimizer = make(searcher=search)
    trials = optimizer.ask(2)
    resumed = Optimizer.from_state(optimizer.state)
    assert resumed.search == search
    assert resumed.ask(2) == optimizer.ask(2)
    data = codec.encode_state(optimizer.state)
    decoded = codec.decode_state(data, resolve_rule)
    assert decoded == optimizer.state
    with pytest.raises(
        ConfigError, match=r"from_state: the state does not say who proposes its configs.*give the search"
    ):
        Optimizer.from_state(decoded)
    again = Optimizer.from_state(decoded, search=search)
    for one in (again, optimizer):
        one.tell(trials[0], 0.5)
    assert again.ask(2) == optimizer.ask(2)
    other = Optimizer.from_state(optimizer.state, search=Search("random"))
    assert other.search == Search("random")


def test_a_run_of_named_searchers_goes_through_a_dict() -> None:
    optimizer = Optimizer(SPACE, population=4, steps=4, searcher=Search("perturb", founders="random"), seed=3)
    run_sequentially(optimizer, World(), until=5)
    again = Optimizer.from_dict(optimizer.to_dict(), space=SPACE)
    assert again.state == optimizer.state
    assert again.to_dict() == optimizer.to_dict()
    with pytest.raises(ConfigError, match="from_state: the space must be the one that the state was made with"):
        Optimizer.from_dict(optimizer.to_dict(), space=LINE)


def test_a_searcher_without_a_name_cannot_be_written_down() -> None:
    with pytest.raises(
        ConfigError, match=r"to_dict: the searcher must have a name to be stored, got the object <.*Uni"
    ):
        make().to_dict()
    with pytest.raises(
        ConfigError, match=r"to_dict: the founders must have a name to be stored, got the object <.*Uni"
    ):
        make(searcher=Search("random", founders=Uniform())).to_dict()


@pytest.mark.parametrize("data", [{}, {"state": 3}, 3, {"state": {"version": 1}, "search": None}])
def test_data_that_to_dict_did_not_give_is_refused(data: Any) -> None:
    with pytest.raises(ConfigError, match="must be"):
        Optimizer.from_dict(data)


def test_damaged_searchers_in_a_dict_are_refused() -> None:
    optimizer = Optimizer(SPACE, population=4, steps=4, preset="random")
    for search in ({"searcher": "random"}, {"searcher": {"name": "random"}}, {"what": 1}, {"searcher": {"options": 1}}):
        with pytest.raises(ConfigError, match="search: must be the data of a search, with searcher, founders"):
            Optimizer.from_dict(optimizer.to_dict() | {"search": search})


def test_a_replay_refuses_events_of_another_run() -> None:
    optimizer = make()
    (trial,) = optimizer.ask()
    optimizer.tell(trial.id, 0.5)
    with pytest.raises(ConfigError, match="'y'"):
        Optimizer.from_events(Space(x=Float(0, 1)), optimizer.events, steps=4, preset="random", population=6)
    with pytest.raises(ProtocolError, match=r"ask: the next trial must be Order.*, with any config, got Trial"):
        make(steps=3, reproduction=Independent()).replay(optimizer.events)
    with pytest.raises(ProtocolError, match="tell: trial 0 is unknown"):
        make().replay(list(optimizer.events)[1:])
    with pytest.raises(ProtocolError, match="ask: the next trial must be Order"):
        make().replay([optimizer.events[0], optimizer.events[0]])


def test_an_event_s_numbers_are_checked_where_it_happens() -> None:
    optimizer = make()
    optimizer.ask()
    state = optimizer.state
    wrong: list[tuple[Any, str]] = [
        (Told(trial_id=0, loss=math.nan), "tell: the loss of trial 0 must be finite, or None with a reason, got nan"),
        (Told(trial_id=0, loss=math.inf), "tell: the loss of trial 0 must be finite"),
        (
            Reported(trial_id=0, step=1, loss=math.nan),
            "report: the loss of trial 0 must be a number above -inf, or inf if there is none",
        ),
        (Reported(trial_id=0, step=1, loss=-math.inf), "report: the loss of trial 0 must be"),
        (Extended(generations=0), "extend: generations: must be a whole number of at least 1, got 0"),
    ]
    for event, message in wrong:
        with pytest.raises(ConfigError, match=message):
            optimizer.replay([event])
    assert optimizer.state is state


def test_a_trial_handed_out_again_must_be_the_one_that_was_given_back() -> None:
    optimizer = make()
    (trial,) = optimizer.ask()
    optimizer.requeue(trial.id)
    other = Asked(trial=type(trial)(id=0, parent=None, generation=0, depth=0, config=Config(), steps=2, start_step=0))
    with pytest.raises(ConfigError, match="x"):
        optimizer.replay([other])
    moved = {"x": 0.125, "y": 0.25}
    with pytest.raises(ProtocolError, match="which was given back, got Trial"):
        optimizer.replay([Asked(trial=type(trial)(**{**_fields(trial), "config": moved}))])


def _fields(trial: Any) -> dict[str, Any]:
    return {name: getattr(trial, name) for name in ("id", "parent", "generation", "depth", "steps", "start_step")}


def test_an_optimizer_pickles() -> None:
    optimizer = make()
    run_sequentially(optimizer, World(), until=8)
    again = pickle.loads(pickle.dumps(optimizer))  # noqa: S301 - written on this line
    assert again.state == optimizer.state
    assert again.ask(2) == optimizer.ask(2)


def test_a_seed_may_be_of_any_size() -> None:
    first = [make(seed=seed).ask()[0].config for seed in (0, 1, 2**31, 2**32 - 1, 2**32, 2**70)]
    assert len({tuple(config.values()) for config in first}) == 6
    expected = LINE.sample(np.random.Generator(np.random.SFC64((2**32 - 1, 0, 0))))
    assert first[3] == expected  # what a seed gives does not hang on how its generator is made


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
