"""Common scores of scikit-learn on one set of data, again and again, without validating its targets each time.

For small models, scikit-learn's checks of the targets take longer than training a step. The functions here compute the
same bits as scikit-learn does. Each is compared with scikit-learn's on first use, and left alone where they differ;
whatever is out of the ordinary (other scorers, weights, predictions that are not finite) goes to scikit-learn itself.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import attrs
import numpy as np
import sklearn.metrics
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, mean_squared_error, r2_score

__all__ = ["QuickScore", "quick_score"]

Floats: TypeAlias = NDArray[np.float64]
Metric: TypeAlias = Callable[[Any], "float | None"]
"""Maps predictions to a score; None: they are out of the ordinary."""


@attrs.define(eq=False)
class QuickScore:
    """Scores estimators on one set of data, exactly as a scorer of scikit-learn does.

    Attributes:
        method: The method of the estimator whose predictions are scored.
        metric: The score of predictions; None: not possible here.
        sign: 1, or -1 for a loss.
    """

    method: Literal["predict", "predict_proba"]
    metric: Metric
    sign: int
    _agrees: bool | None = attrs.field(init=False, default=None)

    def __call__(self, estimator: Any, features: Any, scorer: Callable[[], float]) -> float:
        """The score of an estimator.

        Args:
            estimator: A fitted estimator.
            features: The inputs.
            scorer: Computes the same by scikit-learn.
        """
        if self._agrees is False:
            return scorer()
        score = self._score(estimator, features)
        if score is None:
            return scorer()
        if self._agrees is None:
            expected = scorer()
            self._agrees = score == expected
            return expected
        return score

    def _score(self, estimator: Any, features: Any) -> float | None:
        predicted = getattr(estimator, self.method)(features)
        if self.method == "predict_proba":
            classes = getattr(estimator, "classes_", None)
            if not isinstance(predicted, np.ndarray) or classes is None or predicted.shape[1:] != (len(classes),):
                return None
        score = self.metric(predicted) if isinstance(predicted, np.ndarray) else None
        return None if score is None else self.sign * score


def quick_score(scorer: Any, estimator: Any, target: Any, params: Mapping[str, Any]) -> QuickScore | None:
    """The quick way to compute a scorer's score on one set of targets; None if there is none.

    Args:
        scorer: As `check_scoring` returns it.
        estimator: The estimator that will be scored, fitted or not.
        target: The targets of the data.
        params: Further arguments of the scorer.
    """
    if params or get_config().get("enable_metadata_routing") or not isinstance(target, np.ndarray) or target.ndim != 1:
        return None
    if not type(scorer).__module__.startswith("sklearn.metrics"):
        return None
    if type(scorer).__name__ == "_PassthroughScorer":
        return _of_estimator(estimator, target)
    function, options = getattr(scorer, "_score_func", None), getattr(scorer, "_kwargs", None)
    method, sign = getattr(scorer, "_response_method", None), getattr(scorer, "_sign", None)
    if type(scorer).__name__ != "_Scorer" or options or sign not in (1, -1):
        return None
    for known, wanted, kinds, made in _METRICS:
        if function is known and method == wanted and target.dtype.kind in kinds and len(target):
            return QuickScore(wanted, made(target), int(sign))
    return None


def _of_estimator(estimator: Any, target: NDArray[Any]) -> QuickScore | None:
    """The score of an estimator's own `score`, if that is scikit-learn's default."""
    own = getattr(type(estimator), "score", None)
    if own is ClassifierMixin.score and target.dtype.kind in _LABELS:
        return QuickScore("predict", _accuracy(target), 1)
    if own is RegressorMixin.score and target.dtype.kind in _NUMBERS:
        return QuickScore("predict", _r2(target), 1)
    return None


def _accuracy(target: NDArray[Any]) -> Metric:
    def metric(predicted: NDArray[Any]) -> float | None:
        if predicted.shape != target.shape or predicted.dtype.kind != target.dtype.kind:
            return None
        return float(np.average(target == predicted))

    return metric


def _regression(target: NDArray[Any], combine: Callable[[Floats, Floats], float | None]) -> Metric:
    column = target.astype(np.float64).reshape(-1, 1)

    def metric(predicted: NDArray[Any]) -> float | None:
        if predicted.shape != target.shape or predicted.dtype != np.float64 or not np.isfinite(predicted).all():
            return None
        return combine(column, predicted.reshape(-1, 1))

    return metric


def _squared_error(target: NDArray[Any]) -> Metric:
    return _regression(target, lambda true, predicted: float(np.average(np.average((true - predicted) ** 2, axis=0))))


def _absolute_error(target: NDArray[Any]) -> Metric:
    return _regression(target, lambda true, predicted: float(np.average(np.average(np.abs(predicted - true), axis=0))))


def _r2(target: NDArray[Any]) -> Metric:
    def combine(true: Floats, predicted: Floats) -> float | None:
        numerator = np.sum((true - predicted) ** 2, axis=0)
        denominator = np.sum((true - np.average(true, axis=0)) ** 2, axis=0)
        if len(true) < 2 or not denominator[0] or not numerator[0]:
            return None
        return float(np.average(1 - numerator / denominator))

    return _regression(target, combine)


def _log_loss(target: NDArray[Any]) -> Metric:
    # scikit-learn's own sum, since the last bit of a logarithm depends on the library that computes it.
    computed = getattr(sklearn.metrics._classification, "_log_loss", None)  # noqa: SLF001 - from 1.9 on
    classes, index = np.unique(target, return_inverse=True)
    labels = np.zeros((len(target), len(classes)))
    labels[np.arange(len(target)), index] = 1.0

    def metric(predicted: NDArray[Any]) -> float | None:
        if predicted.shape != labels.shape or predicted.dtype != np.float64 or len(classes) < 2 or computed is None:
            return None
        if len(classes) == 2:  # scikit-learn passes the probabilities of the second class on, and completes them
            predicted = np.stack([1 - predicted[:, 1], predicted[:, 1]], axis=1)
        if not (predicted.min() >= 0 and predicted.max() <= 1):  # also if one is NaN
            return None
        if np.abs(predicted.sum(axis=1) - 1).max() > 1e-9:
            return None
        return float(computed(labels, predicted))

    return metric


_LABELS = "iubUS"
_NUMBERS = "iuf"
_METRICS: tuple[tuple[Any, Literal["predict", "predict_proba"], str, Callable[[NDArray[Any]], Metric]], ...] = (
    (accuracy_score, "predict", _LABELS, _accuracy),
    (log_loss, "predict_proba", _LABELS, _log_loss),
    (r2_score, "predict", _NUMBERS, _r2),
    (mean_squared_error, "predict", _NUMBERS, _squared_error),
    (mean_absolute_error, "predict", _NUMBERS, _absolute_error),
)
