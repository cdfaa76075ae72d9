"""Lightning with gpbt: a schedule of three hyperparameters."""

from torch import nn

from benchmarks.lines.modules import CPU, Digits, Net
from gpbt import Float, Int, Optimizer, Space, run
from gpbt.lightning import BatchSize, LightningTrainable, ModuleField, OptimizerField

bindings = {"lr": OptimizerField("lr"), "dropout": ModuleField("p", nn.Dropout), "batch": BatchSize()}


def trainable() -> LightningTrainable:
    return LightningTrainable(model=lambda _: Net(), data=Digits, monitor="val_acc", bindings=bindings, trainer=CPU)


space = Space(lr=Float(1e-4, 1e-1, log=True), dropout=Float(0, 0.6), batch=Int(8, 64, log=True))
result = run(Optimizer(space, population=4, steps=4, direction="maximize", seed=0), trainable)
print(result.best.score, result.schedule)
