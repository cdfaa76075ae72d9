"""Bindings to Keras' objects, and the callback from a found schedule."""

import os
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras")

import keras

from gpbt_adapters.trainables.bindings import Setter, verify, write
from gpbt_adapters.trainables.keras import BatchSize, LayerField, LossField, OptimizerField, Parts, ScheduleCallback
from gpbt_adapters.trainables.trainable import HyperparameterNotAppliedError
from gpbt_core.errors import ConfigError
from gpbt_core.records import Schedule, Segment
from gpbt_core.space import Config

# Keras 3.15 turns TensorFlow's variables into arrays in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def _parts(**compile_options: Any) -> Parts:
    inner = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dropout(0.3, name="inner_drop")])
    model = keras.Sequential(
        [
            keras.layers.Input((2,)),
            inner,
            keras.layers.Dropout(0.1, name="outer_drop"),
            keras.layers.Dense(1, name="head"),
        ]
    )
    model.compile(**{"optimizer": keras.optimizers.Adam(0.5), "loss": keras.losses.Huber(delta=1.0), **compile_options})
    return Parts(model=model)


def _rates(parts: Parts) -> list[float]:
    return [parts.model.get_layer(index=0).get_layer("inner_drop").rate, parts.model.get_layer("outer_drop").rate]


def test_layers_are_chosen_by_class_and_by_name_however_deep() -> None:
    parts = _parts()
    with pytest.raises(ConfigError, match=r"'rate' of 2 layers, which were built with different values, .*names="):
        write(parts, {"rate": LayerField("rate", keras.layers.Dropout)}, {"rate": 0.6})
    for name in ("inner*", "outer*"):
        write(parts, {"rate": LayerField("rate", names=name)}, {"rate": 0.5})
    write(parts, {"rate": LayerField("rate", keras.layers.Dropout)}, {"rate": 0.6})
    assert _rates(parts) == [0.6, 0.6]
    write(parts, {"rate": LayerField("rate", names="outer*")}, {"rate": 0.4})
    assert _rates(parts) == [0.6, 0.4]


def test_places_that_disagree_are_an_error_and_not_an_average() -> None:
    with pytest.raises(ConfigError, match=r"'rate' has different live values in the layers' rate: \[0\.\d, 0\.\d\]"):
        verify(_parts(), {"rate": LayerField("rate", keras.layers.Dropout)}, {"rate": 0.3})


def test_the_optimizer_within_a_loss_scaler_is_the_one_that_is_meant() -> None:
    parts = _parts(optimizer=keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.5)))
    bindings = {"lr": OptimizerField("learning_rate"), "beta": OptimizerField("beta_1")}
    write(parts, bindings, {"lr": 0.25, "beta": 0.5})
    verify(parts, bindings, {"lr": 0.25, "beta": 0.5})
    assert parts.model.optimizer.inner_optimizer.beta_1 == 0.5


def test_a_loss_among_several_is_chosen_by_class() -> None:
    losses = {"a": keras.losses.Huber(delta=1.0), "b": keras.losses.MeanSquaredError()}
    inputs = keras.layers.Input((2,))
    model = keras.Model(inputs, {name: keras.layers.Dense(1, name=name)(inputs) for name in losses})
    model.compile(optimizer="adam", loss=losses)
    bindings = {"delta": LossField("delta", keras.losses.Huber)}
    write(Parts(model=model), bindings, {"delta": 0.25})
    errors = np.array([[2.0]], np.float32)
    assert float(losses["a"](errors, 0 * errors)) == pytest.approx(0.25 * (2 - 0.125))


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        (OptimizerField("momentum"), r"bound to the field 'momentum'; Adam has \['amsgrad'"),
        (LayerField("rate", keras.layers.LSTM), r"attribute 'rate' of layers of .*LSTM.*the model has .*'outer_drop'"),
        (LayerField("rate", names="tail*"), "named 'tail.*name those that you mean"),
        (LayerField("p", keras.layers.Dropout), "attribute 'p', which .*drop does not have"),
        (LossField("label_smoothing"), "argument 'label_smoothing', which Huber does not have"),
        (LossField("delta", keras.losses.LogCosh), "Compile it with a loss object"),
        (BatchSize(), "there is no data to take batches from"),
        (LayerField("losses", names="head"), "'losses' of Dense, which cannot be set"),
    ],
)
def test_a_place_that_does_not_exist_or_cannot_be_set_is_named(binding: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"hyperparameter 'it'.*{message}"):
        write(_parts(), {"it": binding}, {"it": 1})


