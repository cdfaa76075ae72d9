"""The order in which a DataLoader's samples come, as a state that can be saved between two steps.

PyTorch's iterators cannot be saved. So the samples' indices are drawn here, an epoch at a time and from the loader's
own sampler, and each step gets an iterator of its own: what is left of the epoch is a list of indices.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset

from gpbt_adapters.trainables.sample_order import SampleOrder
from gpbt_core.errors import ConfigError

__all__ = ["Batches"]


class Batches:
    """An endless walk over a DataLoader's batches, epoch after epoch, that can be interrupted, saved and restored.

    The loader's dataset, sampler, collate function, workers, memory pinning and `drop_last` are used as they are; the
    batch size may change at any time and holds from the next batch on, also within an epoch.

    Args:
        loader: Any loader over a dataset with indices, with automatic batching.

    Raises:
        ConfigError: The loader's position cannot be saved: it streams, has a batch sampler of its own or none, or
            keeps its workers between epochs.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        obstacle = None
        if isinstance(loader.dataset, IterableDataset):
            obstacle = "its dataset is an IterableDataset, whose position only itself knows"
        elif loader.batch_size is None:
            obstacle = "it has a batch_sampler of its own, or no automatic batching"
        elif loader.persistent_workers:
            obstacle = "persistent_workers=True keeps random states inside its worker processes"
        if obstacle is not None:
            raise ConfigError(
                f"Batches: the position in this DataLoader cannot be saved: {obstacle}. Change that, or give a step "
                f"function that draws its own data, and hand what must be saved of it over as extras."
            )
        self._loader = loader
        self._order = SampleOrder(
            draw=lambda: loader.sampler, batch_size=loader.batch_size or 1, drop_last=loader.drop_last
        )

    @property
    def batch_size(self) -> int:
        """The samples per batch, at least 1; an epoch's last batch may be smaller."""
        return self._order.batch_size

    @batch_size.setter
    def batch_size(self, value: int) -> None:
        self._order.batch_size = value

    def take(self, count: int | None = None) -> Iterator[Any]:
        """Hands out the next batches, which count as consumed from now on.

        Args:
            count: How many, going on into the next epochs; None: what is left of this epoch, or the whole next one.

        Raises:
            ConfigError: An epoch has not even one batch.
        """
        return iter(self._over(self._order.take(count)))

    def _over(self, order: list[list[int]]) -> DataLoader[Any]:
        loader = self._loader
        return DataLoader(
            loader.dataset,
            batch_sampler=order,
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            timeout=loader.timeout,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
            generator=loader.generator,
            prefetch_factor=loader.prefetch_factor,
        )

    def _generators(self) -> list[torch.Generator]:
        found = [self._loader.generator, getattr(self._loader.sampler, "generator", None)]
        unique = {id(generator): generator for generator in found if generator is not None}
        return list(unique.values())

    def state_dict(self) -> dict[str, Any]:
        """Returns what is left of the epoch and the states of the loader's and the sampler's own generators."""
        return {
            "left": torch.tensor(self._order.left, dtype=torch.int64),
            "generators": [generator.get_state() for generator in self._generators()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to where `state_dict` was called.

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
