"""Bindings to the optimizer, layers and losses of a Keras model, and to the batch size.

Each writes to the live object and reads back from it. Most of Keras' values are Python numbers that the compiled
training function contains; a change has that function compiled again.
"""

import fnmatch
from typing import Any

import attrs
import keras

from gpbt_adapters.trainables.bindings import Binding, agreed, check_alike
from gpbt_adapters.trainables.keras.parts import Parts
from gpbt_adapters.trainables.sample_order import SampleOrder
from gpbt_core.errors import ConfigError

__all__ = ["BatchSize", "LayerField", "LossField", "OptimizerField"]

# These make their seed generator only if they are built with a value other than 0.
_DRAWING_LAYERS = (
    keras.layers.Dropout,
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
)


def _is_variable(value: Any) -> bool:
    return isinstance(value, keras.Variable)


def _plain(value: Any) -> Any:
    return keras.ops.convert_to_numpy(value).item() if _is_variable(value) or keras.ops.is_tensor(value) else value


def _set(parts: Parts, holder: Any, field: str, value: Any, name: str) -> None:
    """Sets an attribute: in place if it is a variable, otherwise with the training function compiled again."""
    old = getattr(holder, field)
    if _is_variable(old):
        old.assign(value)
        return
    try:
        setattr(holder, field, value)
    except (AttributeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"hyperparameter {name!r} is bound to {field!r} of {type(holder).__name__}, which cannot be set: {error}"
        ) from error
    if old != value:
        parts.retrace()


@attrs.frozen
class OptimizerField(Binding[Parts]):
    """A field of the optimizer, such as learning_rate, beta_1, momentum, weight_decay or clipnorm.

    Attributes:
        field: Its name, as in the optimizer's constructor.
    """

    field: str

    def write(self, parts: Parts, name: str, value: Any) -> None:
        """Sets the field.

        Raises:
            ConfigError: There is no such field, a schedule holds the learning rate, or the optimizer was built without
                the variables that the value needs.
        """
        live = self._live(parts, name)
        if self.field == "learning_rate" and not _is_variable(live):
            raise ConfigError(
                f"hyperparameter {name!r} is bound to the learning rate of {type(parts.optimizer).__name__}, which "
                f"follows a schedule of its own; compile the model with a number, since the run finds a schedule"
            )
        if not _is_variable(live) and not live and value and not self._has_room(parts, value):
            raise ConfigError(
                f"hyperparameter {name!r} is bound to {self.field!r} of {type(parts.optimizer).__name__}, which was "
                f"built with {self.field}={live!r} and so without the variables that {value!r} needs. Build it with "
                f"another value; the config's is set afterwards."
            )
        _set(parts, parts.optimizer, self.field, value, name)

    def read(self, parts: Parts, name: str) -> Any:
        """Reads the field; what Keras keeps in a variable comes back in single precision."""
        return _plain(self._live(parts, name))

    def _has_room(self, parts: Parts, value: Any) -> bool:
        """Whether the live optimizer has the variables (momenta, say) of one that is built with a value."""
        optimizer = parts.optimizer
        if not optimizer.built:
            return True
        other = type(optimizer).from_config({**optimizer.get_config(), self.field: value})
        other.build(parts.model.trainable_variables)
        return len(other.variables) <= len(optimizer.variables)

    def _live(self, parts: Parts, name: str) -> Any:
        optimizer = parts.optimizer
        if self.field not in optimizer.get_config():
            raise ConfigError(
                f"hyperparameter {name!r} is bound to the field {self.field!r}; {type(optimizer).__name__} has "
                f"{sorted(optimizer.get_config())}"
            )
        return getattr(optimizer, self.field)


def _augments(layer: Any) -> bool:
    """Whether a layer is one of Keras' image augmentations, which compute what they use from their arguments."""
    return any(kind.__name__ == "BaseImagePreprocessingLayer" for kind in type(layer).__mro__)


