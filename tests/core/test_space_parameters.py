"""The kinds of parameters: what they take, and what they refuse and how."""

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from gpbt_core.errors import ConfigError
from gpbt_core.space import Categorical, Float, Int, Parameter
from strategies import parameters

# The same classes, for what a type checker would refuse before we do.
ANY_FLOAT: Any = Float
ANY_INT: Any = Int
ANY_CATEGORICAL: Any = Categorical

BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: Float(1, 0), r"Float\(1.0, 0.0\): low must be at most high; swap them, got \(1.0, 0.0\)"),
    (lambda: Float(0, 1, log=True), r"Float\(0.0, 1.0, log=True\): low must be above 0 with log=True, got 0.0"),
    (lambda: Float(-1, 1, log=True), "low must be above 0 with log=True"),
    (lambda: Float(0, math.inf), "high must be finite, got inf"),
    (lambda: Float(math.nan, 1), "low must be finite, got nan"),
    (lambda: Float(0, 10**400), "high must be finite"),
    (lambda: Float(-1e308, 1e308), r"high - low must be at most 1e\+308"),
    (lambda: Float(0, 1, step=0), "step must be above 0, or None"),
    (lambda: Float(0, 1, step=-0.1), "step must be above 0, or None"),
    (lambda: Float(0, 1, step=math.nan), "step must be finite"),
    (lambda: Float(0, 1, step=1e-15), "step must be at least 9.1e-13 for these bounds"),
    (lambda: Float(1e17, 1e17 + 160, step=16), "step must be at least 64 for these bounds"),
    (lambda: Float(1e-300, 1, step=0.1, log=True), "high / low must be at most 1e260"),
    (lambda: ANY_FLOAT("0", 1), "low must be a number, got '0'"),
    (lambda: Float(False, 1), "low must be a number, got False"),
    (lambda: ANY_FLOAT(0, 1, log=1), 'log must be True, False or "1-x", got 1'),
    (lambda: Float(0, 1, step=True), "step must be a number, got True"),
    (lambda: Int(2, 1), r"Int\(2, 1\): low must be at most high"),
    (lambda: Int(0, 8, log=True), "low must be above 0 with log=True, got 0"),
    (lambda: Int(0, 8, step=0), "step must be at least 1, got 0"),
    (lambda: Int(0, 8, step=-2), "step must be at least 1, got -2"),
    (lambda: ANY_INT(0.0, 8), r"low must be a whole number \(an int\), got 0.0"),
    (lambda: Int(0, True), r"high must be a whole number \(an int\), got True"),
    (lambda: ANY_INT(0, 8, step=None), r"step must be a whole number \(an int\), got None"),
    (lambda: Int(0, 2**53 + 1), r"high must lie within \+-2\*\*53"),
    (lambda: Int(0, 2**40), r"there must be at most 2\*\*40 values; take a larger step, or a Float, got 1099511627777"),
    (lambda: Categorical([]), "Categorical: there must be at least one choice, got none"),
    (lambda: Categorical("abc"), "Categorical: choices must be a list, got 'abc' of type str"),
    (lambda: ANY_CATEGORICAL({"a", "b"}), "choices must be a list, got .* of type set"),
    (lambda: ANY_CATEGORICAL(None), "choices must be a list, got None"),
    (lambda: Categorical(["a", "b", "a"]), "choices must be distinct, got 'a' twice; leave one of them out"),
    (lambda: Categorical([0.0, -0.0]), "choices must be distinct"),
    (lambda: ANY_CATEGORICAL([1, np.int64(1)]), "choices must be distinct"),
    (lambda: Float(0.9, 1, log="1-x"), 'high must be below 1 with log="1-x", got 1.0'),
    (lambda: ANY_FLOAT(0.9, 0.99, log="1 - x"), "log must be True, False or .*, got '1 - x'"),
    (lambda: ANY_INT(1, 2, log="1-x"), "log must be True or False, got '1-x'"),
    (lambda: Float(-1e300, 0.5, log="1-x", step=1e290), r"\(1 - low\) / \(1 - high\) must be at most 1e260"),
    (lambda: Categorical([math.nan]), "choices must be finite, got nan; write it as None or as a string"),
    (lambda: Categorical([math.inf, 1]), "choices must be finite, got inf"),
    (
        lambda: ANY_CATEGORICAL([(50,), (100,)]),
        r"choices must be of type str, .*, got \(50,\) of type tuple; offer its name",
    ),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_what_no_parameter_can_be_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_low_and_high_may_be_equal() -> None:
    assert Float(0.5, 0.5).bins == 1
    assert Float(0.5, 0.5, log=True, step=2).bins == 1
    assert Int(3, 3, log=True).bins == 1


def test_bounds_become_plain_numbers() -> None:
    for parameter in (Float(1, 2), ANY_FLOAT(np.float32(1), np.int8(2)), ANY_FLOAT(np.longdouble(1), 2)):
        assert parameter == Float(1.0, 2.0)
        assert type(parameter.low) is type(parameter.high) is float
    whole = ANY_INT(np.uint8(1), np.int64(5), step=np.int16(2))
    assert whole == Int(1, 5, step=2)
    assert type(whole.low) is type(whole.high) is type(whole.step) is int
    assert type(ANY_FLOAT(1, 2, log=np.True_).log) is bool


def test_choices_become_plain_values() -> None:
    for given_choices in ([np.str_("a"), np.int64(1), np.bool_(True), np.float64(0.5)], ("a", 1, True, 0.5)):
        choices = ANY_CATEGORICAL(given_choices).choices
        assert [(type(choice), choice) for choice in choices] == [(str, "a"), (int, 1), (bool, True), (float, 0.5)]
    assert ANY_CATEGORICAL(np.array([1, 2])).choices == (1, 2)
    assert Categorical(range(3)).choices == (0, 1, 2)


def test_choices_that_python_holds_equal_are_told_apart() -> None:
    assert Categorical([1, 1.0, True]).bins == 3
    assert len({Categorical([1]), Categorical([1.0]), Categorical([True])}) == 3
    assert Categorical([1, 2]) != Categorical([2, 1])


def test_kinds_are_told_apart() -> None:
    assert ANY_FLOAT(1, 2) != ANY_INT(1, 2)
    assert Float(1, 2) != Float(1, 2, log=True)
    assert Int(1, 2) != Int(1, 3)


@given(parameters())
def test_a_parameter_is_what_its_repr_says_and_survives_copies(parameter: Parameter) -> None:
    pickled = pickle.loads(pickle.dumps(parameter))  # noqa: S301 - our own pickle
    for other in (eval(repr(parameter)), copy.deepcopy(parameter), pickled):  # noqa: S307 - our own repr
        assert other == parameter
        assert hash(other) == hash(parameter)
        assert repr(other) == repr(parameter)


@pytest.mark.parametrize("parameter", [Float(0, 1), Int(0, 1), Categorical(["a"])])
def test_a_parameter_cannot_be_changed(parameter: Parameter) -> None:
    for field in ("low", "choices", "new"):
        with pytest.raises(AttributeError):
            setattr(parameter, field, 3)
