"""Spaces as plain data: exact round trips, and refusal of anything else."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given

from gpbt_core.errors import ConfigError
from gpbt_core.space import Categorical, Float, Int, Space, When
from strategies import spaces

SPACE = Space(
    kind=Categorical(["sgd", 1, 1.0, True, None]),
    n=Int(1, 9, log=True),
    m=When(Float(0, 0.99, log="1-x"), {"kind": ["sgd", 1.0], "n": [1]}),
)


@given(spaces())
def test_a_space_comes_back_from_json(space: Space) -> None:
    back = Space.from_dict(json.loads(json.dumps(space.to_dict(), allow_nan=False)))
    assert back == space
    assert repr(back) == repr(space)
    assert back.to_dict() == space.to_dict()


def test_the_data_says_everything_in_full() -> None:
    assert SPACE.to_dict() == {
        "parameters": [
            {"name": "kind", "type": "categorical", "choices": ["sgd", 1, 1.0, True, None]},
            {"name": "n", "type": "int", "low": 1, "high": 9, "log": True, "step": 1},
            {
                "name": "m", "type": "float", "low": 0.0, "high": 0.99, "log": "1-x", "step": None,
                "when": [["kind", ["sgd", 1.0]], ["n", [1]]],
            },
        ]
    }  # fmt: skip


def test_the_data_is_the_callers_own() -> None:
    data = SPACE.to_dict()
    data["parameters"][0]["choices"].append("x")
    data["parameters"].pop()
    assert SPACE.to_dict() != data
    assert len(SPACE) == 3


def with_parameter(place: int, **changes: Any) -> dict[str, Any]:
    data = copy.deepcopy(SPACE.to_dict())
    data["parameters"][place] = {
        key: value for key, value in {**data["parameters"][place], **changes}.items() if value != "gone"
    }
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, r"Space.from_dict: data must be {'parameters': \[...\]} as Space.to_dict makes it, got None"),
        ({}, "data must be {'parameters'"),
        ({"parameters": {}}, "data must be {'parameters'"),
        ({"parameters": [], "more": 1}, "data must be {'parameters'"),
        ({"parameters": []}, "there must be at least one parameter"),
        ({"parameters": [3]}, "each parameter must be a dict with a name, got 3"),
        (with_parameter(0, name=["kind"]), "each parameter must be a dict with a name"),
        (with_parameter(1, name="kind"), "each name must stand once, got 'kind'"),
        (with_parameter(0, type="ordinal"), r"type must be one of \['float', 'int', 'categorical'\], got"),
        (with_parameter(0, type=["int"]), "type must be one of"),
        (
            with_parameter(0, low=1),
            "the keys of 'categorical' must be name, type, choices, and when if it is conditional",
        ),
        (with_parameter(1, step="gone"), "the keys of 'int' must be name, type, low, high, log, step, and when"),
        (with_parameter(1, low=10), "parameter 'n': .*low must be at most high"),
        (with_parameter(1, low=1.5), "parameter 'n': .*low must be a whole number"),
        (with_parameter(1, log=None), "parameter 'n': .*log must be True or False"),
        (with_parameter(2, when={}), r"'when' must be a list of \[name, values\]"),
        (with_parameter(2, when=[]), r"'when' must be a list"),
        (with_parameter(2, when=[["kind"]]), r"'when' must be a list"),
        (with_parameter(2, when=[["kind", [1]], ["kind", [1]]]), "each name once"),
        (with_parameter(2, when=[["kind", "sgd"]]), "the values of 'kind' must be a list of at least one"),
        (with_parameter(2, when=[["kind", ["x"]]]), "names a value that it can never take"),
    ],
)
def test_other_data_is_refused(data: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Space.from_dict(data)
