"""An agent of Stable-Baselines3 as a trainable: each step is one call of `learn`, and then some episodes of evaluation.

In general, the state of an environment cannot be saved. So each step starts with a new episode, and seeds the
environment and all generators from the line's seed and the step's number.
"""

import copy
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import gymnasium
import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.utils import get_device
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from gpbt_adapters.trainables import bindings as _bindings
from gpbt_adapters.trainables.bindings import Binding, PartsTrainable
from gpbt_adapters.trainables.pytorch.parts import sources
from gpbt_adapters.trainables.pytorch.trainable import not_finite
from gpbt_adapters.trainables.random_states import OwnRandomness, derived_seed
from gpbt_adapters.trainables.sb3.fields import Argument, SB3Parts, check_argument
from gpbt_adapters.trainables.sb3.states import (
    copy_statistics,
    move_replay,
    read_replay,
    read_statistics,
    write_replay,
    write_statistics,
)
from gpbt_adapters.trainables.trainable import as_score, check_callables, same_value
from gpbt_core.errors import ConfigError

__all__ = ["SB3Trainable"]

_LINE = "line.json"
_MODEL = "model.zip"
# A function of the progress of one `learn` would start anew at each step.
_SCHEDULES = ("clip_range", "clip_range_vf", "learning_rate")

Env: TypeAlias = "gymnasium.Env[Any, Any] | VecEnv"
Arguments: TypeAlias = "Mapping[str, Any] | Callable[[Mapping[str, Any]], Mapping[str, Any]]"


def _as_bindings(tune: Sequence[str] | Mapping[str, Binding[SB3Parts]]) -> dict[str, Binding[SB3Parts]]:
    if isinstance(tune, Mapping):
        return dict(tune)
    return {name: Argument(name) for name in ([tune] if isinstance(tune, str) else tune)}


