"""Tunes PPO on CartPole, and tests the best agent on fresh episodes.

    python examples/cartpole_ppo.py [--small] [--workers 2]

A step of the run is 10,000 environment steps. The score is the mean return of five episodes; the task counts as solved
from 475 on. The fresh episodes are played once, at the end.
"""

import argparse
import statistics
from collections.abc import Sequence

import gymnasium
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv

from gpbt import Float, Optimizer, Result, Space, run
from gpbt.sb3 import SB3Trainable

SPACE = Space(
    learning_rate=Float(1e-5, 1e-2, log=True),
    gamma=Float(0.9, 0.999, log="1-x"),  # 0.9, 0.99, 0.999
    gae_lambda=Float(0.8, 0.99, log="1-x"),
    clip_range=Float(0.05, 0.4),
    ent_coef=Float(1e-5, 0.1, log=True),
)


def make_env() -> VecEnv:
    """Makes eight copies of CartPole, which share one call of the policy."""
    return make_vec_env(lambda: gymnasium.make("CartPole-v1"), n_envs=8)


def trainable() -> SB3Trainable:
    """Makes what is trained."""
    return SB3Trainable(
        "MlpPolicy",
        make_env,
        PPO,
        steps=10_000,
        evaluate=5,
        tune=list(SPACE.names),
        arguments={"n_steps": 128, "batch_size": 256, "device": "cpu"},
    )


def small_trainable() -> SB3Trainable:
    """Makes the same with short steps: to see it work."""
    return SB3Trainable(
        "MlpPolicy",
        make_env,
        PPO,
        steps=256,
        evaluate=2,
        tune=list(SPACE.names),
        arguments={"n_steps": 32, "batch_size": 64, "device": "cpu"},
    )


def main(arguments: Sequence[str] | None = None) -> Result:
    """Runs the search, and prints the best agent's return and schedule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--population", type=int, default=8)
    parser.add_argument("--steps", type=int, default=16, help="steps of 10,000 environment steps that a line gets")
    parser.add_argument("--small", action="store_true", help="3 agents, 3 steps of 256: to see it work")
    parser.add_argument("--workers", type=int, default=None, help="processes to train in; none: in this one")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    population, steps = (3, 3) if options.small else (options.population, options.steps)

    # Returns of a few episodes are mostly luck: the posterior judges an agent by its relatives, too.
    optimizer = Optimizer(
        SPACE, population=population, steps=steps, direction="maximize", select_by="posterior", seed=options.seed
    )
    torch.set_num_threads(1)  # the network is too small for more
    result = run(optimizer, small_trainable if options.small else trainable, workers=options.workers)

    best = result.restore()
    assert isinstance(best, SB3Trainable)
    returns = best.play(20, seed=2**31)
    print(f"mean return: {result.best.score:.1f} when selected, {statistics.mean(returns):.1f} in 20 fresh episodes")
    for segment in result.schedule.segments:
        values = ", ".join(f"{name}={value:.3g}" for name, value in segment.config.items())
        print(f"  steps {segment.start_step} to {segment.start_step + segment.steps}: {values}")
    best.close()
    return result


if __name__ == "__main__":
    main()
