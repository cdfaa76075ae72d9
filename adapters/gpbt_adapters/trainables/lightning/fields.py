"""Bindings that know Lightning: to the data module, to `hparams`, and to one of several optimizers."""

from typing import Any, ClassVar

import attrs
import lightning.pytorch as pl
from lightning.pytorch.utilities.combined_loader import CombinedLoader

from gpbt_adapters.trainables.bindings import Binding, agreed
from gpbt_adapters.trainables.lightning.steering import LightningParts, loaders_of
from gpbt_core.errors import ConfigError

__all__ = ["BatchSize", "DataField", "HParam", "Nth"]


@attrs.frozen
class DataField(Binding[LightningParts]):
    """An attribute of the data module, such as the strength of an augmentation.

    gpbt sets it before the data module makes its loaders, at the start of each step.

    Attributes:
        field: The attribute's name.
    """

    field: str
    before_data: ClassVar[bool] = True

    def write(self, parts: LightningParts, name: str, value: Any) -> None:
        """Sets the attribute.

        Raises:
            ConfigError: There is no data module, or it has no such attribute.
        """
        setattr(self._holder(parts, name), self.field, value)

    def read(self, parts: LightningParts, name: str) -> Any:
        """Reads the attribute."""
        return getattr(self._holder(parts, name), self.field)

    def _holder(self, parts: LightningParts, name: str) -> Any:
        if not isinstance(parts.data, pl.LightningDataModule) or not hasattr(parts.data, self.field):
            raise ConfigError(
                f"hyperparameter {name!r}: DataField needs a data module with the attribute {self.field!r}, got "
                f"{type(parts.data).__name__}; set self.{self.field} in the data module's __init__"
            )
        return parts.data


@attrs.frozen
class BatchSize(Binding[LightningParts]):
    """The batch size of the training data (per process), read back from the loader itself.

    gpbt writes it to the attribute `batch_size` of the data module or, without one, of the Lightning module. Your
    `train_dataloader` must use that attribute.
    """

    before_data: ClassVar[bool] = True

    def write(self, parts: LightningParts, name: str, value: Any) -> None:
        """Sets the attribute.

        Raises:
            ConfigError: There is no such attribute, or the size is below 1.
        """
        if value < 1:
            raise ConfigError(f"hyperparameter {name!r}: the batch size must be at least 1, got {value!r}")
        holder = parts.data if isinstance(parts.data, pl.LightningDataModule) else parts.model
        if not hasattr(holder, "batch_size"):
            raise ConfigError(
                f"hyperparameter {name!r}: {type(holder).__name__} must have an attribute batch_size, got none; set "
                f"self.batch_size in its __init__ and use it in train_dataloader"
            )
        holder.batch_size = value

    def read(self, parts: LightningParts, name: str) -> Any:
        """Reads the batch size of the live loaders.

        Raises:
            ConfigError: There is no loader with a batch size, or the loaders have different ones.
        """
        loaded = parts.trainer.train_dataloader
        sizes = [
            loader.batch_size
            for loader in loaders_of(loaded.iterables if isinstance(loaded, CombinedLoader) else loaded)
        ]
        if not sizes or None in sizes:
            raise ConfigError(f"hyperparameter {name!r}: the training data must be a DataLoader with a batch_size")
        return agreed(name, sizes, "the training loaders (batch_size)")


@attrs.frozen
class HParam(Binding[LightningParts]):
    """An entry of the module's `hparams`, which its steps read as `self.hparams.alpha`.

    The copies that `__init__` made in attributes or layers do not change: bind those as `ModuleField`.

    Attributes:
        field: The entry's name.
    """

    field: str

    def write(self, parts: LightningParts, name: str, value: Any) -> None:
        """Sets the entry.

        Raises:
            ConfigError: There is no such entry.
        """
        self._hparams(parts, name)[self.field] = value

    def read(self, parts: LightningParts, name: str) -> Any:
        """Reads the entry."""
        return self._hparams(parts, name)[self.field]

    def _hparams(self, parts: LightningParts, name: str) -> Any:
        hparams: Any = parts.model.hparams
        if self.field not in hparams:
            raise ConfigError(
                f"hyperparameter {name!r}: the module's hparams must have {self.field!r}, got {sorted(hparams)}; call "
                f"save_hyperparameters() in its __init__"
            )
        return hparams


@attrs.frozen
class Nth(Binding[LightningParts]):
    """A binding to one of several optimizers, or to its scheduler, by position.

    Attributes:
        position: The optimizer's position in what `configure_optimizers` returns, from 0.
        binding: The binding that sees this optimizer alone, such as `OptimizerField("lr")`.
    """

    position: int
    binding: Binding[Any]

    @property
    def saved(self) -> bool:  # type: ignore[override]  # that of the inner binding
        """Whether the framework's own state contains and restores the value."""
        return self.binding.saved

    def write(self, parts: LightningParts, name: str, value: Any) -> None:
        """Writes through the inner binding.

        Raises:
            ConfigError: There is no such optimizer, or the inner binding refuses the value.
        """
        self.binding.write(self._alone(parts, name), name, value)

    def read(self, parts: LightningParts, name: str) -> Any:
        """Reads through the inner binding."""
        return self.binding.read(self._alone(parts, name), name)

    def _alone(self, parts: LightningParts, name: str) -> LightningParts:
        optimizers = parts.trainer.optimizers
        if not 0 <= self.position < len(optimizers):
            raise ConfigError(
                f"hyperparameter {name!r}: the position in Nth must be 0 .. {len(optimizers) - 1}, got {self.position}"
            )
        chosen = optimizers[self.position]
        schedulers = [each.scheduler for each in parts.trainer.lr_scheduler_configs]
        steering = [one for one in schedulers if one.optimizer is chosen]
        return attrs.evolve(parts, optimizer=chosen, scheduler=steering[0] if steering else None)
