"""What a search keeps, carries on and records changes none of its results."""

import os
import signal
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import check_scoring
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

from gpbt import Float, GPBTSearchCV, Int
from gpbt_adapters.running.kept_workers import KeptExecutor
from gpbt_adapters.trainables.sklearn.scores import quick_score
from gpbt_core.errors import ConfigError
from strategies import examples

X, Y = load_iris(return_X_y=True)
X = np.random.default_rng(0).normal(X, 0.5)
SGD = SGDClassifier(learning_rate="constant", eta0=0.01, loss="log_loss")


def _search(estimator: Any = SGD, space: Any = None, **given: Any) -> GPBTSearchCV:
    defaults = {"population": 4, "steps": 4, "cv": 2, "random_state": 0, "searcher": "random", "preset": "gpbt"}
    return GPBTSearchCV(estimator, space or {"alpha": Float(1e-6, 1e-1, log=True)}, **{**defaults, **given})


def _scores(search: GPBTSearchCV) -> list[list[float]]:
    return [list(column) for name, column in search.cv_results_.items() if name.endswith("_score")]


GROWN = [
    (
        HistGradientBoostingClassifier(early_stopping=False),
        {"learning_rate": Float(0.01, 1, log=True), "max_leaf_nodes": Int(2, 8)},
    ),
    (RandomForestClassifier(), {"max_depth": Int(1, 5)}),
    (MLPClassifier((4,)), {"learning_rate_init": Float(1e-3, 0.1, log=True)}),
]


@pytest.mark.parametrize(("estimator", "space"), GROWN, ids=["histogram", "forest", "perceptron"])
def test_a_search_that_reuses_what_it_knows_finds_what_one_that_computes_all_anew_finds(
    estimator: Any, space: Any, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"iterations": 2, "scoring": "neg_log_loss", "return_train_score": True}
    quick = _search(estimator, space, **options).fit(X, Y)
    # A pipeline's last step reuses nothing, and with a storage, checkpoints are files.
    piped = {f"{type(estimator).__name__.lower()}__{name}": values for name, values in space.items()}
    slow = _search(make_pipeline(estimator), piped, storage=tmp_path / "search", **options).fit(X, Y)
    assert _scores(quick) == _scores(slow)
    np.testing.assert_array_equal(quick.predict_proba(X), slow.predict_proba(X))


