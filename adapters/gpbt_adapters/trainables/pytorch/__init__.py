"""PyTorch models as trainables, and four functions for a training loop of your own.

`TorchTrainable` trains from factories. A loop of your own fills `Parts` and calls `capture`, `restore`, `apply` and
`verify` on it. Importing this needs PyTorch, and nothing else of gpbt_adapters imports it.
"""

try:
    import torch as _torch  # noqa: F401 - tells a missing extra from a broken module
except ImportError as error:
    raise ImportError('gpbt.pytorch needs PyTorch, which is not installed: pip install "gpbt[torch]"') from error

from gpbt_adapters.trainables.bindings import Binding, Fixed, Setter, StepValue
from gpbt_adapters.trainables.pytorch.batches import Batches
from gpbt_adapters.trainables.pytorch.fields import BatchSize, DatasetField, ModuleField
from gpbt_adapters.trainables.pytorch.optimizer_fields import OptimizerArgument, OptimizerField, ScheduledRate
from gpbt_adapters.trainables.pytorch.parts import Parts, Stateful, apply, capture, restore, verify
from gpbt_adapters.trainables.pytorch.schedules import lambda_lr
from gpbt_adapters.trainables.pytorch.trainable import TorchTrainable

__all__ = [
    "BatchSize",
    "Batches",
    "Binding",
    "DatasetField",
    "Fixed",
    "ModuleField",
    "OptimizerArgument",
    "OptimizerField",
    "Parts",
    "ScheduledRate",
    "Setter",
    "Stateful",
    "StepValue",
    "TorchTrainable",
    "apply",
    "capture",
    "lambda_lr",
    "restore",
    "verify",
]
