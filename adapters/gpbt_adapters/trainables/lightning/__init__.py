"""Lightning modules as trainables: Lightning's Trainer keeps the loop.

Precision, devices, callbacks and data modules stay as they are. Bindings are those of `pytorch`, and a few that know
Lightning. Importing this needs Lightning and PyTorch.
"""

try:
    import lightning.pytorch as _lightning  # noqa: F401 - tells a missing extra from a broken module
except ImportError as error:
    raise ImportError(
        'gpbt.lightning needs Lightning, which is not installed: pip install "gpbt[lightning]"'
    ) from error

from gpbt_adapters.trainables.bindings import Binding, Fixed, Setter, StepValue
from gpbt_adapters.trainables.lightning.fields import BatchSize, DataField, HParam, Nth
from gpbt_adapters.trainables.lightning.steering import LightningParts
from gpbt_adapters.trainables.lightning.trainable import LightningTrainable
from gpbt_adapters.trainables.pytorch.fields import ModuleField
from gpbt_adapters.trainables.pytorch.optimizer_fields import OptimizerField, ScheduledRate
from gpbt_adapters.trainables.pytorch.schedules import lambda_lr

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
