import functools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("xgboost")
pytest.importorskip("lightgbm")

import lightgbm
import xgboost

from gpbt_adapters.running.driver import run
from gpbt_adapters.trainables import boosting
from gpbt_adapters.trainables.boosting import LGBMModelTrainable, LightGBMTrainable, XGBModelTrainable, XGBoostTrainable
from gpbt_adapters.trainables.boosting.common import BoostingTrainable
from gpbt_adapters.trainables.testing import check_trainable
from gpbt_adapters.trainables.trainable import HyperparameterNotAppliedError, verify_applied
from gpbt_core import Categorical, Optimizer, Space
from gpbt_core.errors import ConfigError, ProtocolError


@functools.cache
def _arrays() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.random((300, 5))
    return x, np.sin(6 * x[:, 0]) + x[:, 1] * x[:, 2] + rng.normal(0, 0.1, 300)


def _labels() -> tuple[Any, Any]:
    """Classes by names, which the scikit-learn classes must find again after loading."""
    x, y = _arrays()
    return x, np.array(["low", "middle", "high"])[np.digitize(y, [0.0, 0.8])]


def _booster_score(predict: Any) -> float:
    return -float(np.sqrt(np.mean((predict(_arrays()[0]) - _arrays()[1]) ** 2)))


def _xgboost(**options: Any) -> XGBoostTrainable:
    defaults = {
        "data": lambda: xgboost.DMatrix(*_arrays()),
        "params": {"nthread": 1},
        "score": lambda booster: _booster_score(lambda x: booster.predict(xgboost.DMatrix(x))),
        "rounds": 3,
    }
    return XGBoostTrainable(**{**defaults, **options})


def _lightgbm(**options: Any) -> LightGBMTrainable:
    defaults = {
        "data": lambda: lightgbm.Dataset(*_arrays(), free_raw_data=False),
        "params": {"num_threads": 1},
        "score": lambda booster: _booster_score(booster.predict),
        "rounds": 3,
    }
    return LightGBMTrainable(**{**defaults, **options})


def _xgb_model(**options: Any) -> XGBModelTrainable:
    defaults = {
        "estimator": lambda: xgboost.XGBClassifier(n_jobs=1),
        "data": _labels_as_numbers,
        "score": lambda model: float(model.score(*_labels_as_numbers())),
        "rounds": 3,
    }
    return XGBModelTrainable(**{**defaults, **options})


def _labels_as_numbers() -> tuple[Any, Any]:
    x, y = _labels()
    return x, np.unique(y, return_inverse=True)[1]


def _lgbm_model(**options: Any) -> LGBMModelTrainable:
    defaults = {
        "estimator": lambda: lightgbm.LGBMClassifier(n_jobs=1),
        "data": _labels,
        "score": lambda model: float(model.score(*_labels())),
        "rounds": 3,
    }
    return LGBMModelTrainable(**{**defaults, **options})


XGB_CONFIGS = [
    {"eta": 0.1, "max_depth": 3, "subsample": 0.5, "colsample_bytree": 0.6, "lambda": 1.5, "grow_policy": "depthwise"},
    {"eta": 0.4, "max_depth": 5, "subsample": 0.9, "colsample_bytree": 1.0, "lambda": 0.1, "grow_policy": "lossguide"},
]
LGB_CONFIGS = [
    {
        "learning_rate": 0.1,
        "num_leaves": 7,
        "bagging_fraction": 0.5,
        "bagging_freq": 1,
        "min_data_in_leaf": 30,
        "extra_trees": True,
    },
    {
        "learning_rate": 0.4,
        "num_leaves": 5,
        "bagging_fraction": 0.9,
        "bagging_freq": 1,
        "min_data_in_leaf": 2,
        "extra_trees": False,
    },
]
XGB_MODEL_CONFIGS = [
    {"learning_rate": 0.1, "max_depth": 3, "subsample": 0.5, "reg_alpha": 0.5},
    {"learning_rate": 0.4, "max_depth": 5, "subsample": 0.9, "reg_alpha": 0.0},
]
LGB_MODEL_CONFIGS = [
    {"learning_rate": 0.1, "num_leaves": 7, "subsample": 0.5, "subsample_freq": 1, "min_child_samples": 30},
    {"learning_rate": 0.4, "num_leaves": 5, "subsample": 0.9, "subsample_freq": 1, "min_child_samples": 2},
]
ALL = [
    pytest.param(_xgboost, XGB_CONFIGS, id="xgboost"),
    pytest.param(_lightgbm, LGB_CONFIGS, id="lightgbm"),
    pytest.param(_xgb_model, XGB_MODEL_CONFIGS, id="XGBClassifier"),
    pytest.param(_lgbm_model, LGB_MODEL_CONFIGS, id="LGBMClassifier"),
]


