import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax")
pytest.importorskip("optax")

import jax
import jax.numpy as jnp
import optax

from gpbt_adapters.running.driver import run
from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_adapters.trainables.jax import Fixed, FunctionalTrainable, Injected, StateValue, StepValue
from gpbt_adapters.trainables.testing import check_trainable
from gpbt_adapters.trainables.trainable import HyperparameterNotAppliedError
from gpbt_core import Optimizer
from gpbt_core.errors import ConfigError, ProtocolError
from gpbt_core.space import Float, Space

INPUTS = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
TARGETS = INPUTS[:, :2] @ np.array([[1.0, -1.0], [0.5, 2.0]], np.float32)
ADAM = optax.inject_hyperparams(optax.adam)(learning_rate=1.0)
CONFIG = {"lr": 0.05, "beta": 0.8, "noise": 0.1}
SPACE = Space(lr=Float(1e-3, 1e-1, log=True), beta=Float(0.5, 0.95), noise=Float(0, 0.3))
BINDINGS: dict[str, Any] = {"lr": Injected("learning_rate"), "beta": Injected("b1"), "noise": StepValue()}


def _loss(params: Any, inputs: Any) -> Any:
    return jnp.square(inputs @ params["weight"] + params["bias"] - TARGETS).mean()


def _init(config: Mapping[str, Any], key: Any) -> Any:  # noqa: ARG001 - the bindings set the config's values
    params = {"weight": jax.random.normal(key, (4, 2)), "bias": jnp.zeros(2)}
    return {"params": params, "optimizer": ADAM.init(params), "updates": 0, "activation": jnp.tanh}


@jax.jit
def _update(params: Any, optimizer: Any, noise: Any, key: Any) -> Any:
    inputs = INPUTS + noise * jax.random.normal(key, INPUTS.shape)
    gradients = jax.grad(_loss)(params, inputs)
    updates, optimizer = ADAM.update(gradients, optimizer, params)
    return optax.apply_updates(params, updates), optimizer


def _step(state: Any, config: Mapping[str, Any], key: Any) -> Any:
    params, optimizer = state["params"], state["optimizer"]
    for part in jax.random.split(key, 3):
        params, optimizer = _update(params, optimizer, config["noise"], part)
    return {**state, "params": params, "optimizer": optimizer, "updates": state["updates"] + 3}


def _score(state: Any) -> Any:
    return _loss(state["params"], INPUTS)


def _make(**changes: Any) -> FunctionalTrainable:
    usual: dict[str, Any] = {"init": _init, "step": _step, "score": _score, "bindings": BINDINGS}
    return FunctionalTrainable(**{**usual, **changes})


def _numbers(trainable: Any) -> Any:
    leaves = [leaf for leaf in jax.tree_util.tree_leaves(trainable.state) if isinstance(leaf, jax.Array)]
    return [
        np.asarray(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)
        for leaf in leaves
    ]


def test_it_keeps_its_promises() -> None:
    check_trainable(_make, SPACE, state=_numbers)


def test_each_update_is_made_under_the_values_of_its_config(tmp_path: Path) -> None:
    parent = _make()
    parent.setup(CONFIG, seed=1)
    parent.step()
    parent.save(tmp_path)
    child = _make()
    child.load(tmp_path)
    child.apply({**CONFIG, "lr": 0.002})
    before = child.state["params"]["bias"]
    child.step()
    assert float(jnp.abs(child.state["params"]["bias"] - before).max()) < 3.1 * 0.002  # what Adam moves at most
    assert child.applied() == pytest.approx({**CONFIG, "lr": 0.002})
    assert child.state["updates"] == 6
    assert child.state["activation"] is jnp.tanh


def test_a_schedule_is_refused_since_optax_computes_it_anew_at_each_update() -> None:
    adam = optax.inject_hyperparams(optax.adam)(learning_rate=optax.constant_schedule(0.1))
    with pytest.raises(ConfigError, match=r"learning_rate must be a number .*, got a schedule"):
        _make(init=lambda _, __: adam.init(jnp.zeros(2))).setup(CONFIG, seed=1)


@pytest.mark.parametrize(
    ("optimizer", "found"),
    [(optax.adam(0.1), "none"), (optax.inject_hyperparams(optax.sgd)(0.1), r"\['learning_rate'\]")],
)
def test_a_rate_that_was_compiled_in_is_refused(optimizer: Any, found: str) -> None:
    with pytest.raises(ConfigError, match=f"must have b1 among its injected hyperparameters, got {found}"):
        _make(init=lambda _, __: optimizer.init(jnp.zeros(2)), bindings={"beta": Injected("b1")}).setup(
            {"beta": 0.5}, seed=1
        )


