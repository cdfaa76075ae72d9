"""The two immutable containers that a State is made of: a change gives a new one that shares nearly all with the old.

Both are plain values: equal contents are equal however they came about, and nothing here knows what is stored.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

__all__ = ["Ranking", "Vector"]

T = TypeVar("T")

_BITS = 5
_WIDTH = 1 << _BITS
_MASK = _WIDTH - 1


class Vector(Sequence[T], Generic[T]):
    """An immutable sequence; `append` and `replace` take O(log n), `extend` so each, with a base of 32.

    A trie of nodes of 32 (Bagwell, "Ideal Hash Trees", 2001, as vectors) with the last, unfilled node kept apart as
    the tail.

    Examples:
        >>> one = Vector([1, 2])
        >>> two = one.append(3).replace(0, 9)
        >>> list(one), list(two)
        ([1, 2], [9, 2, 3])
    """

    __slots__ = ("_root", "_shift", "_size", "_start", "_tail")

    _size: int
    _start: int  # the index of the tail's first item
    _shift: int  # bits of the index that lie below the root's own; the root holds nodes of full tails
    _root: tuple[Any, ...]
    _tail: tuple[T, ...]

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._size, self._start, self._shift, self._root, self._tail = 0, 0, _BITS, (), ()
        self._grow(items)

    def _grow(self, items: Iterable[T]) -> None:
        block, full = list(self._tail), self._start
        for item in items:
            if len(block) == _WIDTH:
                self._shift, self._root = self._pushed(full, tuple(block))
                full, block = full + _WIDTH, []
            block.append(item)
        self._size, self._start, self._tail = full + len(block), full, tuple(block)

    @staticmethod
    def _make(size: int, start: int, shift: int, root: tuple[Any, ...], tail: tuple[T, ...]) -> "Vector[T]":
        made: Vector[T] = object.__new__(Vector)
        made._size, made._start, made._shift = size, start, shift
        made._root, made._tail = root, tail
        return made

    def append(self, item: T) -> "Vector[T]":
        """A vector with `item` behind the others."""
        size, start = self._size, self._start
        if size - start < _WIDTH:
            return self._make(size + 1, start, self._shift, self._root, (*self._tail, item))
        shift, root = self._pushed(start, self._tail)
        return self._make(size + 1, size, shift, root, (item,))

    def extend(self, items: Sequence[T]) -> "Vector[T]":
        """A vector with `items` behind the others."""
        if not items:
            return self
        if len(items) == 1:
            return self.append(items[0])
        made = self._make(self._size, self._start, self._shift, self._root, self._tail)
        made._grow(items)  # noqa: SLF001  # its own class's
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
            raise IndexError(f"Vector.replace: wanted an index from 0 to {size - 1}, got {index}")
        return self._make(size, start, self._shift, _replaced(self._root, self._shift, index, item), tail)

    def _pushed(self, at: int, block: tuple[T, ...]) -> tuple[int, tuple[Any, ...]]:
        """The shift and root of a trie of `at` items with a full block behind them."""
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
                raise IndexError(f"Vector: wanted an index from {-self._size} to {self._size - 1}, got {index}")
            return self[index + self._size]
        node, shift = self._root, self._shift
        while shift:
            node = node[index >> shift & _MASK]
            shift -= _BITS
        item: T = node[index & _MASK]
        return item

    def __iter__(self) -> Iterator[T]:
        yield from _leaves(self._root, self._shift)
        yield from self._tail

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


def _leaves(node: tuple[Any, ...], shift: int) -> Iterator[Any]:
    if not node:
        return
    if not shift:
        yield from node
        return
    for child in node:
        yield from _leaves(child, shift - _BITS)


Key = tuple[float, int]
_Node = tuple[Key, int, Any, Any, int]  # key, priority, smaller ones, larger ones, number of keys


class Ranking(Sequence[Key]):
    """An immutable sorted set of (loss, id) keys; `add`, `remove` and indexing take O(log n) in the mean.

    A treap (Seidel and Aragon, "Randomized Search Trees", 1996) whose priorities are a hash of the id: its shape
    depends on its keys alone.

    Examples:
        >>> ranking = Ranking([(0.5, 1), (0.1, 2), (0.5, 0)])
        >>> list(ranking.remove((0.5, 0))), ranking[1]
        ([(0.1, 2), (0.5, 1)], (0.5, 0))
    """

    __slots__ = ("_root",)

    _root: _Node | None

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._root = None
        for key in keys:
            self._root = _added(self._root, key, _priority(key))

    @classmethod
    def _make(cls, root: _Node | None) -> "Ranking":
        made = cls.__new__(cls)
        made._root = root  # noqa: SLF001  # its own class's
        return made

    def add(self, key: Key) -> "Ranking":
        """A ranking with `key`, which must not be in this one."""
        return self._make(_added(self._root, key, _priority(key)))

    def remove(self, key: Key) -> "Ranking":
        """A ranking without `key`.

        Raises:
            KeyError: It is not in this one.
        """
        return self._make(_removed(self._root, key))

    def __len__(self) -> int:
        return self._root[4] if self._root else 0

    @overload
    def __getitem__(self, index: int) -> Key: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Key, ...]: ...
    def __getitem__(self, index: int | slice) -> Key | tuple[Key, ...]:
        size = len(self)
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(size)))
        if not -size <= index < size:
            raise IndexError(f"Ranking: wanted an index below {size}, got {index}")
        left = index % size
        node = self._root
        while True:
            assert node is not None  # the sizes say that the key is below
            smaller = node[2][4] if node[2] else 0
            if left < smaller:
                node = node[2]
            elif left == smaller:
                return node[0]
            else:
                left -= smaller + 1
                node = node[3]

    def __contains__(self, key: object) -> bool:
        node = self._root
        while node is not None and node[0] != key:
            node = node[2] if key < node[0] else node[3]  # type: ignore[operator]  # anything may be asked for; only keys compare
        return node is not None

    def __iter__(self) -> Iterator[Key]:
        stack: list[_Node] = []
        node = self._root
        while stack or node:
            while node:
                stack.append(node)
                node = node[2]
            node = stack.pop()
            yield node[0]
            node = node[3]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ranking):
            return NotImplemented
        return self._root == other._root

    def __hash__(self) -> int:
        return hash(self._root)

    def __repr__(self) -> str:
        return f"Ranking({list(self)!r})"


def _priority(key: Key) -> int:
    x = (
        key[1] + 1
    ) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF  # the finalizer of splitmix64 (Steele et al. 2014), shortened
    return (x ^ x >> 29) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF


def _added(node: _Node | None, key: Key, priority: int) -> _Node:
    if node is None:
        return key, priority, None, None, 1
    k, p, smaller, larger, size = node
    if priority > p:
        below, above = _split(node, key)
        return key, priority, below, above, size + 1
    if key < k:
        return k, p, _added(smaller, key, priority), larger, size + 1
    return k, p, smaller, _added(larger, key, priority), size + 1


def _split(node: _Node | None, key: Key) -> tuple[_Node | None, _Node | None]:
    if node is None:
        return None, None
    k, p, smaller, larger, _ = node
    if key < k:
        below, rest = _split(smaller, key)
        return below, _node(k, p, rest, larger)
    rest, above = _split(larger, key)
    return _node(k, p, smaller, rest), above


def _node(key: Key, priority: int, smaller: _Node | None, larger: _Node | None) -> _Node:
    return key, priority, smaller, larger, 1 + (smaller[4] if smaller else 0) + (larger[4] if larger else 0)


def _removed(node: _Node | None, key: Key) -> _Node | None:
    if node is None:
        raise KeyError(key)
    k, p, smaller, larger, _ = node
    if key < k:
        return _node(k, p, _removed(smaller, key), larger)
    if key > k:
        return _node(k, p, smaller, _removed(larger, key))
    return _merged(smaller, larger)


def _merged(smaller: _Node | None, larger: _Node | None) -> _Node | None:
    if smaller is None:
        return larger
    if larger is None:
        return smaller
    if smaller[1] > larger[1]:
        return _node(smaller[0], smaller[1], smaller[2], _merged(smaller[3], larger))
    return _node(larger[0], larger[1], _merged(smaller, larger[2]), larger[3])
