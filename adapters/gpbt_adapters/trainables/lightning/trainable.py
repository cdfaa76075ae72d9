"""A Lightning training as a trainable: each step is one `Trainer.fit` that goes on from the last one's checkpoint."""

import contextlib
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.data import AttributeDict
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher

from gpbt_adapters.trainables.lightning.quiet import quiet
from gpbt_adapters.trainables.lightning.steering import CHECKPOINT, ERROR, REPORT, Steering
from gpbt_adapters.trainables.pytorch.lines import Line, LineTrainable, Trained
from gpbt_adapters.trainables.pytorch.parts import sources
from gpbt_adapters.trainables.pytorch.trainable import not_finite
from gpbt_adapters.trainables.random_states import OwnRandomness, derived_seed
from gpbt_adapters.trainables.trainable import check_callables
from gpbt_core.errors import ConfigError

__all__ = ["LightningTrainable"]

_QUIET = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "max_epochs": -1,
}


@attrs.define(kw_only=True, eq=False)
class LightningTrainable(LineTrainable):
    """Trains a LightningModule with Lightning's own Trainer.

    A step is one or more epochs: one call of `Trainer.fit` that goes on from the checkpoint of the step before. Where
    epochs are long, `trainer={"limit_train_batches": 500}` makes them of 500 batches each. The random numbers of a
    step follow from the line's seed and the step's number; the process' own generators are left as they were.

    Attributes:
        model: Makes the module from a config; most ignore the config.
        monitor: The score's name among the metrics that the module logs in validation (`self.log("val_acc", ...)`); the
            sanity check does not count.
        bindings: Where each hyperparameter lives, by its name in the config.
        data: Makes the data module, the training loader, or the pair of training and validation loaders; None: the
            module has its own loaders.
        trainer: Plain arguments of `lightning.pytorch.Trainer`, or a function that makes one, if you want callbacks,
            loggers or plugins. With arguments, everything that writes to the screen or the disk is off by default, and
            so is `max_epochs`. If a scheduler needs the horizon, pass `max_epochs`, the run's `steps` x `epochs`.
        epochs: Epochs per step, at least 1.
        trusted: Classes beyond tensors and plain values that a checkpoint may hold.

    Examples:
        >>> from gpbt.lightning import OptimizerField
        >>> class Line(pl.LightningModule):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.slope = torch.nn.Linear(1, 1)
        ...
        ...     def training_step(self, batch, number):
        ...         return (self.slope(batch) - batch).square().mean()
        ...
        ...     def validation_step(self, batch, number):
        ...         self.log("error", self.training_step(batch, number))
        ...
        ...     def configure_optimizers(self):
        ...         return torch.optim.SGD(self.parameters(), lr=1.0)
        >>> def data():
        ...     loader = torch.utils.data.DataLoader(torch.arange(8.0).reshape(8, 1), batch_size=4)
        ...     return loader, loader
        >>> trainable = LightningTrainable(
        ...     model=lambda config: Line(),
        ...     data=data,
        ...     monitor="error",
        ...     bindings={"lr": OptimizerField("lr")},
        ...     trainer={"accelerator": "cpu"},
        ... )
        >>> trainable.setup({"lr": 0.01}, seed=0)
        >>> trainable.step() < 20
        True
        >>> trainable.applied()
        {'lr': 0.01}
    """

    model: Callable[[Mapping[str, Any]], pl.LightningModule]
    data: Callable[[], Any] | None = None
    trainer: Mapping[str, Any] | Callable[[], pl.Trainer] = attrs.field(factory=dict)
    epochs: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    trusted: Sequence[type] = ()
    _module: pl.LightningModule | None = attrs.field(default=None, init=False)
    _module_is_current: bool = attrs.field(default=True, init=False)
    _data: Any = attrs.field(default=None, init=False)
    _trainer: pl.Trainer | None = attrs.field(default=None, init=False)
    _infinite: frozenset[str] = attrs.field(default=frozenset(), init=False)

    checkpoint: ClassVar[str] = CHECKPOINT

    def __attrs_post_init__(self) -> None:
        """Refuses objects that all models would share.

        Raises:
            ConfigError: A module or data is given in place of a function that makes them, or a callback or the like
                among the arguments of the Trainer.
        """
        check_callables("LightningTrainable", {"model": self.model, "data": self.data or dict})
        if isinstance(self.trainer, Mapping):
            objects = [name for name, value in self.trainer.items() if not _is_plain(value)]
            if objects:
                raise ConfigError(
                    f"LightningTrainable: the Trainer's arguments must be plain values, got objects in {objects}, "
                    f"which all models would share; give trainer= a function that makes them and returns a new Trainer"
                )

    def _build(self, line: Line) -> None:
        with OwnRandomness(sources(torch.device("cpu")), line.seed), quiet():
            self._module = self.model(line.founder)
            self._infinite = not_finite(self._module)
            self._data = None if self.data is None else self.data()
        self._module_is_current = line.steps == 0

    def _train(self, line: Line) -> Trained:
        train, valid = self._loaders()
        with self._entered(line) as (trainer, arguments):
            trainer.fit(**arguments, train_dataloaders=train, val_dataloaders=valid)
        self._module_is_current = True
        return self._report(line, trainer)

    def _evaluate(self, line: Line) -> Mapping[str, float]:
        with self._entered(line) as (trainer, arguments):
            trainer.validate(**arguments, dataloaders=self._loaders()[1], verbose=False)
        return {name: float(value) for name, value in trainer.callback_metrics.items()}

    def _release(self) -> None:
        self._module = self._trainer = self._data = None

    @property
    def module(self) -> pl.LightningModule:
        """The module with its weights as they stand, on the CPU.

        Raises:
            ProtocolError: Neither `setup` nor `load` was called, or `close` was.
        """
        self._started()
        assert self._module is not None
        if not self._module_is_current:
            with self._safe():
                checkpoint = torch.load(self._place, map_location="cpu", weights_only=True)
            self._module.configure_model()
            self._module.on_load_checkpoint(checkpoint)
            self._module.load_state_dict(checkpoint["state_dict"], strict=self._module.strict_loading)
            self._module_is_current = True
        return self._module

    @contextlib.contextmanager
    def _entered(self, line: Line) -> Iterator[tuple[pl.Trainer, dict[str, Any]]]:
        """Enters the random states and a quiet console; yields a Trainer and the arguments of fit and validate."""
        assert self._folder is not None
        for name in (REPORT, ERROR):
            (self._folder / name).unlink(missing_ok=True)
        with quiet(), self._safe(), _interruptible():
            trainer = self._trainer or self._new_trainer()
            # Lightning refuses a second fit by a Trainer that has started processes.
            self._trainer = trainer if trainer.strategy.launcher is None else None
            callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # made by a connector
            callbacks[:] = [each for each in callbacks if not isinstance(each, Steering)]
            callbacks.append(self._steering(line))
            with OwnRandomness(sources(trainer.strategy.root_device), derived_seed(line.seed, line.steps)):
                try:
                    yield (
                        trainer,
                        {
                            "model": self._module,
                            "ckpt_path": str(self._place) if line.steps else None,
                            "weights_only": True,
                            "datamodule": self._data if isinstance(self._data, pl.LightningDataModule) else None,
                        },
                    )
                except Exception:
                    if (self._folder / ERROR).exists():  # another process wrote it; here is only its text
                        error = pickle.loads((self._folder / ERROR).read_bytes())  # noqa: S301 - our own callback's
                        raise error from None
                    raise

    def _steering(self, line: Line) -> Steering:
        assert self._folder is not None
        return Steering(
            folder=self._folder,
            bindings=self.bindings,
            config=line.config,
            held=line.held,
            founder=line.founder,
            seed=line.seed,
            step=line.steps,
            epochs=self.epochs,
            data=self._data,
            infinite=self._infinite,
        )

    def _loaders(self) -> tuple[Any, Any]:
        """The training and validation loaders; (None, None) if a module makes them."""
        if self._data is None or isinstance(self._data, pl.LightningDataModule):
            return None, None
        if isinstance(self._data, tuple):
            train, valid = self._data
            return train, valid
        return self._data, None

    def _new_trainer(self) -> pl.Trainer:
        trainer = self.trainer() if callable(self.trainer) else pl.Trainer(**{**_QUIET, **self.trainer})
        if trainer.world_size > 1 and not isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
            raise ConfigError(
                "LightningTrainable: the Trainer must start its processes within the run, got one that runs the whole "
                'script in each of them; pass strategy="ddp_fork" or, with GPUs, "ddp_spawn"'
            )
        if trainer.max_steps != -1:
            raise ConfigError(
                f"LightningTrainable: a step must train whole epochs, got a Trainer with max_steps="
                f"{trainer.max_steps}; pass max_epochs, and limit_train_batches for shorter epochs"
            )
        return trainer

    def _report(self, line: Line, trainer: pl.Trainer) -> Trained:
        """Reads the report that the callback, perhaps in another process, wrote at the end of the step."""
        assert self._folder is not None
        file = self._folder / REPORT
        report: dict[str, Any] = torch.load(file, weights_only=True) if file.exists() else {"epochs": 0}
        epochs = report.pop("epochs")
        if epochs != self.epochs:
            raise ConfigError(
                f"LightningTrainable: a step must train epochs={self.epochs}, got {epochs}: the Trainer stopped "
                f"earlier, by max_epochs={trainer.max_epochs} (after {line.steps} steps of the line) or by a callback; "
                f"raise max_epochs, and leave out callbacks that stop the training"
            )
        return Trained(**report)

    def _safe(self) -> Any:
        """The classes that a checkpoint may hold: hparams are in one of Lightning's own."""
        return torch.serialization.safe_globals([AttributeDict, *self.trusted])


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    return value is None or isinstance(value, str | int | float | Path)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Raises KeyboardInterrupt on Ctrl-C: Lightning raises SystemExit instead, and ignores the next Ctrl-C."""
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            if main:
                signal.signal(signal.SIGINT, handler)
            raise KeyboardInterrupt from None
        raise
