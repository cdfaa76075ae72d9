"""Spaces: how they are put together, what they hold to be a config, and what they refuse."""

import copy
import enum
import math
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_core.errors import ConfigError
from gpbt_core.space import Categorical, Config, Float, Int, Space, When
from strategies import points, spaces

OPTIMIZER = Space(kind=Categorical(["sgd", "adam"]), momentum=When(Float(0, 0.99), {"kind": ["sgd"]}))
SPACE = Space(lr=Float(1e-5, 1, log=True), layers=Int(1, 9, step=2), opt=OPTIMIZER, drop=Float(0, 0.9, step=0.1))


class Color(enum.IntEnum):
    RED = 1


def test_nested_parameters_have_dotted_names() -> None:
    assert SPACE.names == ("lr", "layers", "opt.kind", "opt.momentum", "drop")
    assert list(SPACE.parameters) == list(SPACE.names)
    assert SPACE.parameters["opt.momentum"] == Float(0, 0.99)
    assert SPACE.conditions == {"opt.momentum": (("opt.kind", ("sgd",)),)}
    assert len(SPACE) == 5
    assert SPACE.bins.tolist() == [0, 5, 2, 0, 10]
    assert SPACE.categorical.tolist() == [False, False, True, False, False]


def test_a_nested_space_equals_the_flat_one_of_the_same_names() -> None:
    flat = Space(
        {
            "lr": Float(1e-5, 1, log=True),
            "layers": Int(1, 9, step=2),
            "opt.kind": Categorical(["sgd", "adam"]),
            "opt.momentum": When(Float(0, 0.99), {"opt.kind": ["sgd"]}),
        },
        drop=Float(0, 0.9, step=0.1),
    )
    assert flat == SPACE
    assert hash(flat) == hash(SPACE)


def test_spaces_differ_in_order_names_parameters_and_conditions() -> None:
    a, b = Int(0, 1), Int(0, 2)
    different = [
        Space(x=a, y=b),
        Space(y=b, x=a),
        Space(x=a, z=b),
        Space(x=a, y=a),
        Space(x=a),
        Space(x=a, y=When(b, {"x": [0]})),
        Space(x=a, y=When(b, {"x": [1]})),
        Space(x=a, y=When(b, {"x": [0, 1]})),
        Space(x=Categorical([0, 1]), y=When(b, {"x": [0]})),
        Space(x=Categorical([0, 1, True]), y=When(b, {"x": [1]})),
        Space(x=Categorical([0, 1, True]), y=When(b, {"x": [True]})),
    ]
    for i, one in enumerate(different):
        for j, other in enumerate(different):
            assert (one == other) is (i == j)
    assert Space(x=a) != "a space"


def test_the_order_in_which_conditions_are_written_does_not_matter() -> None:
    def space(conditions: dict[str, list[Any]]) -> Space:
        return Space(x=Int(0, 5), y=Categorical(["a", "b"]), z=When(Int(0, 1), conditions))

    assert space({"x": [1, 2], "y": ["a"]}) == space({"y": ["a"], "x": [2, 1]})
    assert hash(space({"x": [1, 2], "y": ["a"]})) == hash(space({"y": ["a"], "x": [2, 1]}))


@given(spaces())
def test_a_space_is_what_its_repr_says_and_survives_copies(space: Space) -> None:
    pickled = pickle.loads(pickle.dumps(space))  # noqa: S301 - our own pickle
    for other in (eval(repr(space)), copy.deepcopy(space), copy.copy(space), pickled):  # noqa: S307 - our own repr
        assert other == space
        assert hash(other) == hash(space)
        assert repr(other) == repr(space)
        u = np.full(len(space), 0.7)
        assert list(other.decode(u).items()) == list(space.decode(u).items())


@given(st.data(), spaces(max_parameters=3))
def test_nesting_a_space_only_prefixes_its_names(data: st.DataObject, space: Space) -> None:
    nested = Space(outer=space)
    u = data.draw(points(space))[0]
    assert list(nested.decode(u).items()) == [(f"outer.{name}", value) for name, value in space.decode(u).items()]


def test_a_space_cannot_be_changed() -> None:
    space = Space(x=Float(0, 1))
    with pytest.raises(AttributeError):
        space.names = ()  # type: ignore[misc]
    with pytest.raises(TypeError):
        space.parameters["y"] = Float(0, 1)  # type: ignore[index]
    with pytest.raises(ValueError, match="read-only"):
        space.bins[0] = 3
    with pytest.raises(ValueError, match="read-only"):
        space.categorical[0] = True
    assert weakref.ref(space)() is space


def test_whens_compare_by_what_they_say() -> None:
    one = When(Float(0, 1), {"x": [1]})
    assert one == When(Float(0, 1), {"x": (1,)})
    assert hash(one) == hash(When(Float(0, 1), {"x": (1,)}))
    for other in (When(Float(0, 1), {"x": [True]}), When(Float(0, 1), {"y": [1]}), When(Float(0, 2), {"x": [1]})):
        assert one != other


