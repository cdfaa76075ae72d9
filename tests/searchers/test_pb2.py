"""The searcher `pb2`: its rows, its bandit, its time-varying process, and what it proposes."""

import math
import pickle
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_core import Optimizer
from gpbt_core.records import Record, Status, Trial
from gpbt_core.searcher import Family, Query
from gpbt_core.space import Categorical, Config, Float, Int, Space, When
from gpbt_core.testing import check_searcher
from gpbt_searchers.encoded import Encoded
from gpbt_searchers.pb2 import PB2
from gpbt_searchers.pb2.bandit import probabilities
from gpbt_searchers.pb2.model import Inputs, Kernel, condition, covariance, fit, inputs, log_likelihood
from gpbt_searchers.pb2.rows import Rows, gains, latest, rows_of, standardized
from searchers.family import queries, query_of, record_of
from strategies import examples

LINE = Space(x=Float(0, 1))
NET = Space(
    lr=Float(1e-5, 1, log=True),
    layers=Int(1, 4),
    kind=Categorical(["sgd", "adam", "lamb"]),
    momentum=When(Float(0, 0.99), {"kind": ["sgd"]}),
)


def child(
    number: int, parent: int | None, generation: int, config: Config, loss: float | None, steps: int = 1
) -> Record:
    record = record_of(number, config, loss, parent=parent, generation=generation)
    return attrs.evolve(record, trial=attrs.evolve(record.trial, steps=steps), steps=steps)


def population(
    space: Space, gain: Callable[[Config, int], float | None], generations: int, members: int = 10, seed: int = 0
) -> list[Record]:
    """Lines that each go on under a new random config, the losses falling by `gain`."""
    rng = np.random.default_rng(seed)
    records: list[Record] = []
    for k in range(members * generations):
        generation, config = k // members, space.sample(rng)
        before = records[k - members].loss if generation else None
        change = gain(config, generation) if generation else 0.0
        loss = None if change is None else (10.0 if before is None else before) - change
        records.append(child(k, k - members if generation else None, generation, config, loss))
    return records


def question(
    space: Space, records: list[Record], *, pending: tuple[Trial, ...] = (), generations: int = 10, **rest: Any
) -> Query:
    family = Family(told=tuple(records), pending=pending)
    generation = records[-1].trial.generation + 1
    defaults: dict[str, Any] = {"parent": records[-1], "generation": generation}
    return Query(space=space, generations=generations, family=lambda: family, **(defaults | rest))


def ask(query: Query, seed: int = 0) -> Any:
    return PB2().propose(query, np.random.default_rng(seed))


def test_it_passes_the_conformance_kit() -> None:
    check_searcher(PB2())


