"""The searcher `perturb`: the explore step of population based training.

It uses nothing but the parent's config, so the family history is never computed.
"""

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import numpy as np

from gpbt_core.errors import ConfigError
from gpbt_core.numbers import a_share
from gpbt_core.searcher import Query
from gpbt_core.space import Categorical, Float, Int, Space

__all__ = ["Perturb"]


def _plain_factors(factors: Iterable[float]) -> tuple[float, ...]:
    try:
        return tuple(float(factor) for factor in factors)
    except (TypeError, ValueError):
        raise ConfigError(f"perturb: factors must be a list of numbers, got {factors!r}") from None


def _sound_factors(
    _searcher: "Perturb", _attribute: "attrs.Attribute[tuple[float, ...]]", value: tuple[float, ...]
) -> None:
    if not value or not all(math.isfinite(factor) and factor > 0 for factor in value):
        raise ConfigError(f"perturb: factors must be at least one finite number, all above 0, got {value!r}")


@attrs.frozen(kw_only=True)
class Perturb:
    """Changes each HP of the parent's config a little, or draws it anew now and then.

    - Floats are multiplied by one of the factors and end at the bounds. A 0 stays 0 until it is drawn anew. With
      `log="1-x"` the distance to 1 is multiplied.
    - Integers and stepped floats are multiplied too and rounded to the lattice, but move at least one step in the
      direction of the factor (a factor of 1 moves nothing), unless they are at the bound.
    - Categories move to the previous or next choice in the list, and stay at its ends, as Ray Tune does with lists.
    - A conditional HP that was not active in the parent and becomes active is drawn.

    Without a parent, configs are drawn uniformly from the unit cube.

    Attributes:
        factors: The factors, all equally likely; above 0.
        resample_probability: The probability that an HP is drawn anew instead, uniformly in the unit interval; from 0
            to 1.

    Raises:
        ConfigError: An option is out of its range.

    References:
        Jaderberg et al., Population based training of neural networks, arXiv 1711.09846, 2017.

    Examples:
        >>> from gpbt_core.records import Record, Status, Trial
        >>> config = {"lr": 0.1}
        >>> trial = Trial(id=0, parent=None, generation=0, depth=0, config=config, steps=1, start_step=0)
        >>> parent = Record(trial=trial, status=Status.COMPLETED, loss=1.0)
        >>> query = Query(space=Space(lr=Float(1e-5, 1, log=True)), parent=parent, generation=1)
        >>> child = Perturb(resample_probability=0).propose(query, np.random.default_rng(0))
        >>> round(child["lr"], 6) in (0.08, 0.12)
        True
    """

    factors: tuple[float, ...] = attrs.field(default=(0.8, 1.2), converter=_plain_factors, validator=_sound_factors)
    resample_probability: float = attrs.field(default=0.25, validator=a_share("perturb", zero=True))

    def propose(self, query: Query, rng: np.random.Generator) -> Mapping[str, Any]:
        """Answers with a config of `query.space`."""
        space = query.space
        if query.parent is None:
            return space.sample(rng)
        config = query.parent.trial.config
        u = rng.random(len(space))
        kept = rng.random(len(space)) >= self.resample_probability
        factors = rng.choice(self.factors, len(space)).tolist()
        turns = rng.random(len(space)) < 0.5
        for k, (name, alone) in enumerate(_each_alone(space)):
            if kept[k] and name in config:
                u[k] = _moved(alone, name, config[name], factors[k], forward=bool(turns[k]))
        return space.decode(u)


@functools.lru_cache(maxsize=64)
def _each_alone(space: Space) -> tuple[tuple[str, Space], ...]:
    """Each parameter by its name, and as a space of its own, in which it is always active."""
    return tuple((name, Space({name: parameter})) for name, parameter in space.parameters.items())


def _moved(alone: Space, name: str, value: Any, factor: float, *, forward: bool) -> float:
    """The place of a changed value in the unit interval.

    Args:
        alone: The space of this parameter alone.
        name: Its name.
        value: The parent's value.
        factor: The factor of a number.
        forward: Whether a category moves to the next choice, or to the previous one.
    """
    parameter = alone.parameters[name]
    if isinstance(parameter, Categorical):
        place = float(alone.encode([{name: value}])[0, 0]) + (1 if forward else -1) / parameter.bins
        return min(max(place, 0.0), 1.0)
    changed: float
    if isinstance(parameter, Float) and parameter.step is None:
        changed = min(max(_scaled(parameter, value, factor), parameter.low), parameter.high)
    else:
        changed = _on_lattice(parameter, value, factor)
    return float(alone.encode([{name: changed}])[0, 0])


def _scaled(parameter: Float | Int, value: float, factor: float) -> float:
    return 1 - (1 - value) * factor if parameter.log == "1-x" else value * factor


def _on_lattice(parameter: Float | Int, value: float, factor: float) -> float:
    """The lattice point nearest to value * factor, at least one step from the value unless a bound is in the way."""
    low, step, last = parameter.low, parameter.step or 1, parameter.bins - 1
    before = round((value - low) / step)
    after = round((min(max(_scaled(parameter, value, factor), low), parameter.high) - low) / step)
    if after == before and factor != 1:
        upward = factor < 1 if parameter.log == "1-x" else (factor > 1) == (value >= 0)
        after += 1 if upward else -1
    return low + min(max(after, 0), last) * step
