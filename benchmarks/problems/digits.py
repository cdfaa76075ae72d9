"""scikit-learn's digits with a small network: 1000 rows to train, 400 to validate, the rest to test."""

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from sklearn.datasets import load_digits

from benchmarks.problem import Options
from benchmarks.problems.data import Split, quarter, split
from benchmarks.problems.mlp import MLP, Recipe
from gpbt_core.space import Categorical, Float, Int, Space

__all__ = ["digits", "digits_mlp", "digits_mlp_mixed", "digits_mlp_quarter"]


def digits(options: Options) -> Split:
    """8x8 gray values scaled to [0, 1], as float32 rows of 64, and the digit."""
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    return split(x, y, train=200, valid=100, test=100) if options.smoke else split(x, y, train=1000, valid=400)


def digits_mlp(options: Options) -> MLP:
    """Adam on batches of 50, a hidden layer of 32; all but dropout on log scales."""
    return MLP(
        data=digits(options),
        hidden=32,
        space=Space(
            lr=Float(1e-5, 1, log=True),
            one_minus_beta1=Float(1e-4, 1e-1, log=True),
            one_minus_beta2=Float(1e-5, 1e-2, log=True),
            dropout=Float(0, 1),
            weight_decay=Float(1e-6, 1, log=True),
        ),
        recipe=_adam,
        models=options.models,
        steps=options.steps,
    )


def digits_mlp_quarter(options: Options) -> MLP:
    """The same on a quarter of the training rows."""
    problem = digits_mlp(options)
    return attrs.evolve(problem, data=quarter(problem.data))


def digits_mlp_mixed(options: Options) -> MLP:
    """Categorical and integer HPs beside continuous ones, all of which may change mid-run.

    SGD has momentum .9; Adam (.9, .999) and RMSprop (.99) have PyTorch's defaults. A new optimizer starts from rest.
    """
    return MLP(
        data=digits(options),
        hidden=32,
        space=Space(
            lr=Float(1e-4, 1, log=True),
            dropout=Float(0, 1),
            weight_decay=Float(1e-6, 1, log=True),
            activation=Categorical(["relu", "tanh", "sigmoid"]),
            optimizer=Categorical(["sgd", "adam", "rmsprop"]),
            batch_size=Int(10, 200, log=True),
        ),
        recipe=_mixed,
        models=options.models,
        steps=options.steps,
    )


def _adam(config: Mapping[str, Any]) -> Recipe:
    return Recipe(
        lr=config["lr"],
        beta1=1 - config["one_minus_beta1"],
        beta2=1 - config["one_minus_beta2"],
        dropout=config["dropout"],
        weight_decay=config["weight_decay"],
        batch_size=50,
    )


def _mixed(config: Mapping[str, Any]) -> Recipe:
    return Recipe(beta1=0.9, beta2=0.99 if config["optimizer"] == "rmsprop" else 0.999, **config)
