"""Shares of the hyperparameters, generation by generation, and what chance alone gives."""

import math
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_adapters.views import shares, weighed, weighed_of
from gpbt_adapters.views.importances import Importance, importance
from gpbt_core import Categorical, Float, Int, Optimizer, Search, Space, When
from gpbt_core.errors import ConfigError
from gpbt_searchers import gp

SPACE = Space(a=Float(0, 1), b=Float(0, 1), c=Categorical(["x", "y"]))
OPTUNA = pytest.param("ped-anova", marks=pytest.mark.skipif(find_spec("optuna") is None, reason="needs optuna"))


def run(
    loss: Callable[[Mapping[str, Any], int], float],
    *,
    space: Space = SPACE,
    population: int = 40,
    parents: float = 0.2,
    seed: int = 0,
) -> Optimizer:
    optimizer = Optimizer(
        space,
        population=population,
        steps=2,
        reproduction=("genealogical", {"segments": 1, "parents": (parents,)}),
        searcher=Search("random"),
        seed=seed,
    )
    while not optimizer.finished:
        for trial in optimizer.ask():
            optimizer.tell(trial.id, loss(trial.config, trial.generation))
    return optimizer


def first_of(found: Importance) -> str:
    return max(found, key=found.__getitem__)


@pytest.mark.parametrize("method", ["siblings", OPTUNA, pytest.param(gp.importance, id="gp")])
def test_what_mattered_has_the_largest_share_in_the_generation_in_which_it_did(method: Any) -> None:
    optimizer = run(lambda config, generation: (config["a" if generation == 0 else "b"] - 0.5) ** 2)
    found = importance(optimizer, method, at_least=20)
    assert list(found) == [0, 1]
    assert all(list(one) == ["a", "b", "c"] for one in found.values())
    assert all(sum(one.values()) == pytest.approx(1) for one in found.values())
    assert [first_of(one) for one in found.values()] == ["a", "b"]
    assert [one.first for one in found.values()] == [0, 1]


def test_a_hyperparameter_that_matters_is_named_with_an_interval_and_a_floor() -> None:
    found = importance(run(lambda config, _: (config["a"] - 0.3) ** 2))[0]
    assert (found.named, found.enough, found.trials) == (("a",), True, 40)
    assert 0 <= found.low["a"] <= found["a"] <= found.high["a"] <= 1
    assert found["a"] > found.floor["a"]
    assert all(found[name] <= found.floor[name] for name in "bc")


def test_a_hyperparameter_that_only_resembles_one_that_matters_is_not_named() -> None:
    # A searcher tries configs near good ones, so good trials are alike in what has no effect, too.
    rng = np.random.default_rng(0)
    configs = [{"a": a, "b": np.clip(a + rng.normal(0, 0.1), 0, 1)} for a in rng.uniform(size=40)]
    optimizer = Optimizer(SPACE, population=40, steps=1, preset="random", known_configs=configs, max_concurrent=40)
    for trial in optimizer.ask(40):
        optimizer.tell(trial.id, trial.config["a"])
    found = importance(optimizer)[0]
    assert found["b"] > found.floor["b"], "it is above chance by itself"
    assert found.named == ("a",)


def test_where_nothing_matters_hardly_anything_is_named() -> None:
    noise, named = np.random.default_rng(0), 0
    for seed in range(30):
        optimizer = Optimizer(SPACE, population=25, steps=1, preset="random", seed=seed, max_concurrent=25)
        for trial in optimizer.ask(25):
            optimizer.tell(trial.id, noise.normal())
        named += importance(optimizer)[0].enough
    assert named <= 2


@pytest.mark.parametrize("method", ["siblings", OPTUNA])
def test_losses_that_tell_nothing_give_equal_shares_and_no_name(method: Any) -> None:
    found = importance(run(lambda *_: 1.0), method)[0]
    assert set(found.values()) == {1 / 3}
    assert (found.named, found.enough) == ((), False)
    assert set(found.floor.values()) == {1.0}


