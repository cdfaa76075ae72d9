"""One continued model per fold of a cross-validation, under one config: a trainable whose score is the folds' mean.

The factory holds the data once, and each process splits it into folds once.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import joblib
import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _check_method_params

from gpbt_adapters.trainables.random_states import setup_seed
from gpbt_adapters.trainables.sklearn.memory import Memory
from gpbt_adapters.trainables.sklearn.models import Model, Template, TrainingData
from gpbt_adapters.trainables.sklearn.reuse import Reused
from gpbt_adapters.trainables.sklearn.scores import QuickScore, quick_score
from gpbt_adapters.trainables.sklearn.trainables import read_state, write_state
from gpbt_adapters.trainables.trainable import Trainable
from gpbt_core.errors import GpbtError
from gpbt_core.space import Space

__all__ = ["CrossValidation", "FitFailedError", "FoldsTrainable", "Scoring"]


class FitFailedError(GpbtError, RuntimeError):
    """A fit raised, and the caller wants this to end the search. The exception is the cause and the only argument."""

    def __init__(self, original: Exception) -> None:
        super().__init__(original)
        self.original = original


class ScoreError(GpbtError, ValueError):
    """A scorer did not return a number, or one that is not finite."""


@attrs.frozen(kw_only=True)
class Scoring:
    """The scoring of a search.

    Attributes:
        scorer: Called with an estimator and data; returns a number, or a dictionary of them by name.
        objective: Which of several scores the search follows; None: the first.
        params: Further arguments of the scorer; arrays with one entry per sample are split with the data.
        train: Whether to score the training data too.
    """

    scorer: Any
    objective: str | None = None
    params: Mapping[str, Any] = attrs.Factory(dict)
    train: bool = False

    def scores(self, estimator: Any, data: "ScoredData") -> dict[str, float]:
        """All scores by name; a single one is called "score".

        Raises:
            ScoreError: One is not a number.
        """
        if data.quick is not None:
            return {"score": data.quick(estimator, data.features, lambda: float(self._call(estimator, data)))}
        scores = self._call(estimator, data)
        if not isinstance(scores, dict):
            scores = {"score": scores}
        return {name: _number(score, name) for name, score in scores.items()}

    def _call(self, estimator: Any, data: "ScoredData") -> Any:
        given = (data.features,) if data.target is None else (data.features, data.target)
        return self.scorer(estimator, *given, **data.params)


@attrs.frozen(kw_only=True, eq=False)
class ScoredData:
    """Data that a scorer is called with.

    Attributes:
        features: Samples by features.
        target: One entry or row per sample, or None.
        params: Further arguments of the scorer.
        quick: Computes the scorer's result without validating the target each time; None: not possible.
    """

    features: Any
    target: Any
    params: Mapping[str, Any]
    quick: QuickScore | None


@attrs.frozen(kw_only=True, eq=False)
class Fold:
    """The data of one fold: what its model is trained on, and what it is scored on, by part."""

    training: TrainingData
    scored: Mapping[str, ScoredData]


class CrossValidation:
    """Creates trainables that train one model per fold.

    Args:
        template: The estimator.
        features: All data, samples by features.
        target: One entry or row per sample, or None.
        splits: For each fold, the indices of its training and test samples.
        scoring: The scorers, and the score that the search follows.
        iterations: Number of passes, members or solver iterations per step.
        fit_params: Further arguments of `fit`; arrays with one entry per sample are split with the data.
        raising: Whether an exception in a fit ends the search rather than the trial.
        memory: Where to keep checkpoints in this process; None: in files.
    """

    def __init__(
        self,
        template: Template,
        features: Any,
        target: Any,
        splits: Sequence[tuple[Any, Any]],
        *,
        scoring: Scoring,
        iterations: int = 1,
        fit_params: Mapping[str, Any] | None = None,
        raising: bool = False,
        memory: Memory | None = None,
    ) -> None:
        self.template, self.scoring, self.iterations, self.raising = template, scoring, iterations, raising
        self.memory = memory
        self._data = (features, target, dict(fit_params or {}))
        self._splits = list(splits)
        self._folds: list[Fold] | None = None

    def __call__(self) -> "FoldsTrainable":
        """Creates a new trainable."""
        return FoldsTrainable(self)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_folds": None}

    def digest(self) -> str:
        """Tells the data, the folds and the estimator apart from others."""
        features, target, fit_params = self._data
        scorer = getattr(self.scoring.scorer, "_scorers", self.scoring.scorer)
        parts = (features, target, fit_params, self._splits, repr(self.template.estimator), repr(scorer))
        return str(joblib.hash((*parts, self.scoring.objective, self.scoring.params, self.iterations)))

    def check(self, space: Space, *, changes: bool = True) -> None:
        """Refuses a space that the models cannot be trained under.

        Raises:
            ConfigError: It has a parameter that the estimator does not have, or one that cannot change mid-run.
        """
        self.template.check(space, changes=changes)

    @property
    def folds(self) -> list[Fold]:
        """The folds, split on first use."""
        if self._folds is None:
            self._folds = [self._cut(*split) for split in self._splits]
        return self._folds

    def _cut(self, train: Any, test: Any) -> Fold:
        features, target, fit_params = self._data
        parts = {"test": test, "train": train} if self.scoring.train else {"test": test}
        return Fold(
            training=TrainingData(
                features=_safe_indexing(features, train),
                target=None if target is None else _safe_indexing(target, train),
                labels=self.template.labels(target),
                fit_params=_check_method_params(features, params=fit_params, indices=train),
                reused=Reused(),
            ),
            scored={name: self._scored(indices) for name, indices in parts.items()},
        )

    def _scored(self, indices: Any) -> ScoredData:
        features, target, _ = self._data
        own = None if target is None else _safe_indexing(target, indices)
        params = _check_method_params(features, params=dict(self.scoring.params), indices=indices)
        return ScoredData(
            features=_safe_indexing(features, indices),
            target=own,
            params=params,
            quick=quick_score(self.scoring.scorer, self.template.estimator, own, params),
        )


class FoldsTrainable(Trainable):
    """One model per fold; created by `CrossValidation`."""

    def __init__(self, factory: CrossValidation) -> None:
        self._factory = factory
        self._models = [Model(factory.template, fold.training) for fold in factory.folds]
        self._fit_seconds = np.zeros(len(self._models))
        self._score_seconds = np.zeros(len(self._models))
        self._figures: dict[str, float] = {}

    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        """Sets up each fold's model with its own random states."""
        for index, model in enumerate(self._models):
            self._guarded(model.setup, config, setup_seed(seed, index))

    def apply(self, config: Mapping[str, Any]) -> None:
        """Sets the parameters on each fold's model."""
        for model in self._models:
            self._guarded(model.apply, config)

    def applied(self) -> Mapping[str, Any]:
        """Reads the parameters back; where the folds disagree, all their values."""
        first, *others = [model.applied() for model in self._models]
        return {
            name: value if all(other[name] == value for other in others) else (value, *(o[name] for o in others))
            for name, value in first.items()
        }

    def step(self) -> float:
        """Trains each fold's model one step, and scores all of them."""
        for index, model in enumerate(self._models):
            start = time.perf_counter()
            self._guarded(model.train, self._factory.iterations)
            self._fit_seconds[index] += time.perf_counter() - start
        return self.score()

    def score(self) -> float:
        """The mean over the folds of the score that the search follows."""
        return float(self._guarded(self._score))

    def figures(self) -> Mapping[str, float]:
        """Each fold's scores, by `split<fold>_<part>_<name>`, and its times of fitting and of scoring, in seconds."""
        times = {
            f"split{index}_{what}_time": float(seconds[index])
            for what, seconds in (("fit", self._fit_seconds), ("score", self._score_seconds))
            for index in range(len(self._models))
        }
        return {**self._figures, **times}

    def save(self, path: Path) -> None:
        """Writes all models, into memory if the factory has one."""
        if self._factory.memory is not None:
            self._factory.memory.keep(path, [model.whole_state() for model in self._models])
            return
        write_state([model.state() for model in self._models], path, "pickle")

    def load(self, path: Path) -> None:
        """Reads them back."""
        memory = self._factory.memory
        states = read_state(path, "pickle") if memory is None else memory.copy(path)
        for model, state in zip(self._models, states, strict=True):
            model.restore(state)

    def _score(self) -> float:
        scoring, followed = self._factory.scoring, []
        self._figures = {}
        for index, (model, fold) in enumerate(zip(self._models, self._factory.folds, strict=True)):
            start = time.perf_counter()
            for part, data in fold.scored.items():
                with model.predicting(part, data.features):
                    scores = scoring.scores(model.estimator, data)
                self._figures.update({f"split{index}_{part}_{name}": score for name, score in scores.items()})
                if part == "test":  # with a single score, `refit` may be any text, as in scikit-learn
                    name = None if scores.keys() == {"score"} else scoring.objective
                    followed.append(_finite(scores, name or next(iter(scores)), index))
            self._score_seconds[index] += time.perf_counter() - start
        return float(np.mean(followed))

    def _guarded(self, call: Any, *arguments: Any) -> Any:
        """Calls a function; if the caller wants it, an exception of scikit-learn becomes one that ends the search."""
        try:
            return call(*arguments)
        except GpbtError:
            raise
        except Exception as error:
            if not self._factory.raising:
                raise
            raise FitFailedError(error) from error


def _number(score: Any, name: str) -> float:
    """A score as a float.

    Raises:
        ScoreError: It is not a number.
    """
    try:
        return float(score)
    except (TypeError, ValueError) as error:
        raise ScoreError(
            f"the scorer {name!r} must return a number, got {score!r} of type {type(score).__name__}"
        ) from error


def _finite(scores: Mapping[str, float], name: str, fold: int) -> float:
    """The score that the search follows.

    Raises:
        ScoreError: It is not finite.
    """
    if not np.isfinite(scores[name]):
        raise ScoreError(
            f"the scorer {name!r} must return a finite number, got {scores[name]} on the test samples of fold {fold}: "
            f"the training diverged, or the fold lacks what the scorer needs, such as both classes"
        )
    return scores[name]