class _Echo(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Predicts given numbers."""

    def __init__(self, predicted: Any, classes: Any = (0, 1)) -> None:
        self.predicted, self.classes = predicted, classes

    def fit(self, features: Any, target: Any) -> "_Echo":
        del features, target
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    @property
    def classes_(self) -> Any:
        return np.asarray(self.classes)

    def predict(self, features: Any) -> Any:
        del features
        return self.predicted

    predict_proba = predict


class _EchoNumbers(RegressorMixin, _Echo):  # type: ignore[misc]
    _estimator_type = "regressor"


@examples(40)
@given(seed=st.integers(0, 10**6), rows=st.integers(2, 60), classes=st.integers(2, 4))
def test_quick_scores_are_those_of_scikit_learn_to_the_bit(seed: int, rows: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    target = np.concatenate([np.arange(classes), rng.integers(0, classes, rows)])
    features = np.zeros((len(target), 1))
    logits = rng.normal(0, rng.choice([0.1, 3, 50]), (len(target), classes))
    proba = np.exp(logits - logits.max(axis=1, keepdims=True))
    proba /= proba.sum(axis=1, keepdims=True)
    numbers = rng.normal(0, 1, len(target))
    cases: list[tuple[str | None, Any, NDArray[Any]]] = [
        ("neg_log_loss", _Echo(proba, range(classes)), target),
        ("accuracy", _Echo(rng.permutation(target), range(classes)), target),
        (None, _Echo(rng.permutation(target), range(classes)), target),
        ("r2", _EchoNumbers(rng.normal(numbers, 1)), numbers),
        (None, _EchoNumbers(rng.normal(numbers, 1)), numbers),
        ("neg_mean_squared_error", _EchoNumbers(rng.normal(numbers, 1)), numbers),
        ("neg_mean_absolute_error", _EchoNumbers(rng.normal(numbers, 1)), numbers),
    ]
    for scoring, estimator, true in cases:
        scorer = check_scoring(estimator, scoring)
        quick = quick_score(scorer, estimator, true, {})
        assert quick is not None
        calls: list[float] = []

        def slow(scorer: Any = scorer, estimator: Any = estimator, true: Any = true, calls: Any = calls) -> float:
            calls.append(float(scorer(estimator, features, true)))
            return float(calls[-1])

        first, second = quick(estimator, features, slow), quick(estimator, features, slow)
        assert first == second == calls[0]
        assert len(calls) == 1 or scoring == "neg_log_loss"  # which scikit-learn before 1.9 computes alone


def test_what_is_out_of_the_ordinary_is_scored_by_scikit_learn() -> None:
    target = np.array([0, 1, 0, 1])
    accuracy = check_scoring(_Echo(target), "accuracy")
    assert quick_score(accuracy, _Echo(target), target, {"sample_weight": np.ones(4)}) is None
    assert quick_score(accuracy, _Echo(target), list(target), {}) is None
    assert quick_score(lambda *_: 0.0, _Echo(target), target, {}) is None
    loss = check_scoring(_Echo(target), "neg_log_loss")
    broken = _Echo(np.full((4, 2), np.nan))
    quick = quick_score(loss, broken, target, {})
    assert quick is not None
    with pytest.raises(ValueError, match="NaN"):
        quick(broken, np.zeros((4, 1)), lambda: float(loss(broken, np.zeros((4, 1)), target)))


# ------------------------------------------------------------------------------------------------------------ recording


class _Interrupt:
    """Presses Ctrl-C once, after some events."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, event: object, optimizer: object) -> None:
        del event, optimizer
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


def test_a_recorded_search_goes_on_after_an_interruption_as_if_there_had_been_none(tmp_path: Path) -> None:
    whole = _search().fit(X, Y)
    with pytest.warns(UserWarning, match="interrupted after"):
        _search(storage=tmp_path / "run", callbacks=[_Interrupt(9)]).fit(X, Y)
    resumed = _search(storage=tmp_path / "run").fit(X, Y)
    assert _scores(resumed) == _scores(whole)
    assert resumed.best_schedule_ == whole.best_schedule_
    trained: list[object] = []
    again = _search(storage=tmp_path / "run", callbacks=[lambda event, _: trained.append(event)]).fit(X, Y)
    assert (trained, _scores(again)) == ([], _scores(whole))
    np.testing.assert_array_equal(again.best_estimator_.coef_, whole.best_estimator_.coef_)


def test_a_record_of_another_search_is_refused(tmp_path: Path) -> None:
    _search(storage=tmp_path / "run", population=2, steps=2).fit(X, Y)
    with pytest.raises(ConfigError, match="must record a search of the same data, folds, scores and estimator"):
        _search(storage=tmp_path / "run", population=2, steps=2).fit(X + 1, Y)
    with pytest.raises(ConfigError, match="population"):
        _search(storage=tmp_path / "run", population=3, steps=2).fit(X, Y)
    with pytest.raises(ConfigError, match="random_state must be a whole number"):
        _search(storage=tmp_path / "other", random_state=None).fit(X, Y)


def test_the_rule_and_the_limit_of_time_reach_the_run() -> None:
    events: list[object] = []
    search = _search(
        reproduction="independent", callbacks=[lambda event, _: events.append(event)], timeout=1e-9, refit=False
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="timed out: 1 of 4 steps") as error:
            search.fit(X, Y)
    assert "call fit again" in str(error.value)
    assert events


# -------------------------------------------------------------------------------------------------------- kept workers


def test_worker_processes_are_kept_for_the_next_search() -> None:
    first = KeptExecutor(1)
    pid = first.submit(os.getpid).result()
    busy = KeptExecutor(1)
    first.shutdown()
    second = KeptExecutor(1)
    assert second.submit(os.getpid).result() == pid
    second.shutdown(kill_workers=True)
    assert busy is not second
    third = KeptExecutor(1)
    assert third.submit(os.getpid).result() != pid
    third.shutdown(kill_workers=True)
    busy.shutdown(kill_workers=True)
