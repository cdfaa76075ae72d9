"""A Keras training as a trainable, made from factories.

Files hold arrays and plain values only; the user's factory makes the models, never a file.
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
from gpbt_adapters.trainables.bindings import Binding, PartsTrainable, Setter
from gpbt_adapters.trainables.keras.fields import OptimizerField
from gpbt_adapters.trainables.keras.parts import Parts, gather, read_arrays
from gpbt_adapters.trainables.random_states import (
    NumpyGlobal,
    OwnRandomness,
    PythonGlobal,
    generator_state,
    restore_generator,
)
from gpbt_adapters.trainables.sample_order import SampleOrder
from gpbt_adapters.trainables.trainable import as_score, check_callables
from gpbt_core.errors import ConfigError

__all__ = ["KerasTrainable"]

_FORMAT = 1
_WEIGHTS = "model.weights.h5"
_ARRAYS = "arrays.npz"
_PLAIN = "plain.json"
_OURS = frozenset({"x", "y", "batch_size", "epochs", "initial_epoch", "shuffle", "steps_per_epoch", "verbose"})


@attrs.define(kw_only=True, eq=False)
class KerasTrainable(PartsTrainable[Parts]):
    """Trains a Keras model.

    Give `data`, for training by `model.fit` (with the model's own `train_step`, if it has one), or a `step` function
    of your own, or both. Random numbers within the model must come from the seed generators of its layers or from
    others that are its attributes, not from `keras.random` without a seed nor from the backend's global generator,
    which cannot be saved. While it trains, Python's and numpy's global generators have states of its own; afterwards
    they are as before.

    Attributes:
        model: Makes the compiled model from a config; most ignore the config. Further objects with a state, such as a
            second optimizer, must be its attributes, and built.
        score: Returns the score of the training, a number; the optimizer's direction says whether higher is better.
            Random numbers that it draws are the same each time.
        bindings: Where each hyperparameter lives, by its name in the config.
        data: Makes the nested arrays of all training samples, (inputs, targets) or with sample weights: numpy arrays,
            tensors or pandas frames. Called once per segment; cache what is slow to read.
        step: Trains one step of the given parts, instead of `fit`.
        updates: Batches per step; None: an epoch.
        batch_size: Samples per batch, unless it is bound.
        shuffle: Whether to shuffle the samples in each epoch.
        fit_options: Further arguments of `fit`, such as class_weight. Callbacks see steps as epochs, counted along the
            line.
        optimizer_state: Whether a child keeps its parent's optimizer state or starts with a new one.
        parts: The live objects, from `setup` or `load` to `close`.
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
            ConfigError: Neither data nor a step function, or options of `fit` that this class sets itself.
        """
        if self.train is None and self.data is None:
            raise ConfigError("KerasTrainable: it needs data for fit, or a step function; got neither")
        if self.updates is not None and self.updates < 1:
            raise ConfigError(f"KerasTrainable: updates must be at least 1, got {self.updates}")
        ours = sorted(_OURS & self.fit_options.keys())
        if ours:
            raise ConfigError(f"KerasTrainable: fit_options has {ours}, which this class sets itself; leave them out")
        if "validation_split" in self.fit_options:
            raise ConfigError(
                "KerasTrainable: fit_options has validation_split, which would give each model another split; return "
                "the training samples alone from data, and score the model on the others in score"
            )
        check_callables(
            "KerasTrainable",
            {"model": self.model, "score": self.score_of}
            | ({} if self.data is None else {"data": self.data})
            | ({} if self.train is None else {"step": self.train}),
        )
        rates = [name for name, binding in self.bindings.items() if binding == OptimizerField("learning_rate")]
        for callback in self.fit_options.get("callbacks") or ():
            if isinstance(callback, keras.callbacks.ReduceLROnPlateau):
                raise ConfigError(
                    "KerasTrainable: ReduceLROnPlateau reacts to scores, which the run does itself; leave it out, "
                    "since it forgets them at each call of fit, which is each step"
                )
            if rates and isinstance(callback, keras.callbacks.LearningRateScheduler):
                raise ConfigError(
                    f"KerasTrainable: {type(callback).__name__} would write over the learning rate that {rates[0]!r} "
                    f"is bound to; leave it out, since the run finds a schedule itself"
                )
        self._sow(0)

    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        """Builds the model and sets the config on it.

        Raises:
            ConfigError: The model is not compiled or cannot be built.
            ConfigError: A hyperparameter has no binding, or is bound to a place that cannot take its value.
        """
        self._sow(seed)
        with self._random:
            parts = self._build(config)
            self._write(parts, config)
        self._parts, self._steps = parts, 0

    def apply(self, config: Mapping[str, Any]) -> None:
        """Sets a config on the live training; weights and optimizer state stay.

        Raises:
            ConfigError: A hyperparameter has no binding, or is bound to a place that cannot take its value.
            ProtocolError: There is no model yet.
        """
        self._write(self.parts, config)

    def step(self) -> float:
        """Trains one step.

        Returns:
            The score after it; NaN if a weight is no longer finite. Weights that were built so, such as a mask of -inf,
            do not count.
        """
        parts = self.parts
        with self._random:
            if self.train is not None:
                self.train(parts)
            else:
                # Callbacks see the number of the step along the line as that of the epoch.
                options = {**self.fit_options, "initial_epoch": self._steps, "epochs": self._steps + 1}
                logs = parts.model.fit(parts.planned(), shuffle=False, verbose=0, **options).history
                for name, values in logs.items():
                    parts.figures[name if name.startswith("val_") else f"train_{name}"] = float(np.mean(values[-1]))
        self._steps += 1
        return math.nan if _not_finite(parts.model) - self._infinite else self.score()

    def score(self) -> float:
        """Scores the model; the random states of the training do not change.

        Raises:
            ConfigError: The score is not a number.
        """
        parts = self.parts
        before, own = self._random.state, generator_state(parts.rng)
        seeds = [(variable, variable.numpy()) for variable in parts.random_variables()]
        with self._random:
            value = as_score(self.score_of(parts), "KerasTrainable.score")
        self._random.state = before
        restore_generator(parts.rng, own)
        for variable, state in seeds:
            variable.assign(state)
        return value

    def figures(self) -> Mapping[str, float]:
        """Returns `Parts.figures`; after `fit` what it logged in the last step: `train_loss`, the model's metrics.

        Raises:
            ProtocolError: There is no model yet.
        """
        return dict(self.parts.figures)

    def save(self, path: Path) -> None:
        """Writes Keras' own weights file, and the arrays and plain values that it does not contain."""
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
        """Builds the model of the line's founder with the founder's seed, and restores what `save` wrote.

        Raises:
            ConfigError: The files are of another version or of other factories.
            OSError: A file cannot be read.
        """
        plain = json.loads((path / _PLAIN).read_text())
        if plain["format"] != _FORMAT:
            raise ConfigError(
                f"KerasTrainable.load: the checkpoint must be of format {_FORMAT}, got {plain['format']!r} in {path}"
            )
        self._sow(plain["seed"])  # so that factories draw again what Keras does not save
        with self._random:
            parts = self._build(plain["founder"])
        optimizer, wanted = parts.model.optimizer, plain["optimizer_variables"]
        if len(optimizer.variables) != wanted:  # Keras would warn and leave the optimizer as it is
            raise ConfigError(
                f"KerasTrainable.load: the optimizer must have {wanted} variables, as saved in {path}, got "
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

    def _write(self, parts: Parts, config: Mapping[str, Any]) -> None:
        values = {**parts.held, **config}
        own = {name: value for name, value in values.items() if isinstance(self.bindings.get(name), Setter)}
        changed = any(name not in parts.config or parts.config[name] != value for name, value in own.items())
        _bindings.write(parts, self.bindings, config)
        if changed:  # the training function may contain what a user's function set
            parts.retrace()

    def _sow(self, seed: int) -> None:
        self._seed = seed
        self._random = OwnRandomness([PythonGlobal(), NumpyGlobal()], seed)
        self._order_rng = np.random.default_rng((seed, 1))

    def _build(self, config: Mapping[str, Any]) -> Parts:
        data = None if self.data is None else read_arrays(self.data())
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
                f"KerasTrainable: the optimizer must not have use_ema=True, got {type(parts.optimizer).__name__} with "
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
