import functools
from typing import Any

import numpy as np
import pytest

pytest.importorskip("catboost")

import catboost

from gpbt import Float, Int, Optimizer, Space, run
from gpbt.boosting import CatBoostModelTrainable, CatBoostTrainable
from gpbt_adapters.trainables.testing import check_trainable
from gpbt_core.errors import ConfigError


@functools.cache
def _arrays() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.random((150, 4))
    return x, np.sin(6 * x[:, 0]) + x[:, 1] * x[:, 2] + rng.normal(0, 0.1, 150)


def _labels() -> tuple[Any, Any]:
    x, y = _arrays()
    return x, np.array(["low", "middle", "high"])[np.digitize(y, [0.0, 0.8])]


def _native(**options: Any) -> CatBoostTrainable:
    defaults = {
        "data": lambda: catboost.Pool(*_arrays()),
        "params": {"thread_count": 1, "loss_function": "RMSE", "boost_from_average": True},
        "score": lambda model: -float(np.sqrt(np.mean((model.predict(_arrays()[0]) - _arrays()[1]) ** 2))),
        "rounds": 3,
    }
    return CatBoostTrainable(**{**defaults, **options})


def _model(**options: Any) -> CatBoostModelTrainable:
    defaults = {
        "estimator": lambda: catboost.CatBoostClassifier(thread_count=1, n_estimators=7),
        "data": _labels,
        "score": lambda model: float(np.mean(model.predict(_labels()[0]).ravel() == _labels()[1])),
        "rounds": 3,
    }
    return CatBoostModelTrainable(**{**defaults, **options})


CONFIGS = [
    {"learning_rate": 0.1, "depth": 3, "l2_leaf_reg": 3.0, "rsm": 0.5, "subsample": 0.7, "border_count": 32},
    {"learning_rate": 0.4, "depth": 5, "l2_leaf_reg": 1.0, "rsm": 1.0, "subsample": 0.9, "border_count": 64},
]
MODEL_CONFIGS = [
    {"eta": 0.1, "max_depth": 3, "reg_lambda": 3.0, "random_strength": 0.5},
    {"eta": 0.4, "max_depth": 4, "reg_lambda": 1.0, "random_strength": 2.0},
]


def _predictions(trainable: Any) -> str:
    raw = trainable.model.predict(_arrays()[0], prediction_type="RawFormulaVal")
    return f"{trainable.model.tree_count_} {np.asarray(raw).tolist()}"


@pytest.mark.parametrize(("make", "configs"), [(_native, CONFIGS), (_model, MODEL_CONFIGS)], ids=["native", "model"])
def test_it_keeps_the_promises_of_a_trainable(make: Any, configs: list[dict[str, Any]]) -> None:
    check_trainable(make, configs, state=_predictions)


def test_a_new_learning_rate_leaves_the_trees_before_as_they_are() -> None:
    trainable = _native()
    trainable.setup(CONFIGS[0], seed=0)
    trainable.step()
    before = trainable.model.predict(_arrays()[0])
    trainable.apply(CONFIGS[1])
    trainable.step()
    assert trainable.model.tree_count_ == 6
    np.testing.assert_allclose(trainable.model.predict(_arrays()[0], ntree_end=3), before)


@pytest.mark.parametrize(
    ("make", "name", "values", "message"),
    [
        (_native, "grow_policy", ("SymmetricTree", "Depthwise"), "cannot join trees of different policies"),
        (_model, "objective", ("MultiClass", "MultiClassOneVsAll"), "it settles what the trees' sums mean"),
    ],
)
def test_what_a_models_first_trees_settle_cannot_change_later(
    make: Any, name: str, values: tuple[str, str], message: str
) -> None:
    trainable = make()
    assert name in trainable.fixed()
    trainable.setup({name: values[0]}, seed=0)
    trainable.step()
    with pytest.raises(ConfigError, match=f"{name!r} cannot change along a line: .*{message}.*preset='gp'"):
        trainable.apply({name: values[1]})


@pytest.mark.parametrize(
    ("make", "config", "message"),
    [
        (_native, {"n_estimators": 5}, "the number of rounds is the number of steps"),
        (_native, {"dept": 5}, "must be accepted by CatBoost, .*Unknown option"),
        (_model, {"model_shrink_rate": 0.1}, "CatBoost resets it"),
    ],
)
def test_hyperparameters_that_cannot_change_are_refused(make: Any, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make().setup(config, seed=0)


def test_settings_that_end_or_undo_training_are_refused() -> None:
    with pytest.raises(ConfigError, match="od_wait=5 is not supported: the run decides"):
        _native(params={"od_wait": 5})
    with pytest.raises(ConfigError, match="langevin=True is not supported"):
        _model(estimator=lambda: catboost.CatBoostRegressor(langevin=True)).setup({"depth": 3}, seed=0)
    with pytest.raises(ConfigError, match="early stopping is not supported"):
        _model(fit_options={"early_stopping_rounds": 3}).setup({"depth": 3}, seed=0)


def test_a_run_restores_the_best_model_with_its_labels() -> None:
    space = Space(learning_rate=Float(0.05, 0.5, log=True), depth=Int(2, 4))
    optimizer = Optimizer(space, population=3, steps=3, direction="maximize", seed=0)
    result = run(optimizer, _model, progress=False)
    restored: Any = result.restore()
    model = restored.model
    assert set(model.classes_) == {"low", "middle", "high"}
    assert result.best.score == np.mean(model.predict(_labels()[0]).ravel() == _labels()[1])