@attrs.define(eq=False)
class SB3Trainable(PartsTrainable[SB3Parts]):
    """Trains an agent with an algorithm of Stable-Baselines3: PPO, A2C, SAC, TD3, DQN, or a subclass.

    A step is one call of `learn`. The score is the mean return of a few whole episodes in an environment for
    evaluation, so pass `direction="maximize"`. All agents of a generation play the same episodes, and each generation
    plays others. The random generators of the process are left as they were.

    Attributes:
        policy: The policy's name, such as "MlpPolicy", or its class.
        make_env: Makes a new environment at each call: one of Gymnasium, or a vectorized one, with VecNormalize or
            without.
        algorithm: The class, such as `stable_baselines3.PPO`.
        steps: Environment steps per step of the run, at least 1. PPO and A2C finish their last rollout; the next step
            is shorter by as many environment steps as this one trained too many.
        evaluate: Episodes per evaluation, at least 1.
        tune: The names of the algorithm's arguments to tune; or bindings by the names in the config.
        arguments: Further arguments of the algorithm; or a function that takes the founder's config and returns them,
            for values bound as `Fixed`.
        make_eval_env: Makes an environment for evaluation, such as one with another reward; None: `make_env` does.
        objective: Takes the `info` dictionaries of an episode and returns its score; None: the sum of the rewards.
        deterministic: Whether the agent takes its most likely action in an evaluation, instead of drawing one.
        parts: The live objects, from `setup` or `load` to `close`.

    Raises:
        ConfigError: An attribute is out of its range, or an argument cannot be tuned.

    Examples:
        >>> import gymnasium
        >>> from stable_baselines3 import PPO
        >>> trainable = SB3Trainable(
        ...     "MlpPolicy",
        ...     lambda: gymnasium.make("CartPole-v1"),
        ...     PPO,
        ...     steps=64,
        ...     evaluate=1,
        ...     tune=["learning_rate", "gamma"],
        ...     arguments={"n_steps": 64, "device": "cpu"},
        ... )
        >>> trainable.setup({"learning_rate": 1e-3, "gamma": 0.98}, seed=0)
        >>> 1 <= trainable.step() <= 500
        True
        >>> dict(trainable.applied())
        {'learning_rate': 0.001, 'gamma': 0.98}
        >>> trainable.close()
    """

    policy: Any
    make_env: Callable[[], Env]
    algorithm: type[BaseAlgorithm]
    steps: int = attrs.field(default=10_000, kw_only=True)
    evaluate: int = attrs.field(default=5, kw_only=True)
    bindings: Mapping[str, Binding[SB3Parts]] = attrs.field(alias="tune", converter=_as_bindings, kw_only=True)
    arguments: Arguments = attrs.field(factory=dict, kw_only=True)
    make_eval_env: Callable[[], Env] | None = attrs.field(default=None, kw_only=True)
    objective: Callable[[Sequence[Mapping[str, Any]]], Any] | None = attrs.field(default=None, kw_only=True)
    deterministic: bool = attrs.field(default=True, kw_only=True)
    _parts: SB3Parts | None = attrs.field(default=None, init=False)
    _eval_env: VecEnv | None = attrs.field(default=None, init=False)
    _seed: int = attrs.field(default=0, init=False)
    _done: int = attrs.field(default=0, init=False)
    _infinite: frozenset[str] = attrs.field(default=frozenset(), init=False)
    _figures: dict[str, float] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Refuses settings that cannot work.

        Raises:
            ConfigError: See the class.
        """
        functions = {"make_env": self.make_env, "algorithm": self.algorithm}
        check_callables(
            "SB3Trainable", functions | ({} if self.make_eval_env is None else {"make_eval_env": self.make_eval_env})
        )
        for name in ("steps", "evaluate"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ConfigError(
                    f"SB3Trainable: {name} must be a whole number of at least 1, got {getattr(self, name)!r}"
                )
        for name, binding in self.bindings.items():
            for argument in binding.names if isinstance(binding, Argument) else ():
                check_argument(self.algorithm, name, argument)

    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        """Makes the agent, with weights drawn from the seed.

        Raises:
            ConfigError: A hyperparameter has no binding, an argument is a schedule, or a rollout is longer than a step.
        """
        self.close()
        _bindings.check_bound(self.bindings, config)
        arguments = self._arguments(config)
        for name in _SCHEDULES:
            if callable(arguments.get(name)):
                raise ConfigError(
                    f"SB3Trainable: the argument {name} must be a number, got a function of the remaining progress, "
                    f"which would start anew at each step; pass a number, or tune it: the run finds a schedule"
                )
        env, self._seed, self._done = self._environments(), seed, 0
        device = arguments.get("device", "auto")
        with self._random(device, derived_seed(seed, 0)):
            model = self.algorithm(self.policy, env, **{**arguments, **self._values(config), "seed": seed})
        self._begin(SB3Parts(model=model, env=_env_of(model), founder=dict(config)))
        self.apply(config)

    def apply(self, config: Mapping[str, Any]) -> None:
        """Makes the model again with the config's arguments, where they differ, and sets the other values.

        Raises:
            ConfigError: A hyperparameter has no binding or a place that does not exist, or a rollout is longer than a
                step.
            ProtocolError: There is no model yet.
        """
        parts = self.parts
        _bindings.check_bound(self.bindings, config)
        values = self._values({**parts.held, **config})
        bound = {argument: Argument(argument).read(parts, argument) for argument in values}
        if any(not same_value(value, bound[argument]) for argument, value in values.items()):
            self._remake(parts, values)
        parts.updates = parts.model._n_updates  # noqa: SLF001 - SB3 has no public name for it
        _bindings.write(parts, self.bindings, config)
        model: Any = parts.model
        rollout = parts.env.num_envs * (model.n_steps if hasattr(model, "rollout_buffer") else 1)
        if rollout > self.steps:
            raise ConfigError(
                f"SB3Trainable: steps must be at least a rollout, n_steps x environments = {rollout}, got "
                f"{self.steps}; raise steps or lower n_steps"
            )

    def step(self) -> float:
        """Trains one step and evaluates the agent.

        Returns:
            The score; NaN if a weight is no longer finite.

        Raises:
            ConfigError: The objective returned no number.
            ProtocolError: There is no model yet.
        """
        model: Any = self.parts.model
        seed = derived_seed(self._seed, self._done + 1)
        with self._random(model.device, seed):
            # A new episode, since the environment's state is in no checkpoint.
            model._last_obs = None  # noqa: SLF001 - SB3 has no public name for it
            buffer: Any = getattr(model, "replay_buffer", None)
            if hasattr(buffer, "truncate_last_trajectory"):
                buffer.truncate_last_trajectory()
            model.set_random_seed(seed)
            todo = self.steps * (self._done + 1) - model.num_timesteps
            model.learn(todo, reset_num_timesteps=False)
        self._done += 1
        self._figures = {"timesteps": float(model.num_timesteps)}
        if model.ep_info_buffer:
            self._figures["train_return"] = float(np.mean([episode["r"] for episode in model.ep_info_buffer]))
        if not_finite(model.policy) - self._infinite:
            return math.nan
        return self.score()

    def score(self) -> float:
        """Plays some episodes, the same ones each time, and returns their mean score.

        Raises:
            ConfigError: The objective returned no number.
            ProtocolError: There is no model yet.
        """
        scores = self.play(self.evaluate, seed=derived_seed(self._done))
        self._figures["score_std"] = float(np.std(scores))
        return float(np.mean(scores))

    def play(self, episodes: int, *, seed: int) -> list[float]:
        """Plays episodes in the environment for evaluation.

        Args:
            episodes: How many, at least 1.
            seed: The seed of the environment, 0 .. 2**32 - 1. Pass one of your own to test an agent on episodes that
                did not select it.

        Returns:
            The score of each: the sum of its rewards, or what `objective` returns.

        Raises:
            ConfigError: The objective returned no number.
            ProtocolError: There is no model yet.
        """
        parts, env = self.parts, self._eval_env
        assert env is not None
        copy_statistics(parts.env, env)
        objective = self.objective
        infos: list[list[Mapping[str, Any]]] = [[] for _ in range(env.num_envs)]
        scores: list[float] = []

        def collect(local: dict[str, Any], _: dict[str, Any]) -> None:
            episode = infos[local["i"]]
            episode.append(local["info"])
            if local["done"]:
                assert objective is not None
                scores.append(as_score(objective(tuple(episode)), "SB3Trainable.objective"))
                episode.clear()

        with self._random(parts.model.device, seed):
            env.seed(seed)
            returns, _ = evaluate_policy(
                parts.model,
                env,
                n_eval_episodes=episodes,
                deterministic=self.deterministic,
                callback=None if objective is None else collect,
                return_episode_rewards=True,
                warn=False,
            )
        assert isinstance(returns, list)
        return [float(one) for one in returns] if objective is None else scores

    def figures(self) -> Mapping[str, float]:
        """Returns environment steps, the mean return while training, and the standard deviation of the scores."""
        return dict(self._figures)

    def save(self, path: Path) -> None:
        """Writes Stable-Baselines3's own `model.zip`, and the state that this file does not contain.

        That is the replay buffer, the statistics of VecNormalize, the configs and the seed.
        """
        parts = self.parts
        parts.model.save(path / _MODEL)
        write_replay(path, parts.model)
        write_statistics(path, parts.env)
        line = {
            "format": 1,
            "seed": self._seed,
            "done": self._done,
            "config": dict(parts.config),
            "held": dict(parts.held),
            "founder": dict(parts.founder),
            "infinite": sorted(self._infinite),
        }
        (path / _LINE).write_text(json.dumps(line), encoding="utf-8")

    def load(self, path: Path) -> None:
        """Loads the model into a new environment.

        `model.zip` contains pickles, as all files of Stable-Baselines3 do: load only what you trust.

        Raises:
            ConfigError: Another version wrote the files, or they do not fit the current `arguments`.
        """
        line = json.loads((path / _LINE).read_text(encoding="utf-8"))
        if line.get("format") != 1:
            raise ConfigError(
                f"SB3Trainable.load: the checkpoint must be of format 1, got {line.get('format')!r} in {path}"
            )
        self.close()
        env, self._seed, self._done = self._environments(), line["seed"], line["done"]
        device = self._arguments(line["founder"]).get("device", "auto")
        model = self._loaded(path / _MODEL, env, device, line["founder"])
        read_replay(path, model)
        read_statistics(path, _env_of(model))
        self._begin(
            SB3Parts(model=model, env=_env_of(model), config=line["config"], held=line["held"], founder=line["founder"])
        )
        self._infinite = frozenset(line["infinite"])
        _bindings.write(self.parts, self.bindings, line["config"])

    def close(self) -> None:
        """Closes the environments and releases the agent."""
        if self._parts is not None:
            self._parts.env.close()
        if self._eval_env is not None:
            self._eval_env.close()
        self._parts = self._eval_env = None

    @property
    def model(self) -> BaseAlgorithm:
        """The algorithm with its current policy.

        Raises:
            ProtocolError: Neither `setup` nor `load` was called, or `close` was.
        """
        return self.parts.model

    def _begin(self, parts: SB3Parts) -> None:
        self._parts, self._figures = parts, {}
        self._infinite = not_finite(parts.model.policy)
        parts.updates = parts.model._n_updates  # noqa: SLF001 - SB3 has no public name for it

    def _environments(self) -> Env:
        """Makes both environments; keeps the one for evaluation, and returns the other."""
        env, other = self.make_env(), (self.make_eval_env or self.make_env)()
        if env is other:
            raise ConfigError(
                "SB3Trainable: make_env must return a new environment at each call, got the same one twice; make it "
                "inside the function"
            )
        self._eval_env = other if isinstance(other, VecEnv) else DummyVecEnv([lambda: Monitor(other)])
        return env

    def _arguments(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Copies of the arguments that are not tuned: noise and keyword dictionaries have a state."""
        given = self.arguments(dict(config)) if callable(self.arguments) else self.arguments
        return copy.deepcopy(dict(given))

    def _values(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The tuned arguments, by the algorithm's names."""
        return {
            argument: config[name]
            for name, binding in self.bindings.items()
            if isinstance(binding, Argument) and name in config
            for argument in binding.names
        }

    def _remake(self, parts: SB3Parts, values: Mapping[str, Any]) -> None:
        """Makes the model with other arguments; weights, optimizers, counters and the replay buffer stay."""
        old: Any = parts.model
        file = io.BytesIO()
        old.save(file)
        file.seek(0)
        new: Any = self._loaded(file, parts.env, old.device, parts.founder, **values)
        move_replay(old, new)
        if "ent_coef" in values and getattr(new, "ent_coef_tensor", None) is not None:
            new.ent_coef_tensor.fill_(float(values["ent_coef"]))  # SAC's load restores the old one over it
        parts.model = new

    def _loaded(self, file: Any, env: Env, device: Any, founder: Mapping[str, Any], **values: Any) -> BaseAlgorithm:
        """Loads a model under other arguments."""
        if issubclass(self.algorithm, OffPolicyAlgorithm):
            # The file contains what SB3 derived from n_steps and gamma; it derives that anew only from these two.
            given = self._arguments(founder)
            values["replay_buffer_class"] = given.get("replay_buffer_class")
            values["replay_buffer_kwargs"] = given.get("replay_buffer_kwargs") or {}
        with self._random(device, derived_seed(self._seed, 0)):
            return self.algorithm.load(file, env=env, device=device, **values)

    def _random(self, device: Any, seed: int) -> OwnRandomness:
        return OwnRandomness(sources(get_device(device)), seed)


def _env_of(model: BaseAlgorithm) -> VecEnv:
    """The environment as the algorithm has wrapped it."""
    env = model.get_env()
    assert env is not None
    return env
