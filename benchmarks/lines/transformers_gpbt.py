"""Transformers with gpbt: a schedule of three hyperparameters."""

from torch import nn

from benchmarks.lines.modules import make_trainer
from gpbt import Float, Optimizer, Space, run
from gpbt.transformers import ModuleField, ScheduledRate, TransformersTrainable, WeightDecay

bindings = {"lr": ScheduledRate(), "decay": WeightDecay(), "dropout": ModuleField("p", nn.Dropout)}


def trainable() -> TransformersTrainable:
    return TransformersTrainable(trainer=make_trainer, monitor="eval_loss", bindings=bindings, updates=10)


space = Space(lr=Float(1e-4, 1e-1, log=True), decay=Float(1e-4, 1, log=True), dropout=Float(0, 0.5))
result = run(Optimizer(space, population=4, steps=4, seed=0), trainable)
print(result.best.score, result.schedule)
