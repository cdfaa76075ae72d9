"""The immutable containers of a State: sorted tuples, a vector whose changed copies share nearly all memory, and a log.

All are plain values: containers with equal contents are equal, whatever their history. Nothing here knows what is
stored.
"""

import bisect
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

__all__ = ["Key", "Log", "Ranking", "Vector", "has_key", "with_key", "without_key"]

T = TypeVar("T")

_BITS = 5
_WIDTH = 1 << _BITS
_MASK = _WIDTH - 1


class Vector(Sequence[T], Generic[T]):
    """An immutable sequence; `append` and `replace` take O(log n) to the base 32, and `extend` as much per item.

    A trie with nodes of 32 items (Bagwell, "Ideal Hash Trees", 2001, applied to vectors); the last, unfilled node is
    stored separately as the tail.

    Examples:
        >>> one = Vector([1, 2])
        >>> two = one.append(3).replace(0, 9)
        >>> list(one), list(two)
        ([1, 2], [9, 2, 3])
    """

    __slots__ = ("_root", "_shift", "_size", "_start", "_tail")

    _size: int
    _start: int  # the index of the tail's first item
    _shift: int  # bits of the index below the root's own; the root holds nodes of full tails
    _root: tuple[Any, ...]
    _tail: tuple[T, ...]

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._size, self._start, self._shift, self._root, self._tail = 0, 0, _BITS, (), ()
        self._grow(items)

    def _grow(self, items: Iterable[T]) -> None:
        full, rest = self._start, (*self._tail, *items)
        size = full + len(rest)
        last = max(0, (len(rest) - 1) // _WIDTH * _WIDTH)  # where the new tail begins
        for at in range(0, last, _WIDTH):
            self._shift, self._root = self._pushed(full + at, rest[at : at + _WIDTH])
        self._size, self._start, self._tail = size, full + last, rest[last:]

    @staticmethod
    def _make(size: int, start: int, shift: int, root: tuple[Any, ...], tail: tuple[T, ...]) -> "Vector[T]":
        made: Vector[T] = object.__new__(Vector)
        made._size, made._start, made._shift = size, start, shift
        made._root, made._tail = root, tail
        return made

    def append(self, item: T) -> "Vector[T]":
        """A vector with `item` appended."""
        size, start = self._size, self._start
        if size - start < _WIDTH:
            return self._make(size + 1, start, self._shift, self._root, (*self._tail, item))
        shift, root = self._pushed(start, self._tail)
        return self._make(size + 1, size, shift, root, (item,))

    def extend(self, items: Sequence[T]) -> "Vector[T]":
        """A vector with `items` appended."""
        if not items:
            return self
        if len(items) == 1:
            return self.append(items[0])
        made = self._make(self._size, self._start, self._shift, self._root, self._tail)
        made._grow(items)  # noqa: SLF001  # of the same class
        return made

    def replace(self, index: int, item: T) -> "Vector[T]":
        """A vector with `item` at `index` (0 .. len - 1).

        Raises:
            IndexError: There is no such index.
        """
        size, start, tail = self._size, self._start, self._tail
        if start <= index < size:
            at = index - start
            return self._make(size, start, self._shift, self._root, (*tail[:at], item, *tail[at + 1 :]))
        if not 0 <= index < start:
            raise IndexError(f"Vector.replace: index must be from 0 to {size - 1}, got {index}")
        return self._make(size, start, self._shift, _replaced(self._root, self._shift, index, item), tail)

    def _pushed(self, at: int, block: tuple[T, ...]) -> tuple[int, tuple[Any, ...]]:
        """The shift and root of a trie of `at` items with a full block appended."""
        if at >> _BITS >= 1 << self._shift:  # the root is full
            return self._shift + _BITS, (self._root, _path(self._shift, block))
        return self._shift, _with_block(self._root, self._shift, at, block)

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(self._size)))
        start = self._start
        if start <= index < self._size:
            return self._tail[index - start]
        if not 0 <= index < start:
            if not -self._size <= index < 0:
                raise IndexError(f"Vector: index must be from {-self._size} to {self._size - 1}, got {index}")
            return self[index + self._size]
        node, shift = self._root, self._shift
        while shift:
            node = node[index >> shift & _MASK]
            shift -= _BITS
        item: T = node[index & _MASK]
        return item

    def __iter__(self) -> Iterator[T]:
        nodes: Iterable[Any] = (self._root,)
        for _ in range(0, self._shift + 1, _BITS):
            nodes = itertools.chain.from_iterable(nodes)
        return itertools.chain(nodes, self._tail)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vector):
            return NotImplemented
        return self._size == other._size and self._tail == other._tail and self._root == other._root

    def __hash__(self) -> int:
        return hash((self._size, self._tail))

    def __repr__(self) -> str:
        return f"Vector({list(self)!r})"


