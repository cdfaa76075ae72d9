"""Hugging Face Transformers as trainables: its Trainer keeps the loop.

Importing this needs Transformers, Accelerate and PyTorch.
"""

try:
    import accelerate as _accelerate  # noqa: F401 - tells a missing extra from a broken module
    import transformers as _transformers  # noqa: F401 - as above
except ImportError as error:
    raise ImportError(
        'gpbt.transformers needs Transformers, which is not installed: pip install "gpbt[transformers]"'
    ) from error

from gpbt_adapters.trainables.bindings import Binding, Fixed, Setter, StepValue
from gpbt_adapters.trainables.pytorch.fields import ModuleField
from gpbt_adapters.trainables.pytorch.optimizer_fields import OptimizerField, ScheduledRate
from gpbt_adapters.trainables.transformers.fields import ArgumentField, WeightDecay
from gpbt_adapters.trainables.transformers.steering import TransformersParts
from gpbt_adapters.trainables.transformers.trainable import TransformersTrainable

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
