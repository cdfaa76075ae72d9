"""A training by the Trainer of Transformers as a trainable: each step is one `train` that resumes from a checkpoint."""

import contextlib
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, cast

import attrs
import torch
from torch import nn
from transformers import PrinterCallback, ProgressCallback, Trainer
from transformers.utils import logging as transformers_logging

from gpbt_adapters.trainables.pytorch.lines import Line, LineTrainable, Trained
from gpbt_adapters.trainables.pytorch.parts import sources
from gpbt_adapters.trainables.pytorch.trainable import not_finite
from gpbt_adapters.trainables.random_states import OwnRandomness, derived_seed
from gpbt_adapters.trainables.trainable import check_callables
from gpbt_adapters.trainables.transformers.steering import Steering
from gpbt_core.errors import ConfigError

__all__ = ["TransformersTrainable"]

# Training arguments that must have one value, and the reason.
_REFUSED: dict[str, tuple[Any, str]] = {
    "load_best_model_at_end": (False, "a step ends with the weights that it trained"),
    "save_only_model": (False, "a child goes on with its parent's optimizer state"),
    "push_to_hub": (False, "each step writes a checkpoint"),
    "auto_find_batch_size": (False, "a step must train the same batches each time"),
}


@attrs.define(kw_only=True, eq=False)
class TransformersTrainable(LineTrainable):
    """Trains a model with the Trainer of Hugging Face Transformers, or with a subclass of it.

    A step is one call of `Trainer.train`, which continues from the checkpoint of the step before and stops by
    `control.should_training_stop`; then `Trainer.evaluate` measures the score. The Trainer's `max_steps` (or
    `num_train_epochs`) is the horizon of a whole line, so it must be at least the run's `steps` x `updates`. The random
    generators of the process are left as they were.

    Attributes:
        trainer: Makes a Trainer with a new model, from a config; most ignore the config. Checkpoints go into a folder
            of gpbt's, whatever its `output_dir`, and nothing is printed.
        monitor: The score's name among the metrics of `evaluate`, such as "eval_loss".
        bindings: Where each hyperparameter lives, by its name in the config.
        updates: Updates of the optimizer per step, at least 1; None: an epoch.
    """

    trainer: Callable[[Mapping[str, Any]], Trainer]
    updates: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))
    _made: Trainer | None = attrs.field(default=None, init=False)
    _infinite: frozenset[str] = attrs.field(default=frozenset(), init=False)
    _weights_are_current: bool = attrs.field(default=True, init=False)

    checkpoint: ClassVar[str] = "checkpoint"

    def __attrs_post_init__(self) -> None:
        """Refuses a Trainer in place of a function that makes one.

        Raises:
            ConfigError: `trainer` cannot be called.
        """
        check_callables("TransformersTrainable", {"trainer": self.trainer})

    @property
    def model(self) -> nn.Module:
        """The model with its weights as they stand.

        Raises:
            ProtocolError: Neither `setup` nor `load` was called, or `close` was.
        """
        self._started()
        trainer = self._trainer
        if not self._weights_are_current:
            # It knows shards, tied weights and adapters; nothing public does it without training.
            trainer._load_from_checkpoint(str(self._place))  # noqa: SLF001
            self._weights_are_current = True
        model: Any = trainer.model
        return cast("nn.Module", model)

    @property
    def _trainer(self) -> Trainer:
        assert self._made is not None
        return self._made

    def _build(self, line: Line) -> None:
        with OwnRandomness(sources(torch.device("cpu")), line.seed), _quiet():
            trainer = self.trainer(line.founder)
        for name, (wanted, why) in _REFUSED.items():
            found = getattr(trainer.args, name, wanted)
            if found != wanted:
                raise ConfigError(
                    f"TransformersTrainable: the training argument {name} must be {wanted}, got {found}: {why}"
                )
        if trainer.model_init is not None:
            raise ConfigError("TransformersTrainable: the Trainer must be made with model=, got model_init=")
        if trainer.args.world_size > 1:
            raise ConfigError(
                f"TransformersTrainable: the Trainer must run in one process, got {trainer.args.world_size}; run "
                f"models side by side with run(..., workers=...)"
            )
        for callback in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(callback)
        trainer.args.output_dir = str(self._folder)
        trainer.args.save_total_limit = None
        self._made = trainer
        self._infinite = not_finite(cast("nn.Module", trainer.model))
        self._weights_are_current = line.steps == 0

    def _train(self, line: Line) -> Trained:
        trainer = self._trainer
        steering = self._steering(line)
        trainer.add_callback(steering)
        try:
            # The Trainer's checkpoint has the random states; the seed tells it the order of each epoch.
            with OwnRandomness(sources(trainer.args.device), line.seed), _quiet(logging.ERROR if line.steps else None):
                output = trainer.train(resume_from_checkpoint=str(self._place) if line.steps else None)
        finally:
            trainer.remove_callback(steering)
        self._keep_checkpoint(trainer)
        self._weights_are_current = True
        diverged = bool(not_finite(self.model) - self._infinite)
        line.held = steering.held
        return Trained(
            live=steering.live,
            held=steering.held,
            metrics={"train_loss": output.training_loss, **self._evaluate(line)},
            diverged=diverged,
        )

    def _evaluate(self, line: Line) -> Mapping[str, float]:
        assert self.model is not None  # restores the weights
        trainer = self._trainer
        steering = self._steering(line)
        parts = steering.parts()
        parts.config = dict(line.config)
        for name, value in {**line.held, **line.config}.items():
            if name in self.bindings and not self.bindings[name].saved:
                self.bindings[name].write(parts, name, value)
        with OwnRandomness(sources(trainer.args.device), derived_seed(line.seed, 0)), _quiet():
            metrics = trainer.evaluate()
        return {name: float(value) for name, value in metrics.items() if _is_result(name, value)}

    def _release(self) -> None:
        self._made = None

    def _steering(self, line: Line) -> Steering:
        return Steering(
            trainer=self._trainer,
            bindings=self.bindings,
            config=line.config,
            held=line.held,
            founder=line.founder,
            updates=self.updates,
        )

    def _keep_checkpoint(self, trainer: Trainer) -> None:
        """Moves the checkpoint of this step to where the next step looks for it."""
        assert self._folder is not None
        written = self._folder / f"checkpoint-{trainer.state.global_step}"
        shutil.rmtree(self._place, ignore_errors=True)
        written.rename(self._place)
        for other in self._folder.glob("checkpoint-*"):  # those of the Trainer's own save_strategy
            shutil.rmtree(other)


@contextlib.contextmanager
def _quiet(level: int | None = None) -> Iterator[None]:
    """Hides progress bars and, given a level, messages below it: each step resumes, and would repeat them."""
    bars, before = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    try:
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        if level is not None:
            transformers_logging.set_verbosity(level)
        yield
    finally:
        transformers_logging.set_verbosity(before)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _is_result(name: str, value: Any) -> bool:
    """Whether a metric measures the model, and not the speed of the evaluation."""
    timed = name.endswith(("_runtime", "_per_second", "_preparation_time")) or name == "epoch"
    return isinstance(value, int | float) and not timed