def test_a_value_that_the_step_writes_over_is_an_error_at_the_end_of_the_segment() -> None:
    def step(state: Any, config: Mapping[str, Any], key: Any) -> Any:
        new = _step(state, {**config, "noise": 0.0}, key)
        return {**new, "optimizer": ADAM.init(new["params"])}

    factory = functools.partial(_make, step=step, bindings={"lr": BINDINGS["lr"]})
    with pytest.raises(HyperparameterNotAppliedError, match=r"lr was set to .* the live value is 1\.0: something"):
        run(Optimizer(Space(lr=Float(0.01, 0.1)), population=1, steps=1), factory, progress=False)


def test_of_several_optimizers_one_can_be_meant() -> None:
    sgd = optax.inject_hyperparams(optax.sgd)(learning_rate=1.0)
    bindings = {
        "actor": Injected("learning_rate", within="['actor']"),
        "critic": Injected("learning_rate", within="['critic']"),
    }
    trainable = _make(
        init=lambda _, __: {"actor": sgd.init(jnp.zeros(2)), "critic": sgd.init(jnp.zeros(2))}, bindings=bindings
    )
    trainable.setup({"actor": 0.5, "critic": 0.25}, seed=1)
    assert trainable.applied() == {"actor": 0.5, "critic": 0.25}
    both = _make(init=trainable.init, bindings={"rate": Injected("learning_rate")})
    both.setup({"rate": 0.5}, seed=1)
    assert both.applied() == {"rate": 0.5}


def test_any_leaf_can_be_bound_by_functions_over_the_state() -> None:
    binding = StateValue(get=lambda state: state["rate"], set=lambda state, value: {**state, "rate": jnp.array(value)})
    trainable = _make(init=lambda _, __: {"rate": jnp.array(0.0)}, bindings={"rate": binding, "width": Fixed()})
    trainable.setup({"rate": 0.5, "width": 3}, seed=1)
    assert trainable.applied() == {"rate": 0.5, "width": 3}
    with pytest.raises(ConfigError, match="'width' is bound as Fixed"):
        trainable.apply({"rate": 0.5, "width": 4})


def test_all_kinds_of_leaves_survive_the_files(tmp_path: Path) -> None:
    def init(config: Mapping[str, Any], key: Any) -> Any:  # noqa: ARG001 - as above
        return {
            "key": key,
            "half": jnp.arange(3.0, dtype=jnp.bfloat16),
            "weak": jnp.array(2.0),
            "numpy": np.arange(2),
            "count": 7,
            "name": "relu",
            "nothing": None,
        }

    def step(state: Any, config: Mapping[str, Any], key: Any) -> Any:  # noqa: ARG001 - as above
        return {**state, "key": key, "half": state["half"] * 1.1, "count": state["count"] + 1}

    trainable = _make(init=init, step=step, score=lambda state: state["count"], bindings={})
    trainable.setup({}, seed=2**32 - 1)
    trainable.step()
    trainable.save(tmp_path)
    loaded = _make(init=init, step=step, score=lambda state: state["count"], bindings={})
    loaded.load(tmp_path)
    assert jax.random.key_data(loaded.state["key"]).tolist() == jax.random.key_data(trainable.state["key"]).tolist()
    assert loaded.state["half"].dtype == jnp.bfloat16
    assert loaded.state["half"].tolist() == trainable.state["half"].tolist()
    assert isinstance(loaded.state["numpy"], np.ndarray)
    assert (loaded.state["count"], loaded.state["name"], loaded.state["nothing"]) == (8, "relu", None)


@pytest.mark.parametrize(
    ("init", "message"),
    [
        (lambda _, __: {"a": jnp.zeros(2), "b": jnp.zeros(1)}, r"only in the new state \[\"\['b'\]\"\]"),
        (lambda _, __: {"a": jnp.zeros(3)}, r"got \(3,\) of float32 instead of \(2,\) of float32 at \['a'\]"),
    ],
)
def test_a_state_that_init_makes_otherwise_now_is_not_loaded(tmp_path: Path, init: Any, message: str) -> None:
    saved = _make(init=lambda _, __: {"a": jnp.zeros(2)}, bindings={})
    saved.setup({}, seed=1)
    saved.save(tmp_path)
    with pytest.raises(ConfigError, match=message):
        _make(init=init, bindings={}).load(tmp_path)


def test_a_score_that_is_no_number_is_refused() -> None:
    trainable = _make(score=lambda state: state["params"]["bias"])
    trainable.setup(CONFIG, seed=1)
    with pytest.raises(ConfigError, match=r"FunctionalTrainable\.score: the score must be a number"):
        trainable.step()
    with pytest.raises(ConfigError, match="init must be a function"):
        _make(init={})


