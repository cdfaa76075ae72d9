"""Shapes of a schedule that practitioners search over: how a few numbers become one config per step.

A shape turns a space into the space of its own parameters, and a config of that space into the configs of all steps.
It knows nothing of models, scores or searchers.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np

from gpbt_core.errors import ConfigError
from gpbt_core.space import Categorical, Float, Space, When

__all__ = ["SHAPES", "Shape"]

Config = Mapping[str, Any]

_WARMUP, _END = "schedule.warmup", "schedule.end"
_BEGIN, _FINAL = "begin", "end"


@attrs.frozen(kw_only=True)
class Shape:
    """A family of schedules.

    Attributes:
        name: The name, as in the names of methods.
        summary: Half a line for listings.
        space: From a problem's space and the name of its rate (None: there is none) to the space to search.
        configs: From a problem's space, its rate, a config of the space to search, and a number of steps T, to the T
            configs of a whole training.
    """

    name: str
    summary: str
    space: Callable[[Space, str | None], Space]
    configs: Callable[[Space, str | None, Config, int], list[Config]]


def _constant_space(space: Space, _: str | None) -> Space:
    return space


def _constant(_: Space, __: str | None, config: Config, steps: int) -> list[Config]:
    return [config] * steps


def _cosine_space(space: Space, rate: str | None) -> Space:
    _needed(rate)
    return space


def _cosine(space: Space, rate: str | None, config: Config, steps: int) -> list[Config]:
    """The factor of step t (from 0) is (1 + cos(pi t / T)) / 2, as `CosineAnnealingLR` has it."""
    return _scaled(space, _needed(rate), config, [0.5 + 0.5 * math.cos(math.pi * t / steps) for t in range(steps)])


def _linear_space(space: Space, rate: str | None) -> Space:
    _needed(rate)
    return Space({**_nodes(space), _WARMUP: Float(0, 0.3), _END: Float(1e-3, 1, log=True)})


def _linear(space: Space, rate: str | None, config: Config, steps: int) -> list[Config]:
    """Rises linearly for the share `schedule.warmup` of the steps, then falls linearly to the share `schedule.end`."""
    config = dict(config)
    warm, end = config.pop(_WARMUP) * steps, config.pop(_END)
    fall = max(steps - 1 - warm, 1e-9)  # the last step is at the end
    factors = [(t + 1) / (warm + 1) if t < warm else 1 - (1 - end) * min((t - warm) / fall, 1) for t in range(steps)]
    return _scaled(space, _needed(rate), config, factors)


def _ramp_space(space: Space, _: str | None) -> Space:
    nodes = _nodes(space)
    ramped = _ramped(space)
    fixed = {name: node for name, node in nodes.items() if name not in ramped}
    return Space(
        {
            **fixed,
            **{f"{_BEGIN}.{name}": nodes[name] for name in ramped},
            **{f"{_FINAL}.{name}": nodes[name] for name in ramped},
        }
    )


def _ramp(space: Space, _: str | None, config: Config, steps: int) -> list[Config]:
    """Straight in the unit cube from the value of the first step to that of the last."""
    ramped = _ramped(space)
    fixed = {name: value for name, value in config.items() if name in space.parameters}
    ends = [
        {**fixed, **{name: config[f"{end}.{name}"] for name in ramped if f"{end}.{name}" in config}}
        for end in (_BEGIN, _FINAL)
    ]
    first, last = space.encode([space.validate(one) for one in ends])
    shares = np.linspace(0, 1, steps)[:, None] if steps > 1 else np.zeros((1, 1))
    return list(space.decode_all(np.clip(first + shares * (last - first), 0, 1)))


def _needed(rate: str | None) -> str:
    if rate is None:
        raise ConfigError("shape: the problem must name its rate, got None; take a shape without a decay")
    return rate


def _scaled(space: Space, rate: str, config: Config, factors: list[float]) -> list[Config]:
    """The config with its rate times each factor, no lower than the space allows."""
    parameter = space.parameters[rate]
    assert isinstance(parameter, Float)  # `verify_problem` checks this
    if rate not in config:  # not active in this config
        return [config] * len(factors)
    return [{**config, rate: max(parameter.low, config[rate] * factor)} for factor in factors]


@functools.cache
def _ramped(space: Space) -> tuple[str, ...]:
    """The parameters that change along a ramp: all numbers on which no other parameter depends."""
    controlling = {name for pairs in space.conditions.values() for name, _ in pairs}
    return tuple(
        name
        for name, parameter in space.parameters.items()
        if not isinstance(parameter, Categorical) and name not in controlling
    )


def _nodes(space: Space) -> dict[str, Any]:
    return {
        name: When(parameter, dict(space.conditions[name])) if name in space.conditions else parameter
        for name, parameter in space.parameters.items()
    }


SHAPES = {
    shape.name: shape
    for shape in (
        Shape(name="constant", summary="constant HPs", space=_constant_space, configs=_constant),
        Shape(name="cosine", summary="constant HPs, the rate x cosine to 0", space=_cosine_space, configs=_cosine),
        Shape(
            name="linear",
            summary="constant HPs, the rate x linear decay with searched warm-up and end",
            space=_linear_space,
            configs=_linear,
        ),
        Shape(
            name="ramps",
            summary="begin and end of each number, straight in the unit cube between them",
            space=_ramp_space,
            configs=_ramp,
        ),
    )
}