def _as_built_with(layer: Any, field: str, value: Any, name: str) -> dict[str, Any]:
    """The attributes that an augmentation layer has if it is built with a value."""
    if field not in layer.get_config():
        raise ConfigError(
            f"hyperparameter {name!r} is bound to the argument {field!r} of {type(layer).__name__}, which has "
            f"{sorted(layer.get_config())}"
        )
    try:
        made = type(layer).from_config({**layer.get_config(), field: value})
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"hyperparameter {name!r}: {type(layer).__name__} refuses {field}={value!r}: {error}"
        ) from error
    own = {key: item for key, item in vars(made).items() if key not in vars(keras.layers.Layer())}
    if any(isinstance(item, keras.layers.Layer) for item in own.values()):
        raise ConfigError(
            f"hyperparameter {name!r} is bound to {field!r} of {type(layer).__name__}, which makes layers of its own "
            f"from it; write the layers out, and bind those, or use a Setter"
        )
    return {key: item for key, item in own.items() if isinstance(item, bool | int | float | str | tuple | list)}


@attrs.frozen
class LayerField(Binding[Parts]):
    """An attribute of layers, such as the rate of every Dropout, or an argument of an image augmentation.

    Attributes:
        field: The attribute's name; of an augmentation such as RandomRotation, that of the constructor's argument.
        of: The class, or classes, of the layers.
        names: Which layers, as a shell pattern of their names; None: all. They must have been built with one value.
    """

    field: str
    of: type[Any] | tuple[type[Any], ...] = keras.layers.Layer
    names: str | None = attrs.field(default=None, kw_only=True)

    def write(self, parts: Parts, name: str, value: Any) -> None:
        """Sets the attribute on each of the layers.

        Raises:
            ConfigError: No layer matches, one has no such attribute, or it was built without randomness.
            ConfigError: The layers were built with different values.
        """
        layers = self._layers(parts, name)
        check_alike(
            name,
            [
                layer.get_config().get(self.field) if _augments(layer) else _plain(getattr(layer, self.field))
                for layer in layers
            ],
            f"the attribute {self.field!r} of {len(layers)} layers",
            "Name those that you mean with names=..., one binding for each, or build them with one value",
        )
        for layer in layers:
            if isinstance(layer, _DRAWING_LAYERS) and not hasattr(layer, "seed_generator"):
                raise ConfigError(
                    f"hyperparameter {name!r} is bound to {layer.name}, which was built with {self.field}=0 and so "
                    f"without a seed generator: it could never draw. Build it with any other value; the config's is "
                    f"set afterwards."
                )
            wanted = _as_built_with(layer, self.field, value, name) if _augments(layer) else {self.field: value}
            for field, item in wanted.items():
                _set(parts, layer, field, item, name)

    def read(self, parts: Parts, name: str) -> Any:
        """Reads the attribute from the layers.

        An augmentation keeps what it computed from its argument. The config's value is live if the layer has all that
        it would have if it were built with it.

        Raises:
            ConfigError: The layers disagree.
        """
        values = [self._live(parts, layer, name) for layer in self._layers(parts, name)]
        return agreed(name, values, f"the layers' {self.field}")

    def _live(self, parts: Parts, layer: Any, name: str) -> Any:
        if not _augments(layer):
            return _plain(getattr(layer, self.field))
        value = parts.config.get(name)
        wanted = {} if value is None else _as_built_with(layer, self.field, value, name)
        if wanted and all(getattr(layer, field) == item for field, item in wanted.items()):
            return value
        return {field: getattr(layer, field) for field in wanted} or layer.get_config()[self.field]

    def _layers(self, parts: Parts, name: str) -> list[Any]:
        layers = parts.model._flatten_layers()  # noqa: SLF001 - Model.layers leaves out what other layers hold
        chosen = [
            layer
            for layer in layers
            if isinstance(layer, self.of)
            and (self.names is None or fnmatch.fnmatchcase(layer.name, self.names))
            and (self.of is not keras.layers.Layer or hasattr(layer, self.field))
        ]
        if not chosen:
            raise ConfigError(
                f"hyperparameter {name!r} is bound to the attribute {self.field!r} of layers of {self.of} named "
                f"{self.names or 'anything'!r}; the model has {[layer.name for layer in layers]}. Keras numbers layers "
                f"without a name on from model to model: name those that you mean in the model factory."
            )
        lacking = [layer.name for layer in chosen if not (_augments(layer) or hasattr(layer, self.field))]
        if lacking:
            raise ConfigError(
                f"hyperparameter {name!r} is bound to the attribute {self.field!r}, which {lacking[0]} does not have"
            )
        return chosen


