"""Bindings to modules, to the dataset and to the loader's batch size.

Each writes to the live object and reads back from it, never from what it wrote.
"""

import fnmatch
from typing import Any

import attrs
import torch
from torch import nn

from gpbt_adapters.trainables.bindings import Binding, agreed, check_alike
from gpbt_adapters.trainables.pytorch.batches import Batches, parts_of_dataset
from gpbt_adapters.trainables.pytorch.parts import Parts, plain_model, plain_value
from gpbt_core.errors import ConfigError

__all__ = ["BatchSize", "DatasetField", "ModuleField"]


@attrs.frozen
class ModuleField(Binding[Parts]):
    """An attribute of modules, such as the p of every Dropout or the label_smoothing of a loss.

    Attributes:
        field: The attribute's name.
        of: The class, or classes, of the modules.
        names: Which modules, as a shell pattern of their names in the model ("encoder.*"); None: all, and the loss too.
            They must have been built with one value.
    """

    field: str
    of: type[nn.Module] | tuple[type[nn.Module], ...] = nn.Module
    names: str | None = attrs.field(default=None, kw_only=True)

    def write(self, parts: Parts, name: str, value: Any) -> None:
        """Sets the attribute on each of the modules.

        Raises:
            ConfigError: No module matches, one has no such attribute, or they were built with different values.
        """
        modules = self._modules(parts, name)
        check_alike(
            name,
            [plain_value(getattr(module, self.field)) for module in modules],
            f"the attribute {self.field!r} of {len(modules)} modules",
            "Name those that you mean with names=..., one binding for each, or build them with one value",
        )
        for module in modules:
            old = getattr(module, self.field)
            if isinstance(old, torch.Tensor):
                with torch.no_grad():
                    old.fill_(value)
            else:
                setattr(module, self.field, value)

    def read(self, parts: Parts, name: str) -> Any:
        """Reads the attribute from the modules.

        Raises:
            ConfigError: The modules disagree.
        """
        values = [plain_value(getattr(module, self.field)) for module in self._modules(parts, name)]
        return agreed(name, values, f"the modules' {self.field}")

    def _modules(self, parts: Parts, name: str) -> list[nn.Module]:
        named = list(plain_model(parts).named_modules())
        if self.names is None and isinstance(parts.loss, nn.Module):
            named += [("loss", module) for module in parts.loss.modules()]
        chosen = [
            module
            for path, module in named
            if isinstance(module, self.of) and (self.names is None or fnmatch.fnmatchcase(path, self.names))
        ]
        if self.of is nn.Module:  # a pattern alone matches containers, too
            chosen = [module for module in chosen if hasattr(module, self.field)]
        if not chosen:
            raise ConfigError(
                f"hyperparameter {name!r} is bound to the attribute {self.field!r} of modules of {self.of} named "
                f"{self.names or 'anything'!r}; the model has {sorted({type(module).__name__ for _, module in named})}"
            )
        lacking = [type(module).__name__ for module in chosen if not hasattr(module, self.field)]
        if lacking:
            raise ConfigError(
                f"hyperparameter {name!r} is bound to the attribute {self.field!r}, which {lacking[0]} does not have"
            )
        return chosen


@attrs.frozen
class DatasetField(Binding[Parts]):
    """An attribute of the dataset or of its transforms, such as the strength of an augmentation.

    It is looked up in the loader's dataset, in those that it is made of (Subset, ConcatDataset) and in their
    transforms. Each training has a copy of them, which shares the samples. Persistent workers of the loader start anew
    with each config, so that they see the value.

    Attributes:
        field: The attribute's name.
        of: The class, or classes, of the datasets or transforms; all that have the attribute by default. They must have
            been built with one value.

    Examples:
        >>> from torch.utils.data import DataLoader, Dataset
        >>> class Noisy(Dataset):
        ...     strength = 0.1
        ...
        ...     def __len__(self):
        ...         return 8
        ...
        ...     def __getitem__(self, index):
        ...         return torch.ones(2) + self.strength * torch.randn(2)
        >>> parts = Parts(model=nn.Linear(2, 1), batches=Batches(DataLoader(Noisy(), batch_size=4)))
        >>> DatasetField("strength").write(parts, "strength", 0.5)
        >>> parts.batches.dataset.strength
        0.5
    """

    field: str
    of: type[Any] | tuple[type[Any], ...] = object

    def write(self, parts: Parts, name: str, value: Any) -> None:
        """Sets the attribute on each of the datasets and transforms.

        Raises:
            ConfigError: There is no loader, nothing has the attribute, it cannot be set, or it was built with different
                values.
        """
        _loader(parts, name, "DatasetField").own_dataset()
        holders = self._holders(parts, name)
        check_alike(
            name,
            [plain_value(getattr(holder, self.field)) for holder in holders],
            f"the attribute {self.field!r} of {', '.join(sorted({type(holder).__name__ for holder in holders}))}",
            "Name those that you mean by their class, with of=..., or build them with one value",
        )
        for holder in holders:
            try:
                setattr(holder, self.field, value)
            except (AttributeError, TypeError, ValueError) as error:
                raise ConfigError(
                    f"hyperparameter {name!r} is bound to {self.field!r} of {type(holder).__name__}, which cannot be "
                    f"set: {error}"
                ) from error
        _loader(parts, name, "DatasetField").close()

    def read(self, parts: Parts, name: str) -> Any:
        """Reads the attribute from the datasets and transforms.

        Raises:
            ConfigError: They disagree.
        """
        values = [plain_value(getattr(holder, self.field)) for holder in self._holders(parts, name)]
        return agreed(name, values, f"the datasets' {self.field}")

    def _holders(self, parts: Parts, name: str) -> list[Any]:
        everything = parts_of_dataset(_loader(parts, name, "DatasetField").dataset)
        chosen = [one for one in everything if isinstance(one, self.of) and hasattr(one, self.field)]
        if not chosen:
            raise ConfigError(
                f"hyperparameter {name!r} is bound to the attribute {self.field!r} of "
                f"{'the dataset' if self.of is object else self.of}; the loader's dataset and transforms are "
                f"{[type(one).__name__ for one in everything]}, of which none has it"
            )
        return chosen


@attrs.frozen
class BatchSize(Binding[Parts]):
    """The loader's batch size; a change takes effect with the next batch."""

    def write(self, parts: Parts, name: str, value: Any) -> None:
        """Sets it.

        Raises:
            ConfigError: There is no loader, or the size is below 1.
        """
        if value < 1:
            raise ConfigError(f"hyperparameter {name!r}: the batch size must be at least 1, got {value!r}")
        _loader(parts, name, "BatchSize").batch_size = value

    def read(self, parts: Parts, name: str) -> Any:
        """Reads it."""
        return _loader(parts, name, "BatchSize").batch_size


def _loader(parts: Parts, name: str, binding: str) -> Batches:
    if parts.batches is None:
        raise ConfigError(f"hyperparameter {name!r} is bound as {binding}, but there is no loader")
    return parts.batches
