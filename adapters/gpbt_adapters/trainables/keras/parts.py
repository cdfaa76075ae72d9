"""The live objects of one Keras training.

The model holds all of them but the data: optimizers, seed generators and metrics are its attributes, and Keras saves
them with it; only the seed generators' states it forgets.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import keras
import numpy as np

from gpbt_adapters.trainables.sample_order import SampleOrder
from gpbt_core.errors import ConfigError

__all__ = ["Parts", "PlannedBatches", "gather"]


def gather(arrays: Any, indices: Any) -> Any:
    """Picks samples from each array of a nested structure."""
    return keras.tree.map_structure(lambda array: array[indices], arrays)


class PlannedBatches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras ships no types
    """Batches whose samples are settled beforehand, as `fit` takes them on every backend.

    Args:
        arrays: What `fit` takes as a batch, (inputs, targets) or with sample weights, with all samples.
        order: The indices of each batch's samples.
    """

    def __init__(self, arrays: Any, order: list[list[int]]) -> None:
        super().__init__()
        self._arrays = arrays
        self._order = order

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, number: int) -> Any:
        return gather(self._arrays, self._order[number])


@attrs.define(kw_only=True)
class Parts:
    """The live objects of one training.

    Attributes:
        model: The model, built and compiled.
        data: Nested arrays with all training samples, (inputs, targets) or with sample weights; None: the step function
            draws its own.
        order: Which samples come next.
        updates: Batches per step; None: an epoch.
        rng: A numpy generator for the user's functions, whose state is saved.
        config: The config in force.
        held: What each hyperparameter was last given, also those that are inactive now.
        founder: The config under which the model was built.
    """

    model: keras.Model
    data: Any = None
    order: SampleOrder | None = None
    updates: int | None = None
    rng: np.random.Generator = attrs.field(factory=np.random.default_rng)
    config: Mapping[str, Any] = attrs.field(factory=dict)
    held: Mapping[str, Any] = attrs.field(factory=dict)
    founder: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def optimizer(self) -> keras.optimizers.Optimizer:
        """The optimizer whose fields training reads: that of the user, also where Keras wraps it to scale the loss.

        Raises:
            ConfigError: The model is not compiled.
        """
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is None:
            raise ConfigError(
                f"{self.model.name}: wanted a compiled model, got one without an optimizer; call "
                f"model.compile(optimizer=...) in the model factory, also where the loop is your own"
            )
        return getattr(optimizer, "inner_optimizer", optimizer)

    def take(self) -> Iterator[Any]:
        """Hands out one step's batches, as numpy arrays in the structure of the data.

        Raises:
            ConfigError: There is no data.
        """
        batches = self.planned()
        return (batches[number] for number in range(len(batches)))

    def planned(self) -> PlannedBatches:
        """Hands out one step's batches for `fit`.

        Raises:
            ConfigError: There is no data.
        """
        if self.order is None:
            raise ConfigError(
                "Parts: there is no data to take batches from; give some, or draw it in the step function"
            )
        return PlannedBatches(self.data, self.order.take(self.updates))

    def retrace(self) -> None:
        """Drops what was compiled from the model's Python values, which would otherwise stay what they were."""
        self.model.make_train_function(force=True)
        self.model.make_test_function(force=True)
        self.model.make_predict_function(force=True)

    def random_variables(self) -> list[Any]:
        """Lists the states of the model's seed generators, which Keras does not count among its weights."""
        weights = {id(variable) for variable in self.model.weights}
        return [variable for variable in self.model.variables if id(variable) not in weights]
