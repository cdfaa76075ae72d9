"""Stable-Baselines3 with Optuna: the same hyperparameters, each constant over a training."""

import optuna
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy

from benchmarks.lines.modules import ROLLOUTS, make_env


def objective(trial: optuna.Trial) -> float:
    rate = trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    gamma = 1 - trial.suggest_float("1-gamma", 0.001, 0.1, log=True)
    entropy = trial.suggest_float("ent_coef", 0, 0.1)
    model = PPO("MlpPolicy", make_env(), learning_rate=rate, gamma=gamma, ent_coef=entropy, **ROLLOUTS)
    model.learn(4 * 256)
    return evaluate_policy(model, make_env(), n_eval_episodes=2)[0]


study = optuna.create_study(direction="maximize")
study.optimize(objective, n_trials=4)
print(study.best_value, study.best_params)
