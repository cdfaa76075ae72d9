import errno
import io
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy.stats import loguniform
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import accuracy_score, log_loss, make_scorer
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from gpbt.sklearn import GPBTSearchCV
from gpbt_core import Optimizer
from gpbt_core.errors import ConfigError
from gpbt_core.records import Schedule
from gpbt_core.space import Categorical, Float, Space, When

X, Y = load_iris(return_X_y=True)
X = np.random.default_rng(0).normal(X, 0.5)  # so that scores differ
SPACE = {"alpha": loguniform(1e-6, 1e-1), "eta0": loguniform(1e-3, 1)}
SGD = SGDClassifier(learning_rate="constant", eta0=0.01, loss="log_loss")


def _search(estimator: Any = SGD, space: Any = SPACE, **settings: Any) -> GPBTSearchCV:
    return GPBTSearchCV(
        estimator, space, **{"population": 5, "steps": 8, "cv": 3, "random_state": 0, "searcher": "random", **settings}
    )


@pytest.fixture(scope="module")
def fitted() -> GPBTSearchCV:
    return _search(return_train_score=True).fit(X, Y)


def test_the_best_estimator_follows_the_best_schedule_on_all_of_the_data(fitted: GPBTSearchCV) -> None:
    assert isinstance(fitted.best_schedule_, Schedule)
    assert fitted.best_estimator_.t_ == 1 + fitted.best_schedule_.steps * len(X)
    assert fitted.best_params_ == dict(fitted.best_schedule_.segments[-1].config)
    assert fitted.best_estimator_.alpha == fitted.best_params_["alpha"]
    assert list(fitted.predict(X)) == list(fitted.best_estimator_.predict(X))
    assert list(fitted.classes_) == [0, 1, 2]
    assert fitted.n_features_in_ == 4
    assert fitted.refit_time_ > 0
    ordered = clone(SGD).set_params(shuffle=False)  # so that there is nothing random in its training
    search = _search(ordered, preset="greedy").fit(X, Y)
    assert len(search.best_schedule_.segments) > 1
    for segment in search.best_schedule_.segments:
        ordered.set_params(**segment.config)
        for _ in range(segment.steps):
            ordered.partial_fit(X, Y, classes=[0, 1, 2])
    np.testing.assert_array_equal(search.best_estimator_.coef_, ordered.coef_)


def test_the_best_estimator_has_the_callers_settings_again(fitted: GPBTSearchCV) -> None:
    assert fitted.best_estimator_.random_state is None
    assert not fitted.best_estimator_.warm_start
    grown = _search(GradientBoostingClassifier(max_depth=1), {"learning_rate": [0.1, 0.5]}, iterations=2, cv=2).fit(
        X, Y
    )
    assert grown.best_estimator_.n_estimators == 2 * grown.best_schedule_.steps
    assert len(grown.best_estimator_.estimators_) == 2 * grown.best_schedule_.steps
    piped = make_pipeline(PCA(2, svd_solver="randomized", random_state=7), clone(SGD).set_params(random_state=5))
    search = _search(piped, {"sgdclassifier__alpha": [1e-3, 1e-2]}).fit(X, Y)
    assert [step.random_state for step in search.best_estimator_] == [7, 5]


def test_the_results_have_a_row_for_each_trial_as_other_searches_have_for_each_candidate(fitted: GPBTSearchCV) -> None:
    results = fitted.cv_results_
    rows = len(results["params"])
    assert {len(column) for column in results.values()} == {rows}
    assert rows > 5
    splits = np.stack([results[f"split{fold}_test_score"] for fold in range(3)])
    np.testing.assert_allclose(results["mean_test_score"], splits.mean(axis=0))
    np.testing.assert_allclose(results["std_test_score"], splits.std(axis=0))
    assert fitted.best_score_ == results["mean_test_score"][fitted.best_index_]
    assert results["rank_test_score"][fitted.best_index_] == 1
    assert results["params"][fitted.best_index_] == fitted.best_params_
    assert results["param_alpha"][fitted.best_index_] == fitted.best_params_["alpha"]
    assert (results["mean_train_score"] > 0).all()
    assert (results["mean_fit_time"] > 0).all()
    assert set(results["status"]) <= {"completed", "stopped"}
    stopped = results["status"] == "stopped"
    assert (results["rank_test_score"][stopped] == (~stopped).sum() + 1).all()
    assert set(results["parent"]) <= {-1, *results["trial"]}


