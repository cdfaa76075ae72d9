"""The callback that sets hyperparameters inside `Trainer.fit`, reads them back, and ends the fit after a step.

Lightning makes optimizers, loaders and schedulers anew in each fit, and restores their states after `on_fit_start`. So
the callback writes values in `on_train_start`, and reads them back there and in `on_train_end`. With several processes,
each has a copy of the callback, and the first one writes its results to a file for the main process.
"""

import contextlib
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader

from gpbt_adapters.trainables import bindings as _bindings
from gpbt_adapters.trainables.bindings import Binding
from gpbt_adapters.trainables.lightning.quiet import Quiet
from gpbt_adapters.trainables.pytorch.parts import Parts, sources
from gpbt_adapters.trainables.pytorch.trainable import not_finite
from gpbt_adapters.trainables.random_states import derived_seed
from gpbt_core.errors import GpbtError

__all__ = ["CHECKPOINT", "ERROR", "REPORT", "LightningParts", "Steering", "loaders_of"]

CHECKPOINT = "lightning.ckpt"
REPORT = "report.pt"
ERROR = "error.pickle"


@attrs.define(kw_only=True)
class LightningParts(Parts):
    """What a binding, or your own `Setter`, acts on while Lightning trains.

    Attributes:
        trainer: Lightning's Trainer; its `optimizers` are restored already.
        data: The data module or loaders that the trainable's `data` made; None: the module has its own.
    """

    trainer: pl.Trainer
    data: Any = None


def loaders_of(loaded: Any) -> list[DataLoader[Any]]:
    """Lists the PyTorch loaders in nested lists, tuples and dicts, as a module or a data module returns them."""
    if isinstance(loaded, DataLoader):
        return [loaded]
    if isinstance(loaded, Mapping):
        loaded = loaded.values()
    elif not isinstance(loaded, list | tuple):
        return []
    return [loader for each in loaded for loader in loaders_of(each)]


@attrs.define(kw_only=True, eq=False)
class Steering(pl.Callback):
    """Steers one fit or one validation.

    Attributes:
        folder: Where the callback writes Lightning's checkpoint and the report of the step.
        bindings: Where each hyperparameter lives.
        config: The config to train under.
        held: The last value of each hyperparameter, including inactive ones.
        founder: The config that the module was built with.
        seed: The seed of the line.
        step: How many steps the line has trained before.
        epochs: How many epochs this step trains.
        data: The data module or loaders.
        infinite: The names of weights that were not finite when the module was built.
        quiet: Travels with the callback to the processes that Lightning starts.
    """

    folder: Path
    bindings: Mapping[str, Binding[Any]]
    config: Mapping[str, Any]
    held: Mapping[str, Any]
    founder: Mapping[str, Any]
    seed: int
    step: int
    epochs: int
    data: Any
    infinite: frozenset[str]
    quiet: Quiet = attrs.field(factory=Quiet)
    _epochs_done: int = attrs.field(default=0, init=False)
    _random: Any = attrs.field(default=None, init=False)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Seeds this process, and sets the values that loaders are made from."""
        with self._reporting(trainer):
            self._seed(trainer, self.step + 1)
            early = {name: binding for name, binding in self.bindings.items() if getattr(binding, "before_data", False)}
            parts = self._parts(trainer, pl_module)
            for name in sorted(early.keys() & ({*self.held, *self.config} if stage == "fit" else set())):
                early[name].write(parts, name, self.config.get(name, self.held.get(name)))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the config over what Lightning restored, and reads it back."""
        with self._reporting(trainer):
            for number, generator in enumerate(_generators(trainer.train_dataloader)):
                generator.manual_seed(derived_seed(self.seed, self.step, trainer.global_rank, number))
            parts = self._parts(trainer, pl_module)
            _bindings.write(parts, self.bindings, self.config)
            self.held = parts.held
            _bindings.verify(parts, self.bindings, self.config)
        self._epochs_done = 0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002 - as above
        """Ends the fit after this step's last epoch; the Trainer's `max_epochs` stays the horizon of its schedulers."""
        self._epochs_done += 1
        if self._epochs_done == self.epochs:
            trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves Lightning's checkpoint, the live values and the metrics."""
        with self._reporting(trainer):
            parts = self._parts(trainer, pl_module)
            parts.config = dict(self.config)
            report = {
                "epochs": self._epochs_done,
                "live": _bindings.read_back(parts, self.bindings),
                "held": dict(self.held),
                "metrics": {name: float(value) for name, value in trainer.callback_metrics.items()},
                "diverged": bool(not_finite(pl_module) - self.infinite),
            }
        trainer.save_checkpoint(self.folder / CHECKPOINT)
        if trainer.is_global_zero:
            torch.save(report, self.folder / REPORT)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seeds the random numbers of the validation, so that they are the same each time.

        Outside of a fit it also sets the values that Lightning's checkpoint does not contain, such as a dropout rate.
        """
        self._random = [(source, source.get()) for source in sources(trainer.strategy.root_device)]
        self._seed(trainer, 0)
        if trainer.state.fn == "validate":
            with self._reporting(trainer):
                parts = self._parts(trainer, pl_module)
                parts.config = dict(self.config)
                for name, value in {**self.held, **self.config}.items():
                    if name in self.bindings and not self.bindings[name].saved:
                        self.bindings[name].write(parts, name, value)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002 - as above
        """Puts the random states of the training back."""
        for source, state in self._random:
            source.set(state)

    def _parts(self, trainer: pl.Trainer, module: pl.LightningModule) -> LightningParts:
        fitting = trainer.state.fn == "fit"
        optimizers = trainer.optimizers if fitting else []
        schedulers = trainer.lr_scheduler_configs if fitting else []
        return LightningParts(
            model=module,
            optimizer=optimizers[0] if optimizers else None,
            scheduler=schedulers[0].scheduler if schedulers else None,
            device=trainer.strategy.root_device,
            founder=self.founder,
            held=self.held,
            trainer=trainer,
            data=self.data,
        )

    def _seed(self, trainer: pl.Trainer, stream: int) -> None:
        """Seeds the global generators; stream 0 is that of validations, the others are those of the steps."""
        for source in sources(trainer.strategy.root_device):
            source.set(source.seeded(derived_seed(self.seed, stream, trainer.global_rank)))

    @contextlib.contextmanager
    def _reporting(self, trainer: pl.Trainer) -> Iterator[None]:
        """Writes set-up errors to a file for the main process, which gets only their text from other processes."""
        try:
            yield
        except GpbtError as error:
            if trainer.strategy.launcher is not None:
                with contextlib.suppress(OSError):
                    (self.folder / ERROR).write_bytes(pickle.dumps(error))
            raise


def _generators(loaded: Any) -> list[torch.Generator]:
    found = [
        generator
        for loader in loaders_of(loaded)
        for generator in (loader.generator, getattr(loader.sampler, "generator", None))
        if generator is not None
    ]
    return list({id(generator): generator for generator in found}.values())
