"""Checkpoints in Ray's object store, for clusters without a disk that all nodes share.

One actor on the driver's node owns the objects, so that they outlive the workers that made them and their nodes.
"""

import contextlib
import importlib
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from gpbt_adapters.storing.checkpoints.store import CarriedStore, CheckpointError, inside
from gpbt_core.errors import ConfigError

__all__ = ["RayStore"]

ray: Any = importlib.import_module("ray")

_Key: TypeAlias = "int | str"
"""A trial's id, or the name of a file of the run."""


class RayStore(CarriedStore):
    """Checkpoints of one run in the object store of a Ray cluster.

    The files of a worker become one object, which moves to the driver's node and from there to the worker that trains a
    child. Ray spills objects that do not fit into that node's object memory to its disk. The objects are deleted with
    this store, and lost with the driver or its node: only a directory or a `RemoteStore` outlives a killed head.

    Raises:
        ConfigError: Ray is not initialized here.

    Examples:
        >>> import ray  # doctest: +SKIP
        >>> ray.init()  # doctest: +SKIP
        >>> result = run(optimizer, factory, executor=RayExecutor(), store=RayStore())  # doctest: +SKIP
    """

    def __init__(self) -> None:
        if not ray.is_initialized():
            raise ConfigError('RayStore: Ray is not initialized; call ray.init(), or ray.init("auto"), first')
        self.run = uuid.uuid4().hex
        self._closed = False
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        self._shelf = ray.remote(_Shelf).options(num_cpus=0, max_restarts=0, scheduling_strategy=here).remote()

    def __repr__(self) -> str:
        return f"RayStore({self.run[:8]})"

    def ids(self) -> frozenset[int]:
        """The trials that have a checkpoint here.

        Raises:
            CheckpointError: The driver's node is lost, or the store is closed.
        """
        return frozenset(key for key in self._ask("keys") if isinstance(key, int))

    def delete(self, trial_ids: Iterable[int]) -> None:
        """As any store.

        Raises:
            CheckpointError: The driver's node is lost, or the store is closed.
        """
        wanted = sorted(set(trial_ids))
        if wanted:
            self._ask("drop", wanted)

    def add_file(self, name: str, content: bytes) -> None:
        """As any store.

        Raises:
            CheckpointError: There is no room, the driver's node is lost, or the store is closed.
        """
        self._ask("keep", name, np.frombuffer(content, np.uint8))

    def read_file(self, name: str) -> bytes:
        """As any store.

        Raises:
            CheckpointError: There is no such file, the driver's node is lost, or the store is closed.
        """
        found = self._ask("find", name)
        if not found:
            raise CheckpointError(f"{self!r}: {name} cannot be read: it is not there")
        return bytes(memoryview(self._get(found[0])))

    def close(self) -> None:
        """Lets all of it go. May be called again."""
        self._closed = True  # the actor exits some time after it is asked to
        with contextlib.suppress(ray.exceptions.RayError):
            if ray.is_initialized():
                ray.kill(self._shelf)

    def _send(self, trial_id: int, folder: Path, manifest: Mapping[str, Any]) -> None:
        files = {name: np.fromfile(folder / name, np.uint8) for name in manifest["files"]}
        self._ask("keep", trial_id, (dict(manifest), files))

    def _fetch(self, trial_id: int, folder: Path) -> Mapping[str, Any] | None:
        found = self._ask("find", trial_id)
        if not found:
            return None
        manifest, files = self._get(found[0])
        for name, content in files.items():
            path = inside(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(memoryview(content))
        return dict(manifest)

    def _ask(self, method: str, *arguments: Any) -> Any:
        if self._closed:
            raise CheckpointError(f"{self!r}: its objects cannot be reached: the store is closed")
        return self._get(getattr(self._shelf, method).remote(*arguments))

    def _get(self, ref: Any) -> Any:
        try:
            return ray.get(ref)
        except ray.exceptions.RayError as error:
            raise CheckpointError(f"{self!r}: its objects cannot be reached: {error}") from error


class _Shelf:
    """The actor that the objects belong to; an object belongs to who put it, and is lost with its owner."""

    def __init__(self) -> None:
        self._kept: dict[_Key, Any] = {}

    def keep(self, key: _Key, value: Any) -> None:
        """Takes a value, which a worker may have made."""
        self._kept[key] = ray.put(value)

    def find(self, key: _Key) -> list[Any]:
        """A list of one reference, or an empty one: a bare reference would be followed on its way."""
        return [self._kept[key]] if key in self._kept else []

    def drop(self, keys: Iterable[_Key]) -> None:
        """Lets values go."""
        for key in keys:
            self._kept.pop(key, None)

    def keys(self) -> list[_Key]:
        """Of what is there."""
        return list(self._kept)