def test_the_score_of_a_trial_is_the_mean_over_folds_of_continued_models(fitted: GPBTSearchCV) -> None:
    # A founder's scores are those of a fit from scratch that makes as many passes; its children go on from there.
    assert fitted.n_splits_ == 3
    results = fitted.cv_results_
    scratch = cross_val_score(
        clone(SGD).set_params(**results["params"][0], max_iter=int(results["steps"][0]), tol=None, random_state=1),
        X,
        Y,
        cv=3,
    )
    assert abs(scratch.mean() - results["mean_test_score"][0]) < 0.15
    children = [row for row in range(len(results["trial"])) if results["parent"][row] != -1]
    assert all(results["start_step"][row] > 0 for row in children)


def test_the_search_repeats_itself_with_its_random_state_and_not_without() -> None:
    one, same, other = (_search(random_state=seed).fit(X, Y) for seed in (3, 3, 4))
    assert one.best_schedule_ == same.best_schedule_
    np.testing.assert_array_equal(one.best_estimator_.coef_, same.best_estimator_.coef_)
    assert one.best_schedule_ != other.best_schedule_


def test_workers_change_nothing(fitted: GPBTSearchCV) -> None:
    two = _search(n_jobs=2, return_train_score=True).fit(X, Y)
    np.testing.assert_array_equal(two.cv_results_["mean_test_score"], fitted.cv_results_["mean_test_score"])
    assert two.best_schedule_ == fitted.best_schedule_


def test_known_configs_are_tried_first() -> None:
    known = [{"alpha": 1e-3, "eta0": 0.1}, {"eta0": 0.5}]
    search = _search(known_configs=known, refit=False).fit(X, Y)
    first, second = search.cv_results_["params"][:2]
    assert (first, second["eta0"]) == (known[0], 0.5)
    assert clone(search).known_configs == known


def test_a_space_of_gpbt_is_taken_as_well() -> None:
    search = _search(space=Space(alpha=Float(1e-6, 1e-1, log=True))).fit(X, Y)
    assert set(search.best_params_) == {"alpha"}


def test_a_fitted_search_can_be_copied_and_cloned(fitted: GPBTSearchCV) -> None:
    copy = pickle.loads(pickle.dumps(fitted))  # noqa: S301 - its own
    assert list(copy.predict(X)) == list(fitted.predict(X))
    assert copy.best_schedule_ == fitted.best_schedule_
    with pytest.raises(NotFittedError):
        clone(fitted).predict(X)


def test_the_whole_run_is_kept_for_reports_and_plots(fitted: GPBTSearchCV) -> None:
    copy = pickle.loads(pickle.dumps(fitted))  # noqa: S301 - its own
    for search in (fitted, copy):
        run = Optimizer.from_state(search.state_)
        assert run.finished
        assert [record.trial.id for record in run.records] == list(search.cv_results_["trial"])
        assert run.best.score == search.best_score_


# -------------------------------------------------------------------------------------------------------------- scores

METRICS = {"accuracy": "accuracy", "loss": "neg_log_loss"}


def test_the_search_follows_the_score_that_refit_names() -> None:
    search = _search(scoring=METRICS, refit="loss").fit(X, Y)
    assert search.multimetric_
    assert search.best_score_ == search.cv_results_["mean_test_loss"].max()
    assert search.cv_results_["rank_test_loss"][search.best_index_] == 1
    assert len(search.cv_results_["mean_test_accuracy"]) == len(search.cv_results_["params"])
    assert search.score(X, Y) == pytest.approx(-log_loss(Y, search.predict_proba(X)))


def test_several_scores_without_a_name_to_follow_are_refused() -> None:
    with pytest.raises(ValueError, match="For multi-metric scoring, the parameter refit must be set"):
        _search(scoring=METRICS).fit(X, Y)


def test_of_a_single_score_refit_may_be_any_text() -> None:
    named, plain = (_search(refit=refit).fit(X, Y) for refit in ("accuracy", True))
    assert named.best_score_ == plain.best_score_


def test_without_refit_there_are_results_and_no_estimator() -> None:
    search = _search(scoring=METRICS, refit=False).fit(X, Y)
    assert not hasattr(search, "best_estimator_")
    assert "mean_test_loss" in search.cv_results_
    with pytest.raises(AttributeError):
        search.predict(X)


def test_a_scorer_may_return_several_scores() -> None:
    def scorer(estimator: Any, features: Any, target: Any) -> dict[str, float]:
        return {"a": accuracy_score(target, estimator.predict(features)), "zero": 0.0}

    search = _search(scoring=scorer, refit="a").fit(X, Y)
    assert search.best_score_ == search.cv_results_["mean_test_a"][search.best_index_]