def test_any_name_is_free_as_a_keyword() -> None:
    space = Space(self=Int(0, 1), parameters=Int(0, 1), named=Int(0, 1))
    assert space.names == ("self", "parameters", "named")


def test_a_group_may_be_completed_by_dotted_names() -> None:
    space = Space({"mode": Int(0, 1), "opt": Space(lr=Float(0, 1)), "opt.beta": When(Float(0, 1), {"mode": [1]})})
    assert space.names == ("mode", "opt.lr", "opt.beta")
    assert space.decode([0.0, 0.5, 0.5]) == {"mode": 0, "opt.lr": 0.5}


# The same, for what a type checker would refuse before we do.
ANY_SPACE: Any = Space
ANY_WHEN: Any = When

BAD: list[tuple[Callable[[], Any], str]] = [
    (Space, "Space: there must be at least one parameter, got none"),
    (lambda: Space({}), "Space: there must be at least one parameter, got none"),
    (lambda: ANY_SPACE([("x", Float(0, 1))]), "Space: the parameters must be a dict by name, got"),
    (lambda: ANY_SPACE(x=(0, 1)), r"Space: parameter 'x' must be a Float, .*, got \(0, 1\)"),
    (lambda: ANY_SPACE(x=Float), "parameter 'x' must be a Float, .*, got"),
    (lambda: Space({"x": Float(0, 1)}, x=Float(0, 1)), "Space: two parameters are called 'x'; rename one of them"),
    (lambda: Space({"a": Space(b=Int(0, 1)), "a.b": Int(0, 1)}), "two parameters are called 'a.b'"),
    (lambda: Space({"a.b": Int(0, 1), "a": Space(b=Int(0, 1))}), "two parameters are called 'a.b'"),
    (lambda: Space({"a": Int(0, 1), "a.b": Int(0, 1)}), "'a' is a parameter and also holds 'a.b'; rename one of them"),
    (lambda: Space({"a.b.c": Int(0, 1), "a": Int(0, 1)}), "'a' is a parameter and also holds 'a.b.c'"),
    (lambda: ANY_SPACE({3: Int(0, 1)}), "a name must be a word, or words joined by single dots, got 3"),
    *[
        (lambda name=name: Space({name: Int(0, 1)}), "a name must be a word, or words joined by single dots")
        for name in ("", ".", "a.", ".a", "a..b")
    ],
    (lambda: ANY_WHEN(3, {"x": [1]}), "When: what is conditional must be a Float, Int, Categorical or Space, got 3"),
    (
        lambda: When(Int(0, 1), {}),
        "When: the conditions must be a dict from names to lists of values, not empty, got {}",
    ),
    (lambda: ANY_WHEN(Int(0, 1), ["x"]), "When: the conditions must be a dict from names to lists"),
    (lambda: When(Int(0, 1), {"x": "sgd"}), "When: the values of 'x' must be a list of at least one, got 'sgd'"),
    (lambda: When(Int(0, 1), {"x": []}), "When: the values of 'x' must be a list of at least one"),
    (lambda: ANY_WHEN(Int(0, 1), {"x": 1}), "When: the values of 'x' must be a list of at least one, got 1"),
    (lambda: When(Int(0, 1), {"a..b": [1]}), "When: a name must be"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_what_no_space_can_be_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    ("given_value", "value"),
    [
        ({"lr": 1}, 1.0),
        ({"lr": np.float32(0.5)}, 0.5),
        ({"lr": np.float64(0.1)}, 0.1),
        ({"lr": np.int64(1)}, 1.0),
        ({"layers": np.int32(3)}, 3),
        ({"layers": Color.RED}, 1),
        ({"opt.kind": np.str_("sgd")}, "sgd"),
        ({"drop": 3 * 0.1}, 0.3),
        ({"drop": 0}, 0.0),
    ],
)
def test_values_become_plain(given_value: dict[str, Any], value: Any) -> None:
    valid = {"lr": 0.1, "layers": 3, "opt.kind": "sgd", "opt.momentum": 0.5, "drop": 0.5}
    config = SPACE.validate({**valid, **given_value})
    assert type(config) is Config
    (name,) = given_value
    assert config == {**valid, name: value}
    assert type(config[name]) is type(value)


def test_a_lattice_point_may_be_off_by_rounding_even_at_the_ends() -> None:
    space = Space(x=Float(-0.3, 0.3, step=0.1))
    assert space.validate({"x": 3 * 0.1}) == {"x": 0.3}
    assert space.validate({"x": -3 * 0.1}) == {"x": -0.3}
    for x in (0.3 + 1e-9, -0.3 - 1e-9, 0.1 + 1e-9):
        with pytest.raises(ConfigError, match="in steps of"):
            space.validate({"x": x})


def test_a_step_longer_than_the_range_does_not_stretch_it() -> None:
    space = Space(x=Float(0, 1, step=1e10))
    assert space.validate({"x": 0}) == {"x": 0.0}
    for x in (-0.5, 0.5, 1.0, 1.5):
        with pytest.raises(ConfigError, match=r"parameter 'x' must be a float from 0\.0 to 0\.0 in steps of"):
            space.validate({"x": x})


def test_bools_and_numbers_are_told_apart() -> None:
    space = Space(x=Categorical([True, 1.0]), y=Categorical([1, False]))
    valid = space.validate({"x": np.bool_(True), "y": np.int8(1)})
    assert (type(valid["x"]), type(valid["y"])) == (bool, int)
    valid = space.validate({"x": np.float32(1), "y": np.False_})
    assert (type(valid["x"]), type(valid["y"])) == (float, bool)
    for config in ({"x": 1, "y": 1}, {"x": True, "y": 1.0}, {"x": True, "y": True}, {"x": True, "y": 0}):
        with pytest.raises(ConfigError, match="must be one of"):
            space.validate(config)


def test_a_config_is_brought_into_the_order_of_the_space() -> None:
    config = {"drop": 0.5, "opt.momentum": 0.5, "layers": 3, "opt.kind": "sgd", "lr": 0.1}
    assert list(SPACE.validate(config)) == list(SPACE.names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 0.0}, r"parameter 'lr' must be a float from 1e-05 to 1.0, got 0.0 of type float"),
        ({"lr": 1.0000000000000002}, "parameter 'lr' must be a float"),
        ({"lr": math.nan}, "parameter 'lr' must be a float from 1e-05 to 1.0, got nan"),
        ({"lr": math.inf}, "parameter 'lr' must be a float"),
        ({"lr": True}, "parameter 'lr' must be a float from 1e-05 to 1.0, got True of type bool"),
        ({"lr": np.True_}, "parameter 'lr' must be a float"),
        ({"lr": "0.1"}, "parameter 'lr' must be a float from 1e-05 to 1.0, got '0.1' of type str"),
        ({"lr": np.array(0.1)}, "parameter 'lr' must be a float"),
        ({"lr": 10**400}, "parameter 'lr' must be a float"),
        ({"lr": None}, "parameter 'lr' must be a float"),
        ({"layers": 2}, "parameter 'layers' must be an int from 1 to 9 in steps of 2, got 2 of type int"),
        ({"layers": 11}, "parameter 'layers' must be an int from 1 to 9"),
        ({"layers": 3.0}, "parameter 'layers' must be an int from 1 to 9 in steps of 2, got 3.0 of type float"),
        ({"layers": True}, "parameter 'layers' must be an int"),
        ({"opt.kind": "SGD"}, r"parameter 'opt.kind' must be one of \['sgd', 'adam'\], got 'SGD' of type str"),
        ({"opt.kind": ["sgd"]}, "parameter 'opt.kind' must be one of"),
        ({"opt.kind": np.array(["sgd"])}, "parameter 'opt.kind' must be one of"),
        ({"drop": 0.55}, "parameter 'drop' must be a float from 0.0 to 0.9 in steps of 0.1, got 0.55"),
        ({"drop": 1.0}, "parameter 'drop' must be a float"),
        ({"drop": math.nan}, "parameter 'drop' must be a float"),
        ({"drop": False}, "parameter 'drop' must be a float"),
        ({"lrr": 0.1}, r"config: 'lrr' is no parameter of the space; did you mean 'lr'\?"),
        ({3: 0.1}, r"config: 3 is no parameter of the space; known names are 'lr', 'layers'"),
        (
            {"opt.kind": "adam"},
            r"config: parameter 'opt.momentum' is active only where 'opt.kind' is in \['sgd'\]; leave it out",
        ),
    ],
)
def test_a_config_that_is_not_in_the_space_is_refused(change: dict[Any, Any], message: str) -> None:
    valid = {"lr": 0.1, "layers": 3, "opt.kind": "sgd", "opt.momentum": 0.5, "drop": 0.5}
    with pytest.raises(ConfigError, match=message):
        SPACE.validate({**valid, **change})


