"""The searcher `cmaes`: a pure function that moves like CMA-ES, on any space."""

import pickle
import sys
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import cmaes  # type: ignore[import-untyped]  # the package has no type hints
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_core.errors import ConfigError, PluginError
from gpbt_core.records import Record
from gpbt_core.registry import registry
from gpbt_core.searcher import Family, Query
from gpbt_core.space import Categorical, Float, Int, Space, When
from gpbt_core.testing import check_searcher
from gpbt_searchers.cmaes import CMAES
from searchers.family import queries, query_of, record_of
from strategies import examples

BOX = Space({f"x{k}": Float(0, 1) for k in range(4)})
MIXED = Space(
    x=Float(0, 1),
    layers=Int(1, 9),
    width=Int(1, 1024, log=True),
    kind=Categorical(["a", "b", "c"]),
    extra=When(Float(0, 1), {"kind": ["a"]}),
)


def query(space: Space, records: tuple[Record, ...], **rest: Any) -> Query:
    return Query(space=space, family=lambda: Family(told=records), **rest)


def run(space: Space, loss: Callable[[Mapping[str, Any]], float], count: int) -> tuple[Record, ...]:
    """A run of one generation, one trial at a time."""
    records: tuple[Record, ...] = ()
    for k in range(count):
        config = CMAES().propose(query(space, records, slot=k), np.random.default_rng([0, k]))
        records = (*records, record_of(k, config, loss(config)))
    return records


def losses(records: tuple[Record, ...]) -> list[float]:
    return [record.loss for record in records if record.loss is not None]


def test_it_passes_the_conformance_kit() -> None:
    check_searcher(CMAES())


@examples(60)
@given(asked=queries(), other=queries(), seed=st.integers(0, 2**32 - 1))
def test_a_proposal_is_a_config_of_the_space_and_a_function_of_the_question(
    asked: Query, other: Query, seed: int
) -> None:
    config = CMAES().propose(asked, np.random.default_rng(seed))
    assert asked.space.validate(config) == config
    CMAES().propose(other, np.random.default_rng(seed))
    assert CMAES().propose(asked, np.random.default_rng(seed)) == config


def test_it_closes_in_on_the_bottom_of_a_bowl() -> None:
    found = losses(run(BOX, lambda c: sum((x - 0.7) ** 2 for x in c.values()), 150))
    assert min(found) < 1e-3
    assert np.median(found[-20:]) < 0.1 * np.median(found[:20])


def test_it_finds_integers_and_categories_too() -> None:
    def loss(config: Mapping[str, Any]) -> float:
        bowl = (config["x"] - 0.2) ** 2 + 0.1 * (config["layers"] - 7) ** 2 + 0.1 * (np.log2(config["width"]) - 5) ** 2
        return float(bowl + {"a": 0.3, "b": 0.0, "c": 0.5}[config["kind"]])

    records = run(MIXED, loss, 160)
    assert min(losses(records)) < 0.02
    late = [record.trial.config["kind"] for record in records[-40:]]
    assert late.count("b") > 25


def test_the_margin_keeps_a_neighbor_of_an_integer_in_reach() -> None:
    space = Space(layers=Int(1, 5), x=Float(0, 1))
    records = run(space, lambda c: abs(c["layers"] - 3) + (c["x"] - 0.5) ** 2, 200)
    late = [record.trial.config["layers"] for record in records[-60:]]
    assert late.count(3) > 30
    assert set(late) - {3}


def test_an_integer_of_very_many_values_is_no_burden() -> None:
    space = Space(x=Float(0, 1), seed=Int(0, 10**12))
    assert len({record.trial.config["seed"] for record in run(space, lambda config: config["x"], 20)}) == 20


def test_equal_losses_and_failures_leave_it_searching() -> None:
    rng = np.random.default_rng(0)
    for loss in (1.0, None):
        records = tuple(record_of(k, BOX.sample(rng), loss) for k in range(60))
        drawn = [CMAES().propose(query(BOX, records), np.random.default_rng(k))["x0"] for k in range(20)]
        assert np.std(drawn) > 0.02


def test_losses_of_different_generations_are_not_compared() -> None:
    rng = np.random.default_rng(1)
    base = [record_of(k, BOX.sample(rng), float(rng.random()), generation=k // 20) for k in range(60)]
    lower = [attrs.evolve(record, loss=(record.loss or 0.0) - 100.0 * record.trial.generation) for record in base]
    questions = [query(BOX, tuple(records), generations=3) for records in (base, lower)]
    answers = [CMAES().propose(asked, np.random.default_rng(5)) for asked in questions]
    assert answers[0] == answers[1]


def test_with_little_history_it_steps_from_the_parent_or_draws_anywhere() -> None:
    parent = record_of(0, {f"x{k}": 0.5 for k in range(4)}, 1.0)
    near = [CMAES().propose(query_of(BOX, parent=parent), np.random.default_rng(k))["x0"] for k in range(60)]
    far = [CMAES().propose(query_of(BOX), np.random.default_rng(k))["x0"] for k in range(60)]
    assert 0.12 < np.std(near) < 0.25
    assert np.std(far) > 0.25


def test_a_long_history_costs_no_more_than_its_last_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    tell = cmaes.CMAwM.tell

    def counted(strategy: Any, batch: list[Any]) -> None:
        told.append(len(batch))
        tell(strategy, batch)

    monkeypatch.setattr(cmaes.CMAwM, "tell", counted)
    rng = np.random.default_rng(2)
    records = tuple(record_of(k, BOX.sample(rng), float(rng.random())) for k in range(1500))
    CMAES().propose(query(BOX, records), np.random.default_rng(3))
    assert told == [8] * 64


def test_it_is_offered_by_name_with_its_option() -> None:
    assert registry().searcher("cmaes", {"fraction": 0.5}) == CMAES(fraction=0.5)
    assert pickle.loads(pickle.dumps(CMAES())) == CMAES()  # noqa: S301 - its own


@pytest.mark.parametrize("fraction", [0, -0.1, 1.5, "half", True])
def test_a_fraction_that_is_none_is_refused(fraction: Any) -> None:
    with pytest.raises(ConfigError, match="cmaes: fraction: must be a number above 0"):
        CMAES(fraction=fraction)


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cmaes", None)
    monkeypatch.delitem(sys.modules, "gpbt_searchers.cmaes")
    with pytest.raises(PluginError, match=r'pip install "gpbt\[cmaes\]"'):
        registry().searcher("cmaes", {})