@examples(60)
@given(query=queries(), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_every_proposal_is_a_config_of_the_space(query: Query, seed: int, data: st.DataObject) -> None:
    """The queries' trials get parents among themselves, so that there are rows."""
    told = list(query.history)
    for k in range(1, len(told)):
        parent = data.draw(st.integers(0, k - 1))
        trial = attrs.evolve(told[k].trial, parent=parent, generation=told[parent].trial.generation + 1)
        told[k] = attrs.evolve(told[k], trial=trial)
    if told:
        query = question(query.space, told, pending=query.pending)
    config = PB2().propose(query, np.random.default_rng(seed))
    assert query.space.validate(config) == config
    assert PB2().propose(query, np.random.default_rng(seed)) == config


def test_a_row_is_what_the_loss_fell_by_per_step_and_needs_the_loss_before() -> None:
    some = LINE.validate({"x": 0.5})
    records = [
        child(0, None, 0, some, 4.0),
        child(1, None, 0, some, None),
        child(2, 0, 1, some, 1.0, steps=3),
        child(3, 1, 1, some, 1.0),
        child(4, 99, 1, some, 1.0),
        child(5, 0, 1, some, None),
        child(6, 2, 2, some, 1.5),
    ]
    found = latest(records, 10)
    assert [(record.trial.id, before) for record, before in found] == [(2, 4.0), (5, 4.0), (6, 1.0)]
    assert gains(found).tolist() == [1.0, -np.inf, -0.5]
    assert [record.trial.id for record, _ in latest(records, 2)] == [5, 6]


@given(st.lists(st.floats(-1e308, 1e308) | st.just(-np.inf), min_size=1, max_size=20))
def test_standardized_gains_are_finite_cut_and_in_order(values: list[float]) -> None:
    y = np.array(values)
    found = standardized(y)
    assert (np.abs(found) <= 2.0).all()
    assert (np.diff(found[np.argsort(y, kind="stable")]) >= 0).all()


@pytest.mark.parametrize("values", [[3.0, 3.0], [-np.inf, -np.inf], []])
def test_gains_that_are_all_alike_tell_nothing(values: list[float]) -> None:
    assert (standardized(np.array(values)) == 0).all()


@pytest.mark.parametrize("unit", [2.0**-900, 2.0**-550, 2.0**900])
def test_the_unit_of_the_losses_does_not_count(unit: float) -> None:
    records = population(NET, lambda c, g: float(np.sin(20 * c["lr"] + c["layers"])) / (1 + g), 4)
    same = [attrs.evolve(record, loss=None if record.loss is None else record.loss * unit) for record in records]
    assert ask(question(NET, same)) == ask(question(NET, records))


def test_the_bandit_favors_what_was_rewarded_and_never_gives_a_choice_up() -> None:
    rounds = [(np.array([0, 1, 2, 0, 1, 2]), np.array([0.9, 0.1, 0.4, 1.0, 0.2, 0.5]))] * 6
    share = probabilities(3, rounds, 100)
    assert share.sum() == pytest.approx(1.0)
    assert share[0] > share[2] > share[1] >= 0.2 / 3


def test_the_bandit_forgets() -> None:
    first = [(np.array([0, 1]), np.array([1.0, 0.0]))] * 10
    then = [(np.array([0, 1]), np.array([0.0, 1.0]))] * 10
    assert probabilities(2, first, 40)[0] > 0.65
    assert probabilities(2, first + then, 40)[1] > 0.5
    assert probabilities(2, first + then[:3], 40)[1] > probabilities(2, first + then[:3], 10**6)[1] + 0.05


def test_the_bandit_without_rounds_is_fair_and_explores_by_the_rule_of_few_plays() -> None:
    assert probabilities(4, [], 10).tolist() == [0.25] * 4
    one_play = [(np.array([0]), np.array([1.0]))]
    gamma = np.sqrt(4 * np.log(4) / ((math.e - 1) * 10))
    weights = np.array([np.exp(gamma), 1, 1, 1]) / (np.exp(gamma) + 3) + math.e / 40
    expected = (1 - gamma) * weights / weights.sum() + gamma / 4
    np.testing.assert_allclose(probabilities(4, one_play, 10), expected)


def some_inputs(count: int, categories: int, seed: int) -> Inputs:
    rng = np.random.default_rng(seed)
    return Inputs(
        time=np.sort(rng.integers(0, 5, count)).astype(np.float64),
        x=rng.random((count, 4)),
        categories=rng.integers(-1, 3, (count, categories)).astype(np.intp),
    )


@pytest.mark.parametrize("categories", [0, 2])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_gradient_of_the_likelihood_is_that_of_finite_differences(categories: int, seed: int) -> None:
    data, rng = some_inputs(30, categories, seed), np.random.default_rng(seed)
    y, vector = rng.standard_normal(30), np.array([0.3, -0.8, -1.5, 0.2, 0.4])
    _, found = log_likelihood(vector, data, y)
    for k, direction in enumerate(np.eye(5)):
        above, below = (log_likelihood(vector + s * 1e-5 * direction, data, y)[0] for s in (1, -1))
        assert found[k] == pytest.approx((above - below) / 2e-5, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("categories", [0, 2])
def test_slopes_of_the_bound_are_those_of_finite_differences(categories: int) -> None:
    data, y = some_inputs(30, categories, 2), np.random.default_rng(2).standard_normal(30)
    kernel = Kernel(variance=1.3, length=0.4, noise=0.1, forget=0.2, mix=0.3)
    belief = condition(kernel, data, y, some_inputs(3, categories, 3))
    at = some_inputs(6, categories, 4)
    bound, found = belief.bound_slopes(at)
    np.testing.assert_allclose(bound, belief.bound(at))
    for k in range(3):
        step = np.zeros((1, 4))
        step[0, 1 + k] = 1e-6
        above, below = (belief.bound(attrs.evolve(at, x=at.x + s * step)) for s in (1, -1))
        np.testing.assert_allclose(found[:, k], (above - below) / 2e-6, rtol=1e-4, atol=1e-6)


def test_covariances_fade_with_generations_and_are_positive_definite_with_categories() -> None:
    kernel = Kernel(variance=1.0, length=0.5, noise=0.1, forget=0.3, mix=0.4)
    data = some_inputs(25, 2, 5)
    matrix, _ = covariance(data, data, kernel)
    assert np.linalg.eigvalsh(matrix).min() > -1e-10
    older = attrs.evolve(data, time=data.time + 2)
    np.testing.assert_allclose(covariance(data, older, kernel)[0].diagonal(), 0.7 * matrix.diagonal())


def test_pending_rows_lower_the_bound_where_they_lie_by_nothing_but_uncertainty() -> None:
    data, y = some_inputs(20, 0, 6), np.random.default_rng(6).standard_normal(20)
    kernel = Kernel(variance=1.0, length=0.3, noise=0.1, forget=0.1, mix=0.5)
    at = some_inputs(4, 0, 7)
    alone, beside = condition(kernel, data, y, some_inputs(0, 0, 0)), condition(kernel, data, y, at)
    assert (beside.bound(at) < alone.bound(at)).all()
    unsure, sure = (attrs.evolve(belief, width=0.0).bound(at) for belief in (alone, beside))
    np.testing.assert_allclose(unsure, sure, atol=1e-12)


def test_a_fit_is_cached_by_content_and_starts_anew_each_time() -> None:
    data, y = some_inputs(30, 2, 8), np.random.default_rng(8).standard_normal(30)
    first = fit(data, y)
    fit(some_inputs(30, 2, 9), y)
    copied = Inputs(time=data.time.copy(), x=data.x.copy(), categories=data.categories.copy())
    assert fit(copied, y) == first
    start = log_likelihood(np.array([0.0, np.log(0.5), np.log(0.1), 0.1, 0.5]), data, y)[0]
    end = np.array([*np.log([first.variance, first.length, first.noise]), first.forget, first.mix])
    assert log_likelihood(end, data, y)[0] > start


def test_losses_before_are_scaled_by_those_of_the_rows() -> None:
    rows = Rows(
        time=np.zeros(3),
        before=np.array([1e308, -1e308, 0.0]),
        numbers=np.zeros((3, 0)),
        categories=np.zeros((3, 0), np.intp),
    )
    assert inputs(rows, rows).x[:, 0].tolist() == [1.0, 0.0, 0.5]
    equal = attrs.evolve(rows, before=np.full(3, 2.0))
    assert inputs(equal, equal).x[:, 0].tolist() == [0.0, 0.0, 0.0]


def test_inactive_numbers_lie_in_the_middle_and_inactive_categories_agree() -> None:
    adam = NET.validate({"lr": 0.1, "layers": 1, "kind": "adam"})
    record = child(1, 0, 1, adam, 1.0)
    rows = rows_of(NET, Encoded.of(NET, [record]), [(record, 2.0)])
    assert rows.numbers[0, 2] == 0.5
    assert rows.categories.tolist() == [[1]]


def test_without_a_parent_or_a_change_it_draws_uniformly() -> None:
    founders = query_of(LINE, [({"x": 0.2}, 1.0), ({"x": 0.4}, 2.0)], generations=3)
    assert len({ask(founders, seed)["x"] for seed in range(5)}) == 5
    first = question(LINE, [record_of(0, {"x": 0.2}, 1.0)])
    drawn = [ask(first, seed)["x"] for seed in range(200)]
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.06)


def test_it_goes_where_losses_fall_fastest() -> None:
    records = population(LINE, lambda c, _: 1.0 - (c["x"] - 0.3) ** 2 * 4, 6)
    found = [ask(question(LINE, records), seed)["x"] for seed in range(5)]
    assert np.abs(np.array(found) - 0.3).max() < 0.12


def test_it_follows_what_changes_with_time() -> None:
    records = population(LINE, lambda c, g: 1.0 - 4 * (c["x"] - 0.2 - 0.1 * g) ** 2, 8, members=12)
    assert ask(question(LINE, records, generations=12))["x"] == pytest.approx(0.9, abs=0.2)


def test_it_keeps_away_from_where_trials_fail() -> None:
    records = population(LINE, lambda c, _: None if c["x"] > 0.6 else 0.5 + 0.3 * c["x"], 6)
    records = [record for record in records if record.loss is not None or record.trial.parent is not None]
    good = next(record for record in reversed(records) if record.loss is not None)
    assert ask(question(LINE, records, parent=good))["x"] < 0.7


def test_it_takes_the_category_that_pays_most_often_and_the_number_that_goes_with_it() -> None:
    space = Space(kind=Categorical(["a", "b"]), x=Float(0, 1))

    def gain(config: Config, _: int) -> float:
        return 1.5 - 4 * (config["x"] - 0.2) ** 2 if config["kind"] == "a" else -1.0

    records = population(space, gain, 8)
    found = [ask(question(space, records, generations=9), seed) for seed in range(40)]
    share = np.mean([config["kind"] == "a" for config in found])
    assert 0.55 < share < 1.0
    assert np.abs(np.array([c["x"] for c in found if c["kind"] == "a"]) - 0.2).max() < 0.2


def test_pending_siblings_of_known_and_unknown_parents_count() -> None:
    records = population(LINE, lambda c, _: float(np.sin(9 * c["x"])), 4, members=4)
    alone = ask(question(LINE, records))
    for parent in (records[-1].trial.id, 77):
        waiting = record_of(99, alone, None, parent=parent, generation=4).trial
        assert ask(question(LINE, records, pending=(waiting,) * 3)) != alone


def test_a_failed_parent_counts_as_the_worst() -> None:
    records = population(LINE, lambda c, _: c["x"], 4)
    lost = attrs.evolve(records[-1], loss=None, status=Status.FAILED)
    assert LINE.validate(ask(question(LINE, records, parent=lost)))


def test_equal_searchers_are_equal_and_survive_pickling() -> None:
    assert pickle.loads(pickle.dumps(PB2())) == PB2()  # noqa: S301 - its own


def test_as_a_preset_it_finds_a_schedule() -> None:
    optimizer = Optimizer(LINE, population=8, steps=8, preset="pb2", seed=1)
    weights: dict[int | None, Any] = {None: 0.0}
    while not optimizer.finished:
        for trial in optimizer.ask():
            weights[trial.id] = weights[trial.parent]
            for _ in range(trial.steps):
                weights[trial.id] -= 0.3 * (1.0 - 3 * abs(trial.config["x"] - 0.25))
            optimizer.tell(trial.id, float(weights[trial.id]))
    assert optimizer.best.score < -8 * 0.3 * 0.8


def test_it_proposes_what_it_proposed_before() -> None:
    records = population(NET, lambda c, g: float(np.sin(20 * c["lr"] + c["layers"])) / (1 + g), 5)
    config = ask(question(NET, records))
    recorded = {"lr": 0.003468715586987882, "layers": 1, "kind": "lamb"}
    assert list(config) == list(recorded)
    np.testing.assert_allclose(NET.encode([config]), NET.encode([NET.validate(recorded)]), atol=1e-3)
