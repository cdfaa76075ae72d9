"""Leaves out the examples in docstrings of adapters whose library is not installed here."""

from importlib.util import find_spec

_LIBRARIES = {
    "torch": ["gpbt/pytorch.py", "gpbt_adapters/trainables/pytorch/*"],
    "keras": ["gpbt/keras.py", "gpbt_adapters/trainables/keras/*"],
    "stable_baselines3": ["gpbt/sb3.py", "gpbt_adapters/trainables/sb3/*"],
    "lightgbm": ["gpbt/boosting.py", "gpbt_adapters/trainables/boosting/lightgbm.py"],
    "catboost": ["gpbt/boosting.py", "gpbt_adapters/trainables/boosting/catboost.py"],
    "xgboost": ["gpbt/boosting.py", "gpbt_adapters/trainables/boosting/xgboost.py"],
    "pandas": ["gpbt_adapters/views/frames.py"],
    "sqlalchemy": ["gpbt/dashboard.py", "gpbt_adapters/storing/journal/*", "gpbt_adapters/showing/dashboard.py"],
    "starlette": ["gpbt/dashboard.py", "gpbt_adapters/showing/dashboard.py"],
    "optuna": ["gpbt/optuna.py", "gpbt_adapters/searching/optuna/*"],
    "matplotlib": ["gpbt_adapters/showing/printed.py", "gpbt_adapters/showing/plots.py"],
    "fsspec": ["gpbt_adapters/storing/checkpoints/opening.py", "gpbt_adapters/storing/checkpoints/remote.py"],
    "ray": ["gpbt/ray.py", "gpbt_adapters/running/ray/*"],
}

collect_ignore_glob = [
    pattern for library, patterns in _LIBRARIES.items() for pattern in patterns if find_spec(library) is None
]