def _replaced(node: tuple[Any, ...], shift: int, index: int, item: Any) -> tuple[Any, ...]:
    at = index >> shift & _MASK
    new = _replaced(node[at], shift - _BITS, index, item) if shift else item
    return (*node[:at], new, *node[at + 1 :])


def _path(shift: int, block: tuple[Any, ...]) -> tuple[Any, ...]:
    return (_path(shift - _BITS, block),) if shift else block


def _with_block(node: tuple[Any, ...], shift: int, at: int, block: tuple[Any, ...]) -> tuple[Any, ...]:
    if not shift:
        return block
    place = at >> shift & _MASK
    if place == len(node):
        return (*node, _path(shift - _BITS, block))
    return (*node[:place], _with_block(node[place], shift - _BITS, at, block))


class Log(Sequence[T], Generic[T]):
    """An immutable sequence to which one usually appends at the end; `append` takes O(1) there, else O(n).

    All logs that were appended to one another share one list, of which each knows how much is its own. It equals the
    tuple of its items.

    Examples:
        >>> one = Log().append(1)
        >>> two, other = one.append(2), one.append(3)
        >>> one, two, other
        (Log([1]), Log([1, 2]), Log([1, 3]))
    """

    __slots__ = ("_shared", "_size")

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._shared = list(items)
        self._size = len(self._shared)

    def append(self, item: T) -> "Log[T]":
        """A log with `item` appended."""
        made: Log[T] = object.__new__(Log)
        made._shared = self._shared if len(self._shared) == self._size else self._shared[: self._size]
        made._shared.append(item)
        made._size = self._size + 1
        return made

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        if isinstance(index, slice):
            return tuple(self._shared[i] for i in range(*index.indices(self._size)))
        if not -self._size <= index < self._size:
            raise IndexError(f"Log: index must be from {-self._size} to {self._size - 1}, got {index}")
        return self._shared[index if index >= 0 else index + self._size]

    def __iter__(self) -> Iterator[T]:
        return itertools.islice(self._shared, self._size)

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Log | tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return Log, (tuple(self),)

    def __repr__(self) -> str:
        return f"Log({list(self)!r})"


Key = tuple[float, int]
"""A loss and the id of its trial."""

Ranking = tuple[Key, ...]
"""Sorted keys. A change copies all of them, which is as fast as a balanced tree up to some 1,000 keys, and simpler."""


def with_key(ranking: Ranking, key: Key) -> Ranking:
    """The ranking with a key added that is not in it yet; O(its length).

    Examples:
        >>> with_key(((0.1, 2), (0.5, 1)), (0.5, 0))
        ((0.1, 2), (0.5, 0), (0.5, 1))
    """
    at = bisect.bisect_left(ranking, key)
    return (*ranking[:at], key, *ranking[at:])


def without_key(ranking: Ranking, key: Key) -> Ranking:
    """The ranking with a key removed; O(its length).

    Raises:
        KeyError: The key is not in the ranking.
    """
    at = bisect.bisect_left(ranking, key)
    if ranking[at : at + 1] != (key,):
        raise KeyError(key)
    return (*ranking[:at], *ranking[at + 1 :])


def has_key(ranking: Ranking, key: Key) -> bool:
    """Whether a key is in the ranking; O(log of its length)."""
    at = bisect.bisect_left(ranking, key)
    return ranking[at : at + 1] == (key,)
