"""scikit-learn: `GPBTSearchCV`, and estimators that train step by step as trainables."""

from gpbt_adapters.running.search_cv import GPBTSearchCV
from gpbt_adapters.trainables.sklearn.folds import FitFailedError
from gpbt_adapters.trainables.sklearn.trainables import SklearnTrainable, WarmStart

__all__ = [
    "FitFailedError",
    "GPBTSearchCV",
    "SklearnTrainable",
    "WarmStart",
]