def test_a_step_that_returns_another_structure_is_refused() -> None:
    trainable = _make(step=lambda state, _, __: state["params"])
    trainable.setup(CONFIG, seed=1)
    with pytest.raises(ConfigError, match="step must return a state of the structure that it takes"):
        trainable.step()


def test_a_model_that_diverges_scores_nan() -> None:
    trainable = _make(score=lambda _: 0.0)
    trainable.setup({**CONFIG, "lr": 1e38}, seed=1)
    assert np.isnan([trainable.step() for _ in range(3)]).any()


@pytest.mark.parametrize("broken", [float("nan"), np.float64("inf"), np.full(3, np.nan), np.array(-np.inf)])
def test_a_number_of_numpy_or_python_that_is_no_longer_finite_scores_nan(broken: Any) -> None:
    trainable = _make(
        init=lambda config, key: {**_init(config, key), "mean": 0.0},
        step=lambda state, *_: {**state, "mean": broken},
        score=lambda _: 0.0,
    )
    trainable.setup(CONFIG, seed=1)
    assert np.isnan(trainable.step())


def test_a_run_keeps_only_the_checkpoints_that_are_needed(tmp_path: Path) -> None:
    optimizer = Optimizer(SPACE, population=3, steps=2, seed=0)
    with CheckpointStore(tmp_path / "store", durable=False) as store:
        run(optimizer, _make, store=store, progress=False)
        kept = {int(path.name.removeprefix("trial-")) for path in (tmp_path / "store").glob("trial-*")}
    assert optimizer.best.trial.id in kept
    assert len(kept) <= 3 < len(optimizer.records)


def test_models_of_flax_and_their_optimizers_are_a_state() -> None:
    nnx = pytest.importorskip("flax.nnx")

    class Net(nnx.Module):  # type: ignore[misc, name-defined]
        def __init__(self, rngs: Any) -> None:
            self.inner = nnx.Linear(4, 8, rngs=rngs)
            self.dropout = nnx.Dropout(0.1, rngs=rngs)
            self.outer = nnx.Linear(8, 2, rngs=rngs)

        def __call__(self, inputs: Any) -> Any:
            return self.outer(self.dropout(jnp.tanh(self.inner(inputs))))

    def init(config: Mapping[str, Any], key: Any) -> Any:  # noqa: ARG001 - as above
        model = Net(nnx.Rngs(key))
        return model, nnx.Optimizer(model, ADAM, wrt=nnx.Param)

    def loss(model: Any) -> Any:
        return jnp.square(model(INPUTS) - TARGETS).mean()

    @nnx.jit  # type: ignore[untyped-decorator]
    def train(model: Any, optimizer: Any) -> None:
        model.train()
        optimizer.update(model, nnx.grad(loss)(model))

    def step(state: Any, config: Mapping[str, Any], key: Any) -> Any:  # noqa: ARG001 - as above
        train(*state)
        return state

    def score(state: Any) -> Any:
        state[0].eval()
        return loss(state[0])

    def make() -> FunctionalTrainable:
        return FunctionalTrainable(init=init, step=step, score=score, bindings={"lr": BINDINGS["lr"]})

    check_trainable(make, Space(lr=Float(1e-3, 1e-1, log=True)), state=_numbers)


def test_models_of_equinox_are_a_state() -> None:
    eqx = pytest.importorskip("equinox")

    def init(config: Mapping[str, Any], key: Any) -> Any:  # noqa: ARG001 - as above
        model = eqx.nn.MLP(4, 2, 8, 1, key=key)
        return model, ADAM.init(eqx.filter(model, eqx.is_array))

    def loss(model: Any) -> Any:
        return jnp.square(jax.vmap(model)(INPUTS) - TARGETS).mean()

    @eqx.filter_jit  # type: ignore[untyped-decorator]
    def train(model: Any, optimizer: Any) -> Any:
        updates, optimizer = ADAM.update(eqx.filter_grad(loss)(model), optimizer)
        return eqx.apply_updates(model, updates), optimizer

    def step(state: Any, config: Mapping[str, Any], key: Any) -> Any:  # noqa: ARG001 - as above
        return train(*state)

    def make() -> FunctionalTrainable:
        return FunctionalTrainable(
            init=init, step=step, score=lambda state: loss(state[0]), bindings={"lr": BINDINGS["lr"]}
        )

    check_trainable(make, Space(lr=Float(1e-3, 1e-1, log=True)), state=_numbers)


def test_using_it_before_set_up_or_after_close_says_so() -> None:
    trainable = _make()
    for use in (trainable.step, trainable.score, trainable.applied, lambda: trainable.state, lambda: trainable.parts):
        with pytest.raises(ProtocolError, match="call setup or load first"):
            use()
