"""Lightning modules as trainables: `LightningTrainable`, which uses Lightning's own Trainer, and bindings."""

from gpbt_adapters.trainables.lightning import (
    BatchSize,
    Binding,
    DataField,
    Fixed,
    HParam,
    LightningParts,
    LightningTrainable,
    ModuleField,
    Nth,
    OptimizerField,
    ScheduledRate,
    Setter,
    StepValue,
    lambda_lr,
)

__all__ = [
    "BatchSize",
    "Binding",
    "DataField",
    "Fixed",
    "HParam",
    "LightningParts",
    "LightningTrainable",
    "ModuleField",
    "Nth",
    "OptimizerField",
    "ScheduledRate",
    "Setter",
    "StepValue",
    "lambda_lr",
]
