"""Transformers with Ray Tune's population based training, by the Trainer's own search.

As documented; the Trainer restores the parent's learning rate and weight decay over what Ray chose.
"""

from ray import tune
from ray.tune.schedulers import PopulationBasedTraining

from benchmarks.lines.modules import make_model, make_trainer

space = {"learning_rate": tune.loguniform(1e-4, 1e-1), "weight_decay": tune.loguniform(1e-4, 1)}
scheduler = PopulationBasedTraining(metric="objective", mode="min", perturbation_interval=1, hyperparam_mutations=space)
trainer = make_trainer(model_init=make_model, eval_strategy="steps", eval_steps=10, save_steps=10, disable_tqdm=True)
best = trainer.hyperparameter_search(
    lambda _: space, backend="ray", n_trials=4, scheduler=scheduler, resources_per_trial={"cpu": 1}
)
print(best.objective, best.hyperparameters)
