"""Leaves out the examples in docstrings of adapters whose library is not installed here."""

from importlib.util import find_spec

_LIBRARIES = {
    "torch": "gpbt_adapters/pytorch/*",
    "keras": "gpbt_adapters/keras/*",
    "lightgbm": "gpbt_adapters/boosting/lightgbm.py",
    "xgboost": "gpbt_adapters/boosting/xgboost.py",
    "pandas": "gpbt_adapters/schedules.py",
}

collect_ignore_glob = [pattern for library, pattern in _LIBRARIES.items() if find_spec(library) is None]
