"""Conditions: where names are looked up, when a parameter is active, and what cannot be."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpbt_core.errors import ConfigError
from gpbt_core.space import Categorical, Float, Int, Space, When

ABC = Categorical(["a", "b", "c"])
UNIT = Float(0, 1)
ANY_WHEN: Any = When  # for what a type checker would refuse before we do


def test_names_are_relative_to_the_space_in_which_the_when_stands() -> None:
    inner = Space(kind=ABC, x=When(UNIT, {"kind": ["a"]}))
    space = Space(kind=Categorical([1, 2]), inner=When(inner, {"kind": [2]}), y=When(UNIT, {"inner.kind": ["b", "c"]}))
    assert space.conditions == {
        "inner.kind": (("kind", (2,)),),
        "inner.x": (("kind", (2,)), ("inner.kind", ("a",))),
        "y": (("inner.kind", ("b", "c")),),
    }


def test_a_parameter_is_active_when_each_condition_holds() -> None:
    space = Space(k=ABC, n=Int(0, 2), x=When(UNIT, {"k": ["a", "b"], "n": [2]}))
    active = {
        (config["k"], config["n"])
        for config in space.decode_all([[(i + 0.5) / 3, (j + 0.5) / 3, 0.5] for i in range(3) for j in range(3)])
        if "x" in config
    }
    assert active == {("a", 2), ("b", 2)}


def test_a_parameter_is_not_active_where_its_controller_is_not() -> None:
    space = Space(a=Int(0, 1), b=When(Int(0, 1), {"a": [1]}), c=When(UNIT, {"b": [1]}))
    assert space.decode([0, 1, 0.5]) == {"a": 0}
    assert space.decode([1, 0, 0.5]) == {"a": 1, "b": 0}
    assert space.decode([1, 1, 0.5]) == {"a": 1, "b": 1, "c": 0.5}


def test_a_parameter_may_depend_on_later_ones() -> None:
    space = Space(c=When(UNIT, {"b": [1]}), b=When(Int(0, 1), {"a": [1]}), a=Int(0, 1))
    config = space.decode([0.5, 1, 1])
    assert list(config.items()) == [("c", 0.5), ("b", 1), ("a", 1)]
    assert list(space.validate(dict(reversed(config.items()))).items()) == list(config.items())
    assert space.decode([0.5, 1, 0]) == {"a": 0}


def test_whens_of_whens_must_both_hold() -> None:
    space = Space(n=Int(0, 5), k=ABC, x=When(When(UNIT, {"n": [1, 2, 3]}), {"n": [2, 3, 4], "k": ["a"]}))
    assert space.conditions["x"] == (("n", (2, 3)), ("k", ("a",)))


def test_values_that_python_holds_equal_are_told_apart() -> None:
    space = Space(k=Categorical([1, True, 1.0]), x=When(UNIT, {"k": [True]}))
    assert [("x" in config) for config in space.decode_all([[0.1, 0], [0.5, 0], [0.9, 0]])] == [False, True, False]
    assert space.snap([[0.1, 0.5], [0.5, 0.5]])[:, 1].tolist()[1] == 0.5
    with pytest.raises(ConfigError, match="'x' is active only where 'k' is in"):
        space.validate({"k": 1, "x": 0.5})


def test_stepped_floats_may_control() -> None:
    space = Space(f=Float(0, 1, step=0.1), x=When(UNIT, {"f": [0.3, 7 * 0.1]}))
    assert space.conditions == {"x": (("f", (0.3, 0.7)),)}
    assert space.validate({"f": 0.1 * 3, "x": 1}) == {"f": 0.3, "x": 1.0}


def test_conditions_hold_plain_values() -> None:
    values: list[Any] = [np.int64(2), np.int8(1)]
    space = Space(n=Int(0, 3), x=When(UNIT, {"n": values}))
    assert space.conditions == {"x": (("n", (1, 2)),)}
    assert [type(value) for value in space.conditions["x"][0][1]] == [int, int]


BAD: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: Space(kind=ABC, x=When(UNIT, {"kin": ["a"]})),
        r"the condition of 'x' on 'kin' must name a parameter, got 'kin'; did you mean 'kind'\?",
    ),
    (lambda: Space(x=When(UNIT, {"zzz": ["a"]})), "got 'zzz'; known names are 'x'"),
    (
        lambda: Space(kind=ABC, inner=Space(y=UNIT, x=When(UNIT, {"y": [0.5]}))),
        "must be on a parameter of countable values, got a continuous Float",
    ),
    (lambda: Space(kind=ABC, inner=Space(x=When(UNIT, {"kind": ["a"]}))), "must name a parameter, got 'kind'"),
    (
        lambda: Space(sub=Space(kind=ABC), x=When(UNIT, {"sub": ["a"]})),
        r"got 'sub'; it is a space; name one of \['sub.kind'\]",
    ),
    (
        lambda: Space(kind=ABC, x=When(UNIT, {"kind": ["d"]})),
        r"the condition of 'x' on 'kind' names a value that it can never take: .* must be one of \['a', 'b', 'c'\]",
    ),
    (lambda: Space(n=Int(0, 3), x=When(UNIT, {"n": [4]})), "names a value that it can never take"),
    (lambda: Space(n=Int(0, 3), x=When(UNIT, {"n": [True]})), "names a value that it can never take"),
    (lambda: Space(k=ABC, x=ANY_WHEN(UNIT, {"k": [["a"]]})), "names a value that it can never take"),
    (lambda: Space(k=ABC, x=When(UNIT, {"k": ["a", "a"]})), r"must have distinct values, got \['a', 'a'\]"),
    (lambda: Space(x=When(Int(0, 1), {"x": [0]})), r"the conditions of \['x'\] form a circle"),
    (
        lambda: Space(x=When(Int(0, 1), {"y": [0]}), y=When(Int(0, 1), {"x": [0]}), z=Int(0, 1)),
        r"the conditions of \['x', 'y'\] form a circle",
    ),
    (
        lambda: Space(k=ABC, x=When(When(UNIT, {"k": ["a"]}), {"k": ["b"]})),
        "parameter 'x' can never be active: .* leave no value of 'k'; widen one of them",
    ),
    (
        lambda: Space(k=ABC, y=When(Int(0, 1), {"k": ["a"]}), x=When(UNIT, {"k": ["b"], "y": [0]})),
        "parameter 'x' can never be active: .* leave no value of 'k'",
    ),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_what_no_condition_can_be_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_an_unknown_name_among_many_shows_some() -> None:
    many = {f"p{i:03}": UNIT for i in range(200)}
    with pytest.raises(ConfigError, match=r"known names are 'p000', .*'p009' and 191 more$"):
        Space({**many, "x": When(UNIT, {"?": [1]})})
