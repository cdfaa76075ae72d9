import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import MiniBatchKMeans
from sklearn.datasets import load_diabetes, load_digits
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import (
    ElasticNet,
    LogisticRegression,
    PassiveAggressiveClassifier,
    Perceptron,
    SGDClassifier,
    SGDRegressor,
    TweedieRegressor,
)
from sklearn.model_selection import KFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler, TargetEncoder

from gpbt.sklearn import SklearnTrainable, WarmStart
from gpbt_adapters.storing.checkpoints import CheckpointError, trusting
from gpbt_adapters.trainables.testing import BrokenPromiseError, check_trainable
from gpbt_adapters.trainables.trainable import HyperparameterNotAppliedError, verify_applied
from gpbt_core.errors import ConfigError
from gpbt_core.space import Float, Int, Space
from toy_runs import run_program

X, Y = (part[:240] for part in load_digits(return_X_y=True))
X = X / 16
XR, YR = (part[:150] for part in load_diabetes(return_X_y=True))
YR = YR / 100


def _state(trainable: SklearnTrainable) -> dict[str, Any]:
    """The numbers that a trained estimator holds."""
    last = trainable.estimator.steps[-1][1] if isinstance(trainable.estimator, Pipeline) else trainable.estimator
    held = {name: value for name, value in vars(last).items() if name.endswith("_")}
    return {
        name: value
        for name, value in held.items()
        if (isinstance(value, np.ndarray) and value.dtype != object)
        or (isinstance(value, list) and value and isinstance(value[0], np.ndarray))
        or isinstance(value, float | int)
    }


# From scikit-learn 1.9 on its cross-fitting is seeded through a splitter, before that by its own random state.
ENCODER = TargetEncoder()
if ENCODER.random_state == "deprecated":
    ENCODER.set_params(cv=KFold(3, shuffle=True, random_state=0))
MODELS = [
    (SGDClassifier(), {"alpha": 1e-4, "loss": "hinge"}, {"alpha": 1e-2, "loss": "log_loss"}),
    (
        SGDClassifier(average=True, learning_rate="invscaling"),
        {"eta0": 0.1, "power_t": 0.5},
        {"eta0": 0.5, "power_t": 0.2},
    ),
    (Perceptron(), {"penalty": None, "eta0": 1.0}, {"penalty": "l2", "eta0": 0.1}),
    (MLPClassifier((8,)), {"learning_rate_init": 1e-3, "beta_1": 0.9}, {"learning_rate_init": 1e-2, "beta_1": 0.8}),
    (MLPClassifier((8,)), {"solver": "adam", "momentum": 0.5}, {"solver": "sgd", "momentum": 0.9}),
    (
        MLPClassifier((8,), solver="sgd", learning_rate="adaptive", n_iter_no_change=1, tol=9.0),
        {"learning_rate_init": 0.1, "batch_size": 32},
        {"learning_rate_init": 0.01, "batch_size": 64},
    ),
    (
        MLPClassifier((8,), solver="sgd", learning_rate="invscaling"),
        {"learning_rate_init": 0.1, "power_t": 0.5},
        {"learning_rate_init": 0.2, "power_t": 0.1},
    ),
    (MLPClassifier((8,), solver="lbfgs"), {"alpha": 1e-4}, {"alpha": 1e-1}),
    (
        GradientBoostingClassifier(max_depth=2),
        {"learning_rate": 0.1, "subsample": 0.5},
        {"learning_rate": 0.4, "subsample": 1.0},
    ),
    (
        HistGradientBoostingClassifier(max_leaf_nodes=4),
        {"learning_rate": 0.1, "max_features": 0.5},
        {"learning_rate": 0.4, "max_features": 0.8},
    ),
    (RandomForestClassifier(), {"max_depth": 2, "max_features": 0.3}, {"max_depth": None, "max_features": 0.6}),
    (
        BaggingClassifier(Perceptron()),
        {"max_samples": 0.2, "estimator__alpha": 1e-4},
        {"max_samples": 0.6, "estimator__alpha": 1e-3},
    ),
    (LogisticRegression(solver="saga"), {"C": 0.1}, {"C": 10.0}),
    (OneVsRestClassifier(SGDClassifier()), {"estimator__alpha": 1e-4}, {"estimator__alpha": 1e-2}),
    (
        make_pipeline(StandardScaler(), MinMaxScaler(), SGDClassifier()),
        {"sgdclassifier__alpha": 1e-4},
        {"sgdclassifier__alpha": 1e-2},
    ),
    (
        make_pipeline(ENCODER, SGDClassifier()),
        {"sgdclassifier__alpha": 1e-4},
        {"sgdclassifier__alpha": 1e-2},
    ),
    (MiniBatchKMeans(10), {"reassignment_ratio": 0.01}, {"reassignment_ratio": 0.1}),
]
REGRESSORS = [
    (SGDRegressor(), {"alpha": 1e-4, "eta0": 0.01}, {"alpha": 1e-2, "eta0": 0.1}),
    (MLPRegressor(hidden_layer_sizes=(8,)), {"learning_rate_init": 1e-3}, {"learning_rate_init": 1e-2}),
    (GradientBoostingRegressor(), {"learning_rate": 0.1, "max_depth": 2}, {"learning_rate": 0.4, "max_depth": 3}),
    (ElasticNet(selection="random"), {"alpha": 0.1}, {"alpha": 0.01}),
    (TweedieRegressor(), {"alpha": 0.1}, {"alpha": 0.01}),
]