def _trees(trainable: BoostingTrainable[Any]) -> str:
    model = trainable.model
    if isinstance(model, xgboost.XGBModel):
        model = model.get_booster()
    if isinstance(model, lightgbm.LGBMModel):
        model = model.booster_
    if isinstance(model, xgboost.Booster):
        return "\n".join(model.get_dump(with_stats=True, dump_format="json"))
    return str(model.model_to_string().partition("feature_importances")[0])


@pytest.mark.parametrize(("make", "configs"), ALL)
def test_it_keeps_the_promises_of_a_trainable(make: Any, configs: list[dict[str, Any]]) -> None:
    check_trainable(make, configs, state=_trees)


def test_a_diverging_training_scores_what_is_not_finite() -> None:
    trainable = _xgboost()
    trainable.setup({"eta": 1e30, "lambda": 0.0}, seed=0)
    with np.errstate(all="ignore"):
        assert not all(math.isfinite(trainable.step()) for _ in range(8))


@pytest.mark.parametrize(("make", "configs"), ALL)
def test_the_trees_so_far_stay_as_they_were_under_a_new_config(make: Any, configs: list[dict[str, Any]]) -> None:
    one, other = make(), make()
    for trainable, second in ((one, configs[0]), (other, configs[1])):
        trainable.setup(configs[0], seed=0)
        trainable.step()
        trainable.apply(second)
        trainable.step()
    counts = [_per_tree(trainable) for trainable in (one, other)]
    half = len(counts[0]) // 2
    assert len(counts[0]) == len(counts[1])
    assert counts[0][:half] == counts[1][:half]
    assert counts[0][half:] != counts[1][half:]


def _per_tree(trainable: BoostingTrainable[Any]) -> list[str]:
    text = _trees(trainable)
    if "tree_sizes" not in text:
        return text.split("\n{")
    return [tree.partition("\n")[2] for tree in text.split("\nTree=")[1:]]


@pytest.mark.parametrize("make", [_xgboost, _lightgbm], ids=["xgboost", "lightgbm"])
def test_steps_under_one_config_are_one_training(make: Any) -> None:
    trainable = make()
    trainable.setup({"learning_rate": 0.2, "max_depth": 3}, seed=0)
    for _ in range(3):
        trainable.step()
    x, y = _arrays()
    if make is _xgboost:
        whole = xgboost.train({"eta": 0.2, "max_depth": 3}, xgboost.DMatrix(x, y), 9).predict(xgboost.DMatrix(x))
        steps = trainable.model.predict(xgboost.DMatrix(x))
    else:
        # As in the trainable: another way of summing decides the last bits, and with them the splits.
        params = {"learning_rate": 0.2, "max_depth": 3, "verbosity": -1}
        params |= {"num_threads": 1, "deterministic": True, "force_col_wise": True}
        whole = np.asarray(lightgbm.train(params, lightgbm.Dataset(x, y), 9).predict(x))
        steps = trainable.model.predict(x)
    np.testing.assert_allclose(steps, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("make", "configs"), ALL)
def test_what_is_read_back_is_the_engines_and_not_what_was_set(make: Any, configs: list[dict[str, Any]]) -> None:
    trainable = make()
    trainable.setup(configs[0], seed=0)
    trainable._config = dict.fromkeys(configs[0], "not what the engine has")  # as if somebody wrote over it
    live = trainable.applied()
    assert live.keys() == configs[0].keys()
    assert "not what the engine has" not in live.values()


