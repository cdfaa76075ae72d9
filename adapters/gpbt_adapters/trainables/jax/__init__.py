"""JAX trainings as trainables: any pytree is the state, and pure functions make it, train it and score it.

Importing this needs JAX and Optax. Flax and Equinox are not needed: their models are pytrees.
"""

try:
    import jax as _jax  # noqa: F401 - tells a missing extra from a broken module
    import optax as _optax  # noqa: F401 - as above
except ImportError as error:
    raise ImportError('gpbt.jax needs JAX and Optax, which are not installed: pip install "gpbt[jax]"') from error

from gpbt_adapters.trainables.bindings import Binding, Fixed, Setter, StepValue
from gpbt_adapters.trainables.jax.fields import Injected, StateParts, StateValue
from gpbt_adapters.trainables.jax.trainable import FunctionalTrainable

__all__ = [
    "Binding",
    "Fixed",
    "FunctionalTrainable",
    "Injected",
    "Setter",
    "StateParts",
    "StateValue",
    "StepValue",
]
