"""Known configs take the first slots of generation 0, complete or completed, whoever trains them and however stored."""

import json
from typing import Any

import pytest

from gpbt_core import Categorical, Config, ConfigError, Float, Int, Optimizer, Search, Space, When
from runs import SPACE, Curious, World, run_interleaved, run_sequentially

FULL = {"rate": 0.01, "layers": 2, "kind": "adam"}
PARTIAL = {"kind": "sgd", "momentum": 0.5}


def make(**changes: Any) -> Optimizer:
    """A run of 6 models that starts from two known configs."""
    setup: dict[str, Any] = {"population": 6, "steps": 4, "searcher": Search(Curious()), "reproduction": "genealogical"}
    return Optimizer(SPACE, **({**setup, "known_configs": [FULL, PARTIAL]} | changes))


def test_known_configs_are_tried_first_and_what_they_leave_open_is_filled_in() -> None:
    first, second, third, fourth = (trial.config for trial in make(max_concurrent=4).ask(4))
    assert first == FULL
    assert list(second) == list(SPACE.names)
    assert {name: second[name] for name in PARTIAL} == PARTIAL
    for config in (first, second, third, fourth):
        assert SPACE.validate(config) == config
    others = [dict(trial.config) for trial in make(known_configs=()).ask(4)]
    assert [dict(third), dict(fourth)] != [FULL, PARTIAL]
    assert first not in others


def test_every_known_config_is_tried_even_beyond_the_founders_of_the_preset() -> None:
    space = Space(rate=Float(0.01, 1, log=True), layers=Int(1, 4))
    known = [{"rate": (i + 1) / 100, "layers": 2} for i in range(12)]
    optimizer = Optimizer(space, population=8, steps=10, known_configs=known)
    assert optimizer.search.number_of_founders == 8
    tried: list[Config] = []
    while len(tried) < 12:
        for trial in optimizer.ask(count=4):
            tried.append(trial.config)
            optimizer.tell(trial, 0.5)
    assert tried[:12] == known


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_a_partial_config_may_switch_what_is_active(kind: str) -> None:
    for seed in range(8):
        (trial,) = make(known_configs=[{"kind": kind}], seed=seed).ask()
        assert trial.config["kind"] == kind
        assert ("momentum" in trial.config) == (kind == "sgd")


def test_an_empty_config_leaves_everything_open() -> None:
    assert make(known_configs=[{}]).ask()[0].config == make(known_configs=()).ask()[0].config


def test_a_run_from_known_configs_does_not_depend_on_its_workers() -> None:
    alone, crowd = make(), make()
    run_sequentially(alone, World())
    turns = iter([7, 3, 11, 2, 5, 13, 1, 17] * 10_000)
    run_interleaved(crowd, World(), lambda n: next(turns) % n, workers=4)
    assert crowd.records == alone.records


def test_known_configs_are_stored_with_a_run_and_in_their_plain_form() -> None:
    optimizer = Optimizer(
        SPACE, population=6, steps=4, preset="random", known_configs=[{"rate": 1, "layers": 2, "kind": "adam"}, PARTIAL]
    )
    assert type(optimizer.search.known_configs[0]["rate"]) is float
    again = Optimizer.from_dict(json.loads(json.dumps(optimizer.to_dict())))
    assert again.search == optimizer.search
    assert again.ask(3) == optimizer.ask(3)
    assert "known_configs" not in Optimizer(SPACE, steps=4, preset="random").to_dict()["search"]


@pytest.mark.parametrize(
    ("configs", "message"),
    [
        ([FULL] * 2, r"known_configs\[1\]: must differ from the others, got known_configs\[0\] again"),
        ([{}] * 7, r"known_configs: must be at most 6, the slots of generation 0, got 7"),
        ([{"ratte": 0.1}], r"known_configs\[0\]: 'ratte' is not a parameter of the space; did you mean 'rate'\?"),
        ([{}, {"rate": 2}], r"known_configs\[1\]: parameter 'rate' must be a float from 0\.0001 to 1"),
        ([{"layers": 1.5}], r"known_configs\[0\]: parameter 'layers' must be an int"),
        ([{"momentum": 0.5}], r"known_configs\[0\]: 'momentum' is active only where 'kind' .*; give 'kind', too"),
        ([{"kind": "adam", "momentum": 0.5}], r"known_configs\[0\]: 'momentum' is active only .*, got 'adam'; leave"),
        ([3], r"known_configs: must be a list of dicts from names to values, got \[3\]"),
        (FULL, r"known_configs: must be a list of dicts from names to values, got {"),
        ("rate", r"known_configs: must be a list of dicts"),
        (None, r"known_configs: must be a list of dicts"),
    ],
)
def test_a_known_config_that_cannot_be_is_refused_at_the_start(configs: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(known_configs=configs)


def test_known_configs_are_given_once() -> None:
    search = Search(Curious(), known_configs=[FULL])
    assert make(searcher=search, known_configs=()).ask()[0].config == FULL
    with pytest.raises(ConfigError, match="known_configs: must be given once"):
        make(searcher=search)


def test_a_chain_of_conditions_is_completed_from_its_head() -> None:
    space = Space(
        a=Categorical(["x", "y"]),
        b=When(Categorical(["p", "q"]), {"a": ["y"]}),
        c=When(Float(0, 1), {"b": ["q"]}),
    )
    for seed in range(6):
        (trial,) = Optimizer(
            space, population=2, steps=1, seed=seed, searcher=Search(Curious()), known_configs=[{"a": "y", "b": "q"}]
        ).ask()
        assert set(trial.config) == {"a", "b", "c"}
