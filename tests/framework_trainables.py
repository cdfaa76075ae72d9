"""Small trainables of each framework that a worker process can make, too; heavy imports are inside."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gpbt_adapters.trainables.trainable import Trainable
from gpbt_core.space import Float, Space

Made = tuple[Callable[[], Trainable], Space]


def _arrays() -> tuple[Any, Any]:
    inputs = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    return inputs, (inputs[:, :1] * inputs[:, 1:2]).astype(np.float32)


def torch_trainable() -> Trainable:
    """A small regression with dropout."""
    import torch
    from torch import nn

    from gpbt_adapters.trainables.pytorch import ModuleField, OptimizerField, TorchTrainable

    inputs, targets = map(torch.from_numpy, _arrays())
    data = torch.utils.data.TensorDataset(inputs, targets)
    return TorchTrainable(
        model=lambda _: nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(), nn.Linear(8, 1)),
        optimizer=lambda model, _: torch.optim.Adam(model.parameters()),
        loader=lambda: torch.utils.data.DataLoader(data, batch_size=16, shuffle=True),
        loss=nn.MSELoss(),
        score=lambda parts: float(nn.functional.mse_loss(parts.model(inputs), targets)),
        bindings={"rate": OptimizerField("lr"), "drop": ModuleField("p", nn.Dropout)},
    )


def keras_trainable() -> Trainable:
    """A small regression with dropout."""
    import keras

    from gpbt_adapters.trainables.keras import KerasTrainable, LayerField, OptimizerField

    def model(_: Any) -> Any:
        layers = [
            keras.layers.Input((4,)),
            keras.layers.Dense(8, "tanh"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1),
        ]
        made = keras.Sequential(layers)
        made.compile(optimizer=keras.optimizers.Adam(), loss="mse")
        return made

    inputs, targets = _arrays()
    return KerasTrainable(
        model=model,
        data=_arrays,
        score=lambda parts: float(np.mean((np.asarray(parts.model(inputs)) - targets) ** 2)),
        bindings={"rate": OptimizerField("learning_rate"), "drop": LayerField("rate", keras.layers.Dropout)},
    )


def xgboost_trainable() -> Trainable:
    """A small regression on a part of the rows for each tree."""
    import xgboost

    from gpbt_adapters.trainables.boosting import XGBoostTrainable

    inputs, targets = _arrays()
    data = xgboost.DMatrix(inputs, targets)
    return XGBoostTrainable(
        data=lambda: data,
        params={"nthread": 1},
        score=lambda booster: float(np.mean((booster.predict(data) - targets[:, 0]) ** 2)),
        rounds=2,
        names={"rate": "eta", "drop": "subsample"},
    )


def lightgbm_trainable() -> Trainable:
    """A small regression on a part of the columns for each tree."""
    import lightgbm

    from gpbt_adapters.trainables.boosting import LightGBMTrainable

    inputs, targets = _arrays()
    return LightGBMTrainable(
        data=lambda: lightgbm.Dataset(inputs, targets[:, 0], free_raw_data=False),
        params={"num_threads": 1, "min_data_in_leaf": 3},
        score=lambda booster: float(np.mean((np.asarray(booster.predict(inputs)) - targets[:, 0]) ** 2)),
        rounds=2,
        names={"rate": "learning_rate", "drop": "feature_fraction"},
    )


SPACE = Space(rate=Float(1e-3, 0.03, log=True), drop=Float(0.1, 0.4))
FRAMEWORKS: dict[str, Callable[[], Trainable]] = {
    "torch": torch_trainable,
    "keras": keras_trainable,
    "xgboost": xgboost_trainable,
    "lightgbm": lightgbm_trainable,
}
"""By the library that each needs."""
