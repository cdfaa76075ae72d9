"""The order of the training samples, as plain indices that can be saved between two batches.

The remainder of an epoch is a list of indices. The framework or the user draws each epoch.
"""

from collections.abc import Callable, Iterable

import attrs

from gpbt_core.errors import ConfigError

__all__ = ["SampleOrder"]


@attrs.define(kw_only=True)
class SampleOrder:
    """An endless walk over samples, epoch after epoch.

    Attributes:
        draw: Draws the indices of one epoch, in order.
        batch_size: Samples per batch, at least 1; a change takes effect from the next batch.
        drop_last: Whether the last batch of an epoch is dropped if it is smaller than the others.
        left: The remaining indices of the epoch.

    Examples:
        >>> order = SampleOrder(draw=lambda: range(5), batch_size=2)
        >>> order.take(2)
        [[0, 1], [2, 3]]
        >>> order.take(2)
        [[4], [0, 1]]
    """

    draw: Callable[[], Iterable[int]]
    batch_size: int
    drop_last: bool = False
    left: list[int] = attrs.field(factory=list)

    def take(self, count: int | None = None) -> list[list[int]]:
        """Returns the next batches and marks them as consumed.

        Args:
            count: Number of batches, which may span epochs; None: the rest of this epoch, or the whole next one.

        Returns:
            Indices, batch by batch.

        Raises:
            ConfigError: An epoch has no complete batch.
        """
        batches: list[list[int]] = []
        while (count is None and not batches) or (count is not None and len(batches) < count):
            if not self.left:
                self.left = self._epoch()
            wanted = len(self.left) if count is None else (count - len(batches)) * self.batch_size
            taken, self.left = self.left[:wanted], self.left[wanted:]
            groups = [taken[at : at + self.batch_size] for at in range(0, len(taken), self.batch_size)]
            if self.drop_last and len(groups[-1]) < self.batch_size:
                groups.pop()
            batches += groups
        return batches

    def _epoch(self) -> list[int]:
        epoch = [int(index) for index in self.draw()]
        if not epoch or (self.drop_last and len(epoch) < self.batch_size):
            raise ConfigError(
                f"an epoch of {len(epoch)} samples has no batch of {self.batch_size}"
                f"{', and smaller ones are dropped' if self.drop_last else ''}; choose a smaller batch size"
            )
        return epoch
