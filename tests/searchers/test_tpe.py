"""The searcher `tpe`."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np
import pytest

from gpbt_core.errors import ConfigError
from gpbt_core.searcher import Query
from gpbt_core.space import Categorical, Float, Int, Space, When
from gpbt_searchers.tpe import TPE
from searchers.family import ask, query_after, query_of, record_of, trial_of

UNIT = Space(x=Float(0, 1))
SQUARE = Space(x=Float(0, 1), y=Float(0, 1))
Result = tuple[Mapping[str, Any], float | None]


def drawn(space: Space, count: int, loss: Callable[[Mapping[str, Any]], float | None], seed: int = 0) -> list[Result]:
    rng = np.random.default_rng(seed)
    configs = [space.sample(rng) for _ in range(count)]
    return [(config, loss(config)) for config in configs]


def near(proposals: list[Mapping[str, Any]], name: str, value: float, distance: float) -> float:
    """The share of proposals that are no farther than a distance from a value."""
    return float(np.mean([abs(config[name] - value) <= distance for config in proposals]))


def test_with_few_scored_records_configs_are_drawn_from_the_prior() -> None:
    results = [*drawn(SQUARE, 9, lambda config: config["x"]), *drawn(SQUARE, 9, lambda _: None, seed=1)]
    prior = [SQUARE.sample(np.random.default_rng([0, k])) for k in range(20)]
    assert ask(TPE(), query_of(SQUARE, results), 20) == prior
    assert ask(TPE(startup=9), query_of(SQUARE, results), 20) != prior


def test_proposals_gather_where_losses_are_low() -> None:
    found = ask(TPE(), query_of(SQUARE, drawn(SQUARE, 60, lambda c: (c["x"] - 0.3) ** 2 + (c["y"] - 0.8) ** 2)), 50)
    assert near(found, "x", 0.3, 0.15) > 0.9
    assert near(found, "y", 0.8, 0.15) > 0.9


@pytest.mark.parametrize(
    ("parameter", "best"),
    [
        (Int(1, 9), 3),
        (Int(0, 1000, step=50), 750),
        (Int(4, 4096, log=True), 64),
        (Float(0, 0.9, step=0.1), 0.3),
        (Float(1e-5, 1, log=True), 1e-3),
        (Categorical(["relu", "tanh", "elu", "gelu"]), "elu"),
    ],
)
def test_each_kind_of_parameter_is_learnt(parameter: Float | Int | Categorical, best: Any) -> None:
    space = Space(x=parameter, y=Float(0, 1))
    target = space.encode([{"x": best, "y": 0}])[0, 0]

    def distance(config: Mapping[str, Any]) -> float:
        far = abs(space.encode([config])[0, 0] - target)
        return float(far > 0) if space.categorical[0] else float(far)

    for searcher in (TPE(), TPE(multivariate=False)):
        found = ask(searcher, query_of(space, drawn(space, 80, distance)), 40)
        assert np.quantile([distance(config) for config in found], 0.9) <= 1 / 8


def test_only_the_order_of_the_losses_counts() -> None:
    results = drawn(SQUARE, 40, lambda config: config["x"] - config["y"])
    scaled = [(config, None if loss is None else math.exp(9 * loss) - 1e6) for config, loss in results]
    assert ask(TPE(), query_of(SQUARE, results), 5) == ask(TPE(), query_of(SQUARE, scaled), 5)


def two_hills(**facts: Any) -> Query:
    """Equally good records around 0.2 and 0.8, bad ones between."""
    results: list[Result] = [({"x": 0.2 + k / 200}, -1.0) for k in range(-2, 3)]
    results += [({"x": 0.8 + k / 200}, -1.0) for k in range(-2, 3)]
    results += [({"x": 0.3 + k / 50}, 1.0) for k in range(20)]
    extra = facts.pop("extra", [])
    return query_of(UNIT, [*results, *extra], **facts)


@pytest.mark.parametrize(("taken", "other"), [(0.2, 0.8), (0.8, 0.2)])
def test_failed_trials_are_kept_away_from(taken: float, other: float) -> None:
    failures = [({"x": taken + k / 500}, None) for k in range(-10, 10)]
    assert near(ask(TPE(good=0.33), two_hills(extra=failures), 100), "x", other, 0.1) > 0.9


@pytest.mark.parametrize(("taken", "other"), [(0.2, 0.8), (0.8, 0.2)])
def test_pending_trials_are_kept_away_from(taken: float, other: float) -> None:
    pending = [{"x": taken + k / 500} for k in range(-10, 10)]
    assert near(ask(TPE(good=0.33), two_hills(pending=pending), 100), "x", other, 0.1) > 0.9


def test_a_conditional_parameter_is_learnt_from_the_records_that_have_it() -> None:
    space = Space(
        kind=Categorical(["sgd", "adam"]),
        momentum=When(Float(0, 1), {"kind": ["sgd"]}),
        beta=When(Float(0, 1), {"kind": ["adam"]}),
    )

    def loss(config: Mapping[str, Any]) -> float:
        return float(abs(config["momentum"] - 0.9)) if "momentum" in config else float(abs(config["beta"] - 0.1))

    for searcher in (TPE(), TPE(multivariate=False)):
        found = [ask(searcher, query_of(space, drawn(space, 120, loss, seed)), 1)[0] for seed in range(60)]
        assert near([config for config in found if "momentum" in config], "momentum", 0.9, 0.15) > 0.8
        assert near([config for config in found if "beta" in config], "beta", 0.1, 0.15) > 0.8


def test_parameters_that_belong_together_are_modeled_together_unless_told_otherwise() -> None:
    spots = [(0.15, 0.85), (0.85, 0.15), (0.15, 0.5), (0.5, 0.15)]  # x = .15 is best on the whole, and so is y = .15
    good = [({"x": x + k / 300, "y": y - k / 300}, -1.0) for k in range(-3, 4) for x, y in spots]
    bad = drawn(SQUARE, 60, lambda _: 1.0)

    def mismatched(searcher: TPE) -> float:
        found = ask(searcher, query_of(SQUARE, [*good, *bad]), 50)
        return float(np.mean([config["x"] < 0.3 and config["y"] < 0.3 for config in found]))

    assert mismatched(TPE(good=0.28)) == 0
    assert mismatched(TPE(good=0.28, multivariate=False)) > 0.9


def test_in_a_finite_space_candidates_that_repeat_siblings_are_passed_over() -> None:
    space = Space(a=Categorical(list("uvwxyz")), b=Int(1, 2))
    everything = [{"a": a, "b": b} for a in "uvwxyz" for b in (1, 2)]
    results = [(config, float(k)) for k, config in enumerate(everything[:10])]
    assert sum(config in everything[10:] for config in ask(TPE(), query_of(space, results), 30)) >= 27
    pending = query_of(space, results, pending=[everything[10]])
    assert sum(config == everything[11] for config in ask(TPE(), pending, 30)) >= 20
    later = query_of(space, results, generation=1, generations=2, parent=record_of(99, everything[0], 0.0))
    assert any(config in everything[:10] for config in ask(TPE(), later, 30))  # on other weights
    assert ask(TPE(), query_of(space, [(config, 0.0) for config in everything]), 3)


@pytest.mark.parametrize(
    "results",
    [
        [({"x": 0.5, "y": 0.5}, 1.0)],
        [({"x": 0.5, "y": 0.5}, 1.0)] * 40,
        [({"x": 0.0, "y": 1.0}, float(k)) for k in range(12)],
        [({"x": k / 40, "y": 0.3}, 7.0) for k in range(40)],
        [({"x": 0.5, "y": k / 40}, 1e308 * (-1) ** k) for k in range(40)],
    ],
)
def test_degenerate_histories_are_no_trouble(results: list[Result]) -> None:
    for config in ask(TPE(startup=1), query_of(SQUARE, results), 5):
        assert SQUARE.validate(config) == config


def minimized(searcher: TPE, space: Space, loss: Callable[[Mapping[str, Any]], float], trials: int, seed: int) -> float:
    results: list[Result] = []
    for slot in range(trials):
        config = searcher.propose(query_of(space, results), np.random.default_rng([seed, slot]))
        results.append((config, loss(config)))
    return min(loss for _, loss in results if loss is not None)


@pytest.mark.parametrize("multivariate", [True, False])
def test_it_finds_a_minimum_that_chance_does_not(*, multivariate: bool) -> None:
    space = Space(x=Float(0, 1), y=Float(1e-4, 1, log=True), n=Int(1, 20), kind=Categorical(["a", "b", "c"]))

    def loss(config: Mapping[str, Any]) -> float:
        far = (config["x"] - 0.7) ** 2 + (math.log10(config["y"]) + 1) ** 2 / 16 + (config["n"] - 13) ** 2 / 400
        return float(far + 0.3 * (config["kind"] != "b"))

    searcher = TPE(multivariate=multivariate)
    found = np.median([minimized(searcher, space, loss, 80, seed) for seed in range(7)])
    chance = np.median([min(loss for _, loss in drawn(space, 80, loss, seed) if loss is not None) for seed in range(7)])
    assert found < 0.25 * chance


def grown(count: int, parent: int) -> Query:
    """A query of one of two families that share the first ten records and then have records of their own."""
    rng = np.random.default_rng(3)
    shared = [record_of(k, SQUARE.sample(rng), float(rng.random())) for k in range(10)]
    own = [
        record_of(10 + 2 * k + parent, SQUARE.sample(rng), float(rng.random()), parent=parent, generation=1)
        for k in range(count)
    ]
    return query_after(SQUARE, (*shared, *own), parent=shared[parent], generation=1, generations=2)


def test_what_was_asked_before_changes_no_answer() -> None:
    queries = [query for count in (0, 1, 5, 3, 8) for query in (grown(count, 0), grown(count, 1))]
    used = TPE()
    for query in [*queries, *reversed(queries)]:
        assert ask(used, query, 2) == ask(TPE(), query, 2)


def test_a_history_that_differs_in_one_record_is_not_taken_for_another() -> None:
    told = tuple(record_of(k, {"x": k / 20}, float(k)) for k in range(20))
    other = (*told[:5], attrs.evolve(told[5], loss=-1.0), *told[6:])
    used = TPE()
    for records in (told, other, told[:15], told):
        query = query_after(UNIT, records)
        assert ask(used, query, 3) == ask(TPE(), query, 3)


def test_what_is_remembered_is_bounded() -> None:
    searcher = TPE()
    for parent in range(200):
        told = tuple(record_of(k, {"x": k / 20}, float(k)) for k in range(20))
        start = record_of(1000 + parent, {"x": 0.5}, 0.0)
        ask(searcher, query_after(UNIT, told, parent=start), 1)
    assert len(searcher._memory._kept) == 64


def test_a_sibling_in_training_moves_the_next_proposal() -> None:
    results = drawn(UNIT, 30, lambda config: (config["x"] - 0.5) ** 2)
    told = tuple(record_of(k, config, loss) for k, (config, loss) in enumerate(results))
    waiting = tuple(trial_of(100 + k, {"x": 0.5}) for k in range(8))
    alone, beside = (ask(TPE(), query_after(UNIT, told, pending=pending), 40) for pending in ((), waiting))
    assert np.median([abs(c["x"] - 0.5) for c in beside]) > np.median([abs(c["x"] - 0.5) for c in alone])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"startup": 0}, "tpe: startup: must be a whole number of at least 1, got 0"),
        ({"startup": 2.5}, "got 2.5"),
        ({"candidates": True}, "candidates: must be a whole number of at least 1, got True"),
        ({"good": 0}, "good: must be a number above 0 and at most 1, got 0"),
        ({"good": float("nan")}, "got nan"),
        ({"good": "half"}, "got 'half'"),
        ({"multivariate": 1}, "multivariate: must be True or False, got 1"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TPE(**options)
