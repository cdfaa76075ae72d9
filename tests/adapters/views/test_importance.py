"""Shares of the hyperparameters, generation by generation."""

import math
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_adapters.views import weighed
from gpbt_adapters.views.importances import importance
from gpbt_core import Categorical, Float, Int, Optimizer, Search, Space, When
from gpbt_core.errors import ConfigError
from gpbt_searchers import gp

SPACE = Space(a=Float(0, 1), b=Float(0, 1), c=Categorical(["x", "y"]))
OPTUNA = pytest.param("ped-anova", marks=pytest.mark.skipif(find_spec("optuna") is None, reason="needs optuna"))
METHODS: list[Any] = ["forest", OPTUNA, gp.importance]
each = pytest.mark.parametrize("method", METHODS, ids=["forest", "ped-anova", "gp"])


def run(loss: Callable[[Mapping[str, Any], int], float], *, space: Space = SPACE, population: int = 40) -> Optimizer:
    optimizer = Optimizer(
        space,
        population=population,
        steps=2,
        reproduction=("genealogical", {"segments": 1}),
        searcher=Search("random"),
    )
    while not optimizer.finished:
        for trial in optimizer.ask():
            optimizer.tell(trial.id, loss(trial.config, trial.generation))
    return optimizer


@each
def test_what_mattered_has_the_largest_share_in_the_generation_in_which_it_did(method: Any) -> None:
    shares = importance(run(lambda config, generation: (config["a" if generation == 0 else "b"] - 0.5) ** 2), method)
    assert list(shares) == [0, 1]
    assert all(list(one) == ["a", "b", "c"] for one in shares.values())
    assert all(sum(one.values()) == pytest.approx(1) for one in shares.values())
    assert max(shares[0], key=shares[0].__getitem__) == "a"
    assert max(shares[1], key=shares[1].__getitem__) == "b"


@pytest.mark.parametrize("method", ["forest", OPTUNA])
def test_losses_that_tell_nothing_give_no_parameter_all(method: Any) -> None:
    shares = importance(run(lambda *_: 1.0), method)[0]
    assert sum(shares.values()) == pytest.approx(1)
    assert max(shares.values()) < 0.7


@each
def test_failures_and_conditional_parameters_are_no_obstacle(method: Any) -> None:
    space = Space(kind=Categorical(["p", "q"]), size=When(Int(1, 9), {"kind": ["p"]}), step=Float(0, 1))
    shares = importance(run(lambda c, _: math.nan if c["step"] > 0.8 else float(c["kind"] == "p"), space=space), method)
    assert sum(shares[0].values()) == pytest.approx(1)
    assert shares[0]["kind"] > shares[0]["size"]


def test_better_weights_are_not_put_down_to_a_hyperparameter() -> None:
    optimizer = Optimizer(
        SPACE, population=40, steps=2, reproduction=("genealogical", {"segments": 1}), searcher=Search("random")
    )
    told: dict[int | None, float] = {None: 0.0}
    while not optimizer.finished:
        for trial in optimizer.ask():
            told[trial.id] = 3 * told[trial.parent] + trial.config["b" if trial.generation else "a"]
            optimizer.tell(trial.id, told[trial.id])
    assert importance(optimizer)[1]["b"] > 0.6


@each
def test_the_size_of_the_losses_does_not_count(method: Any) -> None:
    everyday = importance(run(lambda config, _: 1 + config["a"]), method)
    huge = importance(run(lambda config, _: (1 + config["a"]) * 2.0**900), method)
    for generation in (0, 1):
        assert huge[generation] == pytest.approx(everyday[generation], abs=1e-6)


def test_the_same_run_has_the_same_shares() -> None:
    optimizer = run(lambda config, _: config["a"] + config["b"])
    assert importance(optimizer) == importance(optimizer)


def test_small_generations_are_left_out() -> None:
    optimizer = run(lambda config, _: config["a"], population=8)
    assert importance(optimizer) == {}
    assert list(importance(optimizer, at_least=5)) == [0, 1]


@pytest.mark.parametrize(("method", "at_least"), [("fanova", 10), (3, 10), ("forest", 4), ("forest", True)])
def test_what_is_no_method_or_too_few_trials_is_refused(method: Any, at_least: Any) -> None:
    optimizer = run(lambda config, _: config["a"], population=5)
    with pytest.raises(ConfigError, match=r"importance: (expected|at_least must be)"):
        importance(optimizer, method, at_least=at_least)


def test_of_many_trials_a_sample_is_enough() -> None:
    many = run(lambda config, _: (config["a"] - 0.5) ** 2, population=700)
    found = importance(many)[0]
    assert max(found, key=found.__getitem__) == "a"
    assert importance(many)[0] == found


@given(closed=st.integers(1, 10_000))
def test_a_page_weighs_few_generations_spread_over_the_run_and_few_anew_as_it_goes_on(closed: int) -> None:
    chosen = weighed(closed)
    assert {0, closed - 1} <= set(chosen) <= set(range(closed))
    assert min(closed, 6) <= len(chosen) <= 11
    assert len(set(weighed(closed + 1)) - set(chosen)) <= 1