def _check(model: tuple[Any, Any, Any], **settings: Any) -> None:
    estimator, *configs = model
    data = (XR, YR) if model in REGRESSORS else (X, Y)
    growing = hasattr(estimator, "n_estimators") or hasattr(estimator, "max_leaf_nodes")
    check_trainable(WarmStart(estimator, *data, iterations=2 if growing else 1, **settings), configs, state=_state)


@pytest.mark.parametrize("model", [*MODELS, *REGRESSORS], ids=lambda model: type(model[0]).__name__)
def test_warm_started_estimators_keep_the_promises(model: tuple[Any, Any, Any]) -> None:
    _check(model)


@pytest.mark.parametrize(
    "model",
    [
        model
        for model in [*MODELS, *REGRESSORS]
        if isinstance(
            model[0],
            MLPClassifier | HistGradientBoostingClassifier | RandomForestClassifier | TweedieRegressor | Pipeline,
        )
    ],
    ids=lambda model: type(model[0]).__name__,
)
def test_they_keep_them_with_checkpoints_of_skops(model: tuple[Any, Any, Any]) -> None:
    pytest.importorskip("skops")
    _check(model, format="skops", trusted_types=["sklearn.model_selection._split.KFold"])


def test_an_activation_acts_on_predictions_by_its_nature() -> None:
    factory = WarmStart(MLPClassifier((8,)), X, Y, scoring="neg_log_loss")
    configs = [{"activation": "relu"}, {"activation": "tanh"}]
    check_trainable(factory, configs, inert=False)
    with pytest.raises(BrokenPromiseError, match="Inherit"):
        check_trainable(factory, configs)


@pytest.mark.filterwarnings("ignore:.*PassiveAggressive.* is deprecated:FutureWarning")
def test_a_passive_aggressive_models_step_size_acts_from_the_start_and_later() -> None:
    def weights(*sizes: float) -> Any:
        made = WarmStart(PassiveAggressiveClassifier(), X, Y)()
        made.setup({"C": sizes[0]}, seed=0)
        for size in sizes:
            made.apply({"C": size})
            verify_applied(made, {"C": size})
            made.step()
        return made.estimator.coef_

    assert not np.array_equal(weights(1e-3), weights(1.0))  # their set_params alone does not get there
    assert not np.array_equal(weights(1e-3, 1e-3), weights(1e-3, 1.0))


