"""The state that a model file of Stable-Baselines3 does not contain: replay buffer and statistics of VecNormalize."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecNormalize, unwrap_vec_normalize

from gpbt_core.errors import ConfigError

__all__ = ["copy_statistics", "move_replay", "read_replay", "read_statistics", "write_replay", "write_statistics"]

_REPLAY = "replay.npz"
_STATISTICS = "normalize.pkl"


def write_replay(folder: Path, model: Any) -> None:
    """Writes the filled part of a replay buffer, if the algorithm has one."""
    buffer = getattr(model, "replay_buffer", None)
    if buffer is None:
        return
    # With optimize_memory_usage, the next observation of the last transition is stored one place after it.
    filled = buffer.buffer_size if buffer.full else buffer.pos + 1
    arrays = {
        name: array[:filled] if len(array) == buffer.buffer_size else array for name, array in _arrays(buffer).items()
    }
    np.savez(folder / _REPLAY, pos=buffer.pos, full=buffer.full, **arrays)


def read_replay(folder: Path, model: Any) -> None:
    """Fills the replay buffer of a new model.

    Raises:
        ConfigError: The files contain other arrays, or arrays that do not fit the buffer.
    """
    buffer = getattr(model, "replay_buffer", None)
    if buffer is None:
        return
    with np.load(folder / _REPLAY, allow_pickle=True) as saved:
        places = _arrays(buffer)
        if {*places, "pos", "full"} != set(saved.files):
            raise ConfigError(
                f"SB3Trainable.load: the replay buffer must have the arrays that were saved, "
                f"{sorted(set(saved.files) - {'pos', 'full'})}, got {sorted(places)}; load with the code "
                f"that saved it"
            )
        for name, place in places.items():
            values = saved[name]
            if len(values) > len(place) or values.shape[1:] != place.shape[1:]:
                raise ConfigError(
                    f"SB3Trainable.load: the replay buffer must hold what was saved, got an array {name!r} of shape "
                    f"{place.shape} for {values.shape}; use the buffer_size and the number of "
                    f"environments that it was saved with"
                )
            place[: len(values)] = values
        buffer.pos, buffer.full = int(saved["pos"]), bool(saved["full"])


def move_replay(source: Any, target: Any) -> None:
    """Moves the contents of a model's replay buffer to the model that replaces it."""
    old, new = getattr(source, "replay_buffer", None), getattr(target, "replay_buffer", None)
    if old is None or new is None:
        return
    for name, value in vars(old).items():
        if isinstance(value, np.ndarray) or _is_dict_of_arrays(value):
            setattr(new, name, value)
    new.pos, new.full = old.pos, old.full


def write_statistics(folder: Path, env: VecEnv) -> None:
    """Writes the running means of VecNormalize, if the environment has it."""
    normalize = unwrap_vec_normalize(env)
    if normalize is not None:
        normalize.save(str(folder / _STATISTICS))


def read_statistics(folder: Path, env: VecEnv) -> None:
    """Reads the running means into a new environment."""
    normalize = unwrap_vec_normalize(env)
    if normalize is not None:
        _take(VecNormalize.load(str(folder / _STATISTICS), normalize.venv), normalize)


def copy_statistics(source: VecEnv, target: VecEnv) -> None:
    """Copies the running means of the training environment to the one for evaluation, and freezes them there.

    Raises:
        ConfigError: Only one of the two has VecNormalize.
    """
    trained, evaluated = unwrap_vec_normalize(source), unwrap_vec_normalize(target)
    if (trained is None) != (evaluated is None):
        raise ConfigError(
            "SB3Trainable: make_env and make_eval_env must both return a VecNormalize, or neither; got one of them"
        )
    if trained is not None and evaluated is not None:
        _take(trained, evaluated)
        evaluated.training = evaluated.norm_reward = False


def _take(source: VecNormalize, target: VecNormalize) -> None:
    for name in ("obs_rms", "ret_rms"):
        if hasattr(source, name):
            setattr(target, name, copy.deepcopy(getattr(source, name)))


def _arrays(buffer: Any) -> dict[str, Any]:
    """The arrays of a replay buffer by name; those of a dictionary of observations by name and key."""
    found: dict[str, Any] = {}
    for name, value in vars(buffer).items():
        if isinstance(value, np.ndarray):
            found[name] = value
        elif _is_dict_of_arrays(value):
            found |= {f"{name}/{key}": array for key, array in value.items()}
    return found


def _is_dict_of_arrays(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(item, np.ndarray) for item in value.values())