@pytest.mark.parametrize("name", SPACE.names)
def test_a_config_without_an_active_parameter_is_refused(name: str) -> None:
    valid = {"lr": 0.1, "layers": 3, "opt.kind": "sgd", "opt.momentum": 0.5, "drop": 0.5}
    del valid[name]
    with pytest.raises(ConfigError, match=f"config: parameter '{name}' is missing; give it a value of"):
        SPACE.validate(valid)


def test_a_flat_space_refuses_missing_and_unknown_names() -> None:
    space = Space(x=Float(0, 1), y=Float(0, 1))
    with pytest.raises(ConfigError, match="config: parameter 'y' is missing"):
        space.validate({"x": 0.5})
    with pytest.raises(ConfigError, match="config: 'z' is no parameter of the space"):
        space.validate({"x": 0.5, "y": 0.5, "z": 0.5})


@pytest.mark.parametrize("config", [None, [("lr", 0.1)], "lr", 3])
def test_a_config_must_be_a_mapping(config: Any) -> None:
    with pytest.raises(ConfigError, match="config must be a dict from names to values, got"):
        SPACE.validate(config)


def test_validating_does_not_change_what_came() -> None:
    config = {"lr": np.float64(0.1), "layers": np.int64(3), "opt.kind": "adam", "drop": 0}
    before = dict(config)
    SPACE.validate(config)
    assert config == before
    assert type(config["lr"]) is np.float64