def test_refit_may_choose_the_trial() -> None:
    def choose(results: dict[str, Any]) -> int:
        return int(np.flatnonzero(results["status"] == "completed")[0])

    search = _search(refit=choose).fit(X, Y)
    assert search.best_index_ == choose(search.cv_results_)
    assert search.best_params_ == search.cv_results_["params"][search.best_index_]
    assert search.best_estimator_.t_ == 1 + search.best_schedule_.steps * len(X)
    with pytest.raises(ValueError, match=r"refit chose row .*, a trial that was stopped"):
        _search(
            population=10,
            preset="greedy",  # the default stops no trials
            scoring=lambda estimator, *_: -estimator.alpha,  # so plain that some are stopped for sure
            refit=lambda results: int(np.flatnonzero(results["status"] == "stopped")[0]),
        ).fit(X, Y)


# ------------------------------------------------------------------------------------------------------------- metadata


def test_sample_weights_reach_the_fits() -> None:
    weights = np.where(Y == 2, 0.0, 1.0)
    search = _search().fit(X, Y, sample_weight=weights)
    assert not (search.predict(X) == 2).any()


def test_groups_reach_the_splitter() -> None:
    groups = np.arange(len(X)) % 3
    seen: list[Any] = []

    class Looking(GroupKFold):  # type: ignore[misc]  # scikit-learn ships no types
        def split(self, *arguments: Any, **named: Any) -> Iterator[Any]:
            for train, test in super().split(*arguments, **named):
                seen.append((set(groups[train]), set(groups[test])))
                yield train, test

    _search(cv=Looking(3)).fit(X, Y, groups=groups)
    assert len(seen) == 3
    assert all(not train & test for train, test in seen)


def test_metadata_is_routed_where_that_is_switched_on() -> None:
    weights = np.where(Y == 2, 0.0, 1.0)
    with config_context(enable_metadata_routing=True):
        estimator = clone(SGD).set_fit_request(sample_weight=True)
        scorer = make_scorer(accuracy_score).set_score_request(sample_weight=True)
        search = _search(estimator, scoring=scorer).fit(X, Y, sample_weight=weights)
        assert not (search.predict(X) == 2).any()
        assert search.best_score_ > 0.8  # the third class does not count in the scores either
        piped = Pipeline([("scale", StandardScaler().set_fit_request(sample_weight=False)), ("sgd", estimator)])
        named = {f"sgd__{name}": values for name, values in SPACE.items()}
        search = _search(piped, named, scoring=scorer).fit(X, Y, sample_weight=weights)
        assert not (search.predict(X) == 2).any()


def test_metadata_that_an_earlier_step_requests_is_refused_rather_than_dropped() -> None:
    named = {f"sgdclassifier__{name}": values for name, values in SPACE.items()}
    with config_context(enable_metadata_routing=True):
        for last in (False, True):
            piped = make_pipeline(
                StandardScaler().set_fit_request(sample_weight=True), clone(SGD).set_fit_request(sample_weight=last)
            )
            with pytest.raises(ValueError, match="does not accept sample_weight here for a step before the last"):
                _search(piped, named).fit(X, Y, sample_weight=np.ones(len(X)))


def test_parameters_of_a_pipelines_last_step_are_named_as_in_its_fit() -> None:
    weights = np.where(Y == 2, 0.0, 1.0)
    piped = make_pipeline(StandardScaler(), SGD)
    named = {f"sgdclassifier__{name}": values for name, values in SPACE.items()}
    search = _search(piped, named).fit(X, Y, sgdclassifier__sample_weight=weights)
    assert not (search.predict(X) == 2).any()
    with pytest.raises(ValueError, match=r"does not accept sample_weight here: .* as sgdclassifier__<name>"):
        _search(piped, named).fit(X, Y, sample_weight=weights)


# ------------------------------------------------------------------------------------------------------ what goes wrong


class Picky(SGDClassifier):  # type: ignore[misc]  # scikit-learn ships no types
    """Does not like a large alpha."""

    def partial_fit(self, *arguments: Any, **named: Any) -> Any:
        if self.alpha > 1e-2:
            raise FloatingPointError("too much")
        return super().partial_fit(*arguments, **named)


def test_a_fit_that_fails_is_a_row_with_the_error_score() -> None:
    search = _search(Picky(), {"alpha": [1e-3, 0.5]}, error_score=-7.0).fit(X, Y)
    failed = np.array([params["alpha"] == 0.5 for params in search.cv_results_["params"]])
    assert failed.any()
    assert (search.cv_results_["status"][failed] == "failed").all()
    assert (search.cv_results_["mean_test_score"][failed] == -7).all()
    assert search.best_params_ == {"alpha": 1e-3}
    assert np.isnan(_search(Picky(), {"alpha": [1e-3, 0.5]}).fit(X, Y).cv_results_["mean_test_score"][failed]).all()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_fit_that_fails_ends_the_search_where_wanted(n_jobs: int) -> None:
    with pytest.raises(FloatingPointError, match="too much"):
        _search(Picky(), {"alpha": [1e-3, 0.5]}, error_score="raise", n_jobs=n_jobs).fit(X, Y)


