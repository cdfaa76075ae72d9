"""The searcher `perturb`."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from gpbt_core.errors import ConfigError
from gpbt_core.searcher import Family, Query
from gpbt_core.space import Categorical, Float, Int, Space, When
from gpbt_searchers.perturb import Perturb
from searchers.family import ask, record_of

STEADY = Perturb(resample_probability=0)


def children(
    space: Space, config: Mapping[str, Any], count: int = 60, searcher: Perturb = STEADY
) -> list[Mapping[str, Any]]:
    return ask(searcher, Query(space=space, parent=record_of(0, config, 0.0), generation=1, generations=2), count)


def values(parameter: Float | Int | Categorical, value: Any, count: int = 60, searcher: Perturb = STEADY) -> set[Any]:
    return {child["x"] for child in children(Space(x=parameter), {"x": value}, count, searcher)}


@pytest.mark.parametrize("parameter", [Float(1e-5, 1, log=True), Float(-1, 1)])
def test_a_float_is_multiplied_by_either_factor(parameter: Float) -> None:
    found = sorted({round(value, 12) for value in values(parameter, 0.1)})
    assert found == [0.08, 0.12]


def test_on_the_scale_1_minus_x_the_distance_to_1_is_multiplied() -> None:
    found = values(Float(0.5, 0.9999, log="1-x"), 0.99)
    assert sorted(round(value, 9) for value in found) == [0.988, 0.992]
    assert values(Float(0, 0.99, step=0.01, log="1-x"), 0.98) == {0.97, 0.99}


def test_both_factors_are_as_likely() -> None:
    found = [child["x"] > 0.1 for child in children(Space(x=Float(0, 1)), {"x": 0.1}, 1000)]
    assert sum(found) == pytest.approx(500, abs=60)


def test_a_float_ends_at_its_bounds() -> None:
    assert values(Float(0.09, 0.11), 0.1) == {0.09, 0.11}


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        (Int(1, 100), 50, {40, 60}),
        (Int(1, 100), 2, {1, 3}),  # 1.6 and 2.4 both round to 2
        (Int(-100, 100), -2, {-1, -3}),
        (Int(-5, 5), 0, {-1, 1}),
        (Int(1, 4), 4, {3, 4}),
        (Int(0, 100, step=10), 30, {20, 40}),
        (Int(1, 1000, log=True), 100, {80, 120}),
        (Float(0, 1, step=0.1), 0.3, {0.2, 0.4}),
        (Float(0, 1, step=0.001), 0.3, {0.24, 0.36}),
        (Int(7, 7), 7, {7}),
        (Int(1, 2**40), 2**40, {round(0.8 * 2**40), 2**40}),
    ],
)
def test_on_a_lattice_the_nearest_point_is_taken_but_another_one(
    parameter: Int | Float, value: float, expected: set[float]
) -> None:
    found = values(parameter, value)
    assert found == expected
    assert {type(one) for one in found} == {type(value)}


def test_a_factor_of_one_moves_nothing() -> None:
    calm = Perturb(factors=[1.0], resample_probability=0)
    assert values(Int(1, 9), 4, searcher=calm) == {4}
    assert values(Float(0, 1), 0.5, searcher=calm) == {0.5}


def test_a_category_moves_to_a_neighbor_and_stays_at_the_ends() -> None:
    letters = Categorical(["a", "b", "c", "d"])
    assert values(letters, "b") == {"a", "c"}
    assert values(letters, "a") == {"a", "b"}
    assert values(letters, "d") == {"c", "d"}
    alike = children(Space(x=Categorical([True, 1, 1.0])), {"x": 1.0})
    assert {type(child["x"]) for child in alike} == {int, float}


def test_each_parameter_is_drawn_anew_with_the_given_probability() -> None:
    space = Space(x=Float(0, 1), n=Int(0, 10**6))
    found = children(space, {"x": 0.5, "n": 500_000}, 2000, Perturb())
    fresh_x = [round(child["x"], 9) not in (0.4, 0.6) for child in found]
    fresh_n = [child["n"] not in (400_000, 600_000) for child in found]
    assert sum(fresh_x) == pytest.approx(500, abs=80)
    assert sum(fresh_n) == pytest.approx(500, abs=80)
    assert sum(a and b for a, b in zip(fresh_x, fresh_n, strict=True)) == pytest.approx(125, abs=40)  # independently
    assert {child["x"] < 0.5 for child, fresh in zip(found, fresh_x, strict=True) if fresh} == {True, False}


def test_a_parameter_that_becomes_active_is_drawn_and_one_that_is_no_longer_is_left_out() -> None:
    space = Space(m=When(Float(0, 1), {"kind": ["sgd"]}), kind=Categorical(["adam", "sgd"]))
    found = children(space, {"kind": "adam"}, 200)
    drawn = [child["m"] for child in found if child["kind"] == "sgd"]
    assert Counter(len(child) for child in found) == {1: 200 - len(drawn), 2: len(drawn)}
    assert np.ptp(drawn) > 0.9
    after = children(space, {"m": 0.5, "kind": "sgd"})
    assert {tuple(child) for child in after} == {("kind",), ("m", "kind")}
    assert {round(child["m"], 9) for child in after if "m" in child} == {0.4, 0.6}


def test_without_a_parent_configs_are_drawn() -> None:
    space = Space(x=Float(0, 1), kind=Categorical(["a", "b"]))
    found = ask(Perturb(), Query(space=space), 5)
    assert found == [space.sample(np.random.default_rng([0, k])) for k in range(5)]


def test_the_family_history_is_not_made() -> None:
    def make() -> Family:
        raise AssertionError("it was")

    query = Query(space=Space(x=Float(0, 1)), parent=record_of(0, {"x": 0.5}, 1.0), family=make)
    Perturb().propose(query, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factors": ()}, r"factors must be at least one finite number, all above 0, got \(\)"),
        ({"factors": (0.8, -1)}, "above 0"),
        ({"factors": (float("inf"),)}, "finite"),
        ({"factors": 3}, "a list of numbers, got 3"),
        ({"factors": ["a"]}, "a list of numbers"),
        ({"resample_probability": 1.5}, "resample_probability: must be a number from 0 to 1, got 1.5"),
        ({"resample_probability": True}, "got True"),
        ({"resample_probability": float("nan")}, "got nan"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Perturb(**options)
