"""Hugging Face Transformers as trainables: `TransformersTrainable`, which uses its Trainer, and bindings."""

from gpbt_adapters.trainables.transformers import (
    ArgumentField,
    Binding,
    Fixed,
    ModuleField,
    OptimizerField,
    ScheduledRate,
    Setter,
    StepValue,
    TransformersParts,
    TransformersTrainable,
    WeightDecay,
)

__all__ = [
    "ArgumentField",
    "Binding",
    "Fixed",
    "ModuleField",
    "OptimizerField",
    "ScheduledRate",
    "Setter",
    "StepValue",
    "TransformersParts",
    "TransformersTrainable",
    "WeightDecay",
]
