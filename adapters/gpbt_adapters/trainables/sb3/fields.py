"""Where hyperparameters live in an agent: arguments of the algorithm, and attributes of the environment."""

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

import attrs
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from gpbt_adapters.trainables.bindings import Binding, agreed
from gpbt_core.errors import ConfigError

__all__ = ["Argument", "EnvField", "SB3Parts", "check_argument"]

# Arguments that an agent is built with; a change would not fit its weights or its replay buffer.
_BUILT = frozenset({
    "buffer_size", "device", "env", "optimize_memory_usage", "policy", "policy_kwargs", "replay_buffer_class",
    "replay_buffer_kwargs", "seed", "stats_window_size", "tensorboard_log", "use_sde", "verbose",
})  # fmt: skip

# Where an algorithm reads an argument while it trains, besides its own attribute of that name.
_COPIES: dict[str, tuple[tuple[str, str], ...]] = {
    "exploration_final_eps": (("exploration_schedule", "end"),),
    "exploration_fraction": (("exploration_schedule", "end_fraction"),),
    "exploration_initial_eps": (("exploration_schedule", "start"),),
    "gae_lambda": (("rollout_buffer", "gae_lambda"),),
    "gamma": (("rollout_buffer", "gamma"), ("replay_buffer", "gamma")),
    "n_steps": (("rollout_buffer", "buffer_size"), ("replay_buffer", "n_steps")),
}


@attrs.define(kw_only=True)
class SB3Parts:
    """What a binding, or your own `Setter`, acts on.

    Attributes:
        model: The algorithm with its policy, such as a `stable_baselines3.PPO`.
        env: The environment that it trains in, vectorized.
        config: The config in force.
        held: The last value of each hyperparameter, including inactive ones.
        founder: The config that the agent was built with.
        updates: How many updates the model had made when the config was set.
    """

    model: BaseAlgorithm
    env: VecEnv
    config: Mapping[str, Any] = attrs.field(factory=dict)
    held: Mapping[str, Any] = attrs.field(factory=dict)
    founder: Mapping[str, Any] = attrs.field(factory=dict)
    updates: int = 0


@attrs.frozen(init=False)
class Argument(Binding[SB3Parts]):
    """An argument of the algorithm, such as learning_rate, gamma, clip_range or n_steps.

    Stable-Baselines3 copies arguments into schedules and buffers when it makes a model. So the model is made again with
    the new values, and keeps its weights, the optimizer's state and the replay buffer.

    Args:
        names: One or more names of arguments; each gets the value.

    Examples:
        >>> Argument("exploration_initial_eps", "exploration_final_eps").names
        ('exploration_initial_eps', 'exploration_final_eps')
    """

    order: ClassVar[int] = -1

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        self.__attrs_init__(names)

    def write(self, parts: SB3Parts, name: str, value: Any) -> None:
        """Does nothing: `SB3Trainable` makes the model with the values of all arguments at once."""

    def read(self, parts: SB3Parts, name: str) -> Any:
        """Reads the value from every place where the algorithm reads it while it trains.

        Raises:
            ConfigError: The places have different values.
        """
        values = [value for argument in self.names for value in _live(parts, argument)]
        return agreed(name, values, f"the model's {', '.join(self.names)}")


@attrs.frozen
class EnvField(Binding[SB3Parts]):
    """An attribute of the training environment, such as the coefficient of a term of the reward.

    The environment for evaluation keeps its own value, so scores under different values can be compared.

    Attributes:
        field: The attribute's name, in the environment or in one of its wrappers.
    """

    field: str

    def write(self, parts: SB3Parts, name: str, value: Any) -> None:
        """Sets the attribute where it is defined, in each of the vectorized environments.

        Raises:
            ConfigError: There is no such attribute.
        """
        self.read(parts, name)
        # VecEnv.set_attr would set it on the outermost wrapper, where nothing reads it.
        parts.env.env_method("set_wrapper_attr", self.field, value)

    def read(self, parts: SB3Parts, name: str) -> Any:
        """Reads the attribute.

        Raises:
            ConfigError: There is no such attribute, or the environments have different values.
        """
        try:
            values = parts.env.get_attr(self.field)
        except AttributeError as error:
            raise ConfigError(
                f"hyperparameter {name!r}: the environment must have an attribute {self.field!r}, got none; set it in "
                f"its __init__ and read it in its step"
            ) from error
        return agreed(name, values, f"the environments ({self.field})")


def check_argument(algorithm: type[BaseAlgorithm], name: str, argument: str) -> None:
    """Refuses arguments that cannot be changed while an agent trains.

    Raises:
        ConfigError: The algorithm has no such argument, or it is built with it.
    """
    known = set(inspect.signature(algorithm).parameters)
    if argument not in known:
        raise ConfigError(
            f"SB3Trainable: hyperparameter {name!r} must be bound to an argument of {algorithm.__name__}, got "
            f"{argument!r}; it has {sorted(known - _BUILT)}"
        )
    if argument in _BUILT or argument.startswith("_"):
        raise ConfigError(
            f"SB3Trainable: hyperparameter {name!r} must be bound to an argument that can change during training, "
            f"got {argument!r}; fix it with arguments={{{argument!r}: ...}}, or bind {name!r} as Fixed() and give "
            f"arguments as a function of the config"
        )


def _live(parts: SB3Parts, argument: str) -> list[Any]:
    """The values of an argument in all the places that are read while the model trains."""
    model: Any = parts.model
    if argument == "learning_rate":
        values = [model.lr_schedule(1.0)]
        if model._n_updates > parts.updates:  # noqa: SLF001 - until the first update the optimizers have the old one
            states = model.get_parameters().values()
            values += [group["lr"] for state in states for group in state.get("param_groups", ())]
        return values
    if not hasattr(model, argument):
        raise ConfigError(
            f"SB3Trainable: {argument!r} must be an argument that {type(model).__name__} keeps, got one that it reads "
            f"only when it is made; set it once with arguments={{{argument!r}: ...}}"
        )
    value = getattr(model, argument)
    if argument == "ent_coef" and getattr(model, "ent_coef_tensor", None) is not None:
        value = model.ent_coef_tensor.item()  # SAC's, if it is not learned
    if argument == "train_freq":
        value = getattr(value, "frequency", value)
    values = [value(1.0) if callable(value) else value]
    for holder, field in _COPIES.get(argument, ()):
        copied = getattr(getattr(model, holder, None), field, None)
        values += [] if copied is None else [copied]
    return values
