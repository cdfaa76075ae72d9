"""XGBoost, LightGBM and CatBoost as trainables: each step adds trees. Any of the libraries is enough."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpbt_adapters.trainables.boosting import (
        CatBoostModelTrainable,
        CatBoostTrainable,
        LGBMModelTrainable,
        LightGBMTrainable,
        XGBModelTrainable,
        XGBoostTrainable,
    )

__all__ = [
    "CatBoostModelTrainable",
    "CatBoostTrainable",
    "LGBMModelTrainable",
    "LightGBMTrainable",
    "XGBModelTrainable",
    "XGBoostTrainable",
]


def __getattr__(name: str) -> Any:
    return getattr(importlib.import_module("gpbt_adapters.trainables.boosting"), name)
