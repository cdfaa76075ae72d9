"""Configs: dicts that refuse changes and are dicts in all else."""

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from gpbt_core.space import Config

CONFIG = Config({"lr": 0.1, "act": "relu", "deep": True, "seed": 3, "none": None})


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config.__setitem__("lr", 1.0),
        lambda config: config.__delitem__("lr"),
        lambda config: config.__ior__({"lr": 1.0}),
        lambda config: config.clear(),
        lambda config: config.pop("lr"),
        lambda config: config.popitem(),
        lambda config: config.setdefault("new", 1),
        lambda config: config.update(lr=1.0),
    ],
)
def test_a_config_refuses_changes(change: Callable[[Any], object]) -> None:
    config = Config(CONFIG)
    with pytest.raises(TypeError, match=r"Config is read-only; make a changed copy"):
        change(config)
    assert dict(config) == dict(CONFIG)


def test_a_changed_copy_is_a_plain_dict() -> None:
    for changed in ({**CONFIG, "lr": 1.0}, CONFIG | {"lr": 1.0}, dict(CONFIG, lr=1.0)):
        assert type(changed) is dict
        assert changed["lr"] == 1.0
    assert type(CONFIG.copy()) is dict
    assert CONFIG["lr"] == 0.1


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_config_pickles(protocol: int) -> None:
    back = pickle.loads(pickle.dumps(CONFIG, protocol))  # noqa: S301 - our own pickle
    assert type(back) is Config
    assert list(back.items()) == list(CONFIG.items())


def test_a_config_is_its_own_copy() -> None:
    assert copy.copy(CONFIG) is CONFIG
    assert copy.deepcopy({"in": CONFIG})["in"] is CONFIG


def test_a_config_goes_through_json() -> None:
    assert json.loads(json.dumps(CONFIG)) == CONFIG


def test_equal_configs_have_equal_hashes() -> None:
    other = Config(reversed(list(CONFIG.items())))
    assert other == CONFIG == dict(CONFIG)
    assert hash(other) == hash(CONFIG)
    assert len({CONFIG, other, Config(lr=0.2)}) == 2


def test_a_config_has_no_attributes_of_its_own() -> None:
    assert not hasattr(CONFIG, "__dict__")


def test_a_config_is_what_its_repr_says() -> None:
    assert eval(repr(CONFIG)) == CONFIG  # noqa: S307 - of our own repr