def test_a_value_that_does_not_take_is_an_error() -> None:
    class Stubborn(SGDClassifier):  # type: ignore[misc]  # scikit-learn ships no types
        def set_params(self, **params: Any) -> Any:
            return super().set_params(**{name: value for name, value in params.items() if name != "alpha"})

    made = WarmStart(Stubborn(), X, Y)()
    made.setup({"alpha": 0.5}, seed=0)
    with pytest.raises(HyperparameterNotAppliedError, match=r"expected alpha=0.5, but the live value is 0.0001"):
        verify_applied(made, {"alpha": 0.5})


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (MLPClassifier(), "hidden_layer_sizes"),
        (GradientBoostingClassifier(), "loss"),
        (HistGradientBoostingClassifier(), "max_bins"),
        (SGDClassifier(), "average"),
        (MiniBatchKMeans(10), "n_clusters"),
        (GaussianNB(), "var_smoothing"),
        (OneVsRestClassifier(SGDClassifier()), "estimator__average"),
        (make_pipeline(StandardScaler(), SGDClassifier()), "standardscaler__with_mean"),
    ],
)
def test_a_parameter_that_a_trained_model_keeps_is_refused_before_the_run_and_in_it(estimator: Any, name: str) -> None:
    factory = WarmStart(estimator, X, Y)
    with pytest.raises(ConfigError, match=f"'{name}' is fixed once training has begun"):
        factory.check(Space({name: Int(1, 3)}))
    made = factory()
    value = estimator.get_params()[name]
    made.setup({name: value}, seed=0)
    made.apply({name: value})  # the value it has is fine
    with pytest.raises(ConfigError, match=f"'{name}' is fixed once training has begun"):
        made.apply({name: 7})


@pytest.mark.parametrize("name", ["n_estimators", "warm_start", "random_state", "n_iter_no_change"])
def test_a_parameter_that_the_adapter_needs_is_refused(name: str) -> None:
    factory = WarmStart(GradientBoostingClassifier(), X, Y)
    with pytest.raises(ConfigError, match=f"'{name}' cannot be a hyperparameter"):
        factory.check(Space({name: Int(1, 3)}))
    with pytest.raises(ConfigError, match=f"'{name}' cannot be a hyperparameter"):
        factory().setup({name: 3}, seed=0)


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (SGDClassifier(), "max_iter"),
        (MLPClassifier(), "tol"),
        (HistGradientBoostingClassifier(), "validation_fraction"),
        (make_pipeline(StandardScaler(), SGDClassifier()), "sgdclassifier__tol"),
        (OneVsRestClassifier(SGDClassifier()), "estimator__max_iter"),
    ],
)
def test_a_parameter_that_training_by_steps_never_reads_is_refused(estimator: Any, name: str) -> None:
    factory = WarmStart(estimator, X, Y)
    with pytest.raises(ConfigError, match=f"'{name}' cannot be a hyperparameter: training step by step never reads it"):
        factory.check(Space({name: Int(1, 3)}))
    with pytest.raises(ConfigError, match="leave it out of the space"):
        factory().setup({name: 1}, seed=0)


def test_a_perceptron_that_adapts_its_rate_may_search_when_to() -> None:
    factory = WarmStart(MLPClassifier((8,), solver="sgd", learning_rate="adaptive"), X, Y)
    factory.check(Space(tol=Float(1e-6, 1, log=True), n_iter_no_change=Int(1, 10)))


def test_a_parameter_that_the_estimator_does_not_have_is_refused() -> None:
    factory = WarmStart(SGDClassifier(), X, Y)
    with pytest.raises(ConfigError, match=r"SGDClassifier: .*did you mean 'learning_rate'.* It has alpha, average"):
        factory.check(Space(learning_rat=Float(0, 1)))


def test_a_space_that_can_be_followed_passes() -> None:
    WarmStart(SGDClassifier(learning_rate="constant"), X, Y).check(
        Space(alpha=Float(1e-6, 1, log=True), eta0=Float(0.1, 1))
    )


def test_a_config_that_changes_the_way_of_going_on_is_refused() -> None:
    factory = WarmStart(MLPClassifier((3,)), X, Y)
    made = factory()
    made.setup({"solver": "adam"}, seed=0)
    made.step()
    with pytest.raises(ConfigError, match=r"trained on by passes.*solver.*lbfgs.*by iterations"):
        made.apply({"solver": "lbfgs"})
    with pytest.raises(ConfigError, match="liblinear"):
        WarmStart(LogisticRegression(), X, Y)().setup({"solver": "liblinear"}, seed=0)


