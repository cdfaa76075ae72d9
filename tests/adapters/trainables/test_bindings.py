from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from gpbt_adapters.trainables.bindings import Binding, Fixed, Setter, StepValue, read_back, verify, write
from gpbt_adapters.trainables.trainable import HyperparameterNotAppliedError
from gpbt_core.errors import ConfigError


@attrs.define
class Machine:
    config: Mapping[str, Any] = attrs.field(factory=dict)
    held: Mapping[str, Any] = attrs.field(factory=dict)
    founder: Mapping[str, Any] = attrs.field(factory=dict)
    speed: float = 0.0
    log: list[str] = attrs.field(factory=list)


class Speed(Binding[Machine]):
    def write(self, parts: Machine, name: str, value: Any) -> None:
        parts.log.append(name)
        parts.speed = value

    def read(self, parts: Machine, name: str) -> Any:
        assert name
        return parts.speed


class Engine(Speed):
    order = -1


def test_a_config_is_written_and_read_back_by_name() -> None:
    machine = Machine()
    bindings = {"speed": Speed(), "seen": StepValue[Machine]()}
    write(machine, bindings, {"speed": 2.0, "seen": "x"})
    assert machine.speed == 2.0
    assert machine.config == {"speed": 2.0, "seen": "x"}
    assert read_back(machine, bindings) == {"speed": 2.0, "seen": "x"}


def test_an_unbound_hyperparameter_is_refused_before_anything_is_written() -> None:
    machine = Machine()
    with pytest.raises(ConfigError, match=r"no binding for the hyperparameters \['sped'\].*\['speed'\]"):
        write(machine, {"speed": Speed()}, {"speed": 2.0, "sped": 1.0})
    assert machine == Machine()


def test_an_inactive_hyperparameter_leaves_its_place_alone_and_is_not_reported() -> None:
    machine = Machine(speed=3.0)
    bindings = {"speed": Speed(), "seen": StepValue[Machine]()}
    write(machine, bindings, {"seen": 1})
    assert machine.speed == 3.0
    assert read_back(machine, bindings) == {"seen": 1}


def test_an_inactive_hyperparameter_keeps_what_it_last_held_also_on_restored_parts() -> None:
    bindings = {"speed": Speed(), "seen": StepValue[Machine]()}
    machine = Machine()
    write(machine, bindings, {"speed": 3.0, "seen": 1})
    write(machine, bindings, {"seen": 2})
    restored = Machine(held=machine.held)
    write(restored, bindings, {"seen": 2})
    assert machine.speed == restored.speed == 3.0
    assert read_back(restored, bindings) == {"seen": 2}


def test_what_the_frameworks_own_state_brings_back_is_not_written_again() -> None:
    class Saved(Speed):
        saved = True

    machine = Machine(held={"speed": 3.0})
    write(machine, {"speed": Saved()}, {})
    assert machine.log == []


def test_what_replaces_an_object_is_written_before_its_fields() -> None:
    machine = Machine()
    write(machine, {"a": Speed(), "b": Engine(), "c": Speed()}, {"a": 1, "b": 2, "c": 3})
    assert machine.log == ["b", "a", "c"]


def test_a_setter_uses_the_users_own_functions() -> None:
    def set_speed(machine: Machine, value: float) -> None:
        machine.speed = value / 2

    machine = Machine()
    bindings = {"speed": Setter(set_speed, lambda machine: machine.speed * 2)}
    write(machine, bindings, {"speed": 4.0})
    assert machine.speed == 2.0
    verify(machine, bindings, {"speed": 4.0})


def test_a_fixed_value_may_not_change_along_a_line() -> None:
    machine = Machine(founder={"width": 8})
    write(machine, {"width": Fixed[Machine]()}, {"width": 8})
    with pytest.raises(ConfigError, match=r"'width' is bound as Fixed: its model was built with 8.*this config has 16"):
        write(machine, {"width": Fixed[Machine]()}, {"width": 16})


def test_a_value_that_did_not_take_is_named() -> None:
    machine = Machine()
    bindings = {"speed": Speed()}
    write(machine, bindings, {"speed": 2.0})
    verify(machine, bindings, {"speed": 2.0 + 1e-9})  # single precision is not a difference
    machine.speed = 1.0
    with pytest.raises(HyperparameterNotAppliedError, match=r"expected speed=2\.0, but the live value is 1\.0"):
        verify(machine, bindings, {"speed": 2.0})


def test_verifying_a_hyperparameter_without_a_binding_is_an_error() -> None:
    with pytest.raises(HyperparameterNotAppliedError, match="does not report 'speed'"):
        verify(Machine(), {}, {"speed": 2.0})


def test_a_start_value_that_training_changes_is_not_read_back_after_training() -> None:
    def set_speed(machine: Machine, value: float) -> None:
        machine.speed = value

    machine = Machine()
    bindings = {"speed": Setter(set_speed, lambda machine: machine.speed, varies=True)}
    write(machine, bindings, {"speed": 2.0})
    machine.speed = 1.0
    verify(machine, bindings, {"speed": 2.0}, trained=4)
    with pytest.raises(HyperparameterNotAppliedError, match="after 4 steps of training"):
        verify(machine, {"speed": Speed()}, {"speed": 2.0}, trained=4)
