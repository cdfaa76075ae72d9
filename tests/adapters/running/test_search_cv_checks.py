"""scikit-learn's own checks of estimators, applied to the search; those that RandomizedSearchCV fails may fail too."""

from collections.abc import Callable
from typing import Any

import pytest
from sklearn.base import is_regressor
from sklearn.decomposition import PCA
from sklearn.linear_model import ElasticNet, LogisticRegression, SGDClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from gpbt.sklearn import GPBTSearchCV

SETTINGS: dict[str, Any] = {
    "population": 2,
    "steps": 4,
    "cv": 2,
    "error_score": "raise",
    "random_state": 0,
    "searcher": "random",
}
SEARCHES = [
    GPBTSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, iterations=50, **SETTINGS),
    GPBTSearchCV(SGDClassifier(), {"alpha": [1e-4, 1e-3]}, iterations=5, **SETTINGS),
    GPBTSearchCV(
        Pipeline([("pca", PCA()), ("net", ElasticNet())]), {"net__alpha": [0.1, 1.0]}, iterations=50, **SETTINGS
    ),
]


def _expected_to_fail(search: GPBTSearchCV) -> dict[str, str]:
    """What scikit-learn expects of RandomizedSearchCV too, see sklearn.utils._test_common.instance_generator."""
    return {"check_supervised_y_2d": "DataConversionWarning not caught"} if is_regressor(search) else {}


# scikit-learn's own, on its way to finding that labels are NaN; RandomizedSearchCV passes it on as well.
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
@parametrize_with_checks(SEARCHES, expected_failed_checks=_expected_to_fail)  # type: ignore[untyped-decorator]
def test_the_search_is_an_estimator_as_scikit_learn_wants_it(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)
