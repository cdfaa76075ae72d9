"""Configs, and the read-only dict that they derive from.

Nothing here knows a space or checks values; that is done before a config is created.
"""

from collections.abc import Callable
from typing import Any, NoReturn, Self, TypeVar

__all__ = ["Config", "ReadOnlyDict"]

V = TypeVar("V")


class ReadOnlyDict(dict[str, V]):
    """A read-only dict that can be pickled, copied and hashed, unlike `types.MappingProxyType`."""

    __slots__ = ()

    def _refuse(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        kind = type(self).__name__
        raise TypeError(f"{kind} is read-only; make a changed copy: {{**config, name: value}}")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]  # dict sets it to None
        return hash(frozenset(self.items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({super().__repr__()})"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # its values are immutable, too

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[dict[str, V]]]:
        return type(self), (dict(self),)  # pickle would fill an empty one item by item, which is refused


class Config(ReadOnlyDict[Any]):
    """The values of every active parameter of a space, in the order of the space, as a read-only dict.

    The values are plain: str, int, float, bool or None. A config compares equal to a plain dict, can be hashed, and can
    be passed to `json.dumps`. `dict(config)` and `{**config, "lr": 0.1}` are plain dicts. Changing a config raises
    TypeError.

    Examples:
        >>> config = Config({"lr": 0.1, "layers": 2})
        >>> {**config, "layers": 3}
        {'lr': 0.1, 'layers': 3}
    """

    __slots__ = ()
