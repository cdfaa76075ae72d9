"""Spaces: named parameters, nested and conditional.

A space is an immutable face of a plan, which is prepared when the space is created, so a config costs no more than its
arithmetic.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self, TypeAlias

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpbt_core.errors import ConfigError
from gpbt_core.space import serial
from gpbt_core.space.conditions import Conditions, Wanted
from gpbt_core.space.config import Config, ReadOnlyDict
from gpbt_core.space.parameters import Categorical, Parameter, Plain, alike, typed
from gpbt_core.space.plan import Plan

__all__ = ["Node", "Space", "When"]


def _typed_values(values: Mapping[str, Sequence[Plain]]) -> dict[str, tuple[tuple[type, Plain], ...]]:
    return {name: typed(allowed) for name, allowed in values.items()}


@attrs.frozen(repr=False)
class When:
    """A parameter or a space that is active only under values of other parameters.

    Attributes:
        what: What is conditional: a parameter, or a space with all of its parameters.
        values: For each controlling parameter the values under which `what` is active. All controlling parameters must
            be active themselves and have one of their values. The names are relative to the space that holds the When;
            dots lead into the spaces nested in it.

    Raises:
        ConfigError: `what` is neither a parameter nor a space, there are no conditions, or one has no list of at least
            one value.

    Examples:
        >>> from gpbt_core.space import Categorical, Float
        >>> space = Space(kind=Categorical(["sgd", "adam"]), momentum=When(Float(0, 0.99), {"kind": ["sgd"]}))
        >>> space.decode([0.9, 0.5])
        Config({'kind': 'adam'})
    """

    what: "Node"
    values: Mapping[str, Sequence[Plain]] = attrs.field(eq=_typed_values, hash=False)

    def __attrs_post_init__(self) -> None:
        what: object = self.what
        if not isinstance(what, (Parameter, Space, When)):
            raise ConfigError(f"When: what is conditional must be a Float, Int, Categorical or Space, got {what!r}")
        given: object = self.values
        if not isinstance(given, Mapping) or not given:
            raise ConfigError(
                f"When: the conditions must be a dict from names to lists of values, not empty, got {given!r}"
            )
        kept: dict[str, tuple[Plain, ...]] = {}
        for name, values in given.items():
            _check_name("When", name)
            if isinstance(values, (str, bytes)) or not isinstance(values, Sequence) or not values:
                raise ConfigError(f"When: the values of {name!r} must be a list of at least one, got {values!r}")
            kept[name] = tuple(values)
        object.__setattr__(self, "values", ReadOnlyDict(kept))

    def __repr__(self) -> str:
        values = ", ".join(f"{name!r}: {list(values)!r}" for name, values in self.values.items())
        return f"When({self.what!r}, {{{values}}})"


@attrs.frozen(init=False, repr=False, eq=False, getstate_setstate=False)
class Space:
    """Named parameters, which are the dimensions of a unit cube, in their order.

    The names of a space inside a space are joined by dots. Only these flat names count: spaces are equal if they have
    the same parameters under the same names in the same order, and the same conditions, however they were nested.

    Attributes:
        parameters: The parameters by their flat names, in order; read-only.
        conditions: For each conditional parameter the (name, values) pairs that make it active; flat names; read-only.
        names: The flat names.
        bins: int64 array (d,): the number of values of each parameter, 0 where it is continuous; read-only.
        categorical: bool array (d,): which parameters are Categorical; read-only.
        finite: Whether no parameter is continuous.

    Examples:
        >>> from gpbt_core.space import Categorical, Float, Int
        >>> space = Space(lr=Float(0, 1), layers=Int(1, 4), net=Space(act=Categorical(["relu", "tanh"])))
        >>> space.names
        ('lr', 'layers', 'net.act')
        >>> space.decode([0.25, 0.9, 0])
        Config({'lr': 0.25, 'layers': 4, 'net.act': 'relu'})
    """

    parameters: Mapping[str, Parameter]
    conditions: Conditions
    names: tuple[str, ...]
    bins: NDArray[np.int64]
    categorical: NDArray[np.bool_]
    finite: bool
    _plan: Plan
    _hash: int

    def __init__(self, parameters: "Mapping[str, Node] | None" = None, /, **named: "Node") -> None:
        """Makes a space.

        Args:
            parameters: Parameters, spaces and Whens by name; names may be dotted.
            named: More of them, after those.

        Raises:
            ConfigError: There is no parameter, a bad or repeated name, something else than a parameter, or an unsound
                condition (an unknown name, a value that does not exist, a circle, a contradiction).
        """
        flat, wanted = _flatten(parameters, named)
        plan = Plan.of(flat, wanted)
        self.__attrs_init__(
            parameters=plan.parameters,
            conditions=plan.conditions,
            names=plan.names,
            bins=_read_only(np.array([one.bins for one in plan.axes], dtype=np.int64)),
            categorical=_read_only(np.array([isinstance(p, Categorical) for p in flat.values()], dtype=np.bool_)),
            finite=plan.finite,
            plan=plan,
            hash=hash((tuple(flat.items()), plan.conditions)),
        )

    def sample(self, rng: "np.random.Generator") -> Config:  # quoted: numpy loads its random on first use
        """A config drawn uniformly from the unit cube.

        Args:
            rng: The source of d uniform numbers, whatever is active: the config is `decode(rng.random(d))`.
        """
        return self._plan.decode(rng.random(len(self.names)).tolist())

    def validate(self, config: Mapping[str, Any]) -> Config:
        """Checks a config, and returns it with plain values in the order of the space.

        Numpy scalars become plain values, and whole numbers become floats where the parameter is a Float. A float
        within 1e-9 of a step of a lattice point becomes that point. Nothing else is changed.

        Args:
            config: A value for each active parameter.

        Raises:
            ConfigError: The config is no mapping; a parameter is missing, unknown or not active; a value is of the
                wrong type, out of bounds, or off the lattice.
        """
        if not isinstance(config, (dict, Mapping)):  # dict first: asking the abstract class takes longer
            raise ConfigError(f"config must be a dict from names to values, got {config!r}")
        return self._plan.validate(config)

    def encode(self, configs: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """The points of configs in the unit cube.

        Decoding a point gives the config back: exactly if it came from `sample` or `decode`, or where the parameter is
        discrete. A float from elsewhere comes back within 2**-48 of the range (on its scale), since the floats between
        0 and 1 cannot tell all floats of a range apart.

        Args:
            configs: n valid configs, as `sample`, `decode` and `validate` return them.

        Returns:
            An array (n, d) in [0, 1]: bin centers where a parameter is discrete, NaN where it is not active.

        Raises:
            ConfigError: A config is not valid; not every mistake is noticed.
        """
        return self._plan.encode(configs)

    def decode(self, u: ArrayLike) -> Config:
        """The config at a point of the unit cube.

        Args:
            u: An array (d,) in [0, 1]; anything, NaN included, where the parameter is not active.

        Returns:
            The config: every active parameter, each in bounds and on its lattice.

        Raises:
            ConfigError: `u` has no numbers or another shape, or an entry of an active parameter is not in [0, 1].
        """
        point = _array("decode", u)
        if point.shape != (len(self.names),):
            raise ConfigError(f"decode: u must have the shape ({len(self.names)},), got {point.shape}")
        return self._plan.decode(point.tolist())

    def decode_all(self, u: ArrayLike) -> list[Config]:
        """The configs at points of the unit cube.

        Args:
            u: An array (n, d) in [0, 1]; anything where the parameter is not active.

        Raises:
            ConfigError: `u` has no numbers or another shape, or an entry of an active parameter is not in [0, 1].
        """
        return [self._plan.decode(point) for point in self._points("decode_all", u).tolist()]

    def snap(self, u: ArrayLike) -> NDArray[np.float64]:
        """Moves points of the unit cube to the points of their configs.

        Args:
            u: An array (n, d) in [0, 1]; anything where the parameter is not active under the values of its row.

        Returns:
            A new array (n, d): bin centers where a parameter is discrete, NaN where it is not active, the rest as is.

        Raises:
            ConfigError: `u` has no numbers or another shape, or an entry of an active parameter is not in [0, 1].
        """
        return self._plan.snap(self._points("snap", u))

    def _points(self, who: str, u: ArrayLike) -> NDArray[np.float64]:
        points = _array(who, u)
        if points.ndim != 2 or points.shape[1] != len(self.names):
            raise ConfigError(f"{who}: u must have the shape (n, {len(self.names)}), got {points.shape}")
        return points

    def untried(self, config: Mapping[str, Any], tried: Iterable[Mapping[str, Any]]) -> Config:
        """The config itself if it was not tried, otherwise the next one in the order of the space that was not.

        The last parameter changes first, and each goes through its values from that of `config` on.

        Args:
            config: A valid config.
            tried: Valid configs.

        Returns:
            `config` if the space has a continuous parameter, or if every config was tried.

        Examples:
            >>> from gpbt_core.space import Categorical, Int
            >>> space = Space(kind=Categorical(["a", "b"]), layers=Int(1, 2))
            >>> space.untried({"kind": "a", "layers": 2}, [{"kind": "a", "layers": 2}, {"kind": "a", "layers": 1}])
            Config({'kind': 'b', 'layers': 2})
        """
        proposed = config if isinstance(config, Config) else Config(config)
        if not self.finite:
            return proposed
        known = list(tried)
        if not any(alike(proposed, one) for one in known):
            return proposed
        kept = {_key(one) for one in known}
        return next((one for one in self._plan.configs(proposed) if _key(one) not in kept), proposed)

    def to_dict(self) -> dict[str, Any]:
        """The space as plain data for JSON; `Space.from_dict` creates an equal space from it."""
        return serial.to_plain(self.parameters, self.conditions)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The space from the data of `to_dict`.

        Args:
            data: What `to_dict` returned, possibly by way of JSON.

        Raises:
            ConfigError: It is something else, or describes an unsound space.
        """
        return cls(_nodes(*serial.from_plain(data)))

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Space):
            return NotImplemented
        return self is other or (
            list(self.parameters.items()) == list(other.parameters.items())
            and {name: _typed_values(dict(pairs)) for name, pairs in self.conditions.items()}
            == {name: _typed_values(dict(pairs)) for name, pairs in other.conditions.items()}
        )

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        nodes = _nodes(self.parameters, self.conditions)
        return f"Space({{{', '.join(f'{name!r}: {node!r}' for name, node in nodes.items())}}})"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # immutable throughout

    def __reduce__(self) -> "tuple[Callable[..., Any], tuple[dict[str, Node]]]":
        return type(self), (_nodes(self.parameters, self.conditions),)  # the plan holds closures, and is made again


