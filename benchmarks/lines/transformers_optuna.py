"""Transformers with Optuna, by the Trainer's own search: two of the hyperparameters, each constant over a training."""

import optuna

from benchmarks.lines.modules import make_model, make_trainer


def space(trial: optuna.Trial) -> dict:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 1, log=True),
    }


trainer = make_trainer(model_init=make_model, eval_strategy="steps", eval_steps=10, disable_tqdm=True)
best = trainer.hyperparameter_search(space, backend="optuna", n_trials=4)
print(best.objective, best.hyperparameters)
