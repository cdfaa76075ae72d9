"""Leaves out the examples in docstrings of adapters whose library is not installed here."""

from importlib.util import find_spec

_LIBRARIES = {
    "torch": ["pytorch/*"],
    "keras": ["keras/*"],
    "lightgbm": ["boosting/lightgbm.py"],
    "xgboost": ["boosting/xgboost.py"],
    "pandas": ["schedules.py"],
    "sqlalchemy": ["journal/*", "dashboard.py"],
    "starlette": ["dashboard.py"],
    "optuna": ["optuna/*"],
    "matplotlib": ["printed.py", "plots.py"],
    "fsspec": ["checkpoints/opening.py", "checkpoints/remote.py"],
    "ray": ["ray/*"],
}

collect_ignore_glob = [
    f"gpbt_adapters/{pattern}"
    for library, patterns in _LIBRARIES.items()
    for pattern in patterns
    if find_spec(library) is None
]