def _key(config: Mapping[str, Any]) -> frozenset[tuple[str, type, Any]]:
    """What tells configs apart, with the types of their values."""
    return frozenset((name, value.__class__, value) for name, value in config.items())


Node: TypeAlias = Parameter | When | Space
"""What a space may have under a name."""


def _nodes(parameters: Mapping[str, Parameter], conditions: Wanted) -> dict[str, Node]:
    """The arguments of a space, from its flat parameters and conditions."""
    return {
        name: When(parameter, dict(conditions[name])) if name in conditions else parameter
        for name, parameter in parameters.items()
    }


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array


def _array(who: str, u: ArrayLike) -> NDArray[np.float64]:
    try:
        return np.asarray(u, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{who}: u must be an array of numbers in [0, 1], got {u!r}") from error


def _check_name(who: str, name: object) -> None:
    if not isinstance(name, str) or not all(name.split(".")):
        raise ConfigError(f"{who}: a name must be a word, or words joined by single dots, got {name!r}")


def _flatten(parameters: object, named: Mapping[str, Node]) -> tuple[dict[str, Parameter], Wanted]:
    """The parameters by flat name, and the (flat name, values) pairs of those that are conditional."""
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, Mapping):
        raise ConfigError(f"Space: the parameters must be a dict by name, got {parameters!r}")
    flat: dict[str, Parameter] = {}
    conditions: dict[str, list[tuple[str, Sequence[Plain]]]] = {}
    for name, node in [*parameters.items(), *named.items()]:
        _check_name("Space", name)
        for member, parameter, pairs in _members(name, node):
            if member in flat:
                raise ConfigError(f"Space: two parameters are called {member!r}; rename one of them")
            flat[member] = parameter
            if pairs:
                conditions[member] = pairs
    if not flat:
        raise ConfigError("Space: there must be at least one parameter, got none")
    for name in flat:
        parts = name.split(".")
        for group in (".".join(parts[:length]) for length in range(1, len(parts))):
            if group in flat:
                raise ConfigError(f"Space: {group!r} is a parameter and also holds {name!r}; rename one of them")
    return flat, conditions


def _members(name: str, node: object) -> list[tuple[str, Parameter, list[tuple[str, Sequence[Plain]]]]]:
    """The flat names under a name, each with its parameter and its conditions."""
    if isinstance(node, When):
        outer = list(node.values.items())
        return [(member, parameter, outer + pairs) for member, parameter, pairs in _members(name, node.what)]
    if isinstance(node, Space):
        return [
            (f"{name}.{inner}", parameter, [(f"{name}.{other}", v) for other, v in node.conditions.get(inner, ())])
            for inner, parameter in node.parameters.items()
        ]
    if isinstance(node, Parameter):
        return [(name, node, [])]
    raise ConfigError(f"Space: parameter {name!r} must be a Float, Int, Categorical, Space or When, got {node!r}")
