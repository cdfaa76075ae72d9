"""The live objects of one Keras training.

The model holds all of them except the data: optimizers, seed generators and metrics are its attributes. Keras saves
them with it, except for the states of the seed generators.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import keras
import numpy as np

from gpbt_adapters.trainables.sample_order import SampleOrder
from gpbt_core.errors import ConfigError

__all__ = ["Parts", "PlannedBatches", "gather", "read_arrays"]


def read_arrays(data: Any) -> Any:
    """Checks what the data function made and turns tensors and pandas frames into numpy arrays.

    Samples are picked by their position; a pandas Series would be asked for the labels of its index.

    Args:
        data: (inputs,), (inputs, targets) or (inputs, targets, sample weights); each nested arrays of one length.

    Returns:
        The same structure with numpy arrays.

    Raises:
        ConfigError: It is something else, such as a tf.data.Dataset.
        ConfigError: The arrays have different lengths.
    """
    if not isinstance(data, tuple | list) or not 1 <= len(data) <= 3:
        what = f"{type(data).__name__}{f' of {len(data)}' if isinstance(data, tuple | list) else ''}"
        raise ConfigError(
            f"KerasTrainable: data must return arrays as (inputs, targets) or (inputs, targets, sample weights), got "
            f"{what}. Turn it into arrays; or draw from it in a step function, and keep what must be saved of its "
            f"position in the model, as a variable"
        )
    arrays = tuple(keras.tree.map_structure(_array, part) for part in data)
    lengths = [len(array) for array in keras.tree.flatten(arrays)]
    if len(set(lengths)) != 1 or not lengths[0]:
        shapes = keras.tree.map_structure(lambda array: array.shape, arrays)
        raise ConfigError(
            f"KerasTrainable: the arrays of data must have one entry per sample each, got the shapes {shapes}; was one "
            f"of them split and another not?"
        )
    return arrays


def _array(leaf: Any) -> Any:
    if hasattr(leaf, "iloc"):  # a pandas frame or series
        leaf = leaf.to_numpy()
    elif keras.ops.is_tensor(leaf) or isinstance(leaf, keras.Variable):
        leaf = keras.ops.convert_to_numpy(leaf)
    mixed = getattr(getattr(leaf, "dtype", None), "kind", "") == "O" and not isinstance(leaf.flat[0], str | bytes)
    if getattr(leaf, "ndim", 0) < 1 or not hasattr(leaf, "__getitem__") or mixed:
        raise ConfigError(
            f"KerasTrainable: data must return arrays of numbers, one entry per sample, got "
            f"{'an array of dtype object' if mixed else f'{leaf!r:.60} of type {type(leaf).__name__}'} among them; use "
            f"numpy.asarray(...), or encode columns that are not numbers"
        )
    return leaf


def gather(arrays: Any, indices: Any) -> Any:
    """Picks samples from each array of a nested structure."""
    return keras.tree.map_structure(lambda array: array[indices], arrays)


class PlannedBatches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras ships no types
    """Batches whose samples are chosen beforehand, in the form that `fit` takes on every backend.

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
        figures: Numbers to be logged besides the score, by name, which a step function may set; after `fit` they are
            what it logged, such as `train_loss`.
        rng: A numpy generator for your functions; its state is saved.
        config: The config in force.
        held: The last value of each hyperparameter, also of those that are inactive now.
        founder: The config that the model was built with.
    """

    model: keras.Model
    data: Any = None
    order: SampleOrder | None = None
    updates: int | None = None
    figures: dict[str, float] = attrs.field(factory=dict)
    rng: np.random.Generator = attrs.field(factory=np.random.default_rng)
    config: Mapping[str, Any] = attrs.field(factory=dict)
    held: Mapping[str, Any] = attrs.field(factory=dict)
    founder: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def optimizer(self) -> keras.optimizers.Optimizer:
        """The optimizer whose fields training reads: your own, also if Keras wraps it to scale the loss.

        Raises:
            ConfigError: The model is not compiled.
        """
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is None:
            raise ConfigError(
                f"{self.model.name}: the model must be compiled, got one without an optimizer; call "
                f"model.compile(optimizer=...) in the model factory, also for a loop of your own"
            )
        return getattr(optimizer, "inner_optimizer", optimizer)

    def take(self) -> Iterator[Any]:
        """Returns the batches of one step, as numpy arrays in the structure of the data.

        Raises:
            ConfigError: There is no data.
        """
        batches = self.planned()
        return (batches[number] for number in range(len(batches)))

    def planned(self) -> PlannedBatches:
        """Returns the batches of one step for `fit`.

        Raises:
            ConfigError: There is no data.
        """
        if self.order is None:
            raise ConfigError(
                "Parts: there is no data to take batches from; pass data=..., or draw it in the step function"
            )
        return PlannedBatches(self.data, self.order.take(self.updates))

    def retrace(self) -> None:
        """Has the model's functions compiled again, since they contain its Python values."""
        self.model.make_train_function(force=True)
        self.model.make_test_function(force=True)
        self.model.make_predict_function(force=True)

    def random_variables(self) -> list[Any]:
        """Lists the states of the model's seed generators, which are not among its weights."""
        weights = {id(variable) for variable in self.model.weights}
        return [variable for variable in self.model.variables if id(variable) not in weights]
