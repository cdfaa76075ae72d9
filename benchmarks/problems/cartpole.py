"""CartPole by PPO, of stable-baselines3: the noisy scores of reinforcement learning.

A step is one rollout of eight environments and the updates on it; each rollout begins with new episodes. The score is
the mean return of a few episodes, so that validation is far from exact: the mean over many more is the test.
"""

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import torch

from benchmarks.problem import Direction, Options, ProblemUnavailable
from benchmarks.problems.network import INITIAL, TRAINING, Network, after, drawn, resume
from benchmarks.randomness import global_randomness
from gpbt_core.space import Float, Int, Space

try:
    import gymnasium
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv
except ImportError as error:
    raise ProblemUnavailable(
        f"cartpole-ppo: needs stable-baselines3, got {error}; pip install stable-baselines3"
    ) from error

__all__ = ["CartPole", "cartpole"]

ENVIRONMENTS = 8
_EVALUATION = 2  # a stream of the seed, beside those of networks
_TESTING = 3
_SPACE = Space(
    lr=Float(1e-5, 1e-1, log=True),
    one_minus_gamma=Float(1e-3, 1e-1, log=True),
    clip_range=Float(0.05, 0.5),
    ent_coef=Float(1e-5, 1e-1, log=True),
    epochs=Int(1, 20, log=True),
)


@attrs.frozen(kw_only=True, eq=False)
class CartPole:
    """PPO with stable-baselines3's own networks; all settings but the hyperparameters are its defaults.

    Attributes:
        rollout: Moves per environment and step.
        episodes: Episodes per validation score.
        test_episodes: Episodes for the test score.
        models: Number of models in the default budget.
        steps: Steps per model in the default budget.
        space: PPO's hyperparameters.
    """

    rollout: int
    episodes: int
    test_episodes: int
    models: int
    steps: int
    direction: Direction = "maximize"
    space: Space = _SPACE
    rate: str = "lr"

    def start(self, seed: int) -> Network:
        """stable-baselines3's own initial weights, drawn from the seed."""  # its name
        with global_randomness(seed), drawn(seed, INITIAL, 0):
            return Network(seed=seed, weights=_learner(1, 0).policy.state_dict())

    def train(self, state: Network, config: Mapping[str, Any]) -> tuple[Network, float]:
        """One rollout and its updates, then the mean return of new episodes under the policy's most likely moves."""
        noise = _noise(state.seed, TRAINING, state.step)
        with global_randomness(noise), drawn(state.seed, TRAINING, state.step):
            learner = _learner(
                self.rollout,
                noise,
                learning_rate=config["lr"],
                gamma=1 - config["one_minus_gamma"],
                clip_range=config["clip_range"],
                ent_coef=config["ent_coef"],
                n_epochs=config["epochs"],
            )
            resume(state, learner.policy, learner.policy.optimizer, lr=config["lr"])
            try:
                learner.learn(self.rollout * ENVIRONMENTS)
            except ValueError as error:
                if "invalid values" not in str(error):  # PyTorch's error for a policy with NaN outputs
                    raise
                return state, float("nan")
            state = after(state, learner.policy, learner.policy.optimizer)
        return state, _returns(state, self.episodes, _noise(state.seed, _EVALUATION, state.step))

    def test(self, state: Network) -> float:
        """The mean return of many other episodes."""
        return _returns(state, self.test_episodes, _noise(state.seed, _TESTING, state.step))


def cartpole(options: Options) -> CartPole:
    """Rollouts of 8 x 128 moves; 5 episodes for validation, 50 for the test."""
    if options.smoke:
        return CartPole(rollout=16, episodes=2, test_episodes=2, models=3, steps=options.length or 3)
    return CartPole(rollout=128, episodes=5, test_episodes=50, models=8, steps=options.length or 20)


def _learner(rollout: int, noise: int, **settings: Any) -> Any:
    environments = DummyVecEnv([lambda: gymnasium.make("CartPole-v1")] * ENVIRONMENTS)
    return PPO(
        "MlpPolicy",
        environments,
        n_steps=max(rollout, 2),
        batch_size=min(64, max(rollout, 2) * ENVIRONMENTS),
        seed=noise,
        device="cpu",
        **settings,
    )


@torch.no_grad()
def _returns(state: Network, episodes: int, noise: int) -> float:
    """The mean return of episodes, all played in parallel."""
    with global_randomness(noise), drawn(noise, _EVALUATION, 0):
        policy = _learner(1, noise).policy
    policy.load_state_dict(state.weights)
    policy.set_training_mode(False)
    made = [gymnasium.make("CartPole-v1") for _ in range(episodes)]
    seen = np.stack([one.reset(seed=noise + number)[0] for number, one in enumerate(made)])
    playing, total = list(range(episodes)), 0.0
    while playing:
        moves, _ = policy.predict(seen[playing], deterministic=True)
        left = []
        for number, move in zip(playing, moves, strict=True):
            seen[number], reward, failed, ended, _ = made[number].step(int(move))
            total += float(reward)
            if not (failed or ended):
                left.append(number)
        playing = left
    return total / episodes


def _noise(seed: int, stream: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, stream, step]).generate_state(1)[0]) % 2**31
