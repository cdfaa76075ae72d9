"""The traps of scikit-learn's estimators, each shown to be there and to be avoided."""

import threading
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.datasets import load_diabetes, load_iris
from sklearn.decomposition import (
    IncrementalPCA,
    LatentDirichletAllocation,
    MiniBatchDictionaryLearning,
    MiniBatchNMF,
)
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import ElasticNet, LogisticRegression, Perceptron, Ridge, SGDClassifier, SGDRegressor
from sklearn.mixture import GaussianMixture
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import BernoulliNB, GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import BernoulliRBM, MLPClassifier, MLPRegressor
from sklearn.svm import SVC

from gpbt_adapters.trainables.sklearn.continuation import continuation, live_values, prepare, set_live, train
from gpbt_core.errors import ConfigError

X, Y = load_iris(return_X_y=True)
XR, YR = load_diabetes(return_X_y=True)


def _trained(estimator: Any, iterations: int = 2) -> Any:
    prepare(estimator, 0)
    train(estimator, continuation(estimator), X, Y, iterations=iterations, labels=np.unique(Y))
    return estimator


def _train(estimator: Any, iterations: int = 1) -> None:
    train(estimator, continuation(estimator), X, Y, iterations=iterations, labels=np.unique(Y))


@pytest.mark.parametrize(
    ("estimator", "way", "count"),
    [
        (SGDClassifier(), "passes", None),
        (SGDRegressor(), "passes", None),
        (Perceptron(), "passes", None),
        (GaussianNB(), "passes", None),
        (MLPClassifier(), "passes", None),
        (OneVsRestClassifier(SGDClassifier()), "passes", None),
        (MLPRegressor(solver="lbfgs"), "iterations", "max_iter"),
        (LogisticRegression(), "iterations", "max_iter"),
        (ElasticNet(), "iterations", "max_iter"),
        (GradientBoostingClassifier(), "members", "n_estimators"),
        (HistGradientBoostingClassifier(), "members", "max_iter"),
        (RandomForestRegressor(), "members", "n_estimators"),
        (ExtraTreesClassifier(), "members", "n_estimators"),
        (BaggingClassifier(), "members", "n_estimators"),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "get_params") else None,
)
def test_the_way_of_going_on_is_found_by_looking_at_the_estimator(estimator: Any, way: str, count: str | None) -> None:
    found = continuation(estimator)
    assert (found.way, found.count) == (way, count)