@given(
    rate=st.floats(1e-6, 1.0),
    penalty=st.just(0.0) | st.floats(1e-12, 1e6),
    share=st.floats(1e-3, 1.0),
    leaves=st.integers(2, 100_000),
)
def test_values_of_any_length_are_read_back_as_they_were_set(
    rate: float, penalty: float, share: float, leaves: int
) -> None:
    for make, names in (
        (_xgboost, ("eta", "lambda", "subsample", "max_leaves")),
        (_lightgbm, ("learning_rate", "lambda_l2", "feature_fraction", "num_leaves")),
    ):
        config = dict(zip(names, (rate, penalty, share, leaves), strict=True))
        trainable = make()
        trainable.setup(config, seed=0)
        verify_applied(trainable, config)


@pytest.mark.parametrize(("make", "configs"), ALL)
def test_after_training_the_values_are_those_that_the_last_trees_were_made_under(
    make: Any, configs: list[dict[str, Any]]
) -> None:
    trainable = make()
    trainable.setup(configs[0], seed=0)
    trainable._live = {}  # as if nothing had been asked of the engine before
    trainable.step()
    verify_applied(trainable, configs[0])


@pytest.mark.parametrize("make", [_xgboost, _lightgbm, _lgbm_model], ids=["xgboost", "lightgbm", "LGBMClassifier"])
def test_a_misspelt_parameter_is_refused_with_its_likely_name_before_training(make: Any) -> None:
    with pytest.raises(ConfigError, match=r"'max_dept' must be a parameter of the engine, .*did you mean 'max_depth'"):
        make().setup({"max_dept": 3}, seed=0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: _xgb_model(estimator=xgboost.XGBClassifier()), "estimator must be a function that makes .*lambda"),
        (lambda: _lgbm_model(estimator=lightgbm.LGBMClassifier()), "estimator must be a function that makes .*lambda"),
        (lambda: _xgb_model(data=_arrays()), "data must be a function that makes .* got an object of tuple"),
        (lambda: _xgboost(data=xgboost.DMatrix(*_arrays())), "data must be a function .* got an object of DMatrix"),
        (lambda: _xgb_model(fit_options={"xgb_model": None}), r"fit_options must not contain \['xgb_model'\]"),
        (lambda: _lgbm_model(fit_options={"init_model": None}), r"fit_options must not contain \['init_model'\]"),
        (lambda: _lightgbm(params={"max_dept": 3}), "does not know the parameter 'max_dept'; did you mean 'max_depth'"),
        (
            lambda: _lgbm_model(estimator=lambda: lightgbm.LGBMClassifier(num_leafs=5)).setup(
                {"reg_alpha": 1.0}, seed=0
            ),
            "does not know the parameter 'num_leafs'; did you mean 'num_leaf",
        ),
        (lambda: _xgboost(params={"objective": len}), "must be a name, got a function; pass the function as obj="),
    ],
)
def test_an_argument_of_the_wrong_kind_is_refused_at_once(build: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()


@pytest.mark.parametrize("kind", [xgboost.XGBRFClassifier, xgboost.XGBRFRegressor])
def test_a_random_forest_of_xgboost_is_refused(kind: Any) -> None:
    with pytest.raises(ConfigError, match=f"{kind.__name__} is not supported: a random forest averages"):
        _xgb_model(estimator=kind).setup({}, seed=0)


def test_a_fit_option_replaces_the_one_of_the_trainable(capfd: pytest.CaptureFixture[str]) -> None:
    trainable = _xgb_model(fit_options={"verbose": True, "eval_set": [_labels_as_numbers()]})
    trainable.setup({}, seed=0)
    trainable.step()
    assert "validation_0" in capfd.readouterr().out


def test_an_objective_of_ones_own_trains_natively_in_steps_as_at_once() -> None:
    def squared(predictions: Any, data: xgboost.DMatrix) -> tuple[Any, Any]:
        return 2 * (predictions - data.get_label()), np.full_like(predictions, 2.0)

    x, y = _arrays()
    whole = xgboost.train({"eta": 0.2, "nthread": 1}, xgboost.DMatrix(x, y), 6, obj=squared)
    trainable = _xgboost(obj=squared)
    trainable.setup({"eta": 0.2}, seed=0)
    for _ in range(2):
        trainable.step()
    steps = trainable.model.predict(xgboost.DMatrix(x))
    np.testing.assert_allclose(steps, whole.predict(xgboost.DMatrix(x)), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:The argument .eval_set. is deprecated")
@pytest.mark.parametrize(
    ("make", "kind", "fields"),
    [
        (_xgb_model, xgboost.XGBRegressor, ["n_estimators", "evals_result_"]),
        (_lgbm_model, lightgbm.LGBMRegressor, ["n_estimators", "evals_result_", "best_score_", "n_estimators_"]),
    ],
)
def test_a_restored_model_says_the_same_of_itself_as_the_trained_one(
    make: Any, kind: Any, fields: list[str], tmp_path: Path
) -> None:
    def build() -> Any:
        return make(
            estimator=lambda: kind(n_jobs=1),
            data=_arrays,
            score=lambda model: _booster_score(model.predict),
            fit_options={"eval_set": [_arrays()]},
        )

    trained, restored = build(), build()
    trained.setup({"learning_rate": 0.2}, seed=0)
    for _ in range(2):
        trained.step()
    trained.save(tmp_path)
    restored.load(tmp_path)
    for field in fields:
        assert getattr(restored.model, field) == getattr(trained.model, field), field
    assert trained.model.n_estimators == 6


@pytest.mark.parametrize(("make", "name"), [(_xgboost, "alpha"), (_lightgbm, "lambda_l1")], ids=["xgboost", "lightgbm"])
def test_a_hyperparameter_that_a_config_no_longer_has_returns_to_its_default(make: Any, name: str) -> None:
    one, other = make(), make()
    for trainable, config in ((one, {"learning_rate": 0.2, name: 50.0}), (other, {"learning_rate": 0.2})):
        trainable.setup({"learning_rate": 0.2, name: 50.0}, seed=0)
        trainable.step()
        trainable.apply(config)
        trainable.step()
    assert _trees(one) != _trees(other)


def test_an_estimator_without_the_parameter_says_so() -> None:
    with pytest.raises(ConfigError, match=r"XGBClassifier has no parameters \['eta'\]"):
        _xgb_model().setup({"eta": 0.1}, seed=0)


@pytest.mark.parametrize(("make", "configs"), ALL)
def test_a_hyperparameter_may_have_another_name_than_the_engines(make: Any, configs: list[dict[str, Any]]) -> None:
    names = {f"trees.{name}": name for name in configs[0]}
    config = {f"trees.{name}": value for name, value in configs[0].items()}
    plain, renamed = make(), make(names=names)
    plain.setup(configs[0], seed=0)
    renamed.setup(config, seed=0)
    verify_applied(renamed, config)
    assert plain.step() == renamed.step()


@pytest.mark.parametrize(
    ("make", "name", "reason"),
    [
        (_xgboost, "booster", "what the trees' sums mean"),
        (_xgboost, "n_estimators", "the number of rounds is the number of steps"),
        (_xgboost, "seed", "each step has a seed of its own"),
        (_lightgbm, "max_bin", "the data is binned once"),
        (_lightgbm, "boosting_type", "what the trees' sums mean"),
        (_lgbm_model, "subsample_for_bin", "the data is binned once"),
        (_lgbm_model, "random_state", "each step has a seed of its own"),
        (_lightgbm, "nrounds", "the number of rounds is the number of steps"),
        (_lightgbm, "data_sample_strategy", "GOSS or DART alone"),
        (_xgb_model, "n_estimators", "the number of rounds is the number of steps"),
    ],
)
def test_what_cannot_change_while_trees_are_added_is_refused(make: Any, name: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"hyperparameter '{name}' cannot be tuned: .*{reason}"):
        make().setup({name: 1}, seed=0)


@pytest.mark.parametrize(
    ("make", "names", "values", "reason"),
    [
        (_xgboost, {}, {"num_parallel_tree": (1, 2)}, "the first trees' number"),
        (_xgboost, {"loss": "objective"}, {"loss": ("reg:squarederror", "reg:pseudohubererror")}, "sums mean"),
        (_xgb_model, {}, {"num_parallel_tree": (1, 2)}, "the first trees' number"),
        (_lightgbm, {}, {"app": ("regression", "huber")}, "what the trees' sums mean"),
        (_lgbm_model, {}, {"boost_from_average": (True, False)}, "what the trees' sums mean"),
    ],
)
def test_what_a_models_first_trees_settle_is_searched_where_each_model_keeps_its_config(
    make: Any, names: dict[str, str], values: dict[str, Any], reason: str
) -> None:
    ((name, (one, other)),) = values.items()
    trainable = make(names=names)
    trainable.setup({name: one}, seed=0)
    trainable.step()
    trainable.apply({name: one})
    with pytest.raises(ConfigError, match=f"hyperparameter '{name}' cannot change along a line: .*{reason}"):
        trainable.apply({name: other})
    space = Space(**{name: Categorical([one, other])})
    optimizer = Optimizer(space, population=9, steps=2)
    with pytest.raises(ConfigError, match=f"'{name}' cannot change in mid-training.*preset='gp', 'tpe' or 'random'"):
        run(optimizer, lambda: make(names=names), progress=False)
    assert optimizer.tally.trained == 0
    optimizer = Optimizer(space, population=2, steps=2, preset="random", seed=1)
    run(optimizer, lambda: make(names=names), progress=False)
    assert not [record.reason for record in optimizer.records if record.reason]
    assert {record.trial.config[name] for record in optimizer.records} == {one, other}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: _xgboost(params={"booster": "dart"}), "DART rescales trees"),
        (lambda: _xgboost(params={"booster": "gblinear"}), "no trees to add"),
        (lambda: _xgboost(params={"process_type": "update"}), "process_type='update'"),
        (lambda: _lightgbm(params={"boosting_type": "dart"}), "DART rescales trees"),
        (lambda: _lightgbm(params={"boosting": "rf"}), "a random forest averages"),
        (lambda: _lightgbm(params={"data_sample_strategy": "goss"}), "'goss' is not supported: GOSS uses all rows"),
        (lambda: _lightgbm(params={"boost": "goss"}), "'goss' is not supported: GOSS uses all rows"),
        (lambda: _lightgbm(params={"early_stopping_rounds": 5}), "early stopping is not supported"),
        (lambda: _lightgbm(params={"n_iter_no_change": 5}), "early stopping is not supported"),
        (
            lambda: _lightgbm(data=lambda: lightgbm.Dataset(*_arrays(), init_score=np.ones(300), free_raw_data=False)),
            "expected data without init_score",
        ),
        (lambda: _lgbm_model(fit_options={"init_score": np.ones((300, 3))}), "expected data without init_score"),
        (lambda: _lgbm_model(fit_options={"eval_init_score": [np.ones((300, 3))]}), "expected data without init_score"),
        (
            lambda: _lgbm_model(fit_options={"callbacks": [lightgbm.early_stopping(2)]}),
            "early stopping is not supported",
        ),
        (
            lambda: _xgb_model(
                estimator=lambda: xgboost.XGBClassifier(callbacks=[xgboost.callback.EarlyStopping(rounds=2)])
            ),
            "EarlyStopping is not supported",
        ),
        (
            lambda: _xgb_model(estimator=lambda: xgboost.XGBRegressor(early_stopping_rounds=3)),
            "early_stopping_rounds=3",
        ),
        (lambda: _lgbm_model(estimator=lambda: lightgbm.LGBMRegressor(boosting_type="dart")), "DART rescales trees"),
        (lambda: _lgbm_model(estimator=lambda: lightgbm.LGBMRegressor(boosting="goss")), "GOSS uses all rows"),
        (lambda: _lightgbm(data=lambda: lightgbm.Dataset(*_arrays())), "free_raw_data=False"),
    ],
)
def test_what_cannot_be_trained_by_adding_trees_is_refused(build: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build().setup({"learning_rate": 0.1}, seed=0)


def test_offsets_that_lightgbm_finds_beside_the_data_are_refused(tmp_path: Path) -> None:
    x, y = _arrays()
    np.savetxt(tmp_path / "rows.csv", np.column_stack([y, x]), delimiter=",")
    np.savetxt(tmp_path / "rows.csv.init", np.ones(300))
    trainable = _lightgbm(data=lambda: lightgbm.Dataset(tmp_path / "rows.csv", free_raw_data=False))
    trainable.setup({"learning_rate": 0.1}, seed=0)
    with pytest.raises(ConfigError, match="expected data without init_score"):
        trainable.step()


@pytest.mark.parametrize(
    ("name", "values", "static"),
    [
        ("eta", (0.01, 0.9), {}),
        ("num_leaf", (3, 31), {}),
        ("max_leaf_nodes", (3, 31), {}),
        ("l2_regularization", (0.1, 90.0), {}),
        ("reg_lambda", (0.1, 90.0), {"lambda_l2": 1.0}),
        ("min_child_samples", (2, 100), {"min_data_in_leaf": 5}),
        ("subsample", (0.2, 0.9), {"bagging_fraction": 0.5, "subsample_freq": 1}),
        ("colsample_bytree", (0.2, 1.0), {"feature_fraction": 0.5}),
    ],
)
def test_a_hyperparameter_counts_under_whichever_of_its_names_it_is_tuned(
    name: str, values: tuple[Any, Any], static: dict[str, Any]
) -> None:
    scores = set()
    for value in values:
        trainable = _lgbm_model(
            estimator=lambda: lightgbm.LGBMRegressor(n_jobs=1, **static),
            data=_arrays,
            score=lambda model: _booster_score(model.predict),
        )
        trainable.setup({name: value}, seed=0)
        verify_applied(trainable, {name: value})
        scores.add(trainable.step())
        verify_applied(trainable, {name: value})
    assert len(scores) == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: _lightgbm(params={"num_threads": 1, "num_iterations": 7, "random_seed": 3}),
        lambda: _lgbm_model(
            estimator=lambda: lightgbm.LGBMRegressor(n_jobs=1, nrounds=7, seed=3),
            data=_arrays,
            score=lambda model: _booster_score(model.predict),
        ),
    ],
    ids=["lightgbm", "LGBMRegressor"],
)
def test_a_step_has_its_own_rounds_and_seed_whatever_the_parameters_say(make: Any) -> None:
    trainable = make()
    trainable.setup({"learning_rate": 0.1}, seed=0)
    seeds = set()
    for trees in (3, 6):
        trainable.step()
        model = getattr(trainable.model, "booster_", trainable.model)
        assert model.num_trees() == trees
        seeds.add(model.model_to_string().partition("[seed: ")[2].partition("]")[0])
    assert len(seeds) == 2


