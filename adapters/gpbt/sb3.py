"""Reinforcement learning with Stable-Baselines3 as trainables: `SB3Trainable` for PPO, A2C, SAC, DQN, and bindings."""

from gpbt_adapters.trainables.sb3 import (
    Argument,
    Binding,
    EnvField,
    Fixed,
    SB3Parts,
    SB3Trainable,
    Setter,
)

__all__ = [
    "Argument",
    "Binding",
    "EnvField",
    "Fixed",
    "SB3Parts",
    "SB3Trainable",
    "Setter",
]
