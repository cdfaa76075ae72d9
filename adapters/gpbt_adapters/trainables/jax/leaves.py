"""The leaves of a pytree in files: arrays in a numpy archive, and their kinds in JSON; no pickles.

The structure is not saved. It comes from a pytree that is made anew, and so do leaves that are not numbers, such as
functions.
"""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gpbt_core.errors import ConfigError

__all__ = ["paths_of", "read_leaves", "strong", "write_leaves"]

_ARRAYS = "state.npz"
_KINDS = "state.json"


def strong(tree: Any) -> Any:
    """Makes weak types strong, since files do not preserve them: JAX gives weak types to arrays from Python numbers."""
    return jax.tree_util.tree_map(
        lambda leaf: jnp.asarray(leaf, dtype=leaf.dtype) if getattr(leaf, "weak_type", False) else leaf, tree
    )


def paths_of(tree: Any) -> list[str]:
    """Lists the paths of the leaves of a pytree, in order."""
    return [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]]


def write_leaves(folder: Path, tree: Any) -> None:
    """Writes the numbers of a pytree: arrays of JAX or numpy, random keys, and Python's own."""
    arrays: dict[str, Any] = {}
    kinds: list[dict[str, Any]] = []
    for position, (path, leaf) in enumerate(jax.tree_util.tree_flatten_with_path(tree)[0]):
        kind = _kind(leaf)
        entry: dict[str, Any] = {"path": jax.tree_util.keystr(path), "kind": kind}
        if kind == "value":
            entry["value"] = leaf
        elif kind != "other":
            array = np.asarray(jax.random.key_data(leaf) if kind == "key" else leaf)
            entry |= {"dtype": str(array.dtype), "shape": list(array.shape)}
            # Types that numpy does not know, such as bfloat16, are saved as bytes.
            arrays[str(position)] = array if array.dtype.isbuiltin == 1 else np.frombuffer(array.tobytes(), np.uint8)
        kinds.append(entry)
    np.savez(folder / _ARRAYS, **arrays)
    (folder / _KINDS).write_text(json.dumps(kinds), encoding="utf-8")


def read_leaves(folder: Path, template: Any) -> Any:
    """Fills a pytree with the numbers of another one of the same structure.

    Raises:
        ConfigError: A leaf is missing, or has another shape or type, since the code that makes the state has changed.
    """
    kinds = json.loads((folder / _KINDS).read_text(encoding="utf-8"))
    made, saved = paths_of(template), [entry["path"] for entry in kinds]
    if made != saved:
        raise ConfigError(
            f"FunctionalTrainable.load: init must make the state that was saved, got another structure: only in the "
            f"files {sorted(set(saved) - set(made))}, only in the new state {sorted(set(made) - set(saved))}"
        )
    leaves, tree = jax.tree_util.tree_flatten(template)
    with np.load(folder / _ARRAYS, allow_pickle=False) as arrays:
        values = [
            _value(entry, leaf, arrays.get(str(position)))
            for position, (entry, leaf) in enumerate(zip(kinds, leaves, strict=True))
        ]
    return jax.tree_util.tree_unflatten(tree, values)


def _value(entry: dict[str, Any], leaf: Any, array: Any) -> Any:
    if entry["kind"] == "value":
        return entry["value"]
    if entry["kind"] == "other":
        return leaf
    dtype = jnp.dtype(entry["dtype"])
    if dtype.isbuiltin != 1:
        array = np.frombuffer(array.tobytes(), dtype)
    array = array.reshape(entry["shape"])
    if entry["kind"] == "key":
        return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(leaf))
    if (np.shape(leaf), str(getattr(leaf, "dtype", None))) != (array.shape, entry["dtype"]):
        raise ConfigError(
            f"FunctionalTrainable.load: init must make the state that was saved, got {np.shape(leaf)} of "
            f"{getattr(leaf, 'dtype', type(leaf).__name__)} instead of {array.shape} of {entry['dtype']} at "
            f"{entry['path']}"
        )
    return array if entry["kind"] == "numpy" else jnp.asarray(array)


def _kind(leaf: Any) -> str:
    if isinstance(leaf, jax.Array):
        return "key" if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else "jax"
    if isinstance(leaf, np.ndarray | np.generic):
        return "numpy"
    return "value" if isinstance(leaf, bool | int | float | str) else "other"