@pytest.mark.parametrize(
    "make",
    [_lightgbm, lambda: _lgbm_model(estimator=lambda: lightgbm.LGBMClassifier(n_jobs=1))],
    ids=["lightgbm", "LGBMClassifier"],
)
def test_a_share_of_rows_that_are_never_drawn_is_refused(make: Any) -> None:
    with pytest.raises(ConfigError, match=r"\['subsample'\] change nothing while bagging_freq .* is 0; set it to 1"):
        make().setup({"subsample": 0.5}, seed=0)
    make().setup({"subsample": 0.5, "subsample_freq": 1}, seed=0)


def test_a_value_that_a_callback_overrides_is_an_error() -> None:
    trainable = _lgbm_model(fit_options={"callbacks": [lightgbm.reset_parameter(learning_rate=[0.3, 0.2, 0.1])]})
    trainable.setup({"learning_rate": 0.5}, seed=0)
    with pytest.raises(
        HyperparameterNotAppliedError,
        match=r"learning_rate was set to 0\.5, but after 1 step of training the live value is 0\.1",
    ):
        trainable.step()


@pytest.mark.parametrize(
    ("objective", "name"), [("reg:quantileerror", "quantile_alpha"), ("reg:pseudohubererror", "huber_slope")]
)
def test_what_only_one_objective_knows_can_be_tuned(objective: str, name: str) -> None:
    native = _xgboost(params={"nthread": 1, "objective": objective})
    model = _xgb_model(
        estimator=lambda: xgboost.XGBRegressor(n_jobs=1, objective=objective, **{name: 0.5}),
        data=_arrays,
        score=lambda model: _booster_score(model.predict),
    )
    for trainable in (native, model):
        trainable.setup({name: 0.9}, seed=0)
        verify_applied(trainable, {name: 0.9})
        first = trainable.step()
        trainable.apply({name: 0.2})
        verify_applied(trainable, {name: 0.2})
        assert trainable.step() != first


