"""Lightning with Optuna: the same hyperparameters, each constant over a training."""

import lightning.pytorch as pl
import optuna

from benchmarks.lines.modules import CPU, Digits, Net


def objective(trial: optuna.Trial) -> float:
    net = Net(lr=trial.suggest_float("lr", 1e-4, 1e-1, log=True), dropout=trial.suggest_float("dropout", 0, 0.6))
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(**CPU, **quiet, max_epochs=4)
    trainer.fit(net, Digits(trial.suggest_int("batch", 8, 64, log=True)))
    return trainer.callback_metrics["val_acc"].item()


study = optuna.create_study(direction="maximize")
study.optimize(objective, n_trials=4)
print(study.best_value, study.best_params)
