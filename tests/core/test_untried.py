"""In a discrete space nothing is tried twice from the same weights while something else is left to try."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_core.optimizer import Optimizer
from gpbt_core.searcher import Query, Search
from gpbt_core.space import Categorical, Config, Float, Int, Space, When
from strategies import spaces

SMALL = Space(rate=Categorical([0.1, 0.01, 0.001]), layers=Int(1, 3))
CONDITIONAL = Space(kind=Categorical(["a", "b"]), one=When(Int(1, 2), {"kind": ["a"]}), other=Float(0, 1, step=0.5))


class Stubborn:
    """Proposes the same config again and again."""

    def propose(self, query: Query, rng: Any) -> Mapping[str, Any]:  # noqa: ARG002 - as a searcher is asked
        return query.space.decode([0.5] * len(query.space))


def litters(optimizer: Optimizer) -> Mapping[Any, list[Config]]:
    """The configs that each parent's children have had."""
    found: dict[Any, list[Config]] = defaultdict(list)
    while not optimizer.finished:
        for trial in optimizer.ask(count=3):
            found[trial.parent].append(trial.config)
            optimizer.tell(trial.id, float(trial.config.get("layers", 1)))
    return found


@pytest.mark.parametrize("space", [SMALL, CONDITIONAL], ids=["flat", "conditional"])
@pytest.mark.parametrize("preset", ["gpbt", "steady", "greedy", "paper", "pbt", "pb2", "random", "tpe", "gp"])
def test_a_parent_gets_no_config_twice_while_others_are_untried(space: Space, preset: Any) -> None:
    for parent, configs in litters(Optimizer(space, population=12, steps=4, preset=preset, seed=1)).items():
        assert len(set(configs)) == min(len(configs), 9), parent


@pytest.mark.parametrize("name", ["random", "sobol", "perturb", "tpe", "gp", "pb2", "cmaes"])
def test_whichever_searcher_proposes_them_founders_differ(name: str) -> None:
    if name == "cmaes":
        pytest.importorskip("cmaes")
    optimizer = Optimizer(SMALL, population=9, steps=2, reproduction="genealogical", searcher=Search(name))
    assert len({trial.config for _ in range(9) for trial in _told(optimizer)}) == 9


def _told(optimizer: Optimizer) -> list[Any]:
    trials = list(optimizer.ask())
    for trial in trials:
        optimizer.tell(trial.id, 0.0)
    return trials


def test_a_searcher_that_insists_on_one_config_gets_its_neighbors_and_then_it_again() -> None:
    optimizer = Optimizer(SMALL, population=20, steps=1, searcher=Search(Stubborn()), max_concurrent=20)
    configs = [trial.config for trial in optimizer.ask(20)]
    assert configs[0] == {"rate": 0.01, "layers": 2}
    assert configs[1:3] == [{"rate": 0.01, "layers": 3}, {"rate": 0.01, "layers": 1}]
    assert len(set(configs[:9])) == 9
    assert set(configs[9:]) == {configs[0]}


def test_the_answer_does_not_depend_on_how_many_are_asked_at_once() -> None:
    def configs(count: int) -> list[Config]:
        optimizer = Optimizer(SMALL, population=9, steps=4, seed=3, max_concurrent=3)
        found = []
        while not optimizer.finished:
            for trial in optimizer.ask(count):
                found.append(trial.config)
                optimizer.tell(trial.id, trial.config["rate"] * trial.config["layers"])
        return found

    assert configs(1) == configs(3)


def test_with_a_continuous_parameter_configs_are_left_as_they_were_proposed() -> None:
    space = Space(x=Float(0, 1), layers=Int(1, 3))
    optimizer = Optimizer(space, population=3, steps=1, searcher=Search(Stubborn()))
    assert len({trial.config for trial in optimizer.ask(3)}) == 1


def typed(config: Mapping[str, Any]) -> list[tuple[str, type, Any]]:
    return [(name, type(value), value) for name, value in config.items()]


@given(st.data(), spaces())
def test_what_is_untried_is_a_config_that_was_not_tried(data: st.DataObject, space: Space) -> None:
    units = st.lists(st.floats(0, 1), min_size=len(space), max_size=len(space))
    tried: list[Config] = []
    for _ in range(8):
        proposed = space.decode(data.draw(units))
        found = space.untried(proposed, tried)
        assert typed(space.validate(found)) == typed(found)
        if typed(proposed) not in map(typed, tried):
            assert typed(found) == typed(proposed)
        elif space.bins.all() and typed(found) in map(typed, tried):  # all are tried, so they are few
            assert typed(found) == typed(proposed)
            others = space.decode_all(np.random.default_rng(0).random((200, len(space))))
            assert all(typed(config) in map(typed, tried) for config in others)
        tried.append(found)
