"""How hyperparameters are set on the live objects of a framework, and read back from them.

A binding writes one hyperparameter and reads the live value back; an adapter has a table of them by the config's names.
Nothing here knows a framework: the objects that bindings act on are passed through as `parts`.
"""

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import attrs

from gpbt_adapters.trainables.trainable import Trainable, same_value, verify_applied
from gpbt_core.errors import ConfigError, ProtocolError

__all__ = [
    "Binding",
    "BoundTrainable",
    "Fixed",
    "HoldsConfig",
    "PartsTrainable",
    "Setter",
    "StepValue",
    "agreed",
    "check_alike",
    "check_bound",
    "read_back",
    "verify",
    "write",
]


class HoldsConfig(Protocol):
    """The fields that the `parts` of every adapter have besides the objects of their framework.

    Attributes:
        config: The config in force.
        held: The last value of each hyperparameter; unlike `config`, it includes inactive ones.
        founder: The config that the model was built with; unlike `config` it never changes along a line.
    """

    config: Mapping[str, Any]
    held: Mapping[str, Any]
    founder: Mapping[str, Any]


P = TypeVar("P", bound=HoldsConfig)
P_contra = TypeVar("P_contra", bound=HoldsConfig, contravariant=True)


class Binding(abc.ABC, Generic[P_contra]):
    """Where one hyperparameter lives.

    Attributes:
        order: Bindings with a lower order are written first: those that replace an object, before those that write to
            its fields.
        saved: Whether the framework's own state contains and restores the value.
    """

    order: ClassVar[int] = 0
    saved: ClassVar[bool] = False

    @property
    def varies(self) -> bool:
        """Whether training itself changes the live value, which is then not read back after the last step."""
        return False

    @abc.abstractmethod
    def write(self, parts: P_contra, name: str, value: Any) -> None:
        """Sets the live value.

        Args:
            parts: The live objects; their `config` is already the new one.
            name: The hyperparameter's name in the config, for messages.
            value: The config's value.

        Raises:
            ConfigError: The place does not exist or cannot take the value.
        """

    @abc.abstractmethod
    def read(self, parts: P_contra, name: str) -> Any:
        """Returns the live value as the framework holds it.

        Raises:
            ConfigError: The place does not exist, or several places that should agree do not.
        """


@attrs.frozen
class Setter(Binding[P_contra]):
    """A hyperparameter that two functions of your own set and read.

    Attributes:
        set: Called with the parts and the value.
        get: Called with the parts; returns the live value, from where the training takes it.
        varies: Whether training itself changes the live value, as where the hyperparameter is a start value. It is then
            read back before the first step of a segment only.
    """

    set: Callable[[P_contra, Any], None]
    get: Callable[[P_contra], Any]
    varies: bool = attrs.field(default=False, kw_only=True)

    def write(self, parts: P_contra, name: str, value: Any) -> None:  # noqa: ARG002 - the functions need no name
        """Calls your `set`."""
        self.set(parts, value)

    def read(self, parts: P_contra, name: str) -> Any:  # noqa: ARG002 - as above
        """Calls your `get`."""
        return self.get(parts)


@attrs.frozen
class StepValue(Binding[P_contra]):
    """A hyperparameter that no framework holds: your step function reads it from `parts.config` each time."""

    def write(self, parts: P_contra, name: str, value: Any) -> None:
        """Does nothing: the value is in the config."""

    def read(self, parts: P_contra, name: str) -> Any:
        """Returns the value that the step function reads."""
        return parts.config.get(name)


@attrs.frozen
class Fixed(Binding[P_contra]):
    """A hyperparameter that the model is built with, such as a width; any change along a line is refused."""

    def write(self, parts: P_contra, name: str, value: Any) -> None:
        """Compares the value with that of the line's founder.

        Raises:
            ConfigError: They differ.
        """
        built = self.read(parts, name)
        if value != built:
            raise ConfigError(
                f"hyperparameter {name!r} is bound as Fixed: its model was built with {built!r}, and this config has "
                f"{value!r}. A fixed value can differ between lines, but not along one: take it out of the space, "
                f"search it with a preset that keeps the founders' configs, or bind it to a place that can change."
            )

    def read(self, parts: P_contra, name: str) -> Any:
        """Returns the value that the model was built with."""
        return parts.founder.get(name)


def write(parts: P_contra, bindings: Mapping[str, Binding[P_contra]], config: Mapping[str, Any]) -> None:
    """Writes every value of a config to its place; inactive hyperparameters keep their last values.

    Args:
        parts: The live objects; their `config` becomes this one. They may have been restored from a parent's, without
            all of its values.
        bindings: Where each hyperparameter lives; bindings without a value in the config are skipped.
        config: The values to set.

    Raises:
        ConfigError: A hyperparameter has no binding; nothing was written.
        ConfigError: A binding refused its value; some of the others may have been written.
    """
    check_bound(bindings, config)
    parts.config = dict(config)
    kept = {name: value for name, value in parts.held.items() if name in bindings and not bindings[name].saved}
    values = {**kept, **config}
    for name in sorted(values, key=lambda name: bindings[name].order):
        bindings[name].write(parts, name, values[name])
    parts.held = {**parts.held, **config}