def test_a_search_in_which_every_fit_fails_says_why() -> None:
    with pytest.raises(ValueError, match=r"\d+ trials in a row failed .*FloatingPointError: too much"):
        _search(Picky(), {"alpha": [0.5, 0.6]}).fit(X, Y)


@pytest.mark.parametrize(
    ("estimator", "space", "settings", "message"),
    [
        (KNeighborsClassifier(), {"n_neighbors": [1, 2]}, {}, "KNeighborsClassifier cannot be trained on"),
        (MLPClassifier(), {"hidden_layer_sizes": [3, 5]}, {}, "'hidden_layer_sizes' is fixed once training has begun"),
        (SGD, {"alfa": [1.0]}, {}, "it has no parameter 'alfa'"),
        (SGD, SPACE, {"population": 0}, "population"),
        (SGD, SPACE, {"iterations": 0}, "iterations must be at least 1, got 0"),
        (LogisticRegression(solver="liblinear"), {"C": [1.0]}, {}, "starts each fit anew"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_trained(
    estimator: Any, space: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        _search(estimator, space, **settings).fit(X, Y)


def test_a_dictionary_may_mix_parameters_of_gpbt_lists_and_distributions() -> None:
    space = {
        "alpha": Float(1e-6, 1e-1, log=True),
        "loss": ["hinge", "log_loss"],
        "penalty": Categorical(["l2", "elasticnet"]),
        "l1_ratio": When(Float(0, 1), {"penalty": ["elasticnet"]}),
        "eta0": loguniform(1e-3, 1),
    }
    search = _search(space=space, population=3, steps=3).fit(X, Y)
    assert {"alpha", "loss", "penalty", "eta0"} <= search.best_params_.keys() <= space.keys()


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_boosters_are_continued_in_each_fold(library: str) -> None:
    module = pytest.importorskip(library)
    kind = {"xgboost": "XGBClassifier", "lightgbm": "LGBMClassifier"}[library]
    space = {"learning_rate": Float(0.05, 1, log=True), "max_depth": [2, 4], "reg_lambda": Float(0.1, 10, log=True)}
    names = np.array(["setosa", "versicolor", "virginica"])[Y] if library == "lightgbm" else Y
    search = _search(getattr(module, kind)(n_jobs=1), space, population=3, steps=4, iterations=2, cv=2)
    search.fit(X, names)
    again = clone(search).fit(X, names)
    assert again.best_score_ == search.best_score_ > 0.8
    trained = search.best_estimator_
    booster = trained.get_booster() if library == "xgboost" else trained.booster_
    rounds = booster.num_boosted_rounds() if library == "xgboost" else booster.current_iteration()
    assert rounds == trained.n_estimators == 2 * search.best_schedule_.steps
    assert trained.random_state is None
    assert trained.max_depth == search.best_params_["max_depth"]
    assert set(search.predict(X)) == set(names)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_what_a_booster_keeps_for_good_is_refused_before_training(library: str) -> None:
    module = pytest.importorskip(library)
    for kind, space, message in {
        "xgboost": [
            ("XGBRFClassifier", {"max_depth": [2, 3]}, "random forest"),
            ("XGBClassifier", {"max_dept": [2, 3]}, "did you mean 'max_depth'"),
            ("XGBClassifier", {"objective": ["a", "b"]}, "is fixed once training has begun"),
            ("XGBClassifier", {"n_estimators": [2, 3]}, "the adapter sets it"),
        ],
        "lightgbm": [
            ("LGBMClassifier", {"subsample_for_bin": [200, 300]}, "is fixed once training has begun"),
            ("LGBMClassifier", {"subsample": Float(0.1, 1)}, "never read under subsample_freq=0"),
        ],
    }[library]:
        with pytest.raises(ConfigError, match=message):
            _search(getattr(module, kind)(), space).fit(X, Y)


@pytest.mark.parametrize("first", ["scaler", "sampler"])
def test_a_resampler_in_a_pipeline_makes_the_samples_of_the_last_step(first: str) -> None:
    pipelines = pytest.importorskip("imblearn.pipeline")
    sampler = pytest.importorskip("imblearn.over_sampling").RandomOverSampler()
    steps = [StandardScaler(), sampler] if first == "scaler" else [sampler, StandardScaler()]
    few = np.concatenate([np.arange(50), np.arange(50, 60)])
    search = _search(pipelines.make_pipeline(*steps, SGD), {"sgdclassifier__alpha": [1e-5, 1e-3]}, population=3, cv=2)
    search.fit(X[few], Y[few])
    seen = search.best_estimator_[-1].t_ - 1
    assert seen == search.best_schedule_.steps * 100  # fifty of each class
    with pytest.raises(ConfigError, match="a pipeline that resamples must be fitted without further parameters"):
        search.fit(X[few], Y[few], sgdclassifier__sample_weight=np.ones(60))


@pytest.mark.parametrize("score", ["good", None, np.ones(2), {"odd": "good"}])
def test_a_scorer_whose_result_is_not_a_number_ends_the_search_at_once(score: object) -> None:
    with pytest.raises(ValueError, match=r"^the scorer '(score|odd)' must return a number, got .* of type \w+$"):
        _search(scoring=lambda *_: score, refit="odd").fit(X, Y)


def test_a_scorer_that_is_not_finite_is_named_with_its_fold() -> None:
    def scorer(estimator: Any, features: Any, target: Any) -> dict[str, float]:
        del estimator, target
        return {"fine": 1.0, "odd": np.nan if features[0, 0] == X[0, 0] else 1.0}

    with pytest.raises(ValueError, match=r"the scorer 'odd' must return a finite number, got nan .* of fold 0"):
        _search(scoring=scorer, refit="odd").fit(X, Y)


@pytest.mark.parametrize(
    ("estimator", "space", "target", "message"),
    [
        (SGDClassifier(class_weight="balanced"), {"alpha": [1e-5, 1e-3]}, Y, "class_weight must not be 'balanced'"),
        (SGD, {"class_weight": ["balanced", None]}, Y, "class_weight must not be 'balanced'"),
        (LogisticRegression(), {"solver": ["liblinear", "lbfgs"]}, Y, "'liblinear' starts each fit anew"),
        (SGDClassifier(), {"eta0": loguniform(1e-3, 1)}, Y, "'eta0' is never read under learning_rate='optimal'"),
        (SGD, {"l1_ratio": Float(0, 1), "penalty": ["l1", "l2"]}, Y, "'l1_ratio' is never read under the choices"),
        (MLPClassifier(), {"momentum": Float(0, 1)}, Y, "'momentum' is never read under solver='adam'"),
        (SGD, {"alfa": Float(0, 1)}, Y, "did you mean 'alpha'"),
        (
            OneVsRestClassifier(SGD),
            {"estimator__alpha": Float(0, 1)},
            np.eye(3, dtype=int)[Y],
            "OneVsRestClassifier: y must have one label per sample, got 3 columns",
        ),
    ],
)
def test_a_setting_that_would_be_in_vain_is_refused_before_training(
    estimator: Any, space: Any, target: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        _search(estimator, space).fit(X, target)


def test_verbose_prints_the_size_of_the_search_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    _search(verbose=1, population=2, steps=2).fit(X, Y)
    assert "Fitting 3 folds for each of 2 models of 2 steps" in capsys.readouterr().out


def test_more_verbose_searches_print_generations_and_trials_without_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    search = _search(verbose=2, population=2, steps=2).fit(X, Y)
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines
    assert all(line.startswith("[generation ") for line in lines)
    assert f"best score {search.best_score_:.6g}, 4 of 4 steps" in lines[-1]
    search = _search(verbose=10, population=2, steps=2).fit(X, Y)
    lines = capsys.readouterr().out.splitlines()[1:]
    assert sum(line.startswith("[trial ") for line in lines) == len(search.cv_results_["trial"])


def test_a_verbose_search_outlives_its_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            if text.startswith("["):
                raise OSError(errno.EIO, "Input/output error")
            return len(text)

    monkeypatch.setattr("sys.stdout", Closed())
    assert hasattr(_search(verbose=10, population=2, steps=2).fit(X, Y), "best_score_")


class _Forgetful(SGDClassifier):  # type: ignore[misc]  # scikit-learn ships no types
    def set_params(self, **params: Any) -> Any:
        if hasattr(self, "coef_"):
            del self.coef_
        return super().set_params(**params)


def test_set_params_that_throws_trained_weights_away_is_noticed() -> None:
    from gpbt.sklearn import WarmStart

    model = WarmStart(_Forgetful(), X, Y)()
    model.setup({"alpha": 1e-3}, seed=0)
    model.step()
    with pytest.raises(ConfigError, match=r"set_params must keep what was trained, .* changed or removed coef_"):
        model.apply({"alpha": 1e-4})
