"""Stable-Baselines3 with gpbt: a schedule of three hyperparameters."""

from stable_baselines3 import PPO

from benchmarks.lines.modules import ROLLOUTS, make_env
from gpbt import Float, Optimizer, Space, run
from gpbt.sb3 import SB3Trainable

space = Space(learning_rate=Float(1e-4, 1e-2, log=True), gamma=Float(0.9, 0.999, log="1-x"), ent_coef=Float(0, 0.1))


def trainable() -> SB3Trainable:
    return SB3Trainable("MlpPolicy", make_env, PPO, steps=256, evaluate=2, tune=space.names, arguments=ROLLOUTS)


result = run(Optimizer(space, population=4, steps=4, direction="maximize", seed=0), trainable)
print(result.best.score, result.schedule)
