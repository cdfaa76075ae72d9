"""`GPBTSearchCV`: a cross-validated search with scikit-learn's interface, for estimators that can continue training.

What scikit-learn's searches share (prediction, scoring, tags, routing, the table of results) is inherited. This module
implements the differences: the candidates are trials of one run, each with a continued model per fold, and the best
estimator is trained under a schedule.
"""

import functools
import time
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from numbers import Integral
from typing import Any, Self

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import clone, is_classifier
from sklearn.model_selection import check_cv
from sklearn.model_selection._search import BaseSearchCV  # the base of all of scikit-learn's searches, and of others'
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state, indexable
from sklearn.utils.metadata_routing import process_routing
from sklearn.utils.validation import _check_method_params

from gpbt_adapters.running.driver import Result, run
from gpbt_adapters.running.failures import RepeatedFailureError
from gpbt_adapters.running.kept_workers import KeptExecutor
from gpbt_adapters.running.search_folder import SearchFolder
from gpbt_adapters.running.verbose import PrintedLines
from gpbt_adapters.searching.spaces import from_scipy
from gpbt_adapters.storing.checkpoints import CheckpointStore, Store
from gpbt_adapters.trainables.random_states import setup_seed
from gpbt_adapters.trainables.sklearn.folds import CrossValidation, FitFailedError, Scoring
from gpbt_adapters.trainables.sklearn.memory import Memory, MemoryStore
from gpbt_adapters.trainables.sklearn.models import Model, Template, TrainingData
from gpbt_adapters.views import figures_of
from gpbt_core.errors import ConfigError
from gpbt_core.optimizer import Optimizer, RunSettings
from gpbt_core.presets import PresetName
from gpbt_core.records import Record, Schedule, Status
from gpbt_core.space import Space

__all__ = ["GPBTSearchCV"]

_SHOWN = {Status.COMPLETED, Status.STOPPED, Status.FAILED}


