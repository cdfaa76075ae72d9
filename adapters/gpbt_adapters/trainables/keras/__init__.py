"""Keras models as trainables.

`KerasTrainable` trains from factories; `ScheduleCallback` trains again under a found schedule. Written for Keras 3 on
any backend and tested on TensorFlow. Importing this needs Keras, and nothing else of gpbt_adapters imports it.
"""

try:
    import keras as _keras  # noqa: F401 - tells a missing extra from a broken module
except ImportError as error:
    raise ImportError(
        'gpbt.keras needs Keras and a backend, which are not installed: pip install "gpbt[tensorflow]"'
    ) from error

from gpbt_adapters.trainables.bindings import Binding, Fixed, Setter, StepValue
from gpbt_adapters.trainables.keras.fields import BatchSize, LayerField, LossField, OptimizerField
from gpbt_adapters.trainables.keras.parts import Parts
from gpbt_adapters.trainables.keras.schedules import ScheduleCallback
from gpbt_adapters.trainables.keras.trainable import KerasTrainable

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
