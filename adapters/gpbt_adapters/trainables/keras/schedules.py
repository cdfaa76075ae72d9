"""A found schedule as a Keras callback, to train again without gpbt."""

from collections.abc import Mapping
from typing import Any

import keras

from gpbt_adapters.trainables import bindings as _bindings
from gpbt_adapters.trainables.bindings import Binding
from gpbt_adapters.trainables.keras.parts import Parts
from gpbt_core.errors import ConfigError
from gpbt_core.records import Schedule
from gpbt_core.space.parameters import alike

__all__ = ["ScheduleCallback"]


class ScheduleCallback(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Sets the schedule's values on the model at the start of each epoch.

    Args:
        schedule: The found schedule.
        bindings: Where the hyperparameters live that are to be set; others of the schedule are ignored. The batch size
            cannot be set: it is an argument of `fit`.
        epochs_per_step: How many epochs a step of the schedule is, at least 1.

    Raises:
        ConfigError: The schedule is empty, or lacks a hyperparameter that is bound.

    Examples:
        >>> from gpbt.keras import OptimizerField
        >>> from gpbt import Segment
        >>> found = Schedule((Segment(config={"lr": 0.5}, start_step=0, steps=2),))
        >>> callback = ScheduleCallback(found, {"lr": OptimizerField("learning_rate")})
    """

    def __init__(self, schedule: Schedule, bindings: Mapping[str, Binding[Parts]], *, epochs_per_step: int = 1) -> None:
        super().__init__()
        lacking = [name for name in bindings if not any(name in segment.config for segment in schedule.segments)]
        if lacking or not schedule.segments:
            raise ConfigError(
                f"ScheduleCallback: the schedule has {len(schedule.segments)} segments, none with {lacking}"
            )
        self._schedule = schedule
        self._bindings = bindings
        self._epochs_per_step = epochs_per_step
        self._parts: Parts | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras' signature
        """Sets the epoch's values; after the end of the schedule the last ones are kept."""
        if self._parts is None or self._parts.model is not self.model:
            self._parts = Parts(model=self.model)
        step = min(epoch // self._epochs_per_step, self._schedule.steps - 1)
        config = {name: value for name, value in self._schedule.at(step).items() if name in self._bindings}
        if not alike(config, self._parts.config):
            _bindings.write(self._parts, self._bindings, config)