class GPBTSearchCV(BaseSearchCV):  # type: ignore[misc]  # scikit-learn ships no types
    """Searches schedules of an estimator's parameters while it trains, by cross-validation.

    The search is one run of gpbt. A model is one estimator per fold; all have the same config, and each continues from
    the parent's estimator for that fold. The score of a trial is the mean over the folds. The best estimator is then
    trained from scratch on all of the data under the best schedule.

    Args:
        estimator: An estimator that can continue training: one with `partial_fit`, or with `warm_start` and an
            iteration count, or one of XGBoost or LightGBM; or a pipeline that ends in such an estimator, optionally
            with resamplers of imbalanced-learn. See `gpbt.sklearn.WarmStart`.
        space: The parameters to search: a `gpbt.Space`, or a dictionary as RandomizedSearchCV takes it, of lists and of
            distributions of scipy.stats; gpbt's parameters (`Float`, `Int`, `Categorical`) may be mixed in.
            Parameters that cannot change mid-run are rejected, and so are those that training step by step never reads
            (`max_iter` and `tol` of SGDClassifier, say).
        population: How many models, at least 1.
        steps: How many steps per model, at least 1. The budget is population x steps x iterations per fold.
        iterations: How many passes over the data, members or solver iterations make a step, at least 1.
        searcher: A searcher's name, its name and options, or the object; None: the preset's.
        preset: The name of a preset.
        known_configs: Configs to start from, complete or partial, as dicts from names to values; see `gpbt.Optimizer`.
        reproduction: A reproduction rule's name, its name and options, or the object; None: the preset's.
        max_concurrent: How many trials may be in training concurrently without waiting for their results.
        callbacks: Called with each event of the run, see `gpbt.run`.
        timeout: Seconds that one trial may take on all folds; one that exceeds it counts as failed. None: no limit.
        storage: A directory in which the search is recorded, with a database and the models that are still needed (see
            Notes); None: the search ends with this process. Needs SQLAlchemy, and a number as `random_state`.
        scoring: As in RandomizedSearchCV. With several scores, the search uses the one named by `refit` if that is a
            name, and otherwise the first.
        n_jobs: How many trials to train in parallel, in processes. They are kept for the next search, and end after
            five idle minutes.
        refit: As in RandomizedSearchCV. A callable's choice must be a completed trial.
        cv: As in RandomizedSearchCV.
        verbose: Above 0: print the size of the search on stdout, as RandomizedSearchCV does, and show progress, see
            `gpbt.run`. Above 1: also print a line for each generation; above 2: for each trial, too.
        error_score: The score that `cv_results_` shows for a trial that failed, or "raise" to end the search. A
            failed trial never becomes a parent or the best.
        return_train_score: Whether `cv_results_` includes scores on the training data.
        random_state: Seed, `numpy.random.RandomState`, or None.

    Attributes:
        best_schedule_: The configs that led to the best score, with the steps that each held for.
        best_params_: The last config of the best schedule.
        best_score_: The mean score of the best trial over the folds.
        best_index_: The row of the best trial in `cv_results_`.
        state_: The whole run, as `gpbt_adapters.showing.report` and `gpbt.plots` take it.
        best_estimator_: The estimator trained on all of the data under the best schedule, if `refit` is not False.
        refit_time_: Seconds taken to train `best_estimator_`.
        cv_results_: One row per trial. Besides the columns of RandomizedSearchCV: `trial`, `parent` (-1: none),
            `generation`, `start_step`, `steps` and `status`. Trials that were stopped or failed share the last rank.
        scorer_: The scorer, or a dictionary of several by name.
        multimetric_: Whether there are several scorers.
        n_splits_: The number of folds.
        n_features_in_, feature_names_in_, classes_: As in the best estimator.

    Notes:
        Schedules pay off where the best value of a parameter changes while a model trains: the learning rate,
        regularization or batch size of MLPClassifier, MLPRegressor, SGDClassifier and other estimators with
        `partial_fit`. In ensembles that grow by adding trees, each tree keeps the values it was grown under, so a good
        constant config is hard to beat; trees of a random forest do not even depend on each other. With 12 models of 10
        steps, RandomizedSearchCV with as many training steps won 15 of 22 comparisons on gradient boosting, histogram
        gradient boosting and forests (`python -m benchmarks.search_cv`), and 11 of 20 against `preset="gp"`, which
        searches constant configs. For such estimators, prefer RandomizedSearchCV if you train few models.

        Training step by step costs more than one fit per model: on six small tasks, it took 1.3 to 3.8 times the
        processor time of RandomizedSearchCV with as many training steps (median 1.95). Most of it is scikit-learn's:
        each step is a call that checks its data, and is scored. Longer steps (`iterations`) cost less.

        With `storage`, a search that was interrupted goes on when `fit` is called again with the same settings and
        data, from an equal object. One that has ended is not trained again; only the best estimator is. The directory
        holds pickles, which can run any code when they are read: keep it private. `gpbt status` and the dashboard read
        its file `search.db`.

    Examples:
        >>> from scipy.stats import loguniform
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.linear_model import SGDClassifier
        >>> space = {"alpha": loguniform(1e-6, 1e-1), "eta0": loguniform(1e-3, 1)}
        >>> search = GPBTSearchCV(SGDClassifier(learning_rate="constant"), space, population=4, steps=5, random_state=0)
        >>> search.fit(*load_iris(return_X_y=True)).best_score_ > 0.5
        True
        >>> 0 < search.best_schedule_.steps <= 5
        True
    """

    def __init__(
        self,
        estimator: Any,
        space: Any,
        *,
        population: int = 25,
        steps: int = 10,
        iterations: int = 1,
        searcher: Any = None,
        preset: PresetName = "gpbt",
        known_configs: Any = (),
        reproduction: Any = None,
        max_concurrent: int = 4,
        callbacks: Any = (),
        timeout: float | None = None,
        storage: Any = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.space = space
        self.population = population
        self.steps = steps
        self.iterations = iterations
        self.searcher = searcher
        self.preset = preset
        self.known_configs = known_configs
        self.reproduction = reproduction
        self.max_concurrent = max_concurrent
        self.callbacks = callbacks
        self.timeout = timeout
        self.storage = storage
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:  # noqa: N803 - scikit-learn's names
        """Runs the search, and trains the best estimator.

        Args:
            X: Samples by features.
            y: One entry or row per sample, or None.
            **params: Passed to the estimator, the scorer and the splitter, as in RandomizedSearchCV; in a pipeline,
                only to the last step. Arrays with one entry per sample are split with the data.

        Raises:
            ConfigError: A setting is out of its range, the estimator cannot continue training or does not fit
                the space.
            ValueError: No trial was completed, or a step of a pipeline before the last would get some of `params`.
            KeyboardInterrupt: Ctrl-C came before any trial was completed; later it ends the search early.
            Exception: Raised by the estimator, if `error_score` is "raise".
        """
        scorer, metric = self._get_scorers()
        X, y = indexable(X, y)  # noqa: N806 - scikit-learn's name
        params = _check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        space = self.space if isinstance(self.space, Space) else from_scipy(self.space)
        if self.iterations < 1:
            raise ConfigError(f"GPBTSearchCV: iterations must be at least 1, got {self.iterations!r}")
        template = Template(clone(self.estimator))
        splits = list(
            check_cv(self.cv, y, classifier=is_classifier(self.estimator)).split(X, y, **routed.splitter.split)
        )
        template.check_weights(routed.estimator.fit)
        fit_params = _last_steps(template, routed.estimator.fit)
        factory = CrossValidation(
            template,
            X,
            y,
            splits,
            scoring=Scoring(
                scorer=scorer,
                objective=self.refit if isinstance(self.refit, str) else None,
                params=routed.scorer.score,
                train=self.return_train_score,
            ),
            iterations=self.iterations,
            fit_params=fit_params,
            raising=self.error_score == "raise",
        )
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        if self.verbose > 0:
            print(  # noqa: T201 - as RandomizedSearchCV does
                f"Fitting {len(splits)} folds for each of {self.population} models of {self.steps} steps, totalling "
                f"{len(splits) * self.population * self.steps} steps of training"
            )
        result = self._search(space, seed, factory)
        self.n_splits_ = len(splits)
        self._keep(result, metric)
        self.scorer_ = getattr(scorer, "_scorers", scorer)
        if self.refit:
            data = TrainingData(features=X, target=y, labels=template.labels(y), fit_params=fit_params)
            self._refit(template, data, setup_seed(seed, 0))
        return self

    def _settings(self, seed: int) -> RunSettings:
        settings: RunSettings = {
            "population": self.population,
            "steps": self.steps,
            "direction": "maximize",
            "seed": seed,
            "max_concurrent": self.max_concurrent,
            "preset": self.preset,
            "searcher": self.searcher,
            "reproduction": self.reproduction,
            "known_configs": self.known_configs,
        }
        return settings

    def _search(self, space: Space, seed: int, factory: CrossValidation) -> Result:
        """Runs the search; without `storage`, the checkpoints do not outlive it."""
        workers = effective_n_jobs(self.n_jobs)
        executor = None if workers == 1 else functools.partial(KeptExecutor, workers)
        store: Store
        with ExitStack() as stack:
            callbacks = list(self.callbacks)
            if self.verbose > 1:
                callbacks.append(PrintedLines(trials=self.verbose > 2))
            if self.storage is not None:
                if not isinstance(self.random_state, Integral):
                    raise ConfigError(
                        f"GPBTSearchCV: random_state must be a whole number if there is a storage, got "
                        f"{self.random_state!r}; otherwise the search could not be recognized"
                    )
                folder = stack.enter_context(SearchFolder(self.storage, space, self._settings(seed), factory.digest()))
                optimizer, store = folder.study, folder.store
            else:
                optimizer = Optimizer(space, **self._settings(seed))
                if executor is None:
                    factory.memory = Memory()
                    store = stack.enter_context(MemoryStore(factory.memory))
                else:
                    store = stack.enter_context(CheckpointStore())
            try:
                result = run(
                    optimizer,
                    factory,
                    executor=executor,
                    store=store,
                    callbacks=callbacks,
                    progress=self.verbose > 0,
                    timeout=self.timeout,
                )
            except FitFailedError as error:
                raise error.original from None
            except RepeatedFailureError as error:
                raise ConfigError(
                    f"GPBTSearchCV: {error.happened}; fix it and call fit again, with error_score='raise' to "
                    f"see where it was raised"
                ) from None
        ended = [record for record in optimizer.records if record.status is Status.COMPLETED]
        if result.interrupted:
            if not ended:
                raise KeyboardInterrupt
            warnings.warn(f"GPBTSearchCV: interrupted after {len(ended)} completed trials", stacklevel=3)
        if not ended:
            reasons = [record.reason for record in optimizer.records if record.reason]
            raise ValueError(
                f"GPBTSearchCV: all {len(optimizer.records)} trials failed, the first with: "
                f"{reasons[0] if reasons else 'unknown'}; the estimator or the space is probably at fault: put that "
                f"right and call fit again, with error_score='raise' to see where it was raised"
            )
        return result

    def _keep(self, result: Result, metric: str) -> None:
        """Sets the attributes that tell of the search."""
        self.state_ = result.optimizer.state
        records = [record for record in result.optimizer.records if record.status in _SHOWN]
        rows = [self._row(record, figures_of(record)) for record in records]
        named = next(row[0]["test_scores"] for row in rows if row[0]["test_scores"] is not None)
        self.multimetric_ = set(named) != {"score"}
        if self.multimetric_:
            self._check_refit_for_multimetric(named)
            metric = self.refit if isinstance(self.refit, str) else next(iter(named))
        for fold in [fold for row in rows for fold in row]:
            for part in ("test_scores", "train_scores") if self.return_train_score else ("test_scores",):
                scores = dict.fromkeys(named, self.error_score) if fold[part] is None else fold[part]
                fold[part] = scores if self.multimetric_ else scores["score"]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "One or more of the .* scores are non-finite", UserWarning)
            self.cv_results_ = self._format_results(
                [dict(record.trial.config) for record in records],
                self.n_splits_,
                [fold for row in rows for fold in row],
                _columns(records),
            )
        self._rank_completed(records)
        self.best_schedule_: Schedule = result.best.schedule
        best = [record.trial.id for record in records].index(result.best.trial.id)
        if callable(self.refit):
            best = self._select_best_index(self.refit, metric, self.cv_results_)
            if records[best].status is not Status.COMPLETED:
                raise ValueError(f"refit chose row {best}, a trial that was {records[best].status.value}")
            self.best_schedule_ = result.optimizer.schedule(records[best].trial.id)
        else:
            self.best_score_ = float(self.cv_results_[f"mean_test_{metric}"][best])
        self.best_index_ = best
        self.best_params_ = dict(records[best].trial.config)

    def _row(self, record: Record, figures: Mapping[str, float]) -> list[dict[str, Any]]:
        """What a trial came to, fold by fold, as scikit-learn's searches keep it; scores are None where it failed."""

        def scores(fold: int, part: str) -> dict[str, float] | None:
            if not figures or record.status is Status.FAILED:
                return None
            start = f"split{fold}_{part}_"
            return {name.removeprefix(start): value for name, value in figures.items() if name.startswith(start)}

        return [
            {
                "test_scores": scores(fold, "test"),
                "train_scores": scores(fold, "train") if self.return_train_score else None,
                "fit_time": figures.get(f"split{fold}_fit_time", np.nan),
                "score_time": figures.get(f"split{fold}_score_time", np.nan),
            }
            for fold in range(self.n_splits_)
        ]

    def _rank_completed(self, records: list[Record]) -> None:
        """Gives the last rank to what cannot be the best: trials that were stopped, and those that failed."""
        completed = np.array([record.status is Status.COMPLETED for record in records])
        for name in [name for name in self.cv_results_ if name.startswith("rank_test_")]:
            means = self.cv_results_[name.replace("rank_", "mean_", 1)]
            better = (means[None, completed] > means[:, None]).sum(axis=1)
            ranks = np.where(completed, better + 1, completed.sum() + 1)
            self.cv_results_[name] = ranks.astype(np.int32)

    def _refit(self, template: Template, data: TrainingData, seed: int) -> None:
        """Follows the best schedule from scratch on all of the data."""
        start = time.perf_counter()
        model = Model(template, data)
        for index, segment in enumerate(self.best_schedule_.segments):
            if index == 0:
                model.setup(segment.config, seed)
            else:
                model.apply(segment.config)
            for _ in range(segment.steps):
                model.train(self.iterations)
        self.best_estimator_ = model.finished()
        self.refit_time_ = time.perf_counter() - start
        if hasattr(self.best_estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.best_estimator_.feature_names_in_


def _columns(records: list[Record]) -> dict[str, list[Any]]:
    """The columns of the results that other searches do not have."""
    return {
        "trial": [record.trial.id for record in records],
        "parent": [-1 if record.trial.parent is None else record.trial.parent for record in records],
        "generation": [record.trial.generation for record in records],
        "start_step": [record.trial.start_step for record in records],
        "steps": [record.steps for record in records],
        "status": [record.status.value for record in records],
    }


def _last_steps(template: Template, params: Mapping[str, Any]) -> dict[str, Any]:
    """What of the parameters of `fit` the last step gets, which is trained on by itself.

    Raises:
        ValueError: Another step of the pipeline would get some.
    """
    if not isinstance(template.estimator, Pipeline) or not params:
        return dict(params)
    name = template.estimator.steps[-1][0]
    if _routing_enabled():
        routed = process_routing(template.estimator, "fit", **params)
        others = {param for step in routed.keys() - {name} for given in routed[step].values() for param in given}
        if others:
            raise ValueError(
                f"Pipeline.fit does not accept {', '.join(sorted(others))} here for a step before the last, and one "
                f"requests it: only the last step, {name!r}, is trained on and gets parameters; have the others not "
                f"request it (set_fit_request(<name>=False)), or transform the data beforehand"
            )
        return dict(routed[name].fit)
    others = {param for param in params if not param.startswith(template.prefix)}
    if others:
        raise ValueError(
            f"Pipeline.fit does not accept {', '.join(sorted(others))} here: name parameters of the last step, "
            f"{name!r}, the only one that is trained on, as {template.prefix}<name>"
        )
    return {param.removeprefix(template.prefix): value for param, value in params.items()}


def _routing_enabled() -> bool:
    from sklearn import get_config

    return bool(get_config().get("enable_metadata_routing", False))