@attrs.frozen
class LossField(Binding[Parts]):
    """An argument of a loss object, such as label_smoothing.

    Keras' own losses pass their arguments to a function and never read their attributes again; so both are written, and
    the function's argument is read back.

    Attributes:
        field: The argument's name.
        of: The class, or classes, of the losses, if the model has several.
    """

    field: str
    of: type[Any] | tuple[type[Any], ...] = keras.losses.Loss

    def write(self, parts: Parts, name: str, value: Any) -> None:
        """Sets the argument on each of the losses.

        Raises:
            ConfigError: No loss matches, or one has no such argument.
            ConfigError: The losses were built with different values.
        """
        losses = self._losses(parts, name)
        check_alike(
            name,
            [self._live(loss) for loss in losses],
            f"the argument {self.field!r} of {len(losses)} losses",
            "Name those that you mean by their class, with of=..., or build them with one value",
        )
        for loss in losses:
            old = self._live(loss)
            if self.field in _arguments(loss):
                _arguments(loss)[self.field] = value
            if hasattr(loss, self.field):
                setattr(loss, self.field, value)
            if old != value:
                parts.retrace()

    def read(self, parts: Parts, name: str) -> Any:
        """Reads the argument from the losses.

        Raises:
            ConfigError: The losses disagree.
        """
        values = [self._live(loss) for loss in self._losses(parts, name)]
        return agreed(name, values, f"the losses' {self.field}")

    def _live(self, loss: Any) -> Any:
        arguments = _arguments(loss)
        return arguments[self.field] if self.field in arguments else getattr(loss, self.field)

    def _losses(self, parts: Parts, name: str) -> list[Any]:
        losses = keras.tree.flatten(parts.model.loss)
        chosen = [loss for loss in losses if isinstance(loss, self.of)]
        if not chosen:
            raise ConfigError(
                f"hyperparameter {name!r} is bound to the argument {self.field!r} of losses of {self.of}; the model "
                f"was compiled with {losses}. Compile it with a loss object rather than a name or a function."
            )
        lacking = [loss for loss in chosen if self.field not in _arguments(loss) and not hasattr(loss, self.field)]
        if lacking:
            raise ConfigError(
                f"hyperparameter {name!r} is bound to the argument {self.field!r}, which {type(lacking[0]).__name__} "
                f"does not have"
            )
        return chosen


def _arguments(loss: Any) -> dict[str, Any]:
    """Returns the arguments that a loss of Keras' own passes to its function; empty for other losses."""
    arguments: dict[str, Any] = getattr(loss, "_fn_kwargs", {})
    return arguments


@attrs.frozen
class BatchSize(Binding[Parts]):
    """The batch size of `fit` and of `Parts.take`; a change takes effect with the next batch."""

    def write(self, parts: Parts, name: str, value: Any) -> None:
        """Sets it.

        Raises:
            ConfigError: There is no data, or the size is below 1.
        """
        if value < 1:
            raise ConfigError(f"hyperparameter {name!r}: the batch size must be at least 1, got {value!r}")
        self._order(parts, name).batch_size = value

    def read(self, parts: Parts, name: str) -> Any:
        """Reads it."""
        return self._order(parts, name).batch_size

    @staticmethod
    def _order(parts: Parts, name: str) -> SampleOrder:
        if parts.order is None:
            raise ConfigError(
                f"hyperparameter {name!r} is bound as BatchSize, but there is no data to take batches from"
            )
        return parts.order
