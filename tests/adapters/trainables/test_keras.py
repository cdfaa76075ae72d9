import functools
import math
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras")
pytest.importorskip("tensorflow")

import keras
import tensorflow as tf

from gpbt_adapters.running.driver import run
from gpbt_adapters.trainables.bindings import verify
from gpbt_adapters.trainables.keras import (
    BatchSize,
    Fixed,
    KerasTrainable,
    LayerField,
    LossField,
    OptimizerField,
    Parts,
    Setter,
    StepValue,
)
from gpbt_adapters.trainables.keras.parts import gather, read_arrays
from gpbt_adapters.trainables.testing import check_trainable
from gpbt_adapters.trainables.trainable import HyperparameterNotAppliedError
from gpbt_core import Float, Optimizer, Space
from gpbt_core.errors import ConfigError, ProtocolError

# Keras 3.15 turns TensorFlow's variables into arrays in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


def _data() -> tuple[Any, Any]:
    inputs = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    return inputs, np.eye(3, dtype=np.float32)[inputs[:, :3].argmax(axis=1)]


def _layers(width: int) -> list[Any]:
    return [
        keras.layers.Input((6,)),
        keras.layers.Dense(width, activation="relu", use_bias=False),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(3),
    ]


def _net(config: Mapping[str, Any], kind: Any = keras.Sequential) -> keras.Model:
    model = kind(_layers(config.get("width", 8)))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(1.0, weight_decay=0.0), loss=loss)
    return model


def _score(parts: Parts) -> float:
    inputs, targets = _data()
    outputs = parts.model(inputs)
    return -float(keras.ops.mean(keras.losses.categorical_crossentropy(targets, outputs, from_logits=True)))


BINDINGS: dict[str, Any] = {
    "lr": OptimizerField("learning_rate"),
    "beta": OptimizerField("beta_1"),
    "decay": OptimizerField("weight_decay"),
    "dropout": LayerField("rate", keras.layers.Dropout),
    "smoothing": LossField("label_smoothing"),
    "batch": BatchSize(),
}
CONFIG = {"lr": 0.01, "beta": 0.9, "decay": 0.01, "dropout": 0.5, "smoothing": 0.1, "batch": 8}
OTHER = {"lr": 0.05, "beta": 0.6, "decay": 0.0, "dropout": 0.0, "smoothing": 0.0, "batch": 13}


def _make(**options: Any) -> KerasTrainable:
    return KerasTrainable(**{"model": _net, "score": _score, "bindings": BINDINGS, "data": _data, **options})


def _live_state(trainable: KerasTrainable) -> Any:
    model = trainable.parts.model
    return [np.array(keras.ops.convert_to_numpy(v)) for v in (*model.variables, *model.optimizer.variables)]


class TapeModel(keras.Sequential):  # type: ignore[misc]  # Keras ships no types
    """A model with a custom training step, and randomness and a Python value of its own in it."""

    def __init__(self, layers: Any) -> None:
        super().__init__(layers)
        self.noise = 1.0
        self.noise_seeds = keras.random.SeedGenerator(4)

    def train_step(self, data: Any) -> dict[str, Any]:
        inputs, targets = data
        inputs += self.noise * keras.random.normal(keras.ops.shape(inputs), seed=self.noise_seeds)
        with tf.GradientTape() as tape:
            loss = self.compute_loss(inputs, targets, self(inputs, training=True))
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        return {"loss": loss}


def _set_noise(parts: Parts, value: float) -> None:
    parts.model.noise = value


def _tape_net(config: Mapping[str, Any]) -> keras.Model:
    return _net(config, TapeModel)


NOISE = Setter(_set_noise, lambda parts: parts.model.noise)


def _own_loop(parts: Parts) -> None:
    """A loop without fit, which draws from all generators that it may draw from."""
    for inputs, targets in parts.take():
        noise = parts.rng.random() + random.random() + np.random.rand()  # noqa: NPY002, S311 - it is about these
        with tf.GradientTape() as tape:
            outputs = parts.model(inputs + parts.config["noise"] * noise, training=True)
            loss = parts.model.loss(targets, outputs)
        weights = parts.model.trainable_variables
        parts.optimizer.apply(tape.gradient(loss, weights), weights)


def test_it_keeps_the_promises_of_a_trainable() -> None:
    check_trainable(_make, [CONFIG, OTHER], steps=1, state=_live_state)


