"""Random states as plain data, and objects that have random states of their own while they train.

Frameworks and users' data pipelines draw from global generators. A trainable must neither disturb those of its process
nor depend on what others drew. It therefore swaps in its own states for each call and restores the others afterwards.
All states are lists, dicts, numbers and strings, safe in any file format.
"""

import random
import threading
import warnings
from collections.abc import Container, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

__all__ = [
    "NumpyGlobal",
    "OwnRandomness",
    "PythonGlobal",
    "Source",
    "derived_seed",
    "fresh_seeds",
    "generator_state",
    "restore_generator",
    "setup_seed",
]


class Source(Protocol):
    """One global generator."""

    name: str

    def seeded(self, seed: int) -> Any:
        """Returns the state that seeding would produce, without changing the generator."""

    def get(self) -> Any:
        """Returns the generator's state as plain data."""

    def set(self, state: Any) -> None:
        """Puts a state, from `get` or `seeded`, into the generator."""


class PythonGlobal:
    """The generator behind the functions of Python's `random`."""

    name = "python"

    def seeded(self, seed: int) -> Any:
        """Returns the state that seeding would produce."""
        return self._plain(random.Random(seed).getstate())  # noqa: S311 - for training, not for secrets

    def get(self) -> Any:
        """Returns the state as a list."""
        return self._plain(random.getstate())

    def set(self, state: Any) -> None:
        """Puts a state back."""
        version, numbers, gauss = state
        random.setstate((version, tuple(numbers), gauss))

    @staticmethod
    def _plain(state: tuple[Any, ...]) -> list[Any]:
        version, numbers, gauss = state
        return [version, list(numbers), gauss]


class NumpyGlobal:
    """The generator behind numpy's legacy functions such as `np.random.rand`, which many augmentations use."""

    name = "numpy"

    def seeded(self, seed: int) -> Any:
        """Returns the state that seeding would produce."""
        return self._plain(np.random.RandomState(seed).get_state(legacy=False))

    def get(self) -> Any:
        """Returns the state as a dict."""
        return self._plain(np.random.get_state(legacy=False))  # noqa: NPY002 - this is the state to save

    def set(self, state: Any) -> None:
        """Puts a state back."""
        np.random.set_state(_with_arrays(state))  # noqa: NPY002 - as above

    @staticmethod
    def _plain(state: Any) -> Any:
        return _without_arrays(state)


def generator_state(generator: np.random.Generator) -> dict[str, Any]:
    """Returns the state of a numpy generator as plain data."""
    state: dict[str, Any] = _without_arrays(dict(generator.bit_generator.state))
    return state


def restore_generator(generator: np.random.Generator, state: dict[str, Any]) -> None:
    """Puts a state from `generator_state` into a generator of the same kind.

    Raises:
        ValueError: The state belongs to another kind of bit generator.
    """
    generator.bit_generator.state = _with_arrays(state)


def _without_arrays(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": str(value.dtype)}
    if isinstance(value, dict):
        return {key: _without_arrays(item) for key, item in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def _with_arrays(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"array", "dtype"}:
            return np.array(value["array"], dtype=value["dtype"])
        return {key: _with_arrays(item) for key, item in value.items()}
    return value


# The threads that are inside an OwnRandomness. Global generators belong to the process: two threads would mix streams.
_inside: set[int] = set()


class OwnRandomness:
    """Global random states that belong to one object: in force inside a `with` block, and saved after it.

    Args:
        sources: The generators to own.
        seed: Seeds each of them, 0 .. 2**32 - 1.

    Examples:
        >>> own = OwnRandomness([PythonGlobal()], seed=1)
        >>> with own:
        ...     first = random.random()
        >>> _ = random.random()  # others draw in between
        >>> with own:
        ...     second = random.random()
        >>> alone = random.Random(1)
        >>> [first, second] == [alone.random(), alone.random()]
        True
    """

    def __init__(self, sources: Sequence[Source], seed: int) -> None:
        self._sources = tuple(sources)
        self._own = {source.name: source.seeded(seed) for source in self._sources}
        self._outside: dict[str, Any] = {}

    @property
    def state(self) -> dict[str, Any]:
        """The states at the next entry, by source; read it outside the `with` block only."""
        return dict(self._own)

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self._own = {source.name: state[source.name] for source in self._sources}

    def __enter__(self) -> Self:
        if _inside - {threading.get_ident()}:
            warnings.warn(
                "two models train at once in threads of one process: they share the global random generators of "
                "Python, numpy and the framework, so results cannot be reproduced. Use processes if that matters.",
                RuntimeWarning,
                stacklevel=2,
            )
        _inside.add(threading.get_ident())
        self._outside = {source.name: source.get() for source in self._sources}
        for source in self._sources:
            source.set(self._own[source.name])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _inside.discard(threading.get_ident())
        self._own = {source.name: source.get() for source in self._sources}
        for source in self._sources:
            source.set(self._outside[source.name])


def setup_seed(seed: int, trial_id: int) -> int:
    """Derives the seed of a founder's set-up from the run's seed and the trial's id, 0 .. 2**32 - 1.

    >>> setup_seed(0, 1) == setup_seed(0, 1) != setup_seed(1, 0)
    True
    """
    return derived_seed(seed, trial_id)


def derived_seed(*numbers: int) -> int:
    """Mixes non-negative numbers into a seed, 0 .. 2**32 - 1, that depends on each of them.

    >>> len({derived_seed(0, 1), derived_seed(1, 0), derived_seed(0, 0, 1)})
    3
    """
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def fresh_seeds(seed: int, count: int, used: Container[int]) -> tuple[int, ...]:
    """Derives distinct set-up seeds, 0 .. 2**32 - 1, that are not in `used` from the run's seed.

    >>> fresh_seeds(0, 3, set())[:2] == fresh_seeds(0, 2, set())
    True
    """
    stream = np.random.default_rng(np.random.SeedSequence((seed, 0), spawn_key=(1,)))  # separate from the founders'
    found: dict[int, None] = {}
    while len(found) < count:
        drawn = int(stream.integers(2**32))
        if drawn not in used:
            found[drawn] = None
    return tuple(found)
