"""XGBoost and LightGBM as trainables: each step adds trees. Either library is enough."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpbt_adapters.trainables.boosting import (
        LGBMModelTrainable,
        LightGBMTrainable,
        XGBModelTrainable,
        XGBoostTrainable,
    )

__all__ = [
    "LGBMModelTrainable",
    "LightGBMTrainable",
    "XGBModelTrainable",
    "XGBoostTrainable",
]


def __getattr__(name: str) -> Any:
    return getattr(importlib.import_module("gpbt_adapters.trainables.boosting"), name)