def test_it_keeps_them_with_a_custom_training_step_in_the_middle_of_an_epoch() -> None:
    bindings = {"lr": OptimizerField("learning_rate"), "noise": NOISE}
    check_trainable(
        lambda: _make(model=_tape_net, bindings=bindings, updates=5, batch_size=8),
        [{"lr": 0.01, "noise": 0.5}, {"lr": 0.1, "noise": 0.0}],
        steps=1,
        state=_live_state,
    )


def test_it_keeps_them_with_a_loop_of_the_users_own() -> None:
    check_trainable(
        lambda: _make(step=_own_loop, updates=3, bindings={**BINDINGS, "noise": StepValue()}),
        [{**CONFIG, "noise": 0.5}, {**OTHER, "noise": 0.0}],
        state=_live_state,
        diverging={**CONFIG, "lr": 1e30, "noise": 0.1},
    )


class RandomFeatures(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Draws numbers that Keras does not save."""

    def __init__(self) -> None:
        super().__init__()
        self.features = np.random.normal(size=(6, 3)).astype(np.float32)  # noqa: NPY002 - as layers may do

    def call(self, inputs: Any) -> Any:
        return keras.ops.cos(keras.ops.matmul(inputs, self.features))


def test_what_the_factories_drew_is_the_same_in_each_child() -> None:
    def model(_: Mapping[str, Any]) -> keras.Model:
        made = keras.Sequential([keras.layers.Input((6,)), RandomFeatures(), keras.layers.Dense(3)])
        made.compile(optimizer="sgd", loss="mse")
        return made

    def data() -> tuple[Any, Any]:
        chosen = np.random.permutation(50)[:30]  # noqa: NPY002 - as factories may do
        inputs, targets = _data()
        return inputs[chosen], targets[chosen]

    check_trainable(
        lambda: _make(model=model, data=data, bindings={"lr": OptimizerField("learning_rate")}),
        [{"lr": 0.1}, {"lr": 0.01}],
        steps=1,
        seed=5,
    )


def _trained(config: Mapping[str, Any], first: Mapping[str, Any] | None = None, **options: Any) -> Any:
    """Weights after one step under a config, on a model that was set up, and traced, under another one."""
    trainable = _make(updates=2, shuffle=False, **options)
    trainable.setup(first or config, seed=0)
    if first is not None:
        state = [
            variable.numpy() for variable in (*trainable.parts.model.variables, *trainable.parts.optimizer.variables)
        ]
        trainable.step()
        trainable.parts.order = trainable._order(_data())
        for variable, value in zip(
            (*trainable.parts.model.variables, *trainable.parts.optimizer.variables), state, strict=True
        ):
            variable.assign(value)
        trainable.apply(config)
    trainable.step()
    return [weight.numpy() for weight in trainable.parts.model.weights]


@functools.cache
def _unchanged() -> Any:
    """The same for each value that is changed."""
    return _trained(CONFIG)


@pytest.mark.parametrize("name", [*BINDINGS, "noise"])
def test_a_new_value_changes_the_training_and_not_only_what_is_read_back(name: str) -> None:
    """The compiled training function has most values burnt in."""
    tape = name == "noise"
    options: dict[str, Any] = {"model": _tape_net, "bindings": {**BINDINGS, "noise": NOISE}} if tape else {}
    base, other = ({**CONFIG, "noise": 0.5}, {**OTHER, "noise": 0.0}) if tape else (CONFIG, OTHER)
    # With dropout and its seeds the same in both; the batch size keeps the first two batches apart.
    config = {**base, name: other[name]}
    changed, fresh = _trained(config, base, **options), _trained(config, **options)
    unchanged = _trained(base, **options) if tape else _unchanged()
    for one, two in zip(changed, fresh, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    assert any(not np.allclose(one, two, rtol=1e-4) for one, two in zip(changed, unchanged, strict=True))


def test_a_restored_checkpoint_does_not_overwrite_the_childs_values(tmp_path: Path) -> None:
    parent = _make()
    parent.setup(CONFIG, seed=0)
    parent.step()
    parent.save(tmp_path)
    child = _make()
    child.load(tmp_path)
    assert child.applied() == pytest.approx(CONFIG)
    child.apply(OTHER)
    assert child.applied() == pytest.approx(OTHER)
    assert float(child.parts.model.optimizer.learning_rate.numpy()) == pytest.approx(OTHER["lr"])
    assert [layer.rate for layer in child.parts.model.layers if hasattr(layer, "rate")] == [OTHER["dropout"]]


def test_the_optimizer_state_is_kept_or_reset_as_told(tmp_path: Path) -> None:
    parent = _make()
    parent.setup(CONFIG, seed=0)
    parent.step()
    parent.save(tmp_path)
    kept, reset = _make(), _make(optimizer_state="reset")
    for child in (kept, reset):
        child.load(tmp_path)
    assert int(kept.parts.optimizer.iterations.numpy()) == 7
    assert int(reset.parts.optimizer.iterations.numpy()) == 0
    assert reset.applied() == pytest.approx(CONFIG)
    for one, other in zip(kept.parts.model.weights, reset.parts.model.weights, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize("optimizer_state", ["keep", "reset"])
def test_inactive_hyperparameters_keep_their_values_over_a_break(tmp_path: Path, optimizer_state: str) -> None:
    bindings = {**BINDINGS, "noise": NOISE}
    config = {**CONFIG, "noise": 0.5}
    options = {"model": _tape_net, "bindings": bindings, "optimizer_state": optimizer_state}
    live = _make(**options)
    live.setup(config, seed=0)
    live.apply({})
    live.save(tmp_path)
    loaded = _make(**options)
    loaded.load(tmp_path)
    loaded.apply({})
    for trainable in (live, loaded):
        verify(trainable.parts, bindings, config)


def test_callbacks_see_the_steps_of_the_line_as_epochs(tmp_path: Path) -> None:
    seen = []

    def rate(epoch: int) -> float:
        seen.append(epoch)
        return 0.1 * 0.5**epoch

    options = {
        "bindings": {"decay": OptimizerField("weight_decay")},
        "fit_options": {"callbacks": [keras.callbacks.LearningRateScheduler(rate)]},
    }
    parent = _make(**options)
    parent.setup({"decay": 0.1}, seed=0)
    parent.step()
    parent.step()
    parent.save(tmp_path)
    child = _make(**options)
    child.load(tmp_path)
    child.step()
    assert seen == [0, 1, 2]
    assert float(child.parts.optimizer.learning_rate.numpy()) == pytest.approx(0.025)


def test_a_new_value_changes_predictions_too() -> None:
    def model(_: Mapping[str, Any]) -> keras.Model:
        leaky = keras.layers.LeakyReLU(negative_slope=0.5)
        made = keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(3), leaky])
        made.compile(optimizer="sgd", loss="mse")
        return made

    bindings = {"slope": LayerField("negative_slope", keras.layers.LeakyReLU)}
    trainable = _make(
        model=model, bindings=bindings, score=lambda parts: float(parts.model.predict(_data()[0], verbose=0).sum())
    )
    trainable.setup({"slope": 0.1}, seed=0)
    before = trainable.score()
    trainable.apply({"slope": 0.9})
    assert trainable.score() < before


def test_an_average_that_fit_would_put_in_place_of_the_weights_at_each_step_is_refused() -> None:
    def averaged(config: Mapping[str, Any]) -> keras.Model:
        model = _net(config)
        model.compile(optimizer=keras.optimizers.Adam(1.0, weight_decay=0.0, use_ema=True), loss=model.loss)
        return model

    with pytest.raises(ConfigError, match="must not have use_ema=True, got Adam"):
        _make(model=averaged).setup(CONFIG, seed=0)
    _make(model=averaged, step=_own_loop, bindings={**BINDINGS, "noise": StepValue()}).setup(CONFIG, seed=0)


def test_a_model_is_built_anew_as_its_lines_founder_had_it(tmp_path: Path) -> None:
    bindings = {**BINDINGS, "width": Fixed()}
    parent = _make(bindings=bindings)
    parent.setup({**CONFIG, "width": 12}, seed=0)
    parent.save(tmp_path)
    child = _make(bindings=bindings)
    child.load(tmp_path)
    child.apply({**CONFIG, "lr": 0.5, "width": 12})
    assert child.parts.model.layers[0].units == 12
    with pytest.raises(ConfigError, match="'width' is bound as Fixed"):
        child.apply({**CONFIG, "width": 8})


def test_the_files_hold_no_code_and_are_of_known_kinds(tmp_path: Path) -> None:
    trainable = _make()
    trainable.setup(CONFIG, seed=0)
    trainable.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"model.weights.h5", "arrays.npz", "plain.json"}
    np.savez(tmp_path / "arrays.npz", left=np.array([object()]), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        _make().load(tmp_path)


def test_a_checkpoint_of_another_version_or_optimizer_is_named(tmp_path: Path) -> None:
    def sgd(config: Mapping[str, Any]) -> keras.Model:
        model = _net(config)
        model.compile(optimizer=keras.optimizers.SGD(), loss="mse")
        return model

    trainable = _make()
    trainable.setup(CONFIG, seed=0)
    trainable.save(tmp_path)
    with pytest.raises(ConfigError, match=r"the optimizer must have 12 variables.*got SGD with 2"):
        _make(model=sgd).load(tmp_path)
    (tmp_path / "plain.json").write_text('{"format": 9}')
    with pytest.raises(ConfigError, match="the checkpoint must be of format 1, got 9"):
        _make().load(tmp_path)


def test_a_model_that_is_not_finite_scores_nan_whatever_its_score_says() -> None:
    def break_it(parts: Parts) -> None:
        parts.model.weights[0].assign(parts.model.weights[0] * math.inf)

    trainable = _make(step=break_it, score=lambda _: 0.9)
    trainable.setup(CONFIG, seed=0)
    assert trainable.score() == 0.9
    assert math.isnan(trainable.step())


def test_a_constant_that_was_never_finite_is_no_divergence() -> None:
    class Masked(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
        def build(self, _: Any) -> None:
            self.mask = self.add_weight(shape=(3,), initializer=lambda *_, **__: [0, 0, -math.inf], trainable=False)

        def call(self, inputs: Any) -> Any:
            return inputs + keras.ops.exp(self.mask)

    def masked(config: Mapping[str, Any]) -> keras.Model:
        model = keras.Sequential([_net(config), Masked()])
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
        return model

    trainable = _make(model=masked, bindings={"lr": OptimizerField("learning_rate")})
    trainable.setup({"lr": 0.1}, seed=0)
    assert math.isfinite(trainable.step())
    trainable.parts.model.weights[0].assign(trainable.parts.model.weights[0] * math.inf)
    assert math.isnan(trainable.step())


def test_scoring_draws_the_same_each_time_and_leaves_the_training_alone() -> None:
    def score(parts: Parts) -> float:
        inputs, _ = _data()
        return float(keras.ops.sum(parts.model(inputs, training=True))) + parts.rng.random() + random.random()  # noqa: S311

    trainable = _make(score=score)
    trainable.setup(CONFIG, seed=0)
    trainable.parts.model.layers[1].momentum = 1.0  # batch normalization's statistics are no random state
    assert trainable.score() == trainable.score()


def test_a_subclassed_model_is_built_from_the_data() -> None:
    class Subclassed(keras.Model):  # type: ignore[misc]  # Keras ships no types
        def __init__(self, layers: Any) -> None:
            super().__init__()
            self.body = layers[1:]

        def call(self, inputs: Any, training: Any = None) -> Any:  # noqa: ARG002 - Keras hands it on to the layers itself
            for layer in self.body:
                inputs = layer(inputs)
            return inputs

    trainable = _make(model=lambda config: _net(config, Subclassed))
    trainable.setup(CONFIG, seed=0)
    assert trainable.parts.model.built
    assert trainable.applied() == pytest.approx(CONFIG)
    unfed = _make(model=lambda config: _net(config, Subclassed), data=None, step=_own_loop)
    with pytest.raises(ConfigError, match="is not built and there is no data to build it with"):
        unfed.setup(CONFIG, seed=0)


def test_the_process_own_generators_are_as_before_afterwards() -> None:
    def draw() -> tuple[float, float]:
        return random.random(), np.random.rand()  # noqa: NPY002, S311 - it is about these

    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - as above
    wanted = draw()
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - as above
    trainable = _make(step=_own_loop, bindings={**BINDINGS, "noise": StepValue()})
    trainable.setup({**CONFIG, "noise": 0.1}, seed=0)
    trainable.step()
    assert draw() == wanted


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": None}, "it needs data for fit, or a step function"),
        ({"updates": 0}, "updates must be at least 1"),
        ({"fit_options": {"epochs": 3}}, r"fit_options has \['epochs'\]"),
        (
            {"fit_options": {"callbacks": [keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (1 + epoch))]}},
            "LearningRateScheduler would write over the learning rate that 'lr' is bound to",
        ),
        (
            {"fit_options": {"callbacks": [keras.callbacks.ReduceLROnPlateau()]}, "bindings": {}},
            "ReduceLROnPlateau reacts to scores",
        ),
    ],
)
def test_settings_that_cannot_train_are_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _make(**options)


def test_a_model_that_is_not_compiled_is_refused() -> None:
    with pytest.raises(ConfigError, match="the model must be compiled"):
        _make(model=lambda _: keras.Sequential(_layers(4))).setup(CONFIG, seed=0)


def test_using_it_before_set_up_or_after_close_says_so() -> None:
    trainable = _make()
    for call in (trainable.step, trainable.score, trainable.applied):
        with pytest.raises(ProtocolError, match="call setup or load first"):
            call()
    trainable.setup(CONFIG, seed=0)
    trainable.close()
    with pytest.raises(ProtocolError, match="call setup or load first"):
        trainable.step()


def test_a_callback_that_writes_over_a_value_is_found_at_the_end_of_the_segment() -> None:
    class Decay(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras' signature
            self.model.optimizer.beta_1 /= 2

    def factory() -> KerasTrainable:
        return _make(fit_options={"callbacks": [Decay()]}, bindings={"beta": BINDINGS["beta"]})

    with pytest.raises(
        HyperparameterNotAppliedError, match=r"KerasTrainable: beta was set to .* after 1 step of train"
    ):
        run(Optimizer(Space(beta=Float(0.5, 0.9)), population=1, steps=1), factory, progress=False)


INPUTS, TARGETS = _data()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda: tf.data.Dataset.from_tensor_slices(_data()).batch(8), r"got _BatchDataset\. Turn it into arrays; or"),
        (lambda: {"inputs": INPUTS, "targets": TARGETS}, r"as \(inputs, targets\) or .*, got dict\."),
        (lambda: (INPUTS, TARGETS[:40]), r"one entry per sample each, got the shapes \(\(50, 6\), \(40, 3\)\)"),
        (lambda: (INPUTS, [0] * 50), "must return arrays of numbers, one entry per sample, got 0 of type int"),
        (
            lambda: (pd.DataFrame({"a": [1.5] * 50, "b": ["x"] * 50}), TARGETS),
            "got an array of dtype object among them",
        ),
    ],
    ids=["tf.data", "dict", "lengths", "list", "columns"],
)
def test_data_that_no_sample_can_be_picked_from_are_refused_before_training(data: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"KerasTrainable: .*{message}"):
        _make(data=data).setup(CONFIG, seed=0)


def test_pandas_data_are_picked_by_position_whatever_their_index() -> None:
    order = np.random.default_rng(1).permutation(50)
    frame, targets = pd.DataFrame(INPUTS).iloc[order], pd.DataFrame(TARGETS).iloc[order]
    made = [
        _make(data=lambda pair=pair: pair) for pair in ((frame, targets), (INPUTS[order], tf.constant(TARGETS[order])))
    ]
    scores = []
    for trainable in made:
        trainable.setup(CONFIG, seed=0)
        scores.append(trainable.step())
    assert scores[0] == scores[1]
    nested = read_arrays(({"x": frame}, targets[0]))
    assert gather(nested, [3])[0]["x"].tolist() == [INPUTS[order[3]].tolist()]


def test_an_own_validation_split_is_refused() -> None:
    with pytest.raises(ConfigError, match="validation_split, which would give each model another split"):
        _make(fit_options={"validation_split": 0.2})


def test_the_data_in_place_of_a_function_are_refused() -> None:
    with pytest.raises(
        ConfigError, match="KerasTrainable: data must be a function, got a tuple; pass a function that returns it"
    ):
        _make(data=_data())


@pytest.mark.parametrize("score", [[0.3, 0.9], {"loss": 0.3}, None, np.array([0.3])], ids=repr)
def test_a_score_that_is_no_number_is_refused_at_the_first_step(score: Any) -> None:
    trainable = _make(score=lambda _: score, step=lambda _: None)
    trainable.setup(CONFIG, seed=0)
    with pytest.raises(ConfigError, match=r"KerasTrainable\.score: the score must be a number, got"):
        trainable.step()


def test_what_fit_logs_is_among_the_figures() -> None:
    trainable = _make()
    trainable.setup(CONFIG, seed=0)
    trainable.step()
    assert trainable.figures().keys() == {"train_loss"}
    assert 0 < trainable.figures()["train_loss"] < 5
