"""A Keras training as a trainable: factories in, the life of a trial out.

Files hold arrays and plain values alone; models are made by the user's factory and never from a file.
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
import keras
import numpy as np

from gpbt_adapters.trainables import bindings as _bindings
from gpbt_adapters.trainables.bindings import Binding, Setter
from gpbt_adapters.trainables.keras.fields import OptimizerField
from gpbt_adapters.trainables.keras.parts import Parts, gather
from gpbt_adapters.trainables.random_states import (
    NumpyGlobal,
    OwnRandomness,
    PythonGlobal,
    generator_state,
    restore_generator,
)
from gpbt_adapters.trainables.sample_order import SampleOrder
from gpbt_adapters.trainables.trainable import Trainable
from gpbt_core.errors import ConfigError, ProtocolError

__all__ = ["KerasTrainable"]

_FORMAT = 1
_WEIGHTS = "model.weights.h5"
_ARRAYS = "arrays.npz"
_PLAIN = "plain.json"
_OURS = frozenset({"x", "y", "batch_size", "epochs", "initial_epoch", "shuffle", "steps_per_epoch", "verbose"})


@attrs.define(kw_only=True, eq=False)
class KerasTrainable(Trainable):
    """Trains a Keras model.

    Give `data`, for training by `model.fit` (with the model's own `train_step`, if it has one), or a `step` function
    of your own, or both. Randomness within the model must come from its layers' seed generators or others that are its
    attributes, never from `keras.random` without a seed nor from the backend's global one: those cannot be saved.
    Python's and numpy's global generators are this object's own while it trains, and are as before afterwards.

    Attributes:
        model: Makes the compiled model from a config; most ignore the config. What else has a state (a second
            optimizer, say) must be an attribute of it, and be built.
        score: Scores the training as it stands, higher or lower being better as the user says elsewhere. Random numbers
            that it draws are the same each time.
        bindings: Where each hyperparameter lives, by its name in the config.
        data: Makes the nested arrays of all training samples, (inputs, targets) or with sample weights. Called once per
            segment; cache what is slow to read.
        step: Trains one step of the given parts, instead of `fit`.
        updates: Batches per step; None: an epoch.
        batch_size: Samples per batch, unless bound.
        shuffle: Whether each epoch has an order of its own.
        fit_options: Further arguments of `fit`, such as class_weight. Callbacks see steps as epochs, counted along the
            line.
        optimizer_state: Whether a child goes on from its parent's optimizer state, or with a new optimizer.
    """

    model: Callable[[Mapping[str, Any]], keras.Model]
    score_of: Callable[[Parts], float] = attrs.field(alias="score")
    bindings: Mapping[str, Binding[Parts]]
    data: Callable[[], Any] | None = None
    train: Callable[[Parts], None] | None = attrs.field(default=None, alias="step")
    updates: int | None = None
    batch_size: int = 32
    shuffle: bool = True
    fit_options: Mapping[str, Any] = attrs.field(factory=dict)
    optimizer_state: Literal["keep", "reset"] = attrs.field(
        default="keep", validator=attrs.validators.in_(("keep", "reset"))
    )
    _parts: Parts | None = attrs.field(default=None, init=False)
    _random: OwnRandomness = attrs.field(init=False)
    _order_rng: np.random.Generator = attrs.field(init=False)
    _seed: int = attrs.field(init=False)
    _steps: int = attrs.field(default=0, init=False)
    _infinite: frozenset[int] = attrs.field(default=frozenset(), init=False)

    def __attrs_post_init__(self) -> None:
        """Refuses combinations that cannot train.

        Raises:
            ConfigError: Neither data nor a step function, or options of `fit` that are decided here.
        """
        if self.train is None and self.data is None:
            raise ConfigError("KerasTrainable: wanted data for fit, or a step function; got neither")
        if self.updates is not None and self.updates < 1:
            raise ConfigError(f"KerasTrainable: wanted at least 1 update per step, got updates={self.updates}")
        ours = sorted(_OURS & self.fit_options.keys())
        if ours:
            raise ConfigError(f"KerasTrainable: fit_options has {ours}, which this adapter decides; leave them out")
        rates = [name for name, binding in self.bindings.items() if binding == OptimizerField("learning_rate")]
        for callback in self.fit_options.get("callbacks") or ():
            if isinstance(callback, keras.callbacks.ReduceLROnPlateau):
                raise ConfigError(
                    "KerasTrainable: ReduceLROnPlateau reacts to scores, which is what the run does itself; leave it "
                    "out, since it forgets them at each call of fit, which is each step"
                )
            if rates and isinstance(callback, keras.callbacks.LearningRateScheduler):
                raise ConfigError(
                    f"KerasTrainable: {type(callback).__name__} would write over the learning rate that {rates[0]!r} "
                    f"is bound to; leave it out, since the run finds a schedule of its own"
                )
        self._sow(0)

    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        """Builds the model and sets the config on it.

        Raises:
            ConfigError: The model is not compiled or cannot be built, or a hyperparameter is bound nowhere, or to a
                place that cannot take its value.
        """
        self._sow(seed)
        with self._random:
            parts = self._build(config)
            self._write(parts, config)
        self._parts, self._steps = parts, 0

    def apply(self, config: Mapping[str, Any]) -> None:
        """Sets a config on the live training; weights and optimizer state stay.

        Raises:
            ConfigError: A hyperparameter is bound nowhere, or to a place that cannot take its value.
            ProtocolError: There is no training yet.
        """
        self._write(self.parts, config)

    def applied(self) -> Mapping[str, Any]:
        """Reads the live values back from optimizer, layers, losses and data.

        Raises:
            ConfigError: Places that should agree do not.
            ProtocolError: There is no training yet.
        """
        return _bindings.read_back(self.parts, self.bindings)

    def step(self) -> float:
        """Trains one step.

        Returns:
            The score after it; NaN once a weight is not finite any more, whatever the score says. What was not finite
            as it was built (a mask of -inf) is not looked at.
        """
        parts = self.parts
        with self._random:
            if self.train is not None:
                self.train(parts)
            else:
                # Callbacks see the number of the step along the line as that of the epoch.
                options = {**self.fit_options, "initial_epoch": self._steps, "epochs": self._steps + 1}
                parts.model.fit(parts.planned(), shuffle=False, verbose=0, **options)
        self._steps += 1
        return math.nan if _not_finite(parts.model) - self._infinite else self.score()

    def score(self) -> float:
        """Scores the model as it stands; the training's random states are not touched."""
        parts = self.parts
        before, own = self._random.state, generator_state(parts.rng)
        seeds = [(variable, variable.numpy()) for variable in parts.random_variables()]
        with self._random:
            value = float(self.score_of(parts))
        self._random.state = before
        restore_generator(parts.rng, own)
        for variable, state in seeds:
            variable.assign(state)
        return value

    def save(self, path: Path) -> None:
        """Writes Keras' own weights file, and arrays and plain values that it does not cover, beside it."""
        parts = self.parts
        parts.model.save_weights(path / _WEIGHTS)
        left = [] if parts.order is None else parts.order.left
        seeds = {f"seed_{number}": variable.numpy() for number, variable in enumerate(parts.random_variables())}
        np.savez(path / _ARRAYS, left=np.asarray(left, dtype=np.int64), **seeds)
        plain = {
            "format": _FORMAT,
            "config": dict(parts.config),
            "held": dict(parts.held),
            "founder": dict(parts.founder),
            "optimizer_variables": len(parts.model.optimizer.variables),
            "seed": self._seed,
            "steps": self._steps,
            "rng": generator_state(parts.rng),
            "order_rng": generator_state(self._order_rng),
            "random": self._random.state,
        }
        (path / _PLAIN).write_text(json.dumps(plain))

    def load(self, path: Path) -> None:
        """Builds the model of the line's founder, under the founder's seed, and restores what `save` wrote.

        Raises:
            ConfigError: The files are of another version or of other factories.
            OSError: A file cannot be read.
        """
        plain = json.loads((path / _PLAIN).read_text())
        if plain["format"] != _FORMAT:
            raise ConfigError(
                f"KerasTrainable.load: wanted a checkpoint of format {_FORMAT}, got {plain['format']!r} in {path}"
            )
        self._sow(plain["seed"])  # what factories drew, and Keras does not save, is drawn again
        with self._random:
            parts = self._build(plain["founder"])
        optimizer, wanted = parts.model.optimizer, plain["optimizer_variables"]
        if len(optimizer.variables) != wanted:  # Keras would warn and leave the optimizer as it is
            raise ConfigError(
                f"KerasTrainable.load: wanted an optimizer with {wanted} variables, as saved in {path}, got "
                f"{type(optimizer).__name__} with {len(optimizer.variables)}: the model factory has changed since"
            )
        fresh = [variable.numpy() for variable in optimizer.variables]
        parts.model.load_weights(path / _WEIGHTS)
        if self.optimizer_state == "reset":
            for variable, value in zip(optimizer.variables, fresh, strict=True):
                variable.assign(value)
        with np.load(path / _ARRAYS, allow_pickle=False) as arrays:
            if parts.order is not None:
                parts.order.left = arrays["left"].tolist()
            for number, variable in enumerate(parts.random_variables()):
                variable.assign(arrays[f"seed_{number}"])
        restore_generator(parts.rng, plain["rng"])
        restore_generator(self._order_rng, plain["order_rng"])
        self._random.state = plain["random"]
        parts.held = plain["held"]
        self._write(parts, plain["config"])
        self._parts, self._steps = parts, plain["steps"]

    def close(self) -> None:
        """Lets go of the model and the data."""
        self._parts = None

    @property
    def parts(self) -> Parts:
        """The live objects.

        Raises:
            ProtocolError: Neither `setup` nor `load` was called, or `close` was.
        """
        if self._parts is None:
            raise ProtocolError("KerasTrainable: there is no model yet; call setup or load first")
        return self._parts

    def _write(self, parts: Parts, config: Mapping[str, Any]) -> None:
        values = {**parts.held, **config}
        own = {name: value for name, value in values.items() if isinstance(self.bindings.get(name), Setter)}
        changed = any(name not in parts.config or parts.config[name] != value for name, value in own.items())
        _bindings.write(parts, self.bindings, config)
        if changed:  # what a user's function set may be burnt into the training function
            parts.retrace()

    def _sow(self, seed: int) -> None:
        self._seed = seed
        self._random = OwnRandomness([PythonGlobal(), NumpyGlobal()], seed)
        self._order_rng = np.random.default_rng((seed, 1))

    def _build(self, config: Mapping[str, Any]) -> Parts:
        data = None if self.data is None else self.data()
        model = self.model(config)
        parts = Parts(
            model=model,
            data=data,
            order=None if data is None else self._order(data),
            updates=self.updates,
            rng=np.random.default_rng(self._seed),
            founder=dict(config),
        )
        if not model.built and data is not None:
            model(gather(data[0], slice(0, 1)))
        if not model.built:
            raise ConfigError(
                f"KerasTrainable: {model.name} is not built and there is no data to build it with; call it on a "
                f"sample, or model.build(shape), in the model factory"
            )
        self._infinite = _not_finite(model)
        _ = parts.optimizer  # raises if the model is not compiled
        if self.train is None and parts.optimizer.use_ema:
            raise ConfigError(
                f"KerasTrainable: wanted an optimizer without use_ema=True, got {type(parts.optimizer).__name__} with "
                f"it: fit replaces the weights by their average at its end, here after each step. Average the weights "
                f"in a step function of your own, or leave use_ema out."
            )
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        return parts

    def _order(self, data: Any) -> SampleOrder:
        samples = len(keras.tree.flatten(data)[0])
        return SampleOrder(
            draw=lambda: self._order_rng.permutation(samples) if self.shuffle else range(samples),
            batch_size=self.batch_size,
        )


def _not_finite(model: keras.Model) -> frozenset[int]:
    """Lists the positions of the weights that are not finite."""
    return frozenset(
        number
        for number, weight in enumerate(model.weights)
        if "float" in keras.backend.standardize_dtype(weight.dtype)
        and not bool(keras.ops.all(keras.ops.isfinite(weight)))
    )