@pytest.mark.parametrize(
    "estimator",
    [
        KNeighborsClassifier(),
        SVC(),
        Ridge(),
        KMeans(),
        AdaBoostClassifier(),
        GaussianProcessClassifier(),  # warm_start of its kernel alone, and no count of training iterations
        OneVsRestClassifier(SVC()),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_an_estimator_that_cannot_be_trained_on_is_refused(estimator: Any) -> None:
    with pytest.raises(ConfigError, match=f"{type(estimator).__name__} cannot be trained on"):
        continuation(estimator)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (LogisticRegression(solver="liblinear"), "solver='liblinear' starts each fit anew"),
        (MLPClassifier(early_stopping=True), "expected early_stopping off, got True"),
        (SGDClassifier(early_stopping=True), "expected early_stopping off, got True"),
        (HistGradientBoostingClassifier(early_stopping=True), "expected early_stopping off, got True"),
        (GradientBoostingClassifier(n_iter_no_change=5), "expected n_iter_no_change off, got 5"),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "get_params") else "",
)
def test_a_setting_that_stands_in_the_way_is_refused(estimator: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        continuation(estimator)


def test_an_automatic_early_stopping_is_switched_off() -> None:
    estimator = HistGradientBoostingClassifier()
    assert estimator.early_stopping == "auto"  # on from 10,000 samples
    prepare(estimator, 0)
    assert estimator.early_stopping is False


def test_each_pass_draws_another_order() -> None:
    # With a number as random state, each partial_fit would shuffle in the same way.
    states = []
    estimator = _trained(SGDClassifier(random_state=0), 1)
    for _ in range(2):
        states.append(estimator.random_state.get_state()[2])
        _train(estimator)
    assert states[0] != states[1]


def _outcome(estimator: Any) -> Any:
    """The finest that it makes of the data."""
    methods = ("predict_proba", "decision_function", "transform", "predict")
    return next(getattr(estimator, name) for name in methods if hasattr(estimator, name))(X)


@pytest.mark.parametrize(
    ("estimator", "name", "values"),
    [
        (SGDClassifier(), "max_iter", (1, 1000)),
        (SGDClassifier(), "tol", (1e-9, 10.0)),
        (SGDRegressor(learning_rate="adaptive"), "tol", (1e-9, 10.0)),
        (Perceptron(), "n_iter_no_change", (1, 10)),
        (SGDClassifier(), "validation_fraction", (0.1, 0.5)),
        (OneVsRestClassifier(SGDClassifier()), "estimator__max_iter", (1, 1000)),
        (MLPClassifier((3,)), "max_iter", (1, 1000)),
        (MLPClassifier((3,)), "tol", (1e-9, 10.0)),
        (MLPClassifier((3,), learning_rate="adaptive"), "tol", (1e-9, 10.0)),  # Adam adapts in its own way
        (MLPClassifier((3,), solver="sgd"), "n_iter_no_change", (1, 10)),
        (HistGradientBoostingClassifier(), "n_iter_no_change", (1, 10)),
        (HistGradientBoostingClassifier(), "validation_fraction", (0.1, 0.5)),
        (HistGradientBoostingClassifier(), "scoring", ("loss", "accuracy")),
        (GradientBoostingClassifier(), "tol", (1e-9, 10.0)),
        (MiniBatchKMeans(3), "max_iter", (1, 100)),
        (MiniBatchKMeans(3), "n_init", (1, 5)),
        (IncrementalPCA(2), "batch_size", (5, 50)),
        (LatentDirichletAllocation(2), "max_iter", (1, 10)),
        (LatentDirichletAllocation(2), "learning_method", ("batch", "online")),
        (MiniBatchNMF(2), "max_no_improvement", (1, 10)),
        (MiniBatchDictionaryLearning(2), "batch_size", (5, 50)),
        (MiniBatchDictionaryLearning(2), "shuffle", (False, True)),
        (BernoulliRBM(2), "n_iter", (1, 10)),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "get_params") else None,
)
def test_a_parameter_that_training_by_steps_never_reads_is_known(estimator: Any, name: str, values: Any) -> None:
    assert name in continuation(estimator).unread
    one, other = (_outcome(_trained(clone(estimator).set_params(**{name: value}), 3)) for value in values)
    np.testing.assert_array_equal(one, other)


def test_a_perceptron_that_adapts_its_rate_reads_when_to() -> None:
    adapting = MLPClassifier(solver="sgd", learning_rate="adaptive")
    assert continuation(adapting).unread == {"max_iter", "validation_fraction"}
    assert "tol" not in continuation(LogisticRegression()).unread  # each step is a fit of its own, which tol may end


@pytest.mark.parametrize(
    ("estimator", "name", "values"),
    [
        (MiniBatchKMeans(3), "init", ("k-means++", "random")),
        (MiniBatchKMeans(3), "batch_size", (5, 50)),
        (GaussianMixture(3), "init_params", ("kmeans", "random")),
        (LatentDirichletAllocation(2), "doc_topic_prior", (0.1, 2.0)),
        (MiniBatchNMF(2), "beta_loss", ("frobenius", "kullback-leibler")),
        (MiniBatchNMF(2, batch_size=50), "forget_factor", (0.1, 0.9)),
        (MiniBatchDictionaryLearning(2), "fit_algorithm", ("lars", "cd")),
        (BernoulliRBM(2), "batch_size", (5, 50)),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "get_params") else None,
)
def test_a_parameter_that_only_the_first_pass_looks_at_is_fixed(estimator: Any, name: str, values: Any) -> None:
    assert name in continuation(estimator).fixed
    one, other = (_trained(clone(estimator).set_params(**{name: values[0]})) for _ in range(2))
    set_live(other, {name: values[1]})
    for each in (one, other):
        _train(each)
    np.testing.assert_array_equal(_outcome(one), _outcome(other))


def test_the_variances_of_naive_bayes_would_keep_a_former_smoothing() -> None:
    estimator = _trained(GaussianNB(var_smoothing=1.0))
    estimator.set_params(var_smoothing=1e-9)
    _train(estimator)
    assert estimator.var_.min() > 10 * GaussianNB().fit(X, Y).var_.min()  # the trap: they should be as good as equal
    assert "var_smoothing" in continuation(estimator).fixed
    assert "binarize" in continuation(BernoulliNB()).fixed


def test_an_isolation_forest_would_read_its_older_trees_as_the_newest() -> None:
    estimator = _trained(IsolationForest(max_features=0.5))
    estimator.set_params(max_features=1.0)
    _train(estimator)
    with pytest.raises(ValueError, match="features"):
        estimator.score_samples(X)
    assert {"max_features", "max_samples"} <= continuation(estimator).fixed


def test_what_holds_for_the_estimator_of_each_class_holds_by_its_name_there() -> None:
    how = continuation(OneVsRestClassifier(SGDClassifier()))
    assert {"estimator", "estimator__average"} <= how.fixed
    assert {"estimator__warm_start", "estimator__early_stopping"} <= how.reserved


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_perceptrons_new_learning_rate_reaches_its_optimizer(solver: str) -> None:
    estimator = _trained(MLPClassifier((3,), solver=solver, learning_rate_init=1e-3))
    estimator.set_params(learning_rate_init=0.5)
    assert estimator._optimizer.learning_rate_init == 1e-3  # the trap: set_params does not get there
    assert live_values(estimator, {"learning_rate_init": 0}) == {"learning_rate_init": 1e-3}
    before = [layer.copy() for layer in estimator.coefs_]
    set_live(estimator, {"learning_rate_init": 1e-12})
    assert live_values(estimator, {"learning_rate_init": 0}) == {"learning_rate_init": 1e-12}
    if solver == "sgd":
        set_live(estimator, {"momentum": 0.0})
    _train(estimator)
    assert all(np.allclose(one, other, atol=1e-9) for one, other in zip(before, estimator.coefs_, strict=True))


def test_a_perceptrons_other_fields_reach_its_optimizer() -> None:
    adam = _trained(MLPClassifier((3,)))
    set_live(adam, {"beta_1": 0.5, "beta_2": 0.6, "epsilon": 0.1})
    assert (adam._optimizer.beta_1, adam._optimizer.beta_2, adam._optimizer.epsilon) == (0.5, 0.6, 0.1)
    sgd = _trained(MLPClassifier((3,), solver="sgd"))
    set_live(sgd, {"momentum": 0.5, "nesterovs_momentum": False, "learning_rate": "invscaling", "power_t": 0.3})
    optimizer = sgd._optimizer
    assert (optimizer.momentum, optimizer.nesterov, optimizer.lr_schedule, optimizer.power_t) == (
        0.5,
        False,
        "invscaling",
        0.3,
    )
    assert optimizer.learning_rate == 0.001 / (sgd.t_ + 1) ** 0.3


def test_a_perceptrons_optimizer_keeps_its_momentum_and_its_adapted_rate() -> None:
    # tol and n_iter_no_change make "adaptive" divide its rate after two passes.
    estimator = MLPClassifier((3,), solver="sgd", learning_rate="adaptive", tol=10.0, n_iter_no_change=1)
    _trained(estimator, 4)
    adapted, velocities = estimator._optimizer.learning_rate, estimator._optimizer.velocities
    assert adapted < 0.001
    set_live(estimator, {"learning_rate_init": 0.001, "alpha": 0.1})
    assert estimator._optimizer.learning_rate == adapted
    assert estimator._optimizer.velocities is velocities
    set_live(estimator, {"learning_rate_init": 0.002})
    assert estimator._optimizer.learning_rate == 0.002


def test_a_perceptrons_other_solver_gets_its_own_optimizer() -> None:
    estimator = _trained(MLPClassifier((3,), solver="adam"))
    set_live(estimator, {"solver": "sgd", "momentum": 0.5})
    _train(estimator)
    assert type(estimator._optimizer).__name__ == "SGDOptimizer"
    assert live_values(estimator, {"momentum": 0, "solver": 0}) == {"momentum": 0.5, "solver": "sgd"}


def test_a_new_learning_rate_of_gradient_boosting_leaves_the_older_trees_alone() -> None:
    estimator = GradientBoostingRegressor(learning_rate=0.5)
    prepare(estimator, 0)
    how = continuation(estimator)
    train(estimator, how, XR, YR, iterations=5)
    before = estimator.predict(XR)
    estimator.set_params(learning_rate=0.1)
    assert not np.allclose(estimator.predict(XR), before)  # the trap: every tree is scaled with the rate of the day
    estimator.set_params(learning_rate=0.5)
    set_live(estimator, {"learning_rate": 0.1})
    np.testing.assert_allclose(estimator.predict(XR), before, rtol=1e-12)
    train(estimator, how, XR, YR, iterations=1)
    assert len(estimator.estimators_) == 6
    step = np.abs(estimator.predict(XR) - before).max()
    assert 0 < step <= 0.1 * np.abs(YR - before).max() * 1.01  # the new tree is shrunk by the new rate


def test_a_learning_rate_of_zero_cannot_be_scaled_and_is_refused() -> None:
    estimator = _trained(GradientBoostingClassifier())
    with pytest.raises(ConfigError, match=r"expected a learning_rate above 0 all along, got 0.0 after 0.1"):
        set_live(estimator, {"learning_rate": 0.0})


def test_gradient_boosting_may_start_and_end_subsampling() -> None:
    estimator = _trained(GradientBoostingClassifier(subsample=1.0))
    for subsample in (0.5, 1.0, 0.7):
        set_live(estimator, {"subsample": subsample})
        _train(estimator)
    assert len(estimator.estimators_) == 5


@pytest.mark.parametrize("estimator", [RandomForestRegressor(), BaggingClassifier(), ExtraTreesClassifier()])
def test_new_members_are_grown_under_the_settings_of_the_day(estimator: Any) -> None:
    name = "max_depth" if hasattr(estimator, "max_depth") else "max_samples"
    prepare(estimator, 0)
    how = continuation(estimator)
    for value in (1, 3):
        set_live(estimator, {name: value})
        train(estimator, how, X, Y, iterations=2)
    assert len(estimator.estimators_) == 4
    if name == "max_depth":
        assert [tree.max_depth for tree in estimator.estimators_] == [1, 1, 3, 3]
        assert len({tree.random_state for tree in estimator.estimators_}) == 4


def test_the_estimators_of_each_class_get_the_new_values() -> None:
    estimator = _trained(OneVsRestClassifier(SGDClassifier(alpha=1e-4)))
    estimator.set_params(estimator__alpha=0.5)
    assert {part.alpha for part in estimator.estimators_} == {1e-4}  # the trap: they are clones from the first pass
    assert live_values(estimator, {"estimator__alpha": 0}) != {"estimator__alpha": 0.5}
    set_live(estimator, {"estimator__alpha": 0.25})
    assert {part.alpha for part in estimator.estimators_} == {0.25}
    assert live_values(estimator, {"estimator__alpha": 0}) == {"estimator__alpha": 0.25}


def test_iterations_start_from_the_solution_so_far() -> None:
    estimator = _trained(LogisticRegression(), 3)
    losses = []
    for _ in range(4):
        losses.append(-estimator.predict_log_proba(X)[np.arange(len(Y)), Y].sum())
        _train(estimator, 3)
    assert losses == sorted(losses, reverse=True)
    assert estimator.n_iter_ <= 3


def test_a_solver_cut_short_on_purpose_does_not_warn_and_later_ones_do() -> None:
    _trained(LogisticRegression(), 1)  # a warning would be an error here
    with pytest.warns(ConvergenceWarning):
        LogisticRegression(max_iter=1).fit(X, Y)


def test_threads_that_overlap_leave_the_warning_filters_as_they_were() -> None:
    # scikit-learn's own fits enter catch_warnings here and there, which threads may not: these do nothing but warn.
    everybody, shown = threading.Barrier(8), []

    class Overlapping(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
        def __init__(self, warm_start: bool = False, max_iter: int = 1) -> None:
            self.warm_start, self.max_iter = warm_start, max_iter

        def fit(self, *_: Any) -> None:
            everybody.wait()
            try:
                warnings.warn("not converged", ConvergenceWarning, stacklevel=1)
            except ConvergenceWarning as error:
                shown.append(error)
            everybody.wait()

    before = list(warnings.filters)
    threads = [threading.Thread(target=_trained, args=(Overlapping(), 1)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not shown
    assert warnings.filters == before


def test_the_users_own_filter_outlives_a_step() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    before = list(warnings.filters)
    _trained(LogisticRegression(), 1)
    assert warnings.filters == before


def test_an_estimator_that_ends_by_itself_is_an_error() -> None:
    class Lazy(RandomForestRegressor):  # type: ignore[misc]  # scikit-learn ships no types
        def fit(self, *arguments: Any, **named: Any) -> Any:
            if hasattr(self, "estimators_"):
                return self
            return super().fit(*arguments, **named)

    estimator = Lazy()
    prepare(estimator, 0)
    train(estimator, continuation(estimator), X, Y, iterations=2)
    with pytest.raises(RuntimeError, match="expected 4 n_estimators after this step, got 2"):
        train(estimator, continuation(estimator), X, Y, iterations=2)
