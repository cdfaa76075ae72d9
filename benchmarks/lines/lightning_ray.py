"""Lightning with Ray Tune's population based training: a schedule of the same hyperparameters.

The callback is what keeps the new learning rate: `fit(ckpt_path=)` restores the parent's.
"""

from pathlib import Path

import lightning.pytorch as pl
from ray import tune
from ray.tune.integration.pytorch_lightning import TuneReportCheckpointCallback
from ray.tune.schedulers import PopulationBasedTraining

from benchmarks.lines.modules import CPU, Digits, Net


class KeepRate(pl.Callback):
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = pl_module.lr


def train(config: dict) -> None:
    net, data = Net(config["lr"], config["dropout"]), Digits(config["batch"])
    report = TuneReportCheckpointCallback({"val_acc": "val_acc"}, on="validation_end")
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "num_sanity_val_steps": 0}
    trainer = pl.Trainer(**CPU, **quiet, max_epochs=4, callbacks=[KeepRate(), report])
    checkpoint = tune.get_checkpoint()
    if checkpoint is None:
        trainer.fit(net, data)
    else:
        with checkpoint.as_directory() as folder:
            trainer.fit(net, data, ckpt_path=str(Path(folder, "checkpoint")))


space = {"lr": tune.loguniform(1e-4, 1e-1), "dropout": tune.uniform(0, 0.6), "batch": tune.randint(8, 65)}
scheduler = PopulationBasedTraining(perturbation_interval=1, hyperparam_mutations=space)
config = tune.TuneConfig(scheduler=scheduler, num_samples=4, metric="val_acc", mode="max")
results = tune.Tuner(train, param_space=space, tune_config=config).fit()
print(results.get_best_result().metrics["val_acc"])
