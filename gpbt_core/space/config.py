"""Configs, and the read-only dict they are made of.

Nothing here knows of a space: what may stand in a config is decided elsewhere; here it only cannot be changed any more.
"""

from collections.abc import Callable
from typing import Any, NoReturn, Self, TypeVar

__all__ = ["Config", "ReadOnlyDict"]

V = TypeVar("V")


class ReadOnlyDict(dict[str, V]):
    """A dict that refuses changes, and that pickles, copies and hashes, unlike `types.MappingProxyType`."""

    __slots__ = ()

    def _refuse(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        kind = type(self).__name__
        raise TypeError(f"{kind} is read-only: make a changed dict of your own, {{**it, name: value}}")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]  # dict sets it to None
        return hash(frozenset(self.items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({super().__repr__()})"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # what it holds is immutable too

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[dict[str, V]]]:
        return type(self), (dict(self),)  # pickle would fill an empty one item by item, which is refused


class Config(ReadOnlyDict[Any]):
    """Values for every active parameter of a space, in the order of the space; a dict that refuses changes.

    The values are plain: str, int, float, bool or None. It compares equal to a plain dict, `json.dumps` takes it, and
    it can be hashed; `dict(config)` and `{**config, "lr": 0.1}` give plain dicts. Changing it is a TypeError.

    Examples:
        >>> config = Config({"lr": 0.1, "layers": 2})
        >>> {**config, "layers": 3}
        {'lr': 0.1, 'layers': 3}
    """

    __slots__ = ()
