"""Gradient boosting as trainables: a step adds trees, and each segment has its own hyperparameters.

XGBoost, LightGBM and CatBoost, each through its native interface and through its scikit-learn classes, by continued
training. A library is imported when one of its names is first asked for, so any of them is enough.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpbt_adapters.trainables.boosting.catboost import CatBoostModelTrainable, CatBoostTrainable
    from gpbt_adapters.trainables.boosting.lightgbm import LGBMModelTrainable, LightGBMTrainable
    from gpbt_adapters.trainables.boosting.xgboost import XGBModelTrainable, XGBoostTrainable

__all__ = [
    "CatBoostModelTrainable",
    "CatBoostTrainable",
    "LGBMModelTrainable",
    "LightGBMTrainable",
    "XGBModelTrainable",
    "XGBoostTrainable",
]

_HOMES = {
    "CatBoostModelTrainable": "catboost",
    "CatBoostTrainable": "catboost",
    "LGBMModelTrainable": "lightgbm",
    "LightGBMTrainable": "lightgbm",
    "XGBModelTrainable": "xgboost",
    "XGBoostTrainable": "xgboost",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
