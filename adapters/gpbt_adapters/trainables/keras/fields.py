"""Where hyperparameters live in a Keras training: bindings to the optimizer, layers, losses and the batch size.

Each writes to the live object and reads back from it. Most of Keras' values are Python numbers that are burnt into the
compiled training function; a change has that function made anew.
"""

import fnmatch
from typing import Any

import attrs
import keras

from gpbt_adapters.trainables.bindings import Binding
from gpbt_adapters.trainables.keras.parts import Parts
from gpbt_adapters.trainables.sample_order import SampleOrder
from gpbt_core.errors import ConfigError

__all__ = ["BatchSize", "LayerField", "LossField", "OptimizerField"]

# They make their seed generator only if they are built with a value other than 0.
_DRAWING_LAYERS = (
    keras.layers.Dropout,
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
)


def _agreed(name: str, values: list[Any], where: str) -> Any:
    """Returns the value on which all places agree."""
    if any(value != values[0] for value in values):
        raise ConfigError(f"hyperparameter {name!r} has different live values in {where}: {values}")
    return values[0]


def _is_variable(value: Any) -> bool:
    return isinstance(value, keras.Variable)


def _plain(value: Any) -> Any:
    return keras.ops.convert_to_numpy(value).item() if _is_variable(value) or keras.ops.is_tensor(value) else value


def _set(parts: Parts, holder: Any, field: str, value: Any, name: str) -> None:
    """Sets an attribute, in place where it is a variable, and has the training function made anew where it is not."""
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


@attrs.frozen
class LayerField(Binding[Parts]):
    """An attribute of layers, such as the rate of every Dropout.

    Attributes:
        field: The attribute's name.
        of: The class, or classes, of the layers.
        names: Which layers, as a shell pattern of their names; None: all.
    """

    field: str
    of: type[Any] | tuple[type[Any], ...] = keras.layers.Layer
    names: str | None = attrs.field(default=None, kw_only=True)

    def write(self, parts: Parts, name: str, value: Any) -> None:
        """Sets the attribute on each of the layers.

        Raises:
            ConfigError: No layer is meant, one has no such attribute, or it was built without randomness.
        """
        for layer in self._layers(parts, name):
            if isinstance(layer, _DRAWING_LAYERS) and not hasattr(layer, "seed_generator"):
                raise ConfigError(
                    f"hyperparameter {name!r} is bound to {layer.name}, which was built with {self.field}=0 and so "
                    f"without a seed generator: it could never draw. Build it with any other value; the config's is "
                    f"set afterwards."
                )
            _set(parts, layer, self.field, value, name)

    def read(self, parts: Parts, name: str) -> Any:
        """Reads the attribute from the layers.

        Raises:
            ConfigError: The layers disagree.
        """
        values = [_plain(getattr(layer, self.field)) for layer in self._layers(parts, name)]
        return _agreed(name, values, f"the layers' {self.field}")

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
        lacking = [layer.name for layer in chosen if not hasattr(layer, self.field)]
        if lacking:
            raise ConfigError(
                f"hyperparameter {name!r} is bound to the attribute {self.field!r}, which {lacking[0]} has not"
            )
        return chosen


@attrs.frozen
class LossField(Binding[Parts]):
    """An argument of a loss object, such as label_smoothing.

    Keras' own losses hand their arguments on to a function and never look at their attributes again; so both are
    written, and the handed-on one is read back.

    Attributes:
        field: The argument's name.
        of: The class, or classes, of the losses, where the model has several.
    """

    field: str
    of: type[Any] | tuple[type[Any], ...] = keras.losses.Loss

    def write(self, parts: Parts, name: str, value: Any) -> None:
        """Sets the argument on each of the losses.

        Raises:
            ConfigError: No loss is meant, or one has no such argument.
        """
        for loss in self._losses(parts, name):
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
        return _agreed(name, values, f"the losses' {self.field}")

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
                f"has not"
            )
        return chosen


def _arguments(loss: Any) -> dict[str, Any]:
    """Returns what a loss of Keras' own hands on to its function; empty for other losses."""
    arguments: dict[str, Any] = getattr(loss, "_fn_kwargs", {})
    return arguments


@attrs.frozen
class BatchSize(Binding[Parts]):
    """The batch size of the usual loop and of `Parts.take`; a change holds from the next batch on."""

    def write(self, parts: Parts, name: str, value: Any) -> None:
        """Sets it.

        Raises:
            ConfigError: There is no data, or the size is below 1.
        """
        if value < 1:
            raise ConfigError(f"hyperparameter {name!r}: wanted a batch size of at least 1, got {value!r}")
        self._order(parts, name).batch_size = value

    def read(self, parts: Parts, name: str) -> Any:
        """Reads it."""
        return self._order(parts, name).batch_size

    @staticmethod
    def _order(parts: Parts, name: str) -> SampleOrder:
        if parts.order is None:
            raise ConfigError(
                f"hyperparameter {name!r} is bound as BatchSize, and there is no data to take batches from"
            )
        return parts.order
