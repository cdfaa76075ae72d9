"""Test functions with known minima, to judge a searcher as a plain optimizer.

A function is a space and a rule: no noise, no state, and a minimum that is known exactly.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np

from gpbt_core.space import Categorical, Float, Int, Space

__all__ = ["FUNCTIONS", "Function"]


@attrs.frozen(kw_only=True)
class Function:
    """Something to minimize.

    Attributes:
        name: Name of the function.
        space: The search space.
        evaluate: A config of the space -> its value.
        minimum: The smallest value in the space.
    """

    name: str
    space: Space
    evaluate: Callable[[Mapping[str, Any]], float]
    minimum: float

    def regret(self, config: Mapping[str, Any]) -> float:
        """How far above the minimum a config is, at least 0."""
        return max(self.evaluate(config) - self.minimum, 0.0)


def _box(low: float, high: float, dimensions: int) -> Space:
    return Space({f"x{k}": Float(low, high) for k in range(1, dimensions + 1)})


def _branin(config: Mapping[str, Any]) -> float:
    """Branin; three global minima."""
    x, y = config["x"], config["y"]
    valley = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return float(valley**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)


_HARTMANN_WEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])
_HARTMANN_SCALES = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
_HARTMANN_CENTRES = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def _hartmann6(config: Mapping[str, Any]) -> float:
    """Hartmann in 6 dimensions; six local minima."""
    x = np.array(list(config.values()))
    exponents = (_HARTMANN_SCALES * (x - _HARTMANN_CENTRES) ** 2).sum(axis=1)
    return float(-(_HARTMANN_WEIGHTS * np.exp(-exponents)).sum())


def _levy(config: Mapping[str, Any]) -> float:
    """Levy; minimum at (1, .., 1), many local minima."""
    w = 1 + (np.array(list(config.values())) - 1) / 4
    inner = (w[:-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:-1] + 1) ** 2)
    last = (w[-1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[-1]) ** 2)
    return float(np.sin(np.pi * w[0]) ** 2 + inner.sum() + last)


def _ackley(config: Mapping[str, Any]) -> float:
    """Ackley; minimum at the origin, which the box does not have in its middle."""
    x = np.array(list(config.values()))
    return float(-20 * np.exp(-0.2 * np.sqrt(np.mean(x * x))) - np.exp(np.mean(np.cos(2 * np.pi * x))) + 20 + np.e)


_MIXED = Space(
    learning_rate=Float(1e-5, 1, log=True),
    dropout=Float(0, 0.9),
    layers=Int(1, 6),
    width=Int(8, 512, log=True),
    optimizer=Categorical(["sgd", "adam", "rmsprop"]),
    activation=Categorical(["relu", "tanh", "sigmoid", "elu"]),
    norm=Categorical(["none", "batch", "layer"]),
)


def _mixed(config: Mapping[str, Any]) -> float:
    """A caricature of tuning a network: what is best for a number depends on the categories.

    The minimum is 0 at adam, relu and batch norm, with a learning rate of 1e-3, dropout .15, 4 layers of 64.
    """
    optimizer_cost, exponent = {"sgd": (0.25, -1.0), "adam": (0.0, -3.0), "rmsprop": (0.1, -3.5)}[config["optimizer"]]
    activation_cost, shift, width = {
        "relu": (0.0, 0.0, 64),
        "tanh": (0.08, 0.3, 128),
        "sigmoid": (0.3, 0.6, 32),
        "elu": (0.05, -0.2, 96),
    }[config["activation"]]
    norm_cost, dropout, layers = {"none": (0.15, 0.4, 2), "batch": (0.0, 0.15, 4), "layer": (0.05, 0.25, 3)}[
        config["norm"]
    ]
    return float(
        optimizer_cost
        + activation_cost
        + norm_cost
        + 0.25 * (math.log10(config["learning_rate"]) - exponent - shift) ** 2
        + (config["dropout"] - dropout) ** 2
        + 0.05 * (config["layers"] - layers) ** 2
        + 0.1 * math.log2(config["width"] / width) ** 2
    )


FUNCTIONS: Mapping[str, Function] = {
    function.name: function
    for function in (
        Function(
            name="branin",
            space=Space(x=Float(-5, 10), y=Float(0, 15)),
            evaluate=_branin,
            minimum=0.39788735772973816,
        ),
        Function(name="hartmann6", space=_box(0, 1, 6), evaluate=_hartmann6, minimum=-3.322368011415515),
        Function(name="levy8", space=_box(-10, 10, 8), evaluate=_levy, minimum=0.0),
        Function(name="ackley5", space=_box(-15, 30, 5), evaluate=_ackley, minimum=0.0),
        Function(name="mixed", space=_MIXED, evaluate=_mixed, minimum=0.0),
    )
}
"""By name: Branin, Hartmann-6, Levy-8, Ackley-5 with the optimum off center, and one of mixed kinds."""