def test_a_loss_by_name_has_no_arguments_to_bind() -> None:
    with pytest.raises(ConfigError, match="Compile it with a loss object rather than a name"):
        write(_parts(loss="mse"), {"it": LossField("delta")}, {"it": 1.0})


def test_a_learning_rate_that_follows_a_schedule_is_refused() -> None:
    decay = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    with pytest.raises(ConfigError, match="'lr' is bound to the learning rate of SGD, which follows a schedule"):
        write(_parts(optimizer=keras.optimizers.SGD(decay)), {"lr": OptimizerField("learning_rate")}, {"lr": 0.1})


def test_a_dropout_that_was_built_without_randomness_is_refused_before_it_fails_in_training() -> None:
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dropout(0.0, name="dead"), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    for rate in (0.0, 0.5):
        with pytest.raises(ConfigError, match="bound to dead, which was built with rate=0"):
            write(Parts(model=model), {"rate": LayerField("rate", keras.layers.Dropout)}, {"rate": rate})


@pytest.mark.parametrize(
    ("optimizer", "field", "value"),
    [
        (keras.optimizers.SGD, "momentum", 0.5),
        (keras.optimizers.RMSprop, "momentum", 0.5),
        (keras.optimizers.Adam, "amsgrad", True),
        (keras.optimizers.Adam, "use_ema", True),
    ],
)
def test_an_optimizer_without_room_for_a_value_is_refused_before_it_fails_in_training(
    optimizer: Any, field: str, value: Any
) -> None:
    parts = _parts(optimizer=optimizer(0.5))
    parts.optimizer.build(parts.model.trainable_variables)
    with pytest.raises(ConfigError, match=f"built with {field}=.* and so without the variables that {value} needs"):
        write(parts, {"it": OptimizerField(field)}, {"it": value})


def test_a_value_of_zero_in_between_leaves_the_room_that_there_is() -> None:
    parts = _parts(optimizer=keras.optimizers.SGD(0.5, momentum=0.9))
    parts.optimizer.build(parts.model.trainable_variables)
    bindings = {"momentum": OptimizerField("momentum"), "decay": OptimizerField("weight_decay")}
    for momentum, decay in ((0.0, 0.1), (0.5, 0.0), (0.25, 0.2)):
        write(parts, bindings, {"momentum": momentum, "decay": decay})
        verify(parts, bindings, {"momentum": momentum, "decay": decay})


def test_data_is_asked_for_before_batches_are_taken() -> None:
    with pytest.raises(ConfigError, match="there is no data to take batches from"):
        _parts().take()


def _schedule() -> Schedule:
    configs = [{"lr": 0.5, "rate": 0.25, "batch": 8}, {"lr": 0.125, "rate": 0.75, "batch": 9}]
    return Schedule(
        tuple(Segment(config=Config(config), start_step=2 * k, steps=2) for k, config in enumerate(configs))
    )


class Watch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[float, float]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras' signature
        parts = Parts(model=self.model)
        self.seen.append((float(parts.optimizer.learning_rate.numpy()), _rates(parts)[0]))


def test_a_callback_follows_the_schedule_and_holds_its_last_values() -> None:
    parts, watch = _parts(), Watch()
    parts.model.get_layer("outer_drop").rate = 0.3
    bindings = {"lr": OptimizerField("learning_rate"), "rate": LayerField("rate", keras.layers.Dropout)}
    data = np.ones((4, 2), np.float32), np.ones((4, 1), np.float32)
    callbacks = [ScheduleCallback(_schedule(), bindings), watch]
    parts.model.fit(*data, epochs=5, verbose=0, callbacks=callbacks)
    assert watch.seen == [(0.5, 0.25)] * 2 + [(0.125, 0.75)] * 3


