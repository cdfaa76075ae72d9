"""The order of a DataLoader's samples, as a state that can be saved between two steps.

PyTorch's iterators cannot be saved. So the indices of the samples are drawn here, an epoch at a time and from the
loader's own sampler, and each step gets an iterator of its own: the rest of the epoch is a list of indices.
"""

import copy
import multiprocessing
import pickle
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from gpbt_adapters.trainables.pickles import by_value
from gpbt_adapters.trainables.sample_order import SampleOrder
from gpbt_core.errors import ConfigError

__all__ = ["Batches"]

_Planned: TypeAlias = list[tuple[int, int, list[int]]]
"""For each batch the number of the step, the step's seed, and the indices of the samples."""

_INSIDE = ("dataset", "datasets", "transform", "target_transform", "transforms")
"""Attributes under which datasets and transforms hold others: Subset, ConcatDataset, torchvision's, Compose."""


class Batches:
    """An endless iteration over a DataLoader's batches, epoch after epoch, that can be interrupted, saved and restored.

    The loader's dataset, sampler, collate function, workers, memory pinning and `drop_last` are used as they are; the
    batch size may change at any time, from the next batch on, also within an epoch. If the sampler has a method
    `set_epoch`, as DistributedSampler does, it is called with the number of each epoch.

    The loader's workers start anew with each step, as they do with each epoch of PyTorch's own iteration. With
    `persistent_workers=True` they live until the segment ends. They are seeded at each step all the same, so that a
    resumed training draws the same numbers. In the worker processes of a run, the loader's workers are started by the
    platform's default method, unless the loader has a `multiprocessing_context`.

    Args:
        loader: Any loader over a dataset with indices, with automatic batching.

    Raises:
        ConfigError: It is not a DataLoader.
        ConfigError: Its position cannot be saved: it streams, has a batch sampler of its own or none, or is of a class
            with an `__iter__` of its own.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        if not isinstance(loader, DataLoader):
            raise ConfigError(
                f"Batches: loader must be a torch.utils.data.DataLoader, got {type(loader).__name__}; make one, or "
                f"give a step function that draws its own data"
            )
        obstacle = None
        kind = type(loader)
        if isinstance(loader.dataset, IterableDataset):
            obstacle = "its dataset is an IterableDataset, which alone knows its position"
        elif loader.batch_size is None:
            obstacle = "it has a batch_sampler of its own, or no automatic batching"
        elif kind.__iter__ is not DataLoader.__iter__ or kind._get_iterator is not DataLoader._get_iterator:  # noqa: SLF001
            obstacle = (
                f"{kind.__name__} has an __iter__ of its own, which would be left out (do what it does to a batch in "
                f"collate_fn, in the model or in a step function)"
            )
        if obstacle is not None:
            raise ConfigError(
                f"Batches: this DataLoader cannot be interrupted and resumed: {obstacle}. Change that, or give a step "
                f"function that draws its own data, and return what must be saved of it from extras."
            )
        self._loader = loader
        self._dataset: Any = loader.dataset
        self._owned = False
        self._order = SampleOrder(draw=self._epoch, batch_size=loader.batch_size or 1, drop_last=loader.drop_last)
        self._epochs = 0
        self._steps = 0
        self._plan: _Planned = []
        self._kept: DataLoader[Any] | None = None

    @property
    def batch_size(self) -> int:
        """The samples per batch, at least 1; an epoch's last batch may be smaller."""
        return self._order.batch_size

    @batch_size.setter
    def batch_size(self, value: int) -> None:
        self._order.batch_size = value

    @property
    def dataset(self) -> Any:
        """The dataset that samples come from; that of the loader unless `own_dataset` was called."""
        return self._dataset

    def own_dataset(self) -> Any:
        """Replaces the dataset by a copy, so that its attributes can be set without changing another training's.

        The copy has datasets and transforms of its own and shares the samples. Returns the copy, the same each time.
        """
        if not self._owned:
            self._dataset, self._owned = _copied(self._dataset, {}), True
        return self._dataset

    def take(self, count: int | None = None) -> Iterator[Any]:
        """Returns the next batches, which count as consumed from now on.

        Args:
            count: How many, also across epochs; None: the rest of this epoch, or the whole next one.

        Raises:
            ConfigError: An epoch has no complete batch.
        """
        order = self._order.take(count)
        if not (self._loader.persistent_workers and self._loader.num_workers):
            return iter(self._over(order))
        if self._kept is None:
            self._kept = self._over(self._plan, live_on=True)
        seed = int(torch.empty((), dtype=torch.int64).random_(generator=self._loader.generator))
        self._steps += 1
        self._plan[:] = [(self._steps, seed, indices) for indices in order]
        return iter(self._kept)

    def close(self) -> None:
        """Ends the loader's persistent workers; the next step starts others, with the dataset as it is by then."""
        self._kept = None

    def _epoch(self) -> Iterable[int]:
        set_epoch = getattr(self._loader.sampler, "set_epoch", None)
        if set_epoch is not None:
            set_epoch(self._epochs)
        self._epochs += 1
        return self._loader.sampler

    def _over(self, order: Any, *, live_on: bool = False) -> DataLoader[Any]:
        loader = self._loader
        context: Any = loader.multiprocessing_context
        if loader.num_workers and context is None and multiprocessing.parent_process() is not None:
            # The processes of a run are spawned, and would spawn as well: slow, and not what the user has tried.
            context = multiprocessing.get_all_start_methods()[0]
        sent: Callable[[Any], Any] = _as_it_is if not loader.num_workers or _forks(context) else _Sent
        init = loader.worker_init_fn
        return DataLoader(
            sent(_Reseeding(self._dataset, init) if live_on else self._dataset),
            batch_sampler=order,
            num_workers=loader.num_workers,
            collate_fn=sent(loader.collate_fn),
            pin_memory=loader.pin_memory,
            timeout=loader.timeout,
            worker_init_fn=None if init is None or live_on else sent(init),
            multiprocessing_context=context,
            # Persistent workers begin each step with a seed of their own; this one must not be drawn from the user's.
            generator=torch.Generator() if live_on else loader.generator,
            prefetch_factor=loader.prefetch_factor,
            persistent_workers=live_on,
        )

    def _generators(self) -> list[torch.Generator]:
        found = [self._loader.generator, getattr(self._loader.sampler, "generator", None)]
        unique = {id(generator): generator for generator in found if generator is not None}
        return list(unique.values())

    def state_dict(self) -> dict[str, Any]:
        """Returns the rest of the epoch and the states of the loader's and the sampler's own generators."""
        return {
            "left": torch.tensor(self._order.left, dtype=torch.int64),
            "epochs": self._epochs,
            "generators": [generator.get_state() for generator in self._generators()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Returns to where `state_dict` was called.

        Raises:
            ConfigError: The loader has another number of generators than the saved one.
        """
        generators = self._generators()
        if len(generators) != len(state["generators"]):
            raise ConfigError(
                f"Batches: the saved loader had {len(state['generators'])} generators of its own, this one has "
                f"{len(generators)}: the loader factory has changed since."
            )
        for generator, saved in zip(generators, state["generators"], strict=True):
            generator.set_state(saved)
        self._order.left = state["left"].tolist()
        self._epochs = state.get("epochs", 0)


class _Reseeding(Dataset[Any]):
    """A dataset inside persistent workers, which seeds each worker at its first batch of a step like a new worker."""

    def __init__(self, dataset: Any, init: Callable[[int], object] | None) -> None:
        self._dataset = dataset
        self._init = init
        self._step = 0

    def __getitems__(self, planned: tuple[int, int, list[int]]) -> Any:
        step, seed, indices = planned
        if step != self._step:
            self._step = step
            self._begin(seed)
        together = getattr(self._dataset, "__getitems__", None)
        return together(indices) if together else [self._dataset[index] for index in indices]

    def _begin(self, seed: int) -> None:
        worker = get_worker_info()
        assert worker is not None
        own = seed + worker.id
        object.__setattr__(worker, "seed", own)  # what a worker_init_fn may ask
        object.__setattr__(worker, "dataset", self._dataset)
        random.seed(own)
        torch.manual_seed(own)
        np.random.seed(np.random.SeedSequence((seed, worker.id)).generate_state(4))  # noqa: NPY002 - what datasets use
        if self._init is not None:
            self._init(worker.id)


class _Sent:
    """An object on its way to a process that is not forked, where it arrives as the object itself.

    Classes and functions that the process cannot import, such as those of a script, travel with it.
    """

    def __init__(self, thing: Any) -> None:
        self._thing = thing

    def __reduce__(self) -> Any:
        return pickle.loads, (by_value(self._thing),)


def _as_it_is(thing: Any) -> Any:
    return thing


def _forks(context: Any) -> bool:
    """Whether a multiprocessing context, by name or None for the default, starts processes by forking."""
    if context is None:
        context = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
    return bool((context if isinstance(context, str) else context.get_start_method()) == "fork")


def _copied(thing: Any, known: dict[int, Any]) -> Any:
    """Copies a dataset or transform and those within it, but no samples."""
    if id(thing) not in known:
        if isinstance(thing, nn.Module):
            known[id(thing)] = copy.deepcopy(thing)
        elif type(thing) in (list, tuple):
            known[id(thing)] = type(thing)(_copied(item, known) for item in thing)
        elif not hasattr(thing, "__dict__") or callable(getattr(thing, "__get__", None)):  # a function, a plain value
            known[id(thing)] = thing
        else:
            made = known[id(thing)] = copy.copy(thing)
            for name in _INSIDE:
                if name in vars(made):
                    setattr(made, name, _copied(vars(made)[name], known))
    return known[id(thing)]


def parts_of_dataset(thing: Any) -> list[Any]:
    """Lists a dataset and the datasets and transforms within it, each once."""
    found: dict[int, Any] = {}

    def walk(thing: Any) -> None:
        if id(thing) in found or thing is None:
            return
        if isinstance(thing, list | tuple):
            for item in thing:
                walk(item)
            return
        found[id(thing)] = thing
        if isinstance(thing, nn.Module):
            for module in thing.modules():
                found[id(module)] = module
        for name in _INSIDE:
            walk(getattr(thing, "__dict__", {}).get(name))

    walk(thing)
    return list(found.values())