def test_what_cannot_be_trained_on_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="KNeighborsClassifier cannot be trained on"):
        WarmStart(KNeighborsClassifier(), X, Y)
    with pytest.raises(ConfigError, match="KNeighborsClassifier cannot be trained on"):
        WarmStart(make_pipeline(StandardScaler(), KNeighborsClassifier()), X, Y)


def test_what_has_no_score_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="StandardScaler has no score"):
        WarmStart(StandardScaler(), X, Y)


@pytest.mark.parametrize("validation", [0, 1.0, 0.0, "all", (X,)])
def test_a_validation_that_is_neither_a_share_nor_a_pair_is_refused(validation: Any) -> None:
    with pytest.raises(ConfigError, match="expected validation as a pair"):
        WarmStart(SGDClassifier(), X, Y, validation=validation)


def test_other_bad_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="iterations must be at least 1, got 0"):
        WarmStart(SGDClassifier(), X, Y, iterations=0)
    with pytest.raises(ConfigError, match="expected a format of 'pickle' or 'skops', got 'json'"):
        WarmStart(SGDClassifier(), X, Y, format="json")  # type: ignore[arg-type]  # the mistake under test


def test_all_models_are_scored_on_one_split_whatever_their_seed() -> None:
    factory = WarmStart(SGDClassifier(), X, Y, validation=0.5, split_seed=3)
    again = WarmStart(SGDClassifier(), X, Y, validation=0.5, split_seed=3)
    np.testing.assert_array_equal(factory.validation[0], again.validation[0])
    assert len(factory.validation[0]) == len(X) // 2
    counts = np.bincount(factory.validation[1]), np.bincount(factory.data.target)
    assert np.abs(counts[0] - counts[1]).max() <= 1  # stratified


def test_scores_are_those_of_the_scorer_on_the_validation_data() -> None:
    factory = WarmStart(SGDClassifier(), X[:200], Y[:200], validation=(X[200:], Y[200:]), scoring="neg_log_loss")
    made = factory()
    made.setup({"loss": "log_loss"}, seed=0)
    probabilities = None
    score = made.step()
    probabilities = made.estimator.predict_proba(X[200:])
    assert score == pytest.approx(np.log(probabilities[np.arange(len(X) - 200), Y[200:]].clip(1e-15)).mean(), rel=1e-6)


def test_sample_weights_are_split_with_the_data_and_reach_the_estimator() -> None:
    weights = np.where(Y < 5, 1.0, 0.0)
    made = WarmStart(SGDClassifier(), X, Y, fit_params={"sample_weight": weights})()
    made.setup({}, seed=0)
    made.step()
    predicted = made.estimator.predict(X)
    assert np.isin(predicted, range(5)).mean() > 0.95


def test_weights_for_a_pipelines_last_step_may_be_named_as_in_its_fit() -> None:
    def weights(**fit_params: Any) -> Any:
        made = WarmStart(make_pipeline(StandardScaler(), SGDClassifier()), X, Y, fit_params=fit_params)()
        made.setup({}, seed=0)
        made.step()
        return made.estimator[-1].coef_

    given = np.where(Y < 5, 1.0, 0.0)
    np.testing.assert_array_equal(weights(sgdclassifier__sample_weight=given), weights(sample_weight=given))
    assert not np.array_equal(weights(sample_weight=given), weights())


def test_weights_for_a_pipelines_other_steps_are_refused_at_once() -> None:
    piped = make_pipeline(StandardScaler(), SGDClassifier())
    with pytest.raises(
        ConfigError, match="expected fit parameters of the last step, sgdclassifier__<name>, got standard"
    ):
        WarmStart(piped, X, Y, fit_params={"standardscaler__sample_weight": np.ones(len(X))})


def test_labels_that_only_the_validation_data_has_are_known_from_the_first_pass() -> None:
    some = Y < 8
    made = WarmStart(SGDClassifier(), X[some], Y[some], validation=(X, Y))()
    made.setup({}, seed=0)
    made.step()
    assert list(made.estimator.classes_) == list(range(10))


