"""Where hyperparameters live in a pytree: the fields that Optax's `inject_hyperparams` makes, and any other leaf.

A pytree is never changed in place: writing replaces the state.
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import jax
import jax.numpy as jnp

from gpbt_adapters.trainables.bindings import Binding, agreed
from gpbt_core.errors import ConfigError

__all__ = ["Injected", "StateParts", "StateValue"]


@attrs.define(kw_only=True)
class StateParts:
    """What a binding acts on.

    Attributes:
        state: The pytree of the training.
        config: The config in force.
        held: The last value of each hyperparameter, including inactive ones.
        founder: The config that the state was made with.
    """

    state: Any
    config: Mapping[str, Any] = attrs.field(factory=dict)
    held: Mapping[str, Any] = attrs.field(factory=dict)
    founder: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Injected(Binding[StateParts]):
    """An argument of an Optax optimizer that is wrapped by `optax.inject_hyperparams`, such as learning_rate or b1.

    Attributes:
        field: The argument's name.
        within: A part of the path to it in the state, as `jax.tree_util.keystr` writes it, where several optimizers
            have such an argument ("['critic']"); "": all of them.
    """

    field: str
    within: str = attrs.field(default="", kw_only=True)

    def write(self, parts: StateParts, name: str, value: Any) -> None:
        """Replaces the values in the optimizers' states.

        Raises:
            ConfigError: The state has no such argument (it was compiled in), or the argument is a schedule.
        """
        leaves, tree = jax.tree_util.tree_flatten_with_path(parts.state)
        places = self._places(leaves, name)
        values = [
            jnp.asarray(value, dtype=leaf.dtype) if position in places else leaf
            for position, (_, leaf) in enumerate(leaves)
        ]
        parts.state = jax.tree_util.tree_unflatten(tree, values)

    def read(self, parts: StateParts, name: str) -> Any:
        """Reads the values from the optimizers' states.

        Raises:
            ConfigError: The values differ.
        """
        leaves, _ = jax.tree_util.tree_flatten_with_path(parts.state)
        values = [leaves[position][1].item() for position in self._places(leaves, name)]
        return agreed(name, values, f"the injected hyperparameters ({self.field})")

    def _places(self, leaves: list[tuple[Any, Any]], name: str) -> list[int]:
        """The positions of the leaves that hold the value."""
        found: list[int] = []
        known: set[str] = set()
        for position, (path, _) in enumerate(leaves):
            keys = [_plain(key) for key in path]
            if self.within not in jax.tree_util.keystr(path):
                continue
            for holder, field in itertools.pairwise(keys):
                if holder == "hyperparams":
                    known.add(str(field))
                if (holder, field) == ("hyperparams_states", self.field):
                    raise ConfigError(
                        f"hyperparameter {name!r}: {self.field} must be a number in optax.inject_hyperparams, got a "
                        f"schedule, which Optax computes anew at each update; pass a number, since the run finds a "
                        f"schedule of its own"
                    )
                if (holder, field) == ("hyperparams", self.field):
                    found.append(position)
        if not found:
            raise ConfigError(
                f"hyperparameter {name!r}: the state must have {self.field} among its injected hyperparameters, got "
                f"{sorted(known) or 'none'}: any other number is compiled into the update; make the optimizer as "
                f"optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)"
            )
        return found


@attrs.frozen
class StateValue(Binding[StateParts]):
    """Any other part of the state, which two functions of your own read and set.

    Attributes:
        get: Takes the state and returns the live value.
        set: Takes the state and a value, and returns a new state.
    """

    get: Callable[[Any], Any]
    set: Callable[[Any, Any], Any]

    def write(self, parts: StateParts, name: str, value: Any) -> None:  # noqa: ARG002 - the user knows which
        """Replaces the state."""
        parts.state = self.set(parts.state, value)

    def read(self, parts: StateParts, name: str) -> Any:  # noqa: ARG002 - as above
        """Returns the live value; the item of an array of size 1."""
        value = self.get(parts.state)
        return value.item() if isinstance(value, jax.Array) and value.size == 1 else value


def _plain(key: Any) -> Any:
    """The content of one entry of a path: a key of a dictionary, the name of an attribute, or a position."""
    for attribute in ("key", "name", "idx"):
        if hasattr(key, attribute):
            return getattr(key, attribute)
    return key
