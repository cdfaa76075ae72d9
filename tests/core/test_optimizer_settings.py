"""What an optimizer takes: its settings and what each mistake says, and what a run under them needs."""

import inspect
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_core import (
    ConfigError,
    Float,
    Genealogical,
    Improvement,
    Needs,
    Optimizer,
    PluginError,
    Quantile,
    Search,
    Status,
)
from gpbt_core.optimizer import RunSettings
from runs import SPACE, World, run_interleaved, setups
from small_optimizers import LINE, Uniform, make
from strategies import examples


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


def test_a_sampler_of_optuna_is_answered_with_what_to_write() -> None:
    TPESampler = type("TPESampler", (), {"__module__": "optuna.samplers._tpe.sampler"})  # noqa: N806 - a class
    for wrong in (TPESampler(), TPESampler):
        with pytest.raises(ConfigError, match=r'write searcher="optuna:TPESampler", or .*gpbt.optuna.OptunaSearcher'):
            make(searcher=wrong)


def test_what_the_preset_says_holds_unless_it_is_changed() -> None:
    own = Optimizer(SPACE, steps=10, preset="greedy", searcher=Search(Uniform()))
    assert own.settings.trial_stopping == Quantile()
    assert own.settings.reproduction == Genealogical()
    changed = Optimizer(SPACE, steps=10, preset="greedy", searcher=Search(Uniform()), trial_stopping=None)
    assert changed.settings.trial_stopping is None
    named = Optimizer(SPACE, steps=10, searcher=Search(Uniform()), reproduction=("genealogical", {"noise": 0.5}))
    assert named.settings.reproduction == Genealogical(noise=0.5)


def test_no_early_stopping_may_be_said_with_false() -> None:
    made = make(trial_stopping=False, generation_stopping=False)
    assert (made.settings.trial_stopping, made.settings.generation_stopping) == (None, None)


def test_the_settings_that_others_pass_on_are_those_of_an_optimizer() -> None:
    arguments = list(inspect.signature(Optimizer).parameters)
    assert arguments == ["space", *RunSettings.__annotations__]


def test_a_seed_may_be_of_any_size() -> None:
    first = [make(seed=seed).ask()[0].config for seed in (0, 1, 2**31, 2**32 - 1, 2**32, 2**70)]
    assert len({tuple(config.values()) for config in first}) == 6
    expected = LINE.sample(np.random.Generator(np.random.SFC64((2**32 - 1, 0, 0))))
    assert first[3] == expected  # a seed's numbers do not depend on how its generator is made


@examples(60)
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
    optimizer = Optimizer(LINE, population=25, steps=10, preset="greedy", searcher=Search(Uniform()))
    assert optimizer.needs == Needs(trials=150, steps=253, checkpoints=31)
    assert Optimizer(LINE, steps=10, quorum=0.5, searcher=Search(Uniform())).needs.checkpoints is None