def test_targets_of_several_columns_can_be_learnt() -> None:
    both = np.stack([Y % 2, Y // 2], axis=1)
    made = WarmStart(MultiOutputClassifier(SGDClassifier()), X, both)()
    made.setup({"estimator__alpha": 1e-3}, seed=0)
    made.step()
    made.apply({"estimator__alpha": 1e-2})
    verify_applied(made, {"estimator__alpha": 1e-2})
    assert {part.alpha for part in made.estimator.estimators_} == {1e-2}


def test_sparse_data_can_be_learnt() -> None:
    made = WarmStart(SGDClassifier(), sparse.csr_array(X), Y)()
    made.setup({}, seed=0)
    assert made.step() > 0.5


def test_the_callers_estimator_is_left_alone() -> None:
    estimator = SGDClassifier(alpha=0.3)
    made = WarmStart(estimator, X, Y)()
    made.setup({"alpha": 0.1}, seed=0)
    made.step()
    assert estimator.alpha == 0.3
    assert estimator.random_state is None
    assert not hasattr(estimator, "coef_")


def test_a_strangers_pickle_is_refused_unless_the_path_is_trusted(tmp_path: Path) -> None:
    factory = WarmStart(SGDClassifier(), X, Y)
    made = factory()
    made.setup({}, seed=0)
    score = made.step()
    made.save(tmp_path)
    with pytest.raises(CheckpointError, match="holds a pickle that this run did not write"):
        factory().load(tmp_path)
    loaded = factory()
    with trusting(tmp_path):
        loaded.load(tmp_path)
    assert loaded.score() == score


def test_skops_reads_from_anywhere_and_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    skops_io = pytest.importorskip("skops.io")
    factory = WarmStart(SGDClassifier(), X, Y, format="skops")
    made = factory()
    made.setup({}, seed=0)
    score = made.step()
    made.save(tmp_path)
    loaded = factory()
    loaded.load(tmp_path)
    assert loaded.score() == score
    skops_io.dump(Mystery(), tmp_path / "state.skops")
    with pytest.raises(Exception, match="Untrusted types"):
        factory().load(tmp_path)


class Mystery(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Of a type that nobody vouches for."""


def test_a_factory_can_be_sent_to_other_processes() -> None:
    factory = pickle.loads(pickle.dumps(WarmStart(SGDClassifier(), X, Y)))  # noqa: S301 - its own
    made = factory()
    made.setup({}, seed=0)
    assert made.step() > 0.5


MAIN = """
from sklearn.datasets import load_iris
from sklearn.linear_model import SGDClassifier

from gpbt_adapters.running.driver import run
from gpbt.sklearn import WarmStart
from gpbt_core import Float, Optimizer, Space


class Own(SGDClassifier):
    pass


if __name__ == "__main__":
    space = Space(alpha=Float(1e-6, 1e-1, log=True))
    factory = WarmStart(Own(random_state=0), *load_iris(return_X_y=True))
    scores = []
    for workers in (None, 2):
        optimizer = Optimizer(space, population=4, steps=3, direction="maximize", searcher="random")
        result = run(optimizer, factory, workers=workers, progress=False)
        assert type(result.restore().estimator) is Own
        scores.append([record.loss for record in optimizer.records])
    print(scores[0] == scores[1])
"""


def test_an_estimator_of_the_main_program_is_trained_in_other_processes_too(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(MAIN)
    done = run_program(program)
    assert done.stdout == "True\n", done.stderr


@pytest.mark.parametrize(("library", "kind"), [("xgboost", "XGBClassifier"), ("lightgbm", "LGBMClassifier")])
def test_a_booster_keeps_the_promises_of_a_trainable(library: str, kind: str) -> None:
    estimator = getattr(pytest.importorskip(library), kind)(n_jobs=1, subsample=0.8)
    if library == "lightgbm":
        estimator.set_params(subsample_freq=1)
    space = Space(learning_rate=Float(0.05, 1, log=True), reg_lambda=Float(0.1, 10), colsample_bytree=Float(0.3, 1))
    check_trainable(WarmStart(estimator, X, Y, scoring="neg_log_loss", iterations=2), space)
