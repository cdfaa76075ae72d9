import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from gpbt_adapters.trainables.trainable import HyperparameterNotAppliedError, verify_applied
from toy_trainables import Descent


class Live(Descent):
    """Reports what it is told to."""

    def __init__(self, live: Mapping[str, Any]) -> None:
        self.live = dict(live)


@pytest.mark.parametrize(
    "value", [0.1, 3, True, "adam", None, -0.0, 1e-300], ids=["float", "int", "bool", "str", "None", "zero", "tiny"]
)
def test_a_live_value_equal_to_the_wanted_one_passes(value: object) -> None:
    verify_applied(Live({"x": value, "more": 1}), {"x": value})


def test_a_value_that_the_framework_keeps_in_32_bits_passes() -> None:
    verify_applied(Live({"lr": np.float32(0.1), "width": np.int64(3)}), {"lr": 0.1, "width": 3})


@pytest.mark.parametrize(
    ("wanted", "live"),
    [(0.1, 0.1001), (1_000_000, 1_000_001), ("adam", "sgd"), (None, 0), (0.1, "0.1"), (0.1, None), (True, False)],
)
def test_a_value_that_did_not_take_is_named_with_both_values(wanted: object, live: object) -> None:
    with pytest.raises(HyperparameterNotAppliedError) as caught:
        verify_applied(Live({"ok": 1, "x": live}), {"ok": 1, "x": wanted})
    assert (caught.value.parameter, caught.value.wanted, caught.value.live) == ("x", wanted, live)
    assert f"Live: expected x={wanted!r}, but the live value is {live!r}" in str(caught.value)


def test_a_value_that_is_not_reported_is_named() -> None:
    with pytest.raises(HyperparameterNotAppliedError, match=r"expected lr=0.1, but `applied` does not report 'lr'"):
        verify_applied(Live({"rate": 0.1}), {"lr": 0.1})


def test_the_error_survives_the_way_between_processes() -> None:
    error = HyperparameterNotAppliedError("it says so", "lr", 0.1, 0.2)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - its own
    assert (str(copy), copy.parameter, copy.wanted, copy.live) == ("it says so", "lr", 0.1, 0.2)


def test_a_value_that_training_wrote_over_is_named_with_the_steps_that_were_trained() -> None:
    with pytest.raises(
        HyperparameterNotAppliedError,
        match=r"Live: lr was set to 0\.1, but after 3 steps of training the live value is 0\.01: something writes over",
    ):
        verify_applied(Live({"lr": 0.01}), {"lr": 0.1}, trained=3)


def test_a_value_that_training_is_meant_to_change_is_compared_before_the_first_step_only() -> None:
    class Annealing(Live):
        def varying(self) -> tuple[str, ...]:
            return ("temperature",)

    live = Annealing({"temperature": 0.5, "lr": 0.1})
    verify_applied(live, {"temperature": 2.0, "lr": 0.1}, trained=1)
    with pytest.raises(HyperparameterNotAppliedError, match="expected temperature"):
        verify_applied(live, {"temperature": 2.0, "lr": 0.1})
    with pytest.raises(HyperparameterNotAppliedError, match="after 1 step of training"):
        verify_applied(live, {"temperature": 2.0, "lr": 0.2}, trained=1)
