"""A JAX training as a trainable: three functions over a pytree.

The random key of a step depends only on the line's seed and the step's number, so no random state has to be saved.
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import jax
import jax.numpy as jnp
import numpy as np

from gpbt_adapters.trainables import bindings as _bindings
from gpbt_adapters.trainables.bindings import Binding, PartsTrainable
from gpbt_adapters.trainables.jax.fields import StateParts
from gpbt_adapters.trainables.jax.leaves import paths_of, read_leaves, strong, write_leaves
from gpbt_adapters.trainables.random_states import NumpyGlobal, OwnRandomness, PythonGlobal, derived_seed
from gpbt_adapters.trainables.trainable import as_score, check_callables
from gpbt_core.errors import ConfigError

__all__ = ["FunctionalTrainable"]

_LINE = "line.json"


@attrs.define(kw_only=True, eq=False)
class FunctionalTrainable(PartsTrainable[StateParts]):
    """Trains a pytree by your own functions.

    The state is a pytree of everything that the training changes: parameters, optimizer state, running statistics,
    states of random generators. Leaves that are not numbers, such as an activation function, always come from `init`.

    Attributes:
        init: Makes the state from a config and a random key; most ignore the config, since gpbt sets its values on the
            state afterwards.
        step: Trains one step and returns the new state. It takes the state, the config in force (for values bound as
            `StepValue`) and a random key, another one for each step.
        score: Scores a state; the optimizer's direction says whether higher is better.
        bindings: Where each hyperparameter lives, by its name in the config.
        parts: The live objects, from `setup` or `load` to `close`.

    Examples:
        >>> import optax
        >>> from gpbt.jax import Injected
        >>> optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=1.0)
        >>> def init(config, key):
        ...     slope = jax.random.normal(key)
        ...     return {"slope": slope, "optimizer": optimizer.init(slope)}
        >>> @jax.jit
        ... def update(state):
        ...     gradient = jax.grad(lambda slope: (slope - 1.0) ** 2)(state["slope"])
        ...     updates, moved = optimizer.update(gradient, state["optimizer"])
        ...     return {"slope": state["slope"] + updates, "optimizer": moved}
        >>> trainable = FunctionalTrainable(
        ...     init=init,
        ...     step=lambda state, config, key: update(state),
        ...     score=lambda state: abs(state["slope"] - 1),
        ...     bindings={"lr": Injected("learning_rate")},
        ... )
        >>> trainable.setup({"lr": 0.1}, seed=0)
        >>> trainable.step() > trainable.step()
        True
        >>> round(trainable.applied()["lr"], 3)
        0.1
    """

    init: Callable[[Mapping[str, Any], jax.Array], Any]
    train: Callable[[Any, Mapping[str, Any], jax.Array], Any] = attrs.field(alias="step")
    score_of: Callable[[Any], Any] = attrs.field(alias="score")
    bindings: Mapping[str, Binding[StateParts]]
    _parts: StateParts | None = attrs.field(default=None, init=False)
    _seed: int = attrs.field(default=0, init=False)
    _steps: int = attrs.field(default=0, init=False)
    _infinite: frozenset[str] = attrs.field(default=frozenset(), init=False)

    def __attrs_post_init__(self) -> None:
        """Refuses arguments that are not functions.

        Raises:
            ConfigError: One of them cannot be called.
        """
        check_callables("FunctionalTrainable", {"init": self.init, "step": self.train, "score": self.score_of})

    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        """Makes the state, and sets the config on it.

        Raises:
            ConfigError: A hyperparameter has no binding, or is bound to a place that cannot take its value.
        """
        self._parts, self._seed, self._steps = self._build(config, seed), seed, 0
        self.apply(config)

    def apply(self, config: Mapping[str, Any]) -> None:
        """Sets a config on the state.

        Raises:
            ConfigError: A hyperparameter has no binding, or is bound to a place that cannot take its value.
            ProtocolError: There is no model yet.
        """
        _bindings.write(self.parts, self.bindings, config)

    def step(self) -> float:
        """Trains one step.

        Returns:
            The score after it; NaN if a leaf is no longer finite. Leaves that `init` made so do not count.

        Raises:
            ConfigError: The step function returned a state of another structure.
            ProtocolError: There is no model yet.
        """
        parts = self.parts
        before = paths_of(parts.state)
        with self._random(self._steps + 1):
            state = self.train(parts.state, dict(parts.config), self._key(self._steps + 1))
        after = paths_of(state)
        if after != before:
            raise ConfigError(
                f"FunctionalTrainable: step must return a state of the structure that it takes, got one without "
                f"{sorted(set(before) - set(after))} and with {sorted(set(after) - set(before))}"
            )
        parts.state = strong(state)
        self._steps += 1
        return math.nan if _not_finite(parts.state) - self._infinite else self.score()

    def score(self) -> float:
        """Scores the current state."""
        state = self.parts.state
        with self._random(0):
            return as_score(self.score_of(state), "FunctionalTrainable.score")

    def save(self, path: Path) -> None:
        """Writes the numbers of the state to `state.npz` and `state.json`, and the configs to `line.json`."""
        parts = self.parts
        write_leaves(path, parts.state)
        line = {
            "format": 1,
            "seed": self._seed,
            "steps": self._steps,
            "config": dict(parts.config),
            "held": dict(parts.held),
            "founder": dict(parts.founder),
        }
        (path / _LINE).write_text(json.dumps(line), encoding="utf-8")

    def load(self, path: Path) -> None:
        """Makes the state of the line's founder with the founder's seed, and fills in the saved numbers.

        Raises:
            ConfigError: Another version wrote the files, or `init` now makes another structure.
        """
        line = json.loads((path / _LINE).read_text(encoding="utf-8"))
        if line.get("format") != 1:
            raise ConfigError(
                f"FunctionalTrainable.load: the checkpoint must be of format 1, got {line.get('format')!r} in {path}"
            )
        parts = self._build(line["founder"], line["seed"])
        parts.state = read_leaves(path, parts.state)
        parts.config, parts.held = line["config"], line["held"]
        self._parts, self._seed, self._steps = parts, line["seed"], line["steps"]

    @property
    def state(self) -> Any:
        """The current pytree.

        Raises:
            ProtocolError: Neither `setup` nor `load` was called, or `close` was.
        """
        return self.parts.state

    def _build(self, config: Mapping[str, Any], seed: int) -> StateParts:
        self._seed = seed
        with self._random(0):
            state = strong(self.init(dict(config), self._key(0)))
        self._infinite = _not_finite(state)
        return StateParts(state=state, founder=dict(config))

    def _key(self, step: int) -> jax.Array:
        return jax.random.fold_in(jax.random.key(self._seed), step)

    def _random(self, step: int) -> OwnRandomness:
        """The global generators of Python and numpy, which a user's data pipeline may use."""
        return OwnRandomness([PythonGlobal(), NumpyGlobal()], derived_seed(self._seed, step))


def _not_finite(state: Any) -> frozenset[str]:
    """Names the leaves that are not finite, with one wait for the device."""
    leaves = [
        (jax.tree_util.keystr(path), jnp.isfinite(jnp.asarray(leaf)).all())
        for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]
        if isinstance(leaf, float | jax.Array | np.ndarray | np.generic)
        and jnp.issubdtype(getattr(leaf, "dtype", float), jnp.inexact)
    ]
    finite = jax.device_get([each for _, each in leaves])
    return frozenset(name for (name, _), good in zip(leaves, finite, strict=True) if not good)
