"""Keras models as trainables: `KerasTrainable` and its bindings."""

from gpbt_adapters.trainables.keras import (
    BatchSize,
    Binding,
    Fixed,
    KerasTrainable,
    LayerField,
    LossField,
    OptimizerField,
    Parts,
    ScheduleCallback,
    Setter,
    StepValue,
)

__all__ = [
    "BatchSize",
    "Binding",
    "Fixed",
    "KerasTrainable",
    "LayerField",
    "LossField",
    "OptimizerField",
    "Parts",
    "ScheduleCallback",
    "Setter",
    "StepValue",
]