def test_a_loaded_classifier_predicts_the_classes_by_their_names(tmp_path: Path) -> None:
    trainable = _lgbm_model()
    trainable.setup(LGB_MODEL_CONFIGS[0], seed=0)
    trainable.step()
    trainable.save(tmp_path)
    loaded = _lgbm_model()
    loaded.load(tmp_path)
    x, _ = _labels()
    assert list(loaded.model.classes_) == ["high", "low", "middle"]
    assert np.array_equal(loaded.model.predict_proba(x), trainable.model.predict_proba(x))


def test_a_loaded_classifier_keeps_its_last_tree_where_no_other_can_be_added(tmp_path: Path) -> None:
    """Loading fits one tree more and cuts it off; if no split is possible there is none to cut off."""
    trainable = _lgbm_model()
    trainable.setup(LGB_MODEL_CONFIGS[0], seed=0)
    trainable.step()
    trainable.apply({**LGB_MODEL_CONFIGS[0], "min_child_samples": 10_000})
    trainable.save(tmp_path)
    loaded = _lgbm_model()
    loaded.load(tmp_path)
    assert _trees(loaded) == _trees(trainable)


@pytest.mark.parametrize(("make", "configs"), ALL)
def test_the_files_are_the_engines_own_and_plain_text(make: Any, configs: list[dict[str, Any]], tmp_path: Path) -> None:
    trainable = make()
    trainable.setup(configs[0], seed=0)
    trainable.step()
    trainable.save(tmp_path)
    suffix = "ubj" if "xgb" in make.__name__ else "txt"
    assert {path.name for path in tmp_path.iterdir()} == {"plain.json", f"model.{suffix}"}
    (tmp_path / "plain.json").write_text('{"format": 9}')
    with pytest.raises(ConfigError, match="expected a checkpoint of format 1, got 9"):
        make().load(tmp_path)


