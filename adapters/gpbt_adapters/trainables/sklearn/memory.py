"""Checkpoints of scikit-learn models in the memory of this process, for runs that train in it and need no files.

A checkpoint is a pickle of the model, apart from the parts that never change once they are there, such as the trees of
a forest: these are shared by all checkpoints and models that have them. Pickling is both faster than a deep copy and
the same as what a file would hold.
"""

import contextlib
import io
import pickle
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from gpbt_adapters.storing.checkpoints import Store
from gpbt_adapters.storing.checkpoints.store import compare, missing
from gpbt_adapters.trainables.pickles import by_value
from gpbt_adapters.trainables.sklearn.models import last_step
from gpbt_adapters.trainables.sklearn.reuse import finished_parts, sharable

__all__ = ["Memory", "MemoryStore"]


@attrs.frozen
class _Frozen:
    """A pickle, and the shared parts that it refers to by number."""

    content: bytes
    shared: tuple[Any, ...]


class _Pickler(pickle.Pickler):
    def __init__(self, file: Any, parts: Mapping[int, Any]) -> None:
        super().__init__(file, protocol=5)
        self._parts = parts
        self.shared: list[Any] = []

    def persistent_id(self, obj: Any) -> int | None:
        if id(obj) not in self._parts:
            return None
        self.shared.append(obj)
        return len(self.shared) - 1


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, shared: tuple[Any, ...]) -> None:
        super().__init__(file)
        self._shared = shared

    def persistent_load(self, pid: int) -> Any:
        return self._shared[pid]


class Memory:
    """States of models, by the path of their checkpoint, which names no file."""

    def __init__(self) -> None:
        self._states: dict[Path, _Frozen] = {}

    def __contains__(self, path: object) -> bool:
        return path in self._states

    def keep(self, path: Path, states: list[dict[str, Any]]) -> None:
        """Keeps a copy of the states of the folds' models."""
        parts = {
            id(part): part
            for state in states
            for part in (*finished_parts(last_step(state["estimator"])), *sharable(state))
        }
        file = io.BytesIO()
        pickler = _Pickler(file, parts)
        try:
            pickler.dump(states)
        except (pickle.PicklingError, AttributeError):  # a class that can only be pickled by value
            self._states[path] = _Frozen(by_value(states), ())
        else:
            self._states[path] = _Frozen(file.getvalue(), tuple(pickler.shared))

    def copy(self, path: Path) -> list[dict[str, Any]]:
        """Returns a copy of what was kept."""
        kept = self._states[path]
        states: list[dict[str, Any]] = _Unpickler(io.BytesIO(kept.content), kept.shared).load()
        return states

    def drop(self, path: Path) -> None:
        """Forgets a checkpoint, if there is one."""
        self._states.pop(path, None)


class MemoryStore(Store):
    """A store without files, for trainables that keep their states in a `Memory`."""

    def __init__(self, memory: Memory) -> None:
        self.run = uuid.uuid4().hex
        self._memory = memory
        self._manifests: dict[int, dict[str, Any]] = {}
        self._files: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return "MemoryStore()"

    def ids(self) -> frozenset[int]:
        """The trials that have a checkpoint here."""
        return frozenset(self._manifests)

    @contextlib.contextmanager
    def writing(self, trial_id: int, *, line: str = "") -> Iterator[Path]:
        """Yields the path under which the trainable keeps its state."""
        path = self._path(trial_id)
        try:
            yield path
        except BaseException:
            self._memory.drop(path)
            raise
        self._manifests[trial_id] = {"run": self.run, "trial": trial_id, "line": line, "files": {}}

    @contextlib.contextmanager
    def reading(self, trial_id: int, *, line: str = "") -> Iterator[Path]:
        """Yields the path under which the trainable finds its state.

        Raises:
            MissingCheckpointError: There is no such checkpoint.
            CheckpointError: It belongs to another trial.
        """
        if trial_id not in self._manifests:
            raise missing(self, trial_id)
        compare(self, trial_id, line, self._manifests[trial_id], {})
        yield self._path(trial_id)

    def delete(self, trial_ids: Iterable[int]) -> None:
        """Forgets the checkpoints of these trials; ids without one are ignored."""
        for trial_id in trial_ids:
            self._manifests.pop(trial_id, None)
            self._memory.drop(self._path(trial_id))

    def add_file(self, name: str, content: bytes) -> None:
        """Keeps some bytes by name."""
        self._files[name] = content

    def read_file(self, name: str) -> bytes:
        """Returns what `add_file` kept."""
        return self._files[name]

    def close(self) -> None:
        """Forgets all checkpoints."""
        self.delete(self.ids())

    def _path(self, trial_id: int) -> Path:
        return Path("memory", self.run, f"trial-{trial_id}")
