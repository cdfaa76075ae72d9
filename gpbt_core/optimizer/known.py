"""Configs supplied by the caller: checked when a run is made, completed when their slot is asked."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gpbt_core.errors import ConfigError
from gpbt_core.space import Config, Space
from gpbt_core.space.checks import check_of
from gpbt_core.space.conditions import suggestion
from gpbt_core.space.parameters import typed

__all__ = ["completed", "is_complete", "known"]


def known(space: Space, configs: Sequence[Config], slots: int) -> tuple[Config, ...]:
    """Known configs in their plain form, in the order of the space.

    Args:
        space: The search space.
        configs: The configs, each complete or partial.
        slots: The number of slots of generation 0.

    Raises:
        ConfigError: There are more configs than `slots`; a parameter is unknown or inactive; a value is invalid for its
            parameter; or a complete config occurs twice.
    """
    if len(configs) > slots:
        raise ConfigError(
            f"known_configs: must be at most {slots}, the slots of generation 0, got {len(configs)}; leave some "
            f"out, or raise the population"
        )
    found: list[Config] = []
    for place, config in enumerate(configs):
        who = f"known_configs[{place}]"
        one = _checked(who, space, config)
        if one in found and is_complete(space, one):
            raise ConfigError(f"{who}: must differ from the others, got known_configs[{found.index(one)}] again")
        found.append(one)
    return tuple(found)


def completed(space: Space, config: Config, proposed: Mapping[str, Any], rng: "np.random.Generator") -> Config:
    """A known config, with its missing values taken from a proposal.

    Parameters that the known values activate, but that the proposal lacks, are drawn uniformly.
    """
    found: dict[str, Any] = {}
    waiting = list(space.names)
    while waiting:  # the conditions of a space have no circles
        ready = [name for name in waiting if all(other not in waiting for other, _ in space.conditions.get(name, ()))]
        for name in ready:
            if _is_active(space, name, found):
                if name in config:
                    found[name] = config[name]
                elif name in proposed:
                    found[name] = proposed[name]
                else:
                    found[name] = Space({name: space.parameters[name]}).sample(rng)[name]
        waiting = [name for name in waiting if name not in ready]
    return space.validate(found)


def _checked(who: str, space: Space, config: Config) -> Config:
    for name in config:
        if name not in space.parameters:
            raise ConfigError(f"{who}: {name!r} is not a parameter of the space; {suggestion(str(name), space.names)}")
    try:
        values = {name: check_of(name, space.parameters[name])(config[name]) for name in space.names if name in config}
    except ConfigError as error:
        raise ConfigError(f"{who}: {error}") from None
    for name in values:
        for other, allowed in space.conditions.get(name, ()):
            if other not in values:
                raise ConfigError(
                    f"{who}: {name!r} is active only where {other!r} is one of {list(allowed)!r}; give {other!r}, too"
                )
            if not _is_among(values[other], allowed):
                raise ConfigError(
                    f"{who}: {name!r} is active only where {other!r} is one of {list(allowed)!r}, got "
                    f"{values[other]!r}; leave {name!r} out"
                )
    return Config(values)


def is_complete(space: Space, config: Config) -> bool:
    """Whether a known config has a value for every active parameter."""
    return all(name in config or not _is_active(space, name, config) for name in space.names)


def _is_active(space: Space, name: str, values: Mapping[str, Any]) -> bool:
    conditions = space.conditions.get(name, ())
    return all(other in values and _is_among(values[other], allowed) for other, allowed in conditions)


def _is_among(value: Any, allowed: Sequence[Any]) -> bool:
    return typed([value])[0] in typed(allowed)
