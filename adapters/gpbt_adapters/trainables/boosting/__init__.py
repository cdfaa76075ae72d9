"""Gradient boosting as trainables: a step adds trees, and each segment has its own hyperparameters.

XGBoost and LightGBM, each through its native interface and through its scikit-learn classes, by continued training. The
two libraries are imported when a name is first asked for, so that one of them is enough.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpbt_adapters.trainables.boosting.lightgbm import LGBMModelTrainable, LightGBMTrainable
    from gpbt_adapters.trainables.boosting.xgboost import XGBModelTrainable, XGBoostTrainable

__all__ = ["LGBMModelTrainable", "LightGBMTrainable", "XGBModelTrainable", "XGBoostTrainable"]

_HOMES = {
    "LGBMModelTrainable": "lightgbm",
    "LightGBMTrainable": "lightgbm",
    "XGBModelTrainable": "xgboost",
    "XGBoostTrainable": "xgboost",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
