"""JAX trainings as trainables: `FunctionalTrainable` for any pytree, Flax's and Equinox's models too, and bindings."""

from gpbt_adapters.trainables.jax import (
    Binding,
    Fixed,
    FunctionalTrainable,
    Injected,
    Setter,
    StateParts,
    StateValue,
    StepValue,
)

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