def test_a_callback_tells_equal_values_of_several_types_apart() -> None:
    written: list[str] = []
    bindings = {"size": Setter[Parts](set=lambda _, value: written.append(repr(value)), get=lambda _: None)}
    segments = [Segment(config=Config({"size": size}), start_step=k, steps=1) for k, size in enumerate([1, 1.0, True])]
    data = np.ones((4, 2), np.float32), np.ones((4, 1), np.float32)
    _parts().model.fit(*data, epochs=4, verbose=0, callbacks=[ScheduleCallback(Schedule(tuple(segments)), bindings)])
    assert written == ["1", "1.0", "True"]


def test_a_step_of_the_schedule_can_be_several_epochs() -> None:
    parts, watch = _parts(), Watch()
    bindings = {"lr": OptimizerField("learning_rate")}
    data = np.ones((4, 2), np.float32), np.ones((4, 1), np.float32)
    callbacks = [ScheduleCallback(_schedule(), bindings, epochs_per_step=3), watch]
    parts.model.fit(*data, epochs=8, verbose=0, callbacks=callbacks)
    assert [rate for rate, _ in watch.seen] == [0.5] * 6 + [0.125] * 2


def test_a_schedule_without_a_bound_hyperparameter_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"2 segments, none with \['momentum'\]"):
        ScheduleCallback(_schedule(), {"momentum": OptimizerField("momentum")})
    with pytest.raises(ConfigError, match="0 segments"):
        ScheduleCallback(Schedule(()), {})


def _augmented() -> Parts:
    layers = [
        keras.layers.Input((8, 8, 1)),
        keras.layers.RandomRotation(0.1, seed=1),
        keras.layers.RandomTranslation(0.0, 0.0, fill_mode="constant", seed=1, name="move"),
        keras.layers.Flatten(),
        keras.layers.Dense(1),
    ]
    model = keras.Sequential(layers)
    model.compile(optimizer="sgd", loss="mse")
    return Parts(model=model)


def test_an_augmentation_acts_as_if_it_were_built_with_the_value() -> None:
    parts = _augmented()
    bindings = {
        "turn": LayerField("factor", keras.layers.RandomRotation),
        "shift": LayerField("height_factor", keras.layers.RandomTranslation),
    }
    images = np.arange(64, dtype=np.float32).reshape(1, 8, 8, 1) + 1
    for turn, shift in ((0.0, 0.0), (0.2, 0.0), (0.0, 0.4)):
        write(parts, bindings, {"turn": turn, "shift": shift})
        verify(parts, bindings, {"turn": turn, "shift": shift})
        augmented = images
        for layer in parts.model.layers[:2]:
            augmented = np.asarray(layer(augmented, training=True))
        assert np.allclose(augmented, images, atol=1e-3) == (turn == shift == 0.0)


def test_an_augmentation_of_which_an_argument_alone_was_set_is_found() -> None:
    parts = _augmented()
    bindings = {"shift": LayerField("height_factor", keras.layers.RandomTranslation)}
    write(parts, bindings, {"shift": 0.1})
    parts.model.get_layer("move").height_factor = 0.5
    with pytest.raises(HyperparameterNotAppliedError, match=r"expected shift=0\.1, but the live value is {.*0\.5"):
        verify(parts, bindings, {"shift": 0.1})


@pytest.mark.parametrize(
    ("layer", "field", "value", "message"),
    [
        (
            lambda: keras.layers.RandomRotation(0.1),
            "angle",
            0.1,
            r"the argument 'angle' of RandomRotation, which has \[",
        ),
        (lambda: keras.layers.RandomBrightness(0.1), "factor", 9.0, r"RandomBrightness refuses factor=9\.0"),
        (keras.layers.RandAugment, "factor", 0.1, "RandAugment, which makes layers of its own"),
    ],
)
def test_an_argument_that_an_augmentation_cannot_take_is_refused(
    layer: Any, field: str, value: float, message: str
) -> None:
    made = layer()
    model = keras.Sequential([keras.layers.Input((8, 8, 3)), made, keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    binding = LayerField(field, type(made))
    with pytest.raises(ConfigError, match=message):
        write(Parts(model=model), {"it": binding}, {"it": value})
