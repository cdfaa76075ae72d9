"""The work of a space on configs and on points of the unit cube, prepared when the space is created.

A plan holds the parameters as dimensions and the order in which their activity is decided.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from gpbt_core.errors import ConfigError
from gpbt_core.space.checks import Check, check_of
from gpbt_core.space.conditions import Conditions, Need, Wanted, is_active, resolve, suggestion
from gpbt_core.space.config import Config, ReadOnlyDict
from gpbt_core.space.cube import Axis, axis
from gpbt_core.space.parameters import Parameter

__all__ = ["Plan"]


@attrs.frozen(eq=False)
class _Step:
    """One parameter, in the order in which activity is decided."""

    position: int
    name: str
    axis: Axis
    check: Check
    needs: tuple[Need, ...]

    def values(self, first: Mapping[str, Any]) -> Iterator[Any]:
        """The values of a discrete parameter, from that of a config on, and round the corner."""
        lattice, bins = self.axis.lattice, self.axis.bins
        assert lattice is not None  # the space is finite
        start = int(lattice.locate([first[self.name]])[0]) if self.name in first else 0
        for place in itertools.chain(range(start, bins), range(start)):
            yield self.axis.decode(float(lattice.center(np.array([place]))[0]))


@attrs.frozen(eq=False)
class Plan:
    """The work of a space.

    Attributes:
        parameters: By flat name, in order.
        conditions: Those of each conditional parameter; flat names.
        names: The flat names.
        axes: The parameters as dimensions, in the order of the names.
        finite: Whether no parameter is continuous.
    """

    parameters: Mapping[str, Parameter]
    conditions: Conditions
    names: tuple[str, ...]
    axes: tuple[Axis, ...]
    finite: bool
    _decoders: tuple[Callable[[float], Any], ...]
    _checks: tuple[tuple[str, Check], ...]
    _steps: tuple[_Step, ...]

    @classmethod
    def of(cls, parameters: Mapping[str, Parameter], wanted: Wanted) -> Self:
        """Makes the plan of a flat space.

        Args:
            parameters: By flat name, in order.
            wanted: The (flat name, values) pairs of each conditional parameter.

        Raises:
            ConfigError: The conditions are unsound.
        """
        axes = {name: axis(parameter) for name, parameter in parameters.items()}
        checks = {name: check_of(name, parameter) for name, parameter in parameters.items()}
        needs, order = resolve(wanted, checks, axes)
        positions = {name: position for position, name in enumerate(parameters)}
        return cls(
            parameters=ReadOnlyDict(parameters),
            conditions=ReadOnlyDict(
                {name: tuple((n.name, n.values) for n in theirs) for name, theirs in needs.items()}
            ),
            names=tuple(parameters),
            axes=tuple(axes.values()),
            finite=all(one.bins for one in axes.values()),
            decoders=tuple(one.decode for one in axes.values()),
            checks=tuple(checks.items()),
            steps=tuple(_Step(positions[name], name, axes[name], checks[name], needs.get(name, ())) for name in order),
        )

    def decode(self, u: list[float]) -> Config:
        """The config at the point u (d numbers)."""
        if self.conditions:
            return self._decode_conditional(u)
        for x in u:
            if not 0.0 <= x <= 1.0:
                _refuse_point(self.names[u.index(x)], x)
        return Config({name: decode(x) for name, decode, x in zip(self.names, self._decoders, u, strict=True)})

    def _decode_conditional(self, u: list[float]) -> Config:
        values: dict[str, Any] = {}
        for step in self._steps:
            if is_active(step.needs, values):
                x = u[step.position]
                if not 0.0 <= x <= 1.0:
                    _refuse_point(step.name, x)
                values[step.name] = step.axis.decode(x)
        return self._ordered(values)

    def validate(self, config: Mapping[str, Any]) -> Config:
        """The config with plain values in the order of the space, if it is one of the space."""
        try:
            if self.conditions:
                valid = self._validate_conditional(config)
            else:
                valid = Config({name: check(config[name]) for name, check in self._checks})
        except KeyError:
            self._refuse_names(config)
        if len(valid) != len(config):
            self._refuse_names(config)
        return valid

    def _validate_conditional(self, config: Mapping[str, Any]) -> Config:
        values: dict[str, Any] = {}
        for step in self._steps:
            if is_active(step.needs, values):
                values[step.name] = step.check(config[step.name])
        return self._ordered(values)

    def _ordered(self, values: Mapping[str, Any]) -> Config:
        return Config({name: values[name] for name in self.names if name in values})

    def encode(self, configs: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """The points (n, d) of n valid configs, NaN where a parameter is not active."""
        out = np.full((len(configs), len(self.names)), np.nan)
        filled = 0
        try:
            with np.errstate(all="ignore"):  # an invalid value may overflow or have no logarithm, and is found below
                for k, (name, one) in enumerate(zip(self.names, self.axes, strict=True)):
                    rows: slice | list[int] = slice(None)
                    among = configs
                    if name in self.conditions:
                        rows = [i for i, config in enumerate(configs) if name in config]
                        among = [configs[i] for i in rows]
                    out[rows, k] = one.encode([config[name] for config in among])
                    filled += len(among)
        except (KeyError, TypeError, ValueError, IndexError, OverflowError):
            filled = -1
        if np.count_nonzero((out >= 0.0) & (out <= 1.0)) != filled:
            for config in configs:
                self.validate(config)  # raises the error that names the mistake
            raise ConfigError("encode: the configs must have plain values; validate them first")
        return out

    def snap(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """The points (n, d) moved to bin centers, NaN where a parameter is not active."""
        out = np.full(points.shape, np.nan)
        places = np.full(points.shape, -1, dtype=np.int64)  # of the discrete parameters where they are active
        for step in self._steps:
            k = step.position
            rows: slice | NDArray[np.bool_] = slice(None)
            if step.needs:
                rows = np.logical_and.reduce([np.isin(places[:, need.position], need.places) for need in step.needs])
            column = points[rows, k]
            sound = (column >= 0.0) & (column <= 1.0)
            if not sound.all():
                _refuse_point(step.name, float(column[~sound][0]))
            lattice = step.axis.lattice
            if lattice is None:
                out[rows, k] = column
            else:
                places[rows, k] = lattice.index(column)
                out[rows, k] = lattice.center(places[rows, k])
        return out

    def configs(self, first: Mapping[str, Any]) -> Iterator[Config]:
        """Each config of a finite space once, from `first` on; the last parameter changes fastest."""
        values: dict[str, Any] = {}
        trail: list[tuple[int, Iterator[Any]]] = []  # the active parameters, with the values that they have yet to take
        depth = 0
        while True:
            for place, step in enumerate(self._steps[depth:], depth):
                if is_active(step.needs, values):
                    trail.append((place, step.values(first)))
                    values[step.name] = next(trail[-1][1])
            yield self._ordered(values)
            while trail:
                place, rest = trail[-1]
                for step in self._steps[place:]:
                    values.pop(step.name, None)
                following = list(itertools.islice(rest, 1))
                if following:
                    values[self._steps[place].name] = following[0]
                    depth = place + 1
                    break
                trail.pop()
            else:
                return

    def _refuse_names(self, config: Mapping[str, Any]) -> NoReturn:
        """Raises the error that names a missing or superfluous parameter."""
        for name in config:
            if name not in self.parameters:
                raise ConfigError(f"config: {name!r} is no parameter of the space; {suggestion(str(name), self.names)}")
        values: dict[str, Any] = {}
        for step in self._steps:
            active = is_active(step.needs, values)
            if active and step.name not in config:
                raise ConfigError(
                    f"config: parameter {step.name!r} is missing; give it a value of {self.parameters[step.name]!r}"
                )
            if not active and step.name in config:
                where = " and ".join(f"{name!r} is in {list(them)!r}" for name, them in self.conditions[step.name])
                raise ConfigError(f"config: parameter {step.name!r} is active only where {where}; leave it out")
            if active:
                values[step.name] = step.check(config[step.name])
        raise ConfigError(f"config: the mapping must have {len(values)} values, got a length of {len(config)}")


def _refuse_point(name: str, x: float) -> NoReturn:
    raise ConfigError(f"parameter {name!r}: u must be in [0, 1], got {x!r}; clip or reflect it first")
