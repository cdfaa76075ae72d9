"""The callback that sets hyperparameters inside `Trainer.train`, reads them back, and ends the training after a step.

The Trainer restores optimizer and scheduler before `on_train_begin`, so the callback writes values there. `max_steps`
does not change, so the scheduler's horizon is that of the whole line; a step ends by `control.should_training_stop`.
"""

from collections.abc import Mapping
from typing import Any

import attrs
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState

from gpbt_adapters.trainables import bindings as _bindings
from gpbt_adapters.trainables.bindings import Binding
from gpbt_adapters.trainables.pytorch.parts import Parts
from gpbt_core.errors import ConfigError

__all__ = ["Steering", "TransformersParts"]


@attrs.define(kw_only=True)
class TransformersParts(Parts):
    """What a binding, or your own `Setter`, acts on while the Trainer trains.

    Attributes:
        trainer: The Trainer; its optimizer and scheduler are restored already.
    """

    trainer: Trainer


@attrs.define(kw_only=True, eq=False)
class Steering(TrainerCallback):
    """Steers one call of `train`.

    Attributes:
        trainer: The Trainer that the callback belongs to.
        bindings: Where each hyperparameter lives.
        config: The config to train under.
        held: The last value of each hyperparameter, including inactive ones.
        founder: The config that the model was built with.
        updates: Updates of the optimizer per step; None: an epoch.
        live: The values that were read back after the last update.
    """

    trainer: Trainer
    bindings: Mapping[str, Binding[Any]]
    config: Mapping[str, Any]
    held: Mapping[str, Any]
    founder: Mapping[str, Any]
    updates: int | None
    live: Mapping[str, Any] = attrs.field(factory=dict)
    _last: int = attrs.field(default=0, init=False)

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Writes the config over what the Trainer restored, and reads it back.

        Raises:
            ConfigError: The Trainer would end before the step, or a binding's place does not exist.
            HyperparameterNotAppliedError: A live value differs from the config's.
        """
        state = self.trainer.state
        if state.max_steps - state.global_step < (self.updates or 1):
            raise ConfigError(
                f"TransformersTrainable: the Trainer's max_steps must allow for all updates of a line, got max_steps="
                f"{state.max_steps}, of which {state.global_step} are done; give its TrainingArguments as many as the "
                f"run's steps x updates"
            )
        parts = self.parts()
        _bindings.write(parts, self.bindings, self.config)
        self.held = parts.held
        _bindings.verify(parts, self.bindings, self.config)
        self._last = state.global_step + (self.updates or state.max_steps)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ARG002 - the Trainer's signature
        """Saves and stops after the updates of a step."""
        if state.global_step == self._last:
            control.should_save = control.should_training_stop = True

    def on_epoch_end(self, args: Any, state: Any, control: TrainerControl, **_: Any) -> None:  # noqa: ARG002 - as above
        """Saves and stops after an epoch, if that is a step."""
        if self.updates is None:
            control.should_save = control.should_training_stop = True

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Reads the live values back."""
        parts = self.parts()
        parts.config = dict(self.config)
        self.live = _bindings.read_back(parts, self.bindings)

    def parts(self) -> TransformersParts:
        """Returns the Trainer's live objects."""
        optimizer: Any = self.trainer.optimizer
        scheduler: Any = self.trainer.lr_scheduler
        model: Any = self.trainer.model
        return TransformersParts(
            model=model,
            optimizer=getattr(optimizer, "optimizer", optimizer),  # Accelerate wraps it
            scheduler=scheduler,
            device=self.trainer.args.device,
            founder=self.founder,
            held=self.held,
            trainer=self.trainer,
        )
