"""How hyperparameters reach the live objects of a framework, and how they are read back from there.

A binding writes one hyperparameter and reads the live value back; an adapter is a table of them by the config's names.
Nothing here knows a framework: what the bindings act on is handed through as `parts`.
"""

import abc
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import attrs

from gpbt_adapters.trainables.trainable import verify_applied
from gpbt_core.errors import ConfigError

__all__ = ["Binding", "Fixed", "HoldsConfig", "Setter", "StepValue", "read_back", "verify", "write"]


class HoldsConfig(Protocol):
    """What every adapter's `parts` hold beside their framework's objects.

    Attributes:
        config: The config in force.
        held: What each place was last given; unlike `config` it has inactive hyperparameters, too.
        founder: The config under which the model was built; unlike `config` it never changes along a line.
    """

    config: Mapping[str, Any]
    held: Mapping[str, Any]
    founder: Mapping[str, Any]


P_contra = TypeVar("P_contra", bound=HoldsConfig, contravariant=True)


class Binding(abc.ABC, Generic[P_contra]):
    """Where one hyperparameter lives.

    Attributes:
        order: Bindings with a lower one are written first: what replaces an object, before what writes to its fields.
        saved: Whether the framework's own state has the value, and brings it back by itself.
    """

    order: ClassVar[int] = 0
    saved: ClassVar[bool] = False

    @abc.abstractmethod
    def write(self, parts: P_contra, name: str, value: Any) -> None:
        """Sets the live value.

        Args:
            parts: The live objects; their `config` is the new one already.
            name: The hyperparameter's name in the config, for messages.
            value: What the config has.

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
    """A hyperparameter behind the user's own two functions.

    Attributes:
        set: Called with the parts and the value.
        get: Called with the parts; returns the live value, from where the training really takes it.
    """

    set: Callable[[P_contra, Any], None]
    get: Callable[[P_contra], Any]

    def write(self, parts: P_contra, name: str, value: Any) -> None:  # noqa: ARG002 - the user knows which
        """Hands the value to the user's `set`."""
        self.set(parts, value)

    def read(self, parts: P_contra, name: str) -> Any:  # noqa: ARG002 - as above
        """Asks the user's `get`."""
        return self.get(parts)


@attrs.frozen
class StepValue(Binding[P_contra]):
    """A hyperparameter that no framework holds: the user's step function reads it from `parts.config` each time."""

    def write(self, parts: P_contra, name: str, value: Any) -> None:
        """Does nothing: the config in force is the place."""

    def read(self, parts: P_contra, name: str) -> Any:
        """Returns what the step function will find."""
        return parts.config.get(name)


@attrs.frozen
class Fixed(Binding[P_contra]):
    """A hyperparameter that the model is built from, such as a width: any change along a line is refused."""

    def write(self, parts: P_contra, name: str, value: Any) -> None:
        """Compares the value with that of the line's founder.

        Raises:
            ConfigError: They differ.
        """
        built = self.read(parts, name)
        if value != built:
            raise ConfigError(
                f"hyperparameter {name!r} is bound as Fixed: its model was built with {built!r}, and this config wants "
                f"{value!r}. A fixed value can differ between lines, never along one: take it out of the space, search "
                f"it with a preset that keeps the founders' configs, or bind it to a place that can change."
            )

    def read(self, parts: P_contra, name: str) -> Any:
        """Returns the value that the model was built with."""
        return parts.founder.get(name)


def write(parts: P_contra, bindings: Mapping[str, Binding[P_contra]], config: Mapping[str, Any]) -> None:
    """Writes every value of a config to its place; those of inactive hyperparameters keep what they last held.

    Args:
        parts: The live objects; their `config` becomes this one. They may have been restored from those of a parent,
            without all of its values.
        bindings: Where each hyperparameter lives; those that the config does not have are left out.
        config: The values to set.

    Raises:
        ConfigError: A hyperparameter has no binding (nothing was written), or its binding refused the value (some of
            the others may have been written).
    """
    unbound = [name for name in config if name not in bindings]
    if unbound:
        raise ConfigError(
            f"no binding for the hyperparameters {unbound}: they would be searched and never used. Bound are "
            f"{sorted(bindings)}; bind the others to their places, or to StepValue() where your step function reads "
            f"parts.config."
        )
    parts.config = dict(config)
    kept = {name: value for name, value in parts.held.items() if name in bindings and not bindings[name].saved}
    values = {**kept, **config}
    for name in sorted(values, key=lambda name: bindings[name].order):
        bindings[name].write(parts, name, values[name])
    parts.held = {**parts.held, **config}


def read_back(parts: P_contra, bindings: Mapping[str, Binding[P_contra]]) -> dict[str, Any]:
    """Reads the live value of each hyperparameter of the config in force.

    Returns:
        Live values by the config's names.
    """
    return {name: bindings[name].read(parts, name) for name in parts.config}


@attrs.frozen
class _Reader(Generic[P_contra]):
    """Reads the hyperparameters that a caller names, where `read_back` reads those of the config in force."""

    parts: P_contra
    bindings: Mapping[str, Binding[P_contra]]
    names: frozenset[str]

    def applied(self) -> dict[str, Any]:
        return {name: self.bindings[name].read(self.parts, name) for name in self.names & self.bindings.keys()}


def verify(parts: P_contra, bindings: Mapping[str, Binding[P_contra]], config: Mapping[str, Any]) -> None:
    """Checks that the live objects train under a config.

    Raises:
        HyperparameterNotAppliedError: A live value is another than the config's, or a hyperparameter has no binding.
    """
    verify_applied(_Reader(parts, bindings, frozenset(config)), config, who=type(parts).__name__)
