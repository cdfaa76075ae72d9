"""The scikit-learn adapter's public names: warm-start trainables, and the search interface.

Nothing is written here; `sklearn_trainables` and `search_cv` are where it is.
"""

from gpbt_adapters.search_cv import GPBTSearchCV
from gpbt_adapters.sklearn_trainables import SklearnTrainable, WarmStart

__all__ = ["GPBTSearchCV", "SklearnTrainable", "WarmStart"]