def check_bound(bindings: Mapping[str, Binding[Any]], config: Mapping[str, Any]) -> None:
    """Checks that each hyperparameter of a config has a binding.

    Raises:
        ConfigError: One has none.
    """
    unbound = [name for name in config if name not in bindings]
    if unbound:
        raise ConfigError(
            f"no binding for the hyperparameters {unbound}: they would be searched and never used. Bound are "
            f"{sorted(bindings)}; bind the others to their places, or to StepValue() if your step function reads them "
            f"from parts.config."
        )


def read_back(parts: P_contra, bindings: Mapping[str, Binding[P_contra]]) -> dict[str, Any]:
    """Reads the live value of each hyperparameter of the config in force.

    Returns:
        Live values by the config's names.
    """
    return {name: bindings[name].read(parts, name) for name in parts.config}


@attrs.frozen
class _Reader(Generic[P_contra]):
    """Reads the hyperparameters that a caller names; `read_back` reads those of the config in force."""

    parts: P_contra
    bindings: Mapping[str, Binding[P_contra]]
    names: frozenset[str]

    def applied(self) -> dict[str, Any]:
        return {name: self.bindings[name].read(self.parts, name) for name in self.names & self.bindings.keys()}


def verify(
    parts: P_contra, bindings: Mapping[str, Binding[P_contra]], config: Mapping[str, Any], *, trained: int = 0
) -> None:
    """Checks that the live objects train under a config.

    Args:
        parts: The live objects.
        bindings: Where each hyperparameter lives.
        config: What was set.
        trained: How many steps have been trained since then, at least 0. Check before the first step and after the last
            one.

    Raises:
        HyperparameterNotAppliedError: A live value differs from the config's, or a hyperparameter has no binding.
    """
    kept = set(config) - set(_varying(bindings) if trained else ())
    reader = _Reader(parts, bindings, frozenset(kept))
    wanted = {name: value for name, value in config.items() if name in kept}
    verify_applied(reader, wanted, who=type(parts).__name__, trained=trained)


def check_alike(name: str, values: Sequence[Any], where: str, way_out: str) -> None:
    """Refuses to write one value to places that were built with different ones.

    Args:
        name: The hyperparameter.
        values: The values in the places.
        where: A plural noun for the places.
        way_out: What the user can do.

    Raises:
        ConfigError: The values differ.
    """
    if not all(same_value(values[0], value) for value in values):
        raise ConfigError(
            f"hyperparameter {name!r} is bound to {where}, which were built with different values, {list(values)}: one "
            f"value for all of them would undo that. {way_out}."
        )


def agreed(name: str, values: Sequence[Any], where: str) -> Any:
    """Returns the value that all places hold, floats within a relative 1e-6.

    Raises:
        ConfigError: The places hold different values.
    """
    if not all(same_value(values[0], value) for value in values):
        raise ConfigError(f"hyperparameter {name!r} has different live values in {where}: {list(values)}")
    return values[0]


class BoundTrainable(Trainable):
    """A trainable whose hyperparameters have bindings.

    Attributes:
        bindings: Where each hyperparameter lives, by its name in the config.
    """

    bindings: Mapping[str, Binding[Any]]

    def fixed(self) -> tuple[str, ...]:
        """Names the hyperparameters that are bound as `Fixed`."""
        return tuple(name for name, binding in self.bindings.items() if isinstance(binding, Fixed))

    def varying(self) -> tuple[str, ...]:
        """Names the hyperparameters whose bindings say that training itself changes them."""
        return _varying(self.bindings)


class PartsTrainable(BoundTrainable, Generic[P]):
    """A trainable that keeps its live objects from `setup` or `load` to `close`."""

    bindings: Mapping[str, Binding[P]]
    _parts: P | None

    @property
    def parts(self) -> P:
        """The live objects.

        Raises:
            ProtocolError: Neither `setup` nor `load` was called, or `close` was.
        """
        if self._parts is None:
            raise ProtocolError(f"{type(self).__name__}: there is no model yet; call setup or load first")
        return self._parts

    def applied(self) -> Mapping[str, Any]:
        """Reads the live values back from the places that the bindings name.

        Raises:
            ConfigError: Places that should agree do not.
            ProtocolError: There is no model yet.
        """
        return read_back(self.parts, self.bindings)

    def close(self) -> None:
        """Releases the live objects."""
        self._parts = None


def _varying(bindings: Mapping[str, Binding[Any]]) -> tuple[str, ...]:
    return tuple(name for name, binding in bindings.items() if binding.varies)
