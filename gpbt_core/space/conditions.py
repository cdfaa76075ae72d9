"""Conditions between the parameters of a flat space.

They are checked and normalized when a space is created.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from gpbt_core.errors import ConfigError
from gpbt_core.space.checks import Check
from gpbt_core.space.cube import Axis
from gpbt_core.space.parameters import Plain, typed

__all__ = ["Conditions", "Need", "Wanted", "is_active", "resolve", "suggestion"]

Conditions = Mapping[str, tuple[tuple[str, tuple[Plain, ...]], ...]]
"""For each conditional parameter, the parameters that control it, each with the values under which it is active."""

Wanted = Mapping[str, Sequence[tuple[str, Sequence[Any]]]]
"""Conditions as the caller wrote them: names and values are unchecked, and a name may occur more than once."""

_SHOWN = 10  # of the known names in an error message


@attrs.frozen(eq=False)
class Need:
    """A condition of one parameter on another.

    Attributes:
        name: The controlling parameter.
        position: Its place in the space.
        values: The values that it may have, in the order of its bins.
        allowed: The same, each with its type: 1, 1.0 and True are three.
        places: The indices of their bins.
    """

    name: str
    position: int
    values: tuple[Plain, ...]
    allowed: frozenset[tuple[type, Plain]]
    places: NDArray[np.int64]


def is_active(needs: tuple[Need, ...], values: Mapping[str, Any]) -> bool:
    """Whether each need is met by `values`, which hold the active parameters alone."""
    for need in needs:
        if need.name not in values:
            return False
        value = values[need.name]
        if (value.__class__, value) not in need.allowed:
            return False
    return True


def suggestion(name: str, known: Sequence[str]) -> str:
    """A hint about an unknown name, as the end of an error message."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"known names are {', '.join(map(repr, known[:_SHOWN]))}{more}"


def resolve(
    wanted: Wanted, checks: Mapping[str, Check], axes: Mapping[str, Axis]
) -> tuple[dict[str, tuple[Need, ...]], tuple[str, ...]]:
    """Checks and normalizes conditions.

    Args:
        wanted: The (flat name, values) pairs of each conditional parameter.
        checks: The check of each parameter, in the order of the space.
        axes: Each parameter as a dimension.

    Returns:
        The needs of each conditional parameter, in the order of the space; and all names, controlling parameters first,
        otherwise in the order of the space.

    Raises:
        ConfigError: A name is unknown; a controlling parameter is continuous; a value does not exist or occurs twice;
            the conditions form a circle; a parameter can never be active.
    """
    needs = {name: _needs(name, wanted[name], checks, axes) for name in checks if name in wanted}
    order = _order(list(checks), needs)
    _check_reachable(order, needs)
    return needs, order


def _needs(
    name: str, pairs: Sequence[tuple[str, Sequence[Any]]], checks: Mapping[str, Check], axes: Mapping[str, Axis]
) -> tuple[Need, ...]:
    allowed: dict[str, dict[int, Plain]] = {}
    for controller, values in pairs:
        places = _places(f"the condition of {name!r} on {controller!r}", controller, values, checks, axes)
        before = allowed.get(controller, places)
        allowed[controller] = {i: value for i, value in sorted(places.items()) if i in before}
    return tuple(
        Need(
            name=controller,
            position=position,
            values=tuple(allowed[controller].values()),
            allowed=frozenset(typed(allowed[controller].values())),
            places=np.array(list(allowed[controller]), dtype=np.int64),
        )
        for position, controller in enumerate(checks)
        if controller in allowed
    )


def _places(
    who: str, controller: str, values: Sequence[Any], checks: Mapping[str, Check], axes: Mapping[str, Axis]
) -> dict[int, Plain]:
    """The plain values of a condition by the index of their bins."""
    if controller not in checks:
        inside = [known for known in checks if known.startswith(controller + ".")]
        todo = f"it is a space; name one of {inside}" if inside else suggestion(controller, list(checks))
        raise ConfigError(f"{who} must name a parameter, got {controller!r}; {todo}")
    lattice = axes[controller].lattice
    if lattice is None:
        raise ConfigError(
            f"{who} must be on a parameter of countable values, got a continuous Float; give it a step, or take an Int "
            "or a Categorical"
        )
    plain = []
    for value in values:
        try:
            plain.append(checks[controller](value))
        except ConfigError as error:
            raise ConfigError(f"{who} names a value that it can never take: {error}") from None
    places = dict(zip(lattice.locate(plain).tolist(), plain, strict=True))
    if len(places) < len(plain):
        raise ConfigError(f"{who} must have distinct values, got {plain!r}; leave the repeated ones out")
    return places


def _order(names: Sequence[str], needs: Mapping[str, tuple[Need, ...]]) -> tuple[str, ...]:
    """All names, controllers first; raises where there is no such order."""
    order: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        left = []
        for name in waiting:
            if all(need.name in order for need in needs.get(name, ())):
                order[name] = None
            else:
                left.append(name)
        if len(left) == len(waiting):
            raise ConfigError(
                f"the conditions of {left} form a circle; some of these parameters must depend on others only"
            )
        waiting = left
    return tuple(order)


def _check_reachable(order: Sequence[str], needs: Mapping[str, tuple[Need, ...]]) -> None:
    """Refuses a parameter whose conditions, and those of its controllers, contradict one another."""
    required: dict[str, dict[str, frozenset[tuple[type, Plain]]]] = {}
    for name in order:
        mine: dict[str, frozenset[tuple[type, Plain]]] = {}
        for need in needs.get(name, ()):
            for source in ({need.name: need.allowed}, required[need.name]):
                for other, allowed in source.items():
                    mine[other] = mine.get(other, allowed) & allowed
        for other, allowed in mine.items():
            if not allowed:
                raise ConfigError(
                    f"parameter {name!r} can never be active: its conditions, with those of what it depends on, leave "
                    f"no value of {other!r}; widen one of them"
                )
        required[name] = mine