@pytest.mark.parametrize("method", ["siblings", OPTUNA])
def test_failures_and_conditional_parameters_are_no_obstacle(method: Any) -> None:
    space = Space(kind=Categorical(["p", "q"]), size=When(Int(1, 9), {"kind": ["p"]}), step=Float(0, 1))
    found = importance(run(lambda c, _: math.nan if c["step"] > 0.8 else float(c["kind"] == "p"), space=space), method)
    assert sum(found[0].values()) == pytest.approx(1)
    assert found[0]["kind"] > found[0]["size"]


def test_better_weights_are_not_put_down_to_a_hyperparameter() -> None:
    optimizer = Optimizer(
        SPACE, population=40, steps=2, reproduction=("genealogical", {"segments": 1}), searcher=Search("random")
    )
    told: dict[int | None, float] = {None: 0.0}
    while not optimizer.finished:
        for trial in optimizer.ask():
            told[trial.id] = 3 * told[trial.parent] + trial.config["b" if trial.generation else "a"]
            optimizer.tell(trial.id, told[trial.id])
    assert importance(optimizer, at_least=10)[1].named == ("b",)


@pytest.mark.parametrize("method", ["siblings", OPTUNA])
def test_the_size_of_the_losses_does_not_count(method: Any) -> None:
    everyday = importance(run(lambda config, _: 1 + config["a"]), method)
    huge = importance(run(lambda config, _: (1 + config["a"]) * 2.0**900), method)
    for generation in (0, 1):
        assert dict(huge[generation]) == pytest.approx(dict(everyday[generation]), abs=1e-6)


def test_the_same_run_has_the_same_importance_and_the_view_is_the_same() -> None:
    optimizer = run(lambda config, _: config["a"] + config["b"])
    found = importance(optimizer)
    assert found == importance(optimizer)
    assert found == {generation: shares(optimizer, generation) for generation in (0, 1)}
    assert shares(optimizer, 2) is None


def test_small_generations_are_pooled_with_those_before_them() -> None:
    optimizer = run(lambda config, _: config["a"], population=12)
    found = importance(optimizer)
    assert [(one.first, one.trials) for one in found.values()] == [(0, 12), (0, 24)]
    assert found[1].floor["a"] < found[0].floor["a"]
    assert [one.first for one in importance(optimizer, at_least=5).values()] == [0, 1]


def test_a_generation_without_siblings_cannot_tell() -> None:
    found = importance(run(lambda config, _: config["a"], population=1))
    assert [one.enough for one in found.values()] == [False, False]
    assert set(found[1].values()) == {1 / 3}


@pytest.mark.parametrize(("method", "at_least"), [("fanova", 10), (3, 10), ("siblings", 0), ("siblings", True)])
def test_what_is_no_method_or_too_few_trials_is_refused(method: Any, at_least: Any) -> None:
    optimizer = run(lambda config, _: config["a"], population=5)
    with pytest.raises(ConfigError, match=r"importance: (method|at_least) must be"):
        importance(optimizer, method, at_least=at_least)


def test_of_many_trials_a_sample_is_enough() -> None:
    many = run(lambda config, _: (config["a"] - 0.5) ** 2, population=1100)
    found = importance(many)[0]
    assert (found.named[0], found.trials) == ("a", 1000)
    assert importance(many)[0] == found


@given(closed=st.integers(1, 10_000))
def test_a_page_weighs_few_generations_spread_over_the_run_and_few_anew_as_it_goes_on(closed: int) -> None:
    chosen = weighed(closed)
    assert {0, closed - 1} <= set(chosen) <= set(range(closed))
    assert min(closed, 6) <= len(chosen) <= 11
    assert len(set(weighed(closed + 1)) - set(chosen)) <= 1


def test_revisions_of_the_best_line_have_no_importance() -> None:
    optimizer = Optimizer(SPACE, population=20, steps=10, searcher=Search("random"))
    while not optimizer.finished:
        for trial in optimizer.ask():
            optimizer.tell(trial.id, trial.config["a"])
    line, closed = optimizer.settings.line, len(optimizer.state.closed)
    assert line < closed
    assert list(importance(optimizer)) == list(range(line)) == list(weighed_of(optimizer))
    assert shares(optimizer, closed - 1) is None