@pytest.mark.parametrize(("make", "configs"), ALL)
def test_what_was_saved_before_the_first_tree_goes_on_from_there(
    make: Any, configs: list[dict[str, Any]], tmp_path: Path
) -> None:
    trainable = make()
    trainable.setup(configs[0], seed=3)
    trainable.save(tmp_path)
    loaded = make()
    loaded.load(tmp_path)
    with pytest.raises(ProtocolError, match="no trees yet"):
        loaded.score()
    assert loaded.step() == trainable.step()


def test_using_it_before_set_up_or_after_close_says_so() -> None:
    trainable = _xgboost()
    for call in (trainable.step, trainable.applied):
        with pytest.raises(ProtocolError, match="call setup or load first"):
            call()
    trainable.setup(XGB_CONFIGS[0], seed=0)
    trainable.close()
    with pytest.raises(ProtocolError, match="call setup or load first"):
        trainable.step()


def test_the_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'SnapBoostTrainable'"):
        _ = boosting.SnapBoostTrainable


def test_the_aliases_are_lightgbms_own() -> None:
    from gpbt_adapters.trainables.boosting.lightgbm import ALIASES

    wrong = [(alias, name) for alias, name in ALIASES.items() if alias not in lightgbm.basic._ConfigAliases.get(name)]
    assert wrong == []
    own = {alias for name in set(ALIASES.values()) for alias in lightgbm.basic._ConfigAliases.get(name) - {name}}
    assert own <= ALIASES.keys()
