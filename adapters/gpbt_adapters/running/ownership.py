"""Ownership of the checkpoints in a store: identifies the study or optimizer, and the line of each trial.

Two studies that share a store would train from each other's weights. A store therefore belongs to one study or
optimizer, and each checkpoint records how it was trained.
"""

import hashlib
import json
import os
from pathlib import Path

from gpbt_adapters.storing.checkpoints import Store, open_store
from gpbt_adapters.trainables.random_states import setup_seed
from gpbt_core import codec
from gpbt_core.errors import ConfigError
from gpbt_core.genealogy import needed
from gpbt_core.optimizer import Optimizer
from gpbt_core.records import Trial

__all__ = ["Lines", "store_for"]


def store_for(optimizer: Optimizer, given: Store | str | os.PathLike[str] | None) -> Store:
    """Opens the store of a run and ties it to its study or optimizer.

    Args:
        optimizer: The optimizer whose checkpoints are kept.
        given: A store, or a path or URL; None: the store that the study already uses, or else a temporary
            directory.

    Raises:
        ConfigError: The store belongs to another study or optimizer, or lacks the checkpoints that are needed.
        CheckpointError: The store cannot be read or written.
    """
    known: str | None = getattr(optimizer, "store", None)
    gone = known is not None and not _is_there(known) and bool(needed(optimizer.state))
    where = known if given is None else _absolute(given)
    if gone and where == known:
        raise ConfigError(
            f"run: study {getattr(optimizer, 'name', '')!r} keeps its checkpoints in {known!r}, where there are none, "
            f"as if a disk were missing; bring them back, or pass another directory as store= to have the lost trials "
            f"trained again there"
        )
    store = given if isinstance(given, Store) else open_store(where, resume=True)
    identity, name = _identity(optimizer)
    store.claim(identity, name)
    there = store.ids()
    if not hasattr(optimizer, "identity") and not optimizer.records and there:
        raise ConfigError(
            f"run: {store!r} holds the checkpoints of an earlier run, and this optimizer has asked for no trial yet; "
            f"name another directory, or keep the run in a study (gpbt.open_study), which goes on after a restart"
        )
    if known is not None and known != store.address and not there and not gone and needed(optimizer.state):
        raise ConfigError(
            f"run: {name} keeps its checkpoints in {known!r}, but {store!r} is empty; pass store={known!r}, or nothing"
        )
    keep = getattr(optimizer, "keep_store", None)
    if keep is not None and store.address is not None and store.address != known:
        keep(store.address)
    return store


def _absolute(given: Store | str | os.PathLike[str]) -> str | None:
    """The address of a store that is given."""
    if isinstance(given, Store):
        return given.address
    place = os.fspath(given)
    return place if "://" in place else str(Path(place).absolute())


def _is_there(address: str) -> bool:
    """Whether a run has used the store at an address; one behind a URL counts as there."""
    return "://" in address or Path(address, "owner.json").exists()


def _identity(optimizer: Optimizer) -> tuple[str, str]:
    known: str | None = getattr(optimizer, "identity", None)
    if known is not None:
        return known, f"study {getattr(optimizer, 'name', '')!r}"
    settings = optimizer.settings
    try:
        text = json.dumps(codec.encode_settings(settings), sort_keys=True)
    except (ConfigError, TypeError, ValueError):  # a rule given as an object that cannot be serialized
        text = f"{settings.space!r} {settings.population} {settings.steps} {settings.direction} {settings.seed}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return f"settings-{digest}", f"an optimizer of {settings.population} x {settings.steps} steps, seed {settings.seed}"


class Lines:
    """A digest for each trial of what it was trained under: the seed of its set-up, and the configs and steps.

    Args:
        optimizer: The optimizer of the trials.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._known: dict[int, str] = {}

    def of(self, trial: Trial) -> str:
        """The digest of the line that ends with a trial."""
        missing = []
        at = trial
        while at.id not in self._known:
            missing.append(at)
            if at.parent is None:
                break
            at = self._optimizer.records[at.parent].trial
        for one in reversed(missing):
            before = f"{setup_seed(self._optimizer.seed, one.id)}" if one.parent is None else self._known[one.parent]
            content = (
                f"{before} {one.id} {one.steps} {sorted((name, repr(value)) for name, value in one.config.items())}"
            )
            self._known[one.id] = hashlib.sha256(content.encode("utf-8", "backslashreplace")).hexdigest()[:32]
        return self._known[trial.id]
