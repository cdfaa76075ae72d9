"""Stable-Baselines3 with Ray Tune's population based training: a schedule of the same hyperparameters.

`PPO.load` gets the new values, since most attributes of a live model are not what its next update uses.
"""

import tempfile

from ray import tune
from ray.tune.schedulers import PopulationBasedTraining
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy

from benchmarks.lines.modules import ROLLOUTS, make_env


def train(config: dict) -> None:
    values = {"learning_rate": config["rate"], "gamma": 1 - config["discount"], "ent_coef": config["entropy"]}
    checkpoint = tune.get_checkpoint()
    if checkpoint is None:
        model = PPO("MlpPolicy", make_env(), **values, **ROLLOUTS)
    else:
        with checkpoint.as_directory() as folder:
            model = PPO.load(f"{folder}/model.zip", env=make_env(), **values)
    while True:
        model.learn(256, reset_num_timesteps=False)
        score = evaluate_policy(model, make_env(), n_eval_episodes=2)[0]
        with tempfile.TemporaryDirectory() as folder:
            model.save(f"{folder}/model.zip")
            tune.report({"return": score}, checkpoint=tune.Checkpoint.from_directory(folder))


space = {"rate": tune.loguniform(1e-4, 1e-2), "discount": tune.loguniform(0.001, 0.1), "entropy": tune.uniform(0, 0.1)}
scheduler = PopulationBasedTraining(perturbation_interval=1, hyperparam_mutations=space)
config = tune.TuneConfig(scheduler=scheduler, num_samples=4, metric="return", mode="max")
stop = tune.RunConfig(stop={"training_iteration": 4})
results = tune.Tuner(train, param_space=space, tune_config=config, run_config=stop).fit()
print(results.get_best_result().metrics["return"])
