"""Agents of Stable-Baselines3 as trainables: its algorithms keep their loops, and gpbt changes their arguments.

Importing this needs Stable-Baselines3, which brings Gymnasium and PyTorch.
"""

try:
    import stable_baselines3 as _stable_baselines3  # noqa: F401 - tells a missing extra from a broken module
except ImportError as error:
    raise ImportError('gpbt.sb3 needs Stable-Baselines3, which is not installed: pip install "gpbt[sb3]"') from error

from gpbt_adapters.trainables.bindings import Binding, Fixed, Setter
from gpbt_adapters.trainables.sb3.fields import Argument, EnvField, SB3Parts
from gpbt_adapters.trainables.sb3.trainable import SB3Trainable

__all__ = [
    "Argument",
    "Binding",
    "EnvField",
    "Fixed",
    "SB3Parts",
    "SB3Trainable",
    "Setter",
]
