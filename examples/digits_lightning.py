"""Tunes a network on handwritten digits with Lightning, and tests the best model once.

    python examples/digits_lightning.py [--small] [--workers 2]

The digits come with scikit-learn. The score is the accuracy on 400 validation images; the test images are used once,
at the end.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from gpbt import Float, Int, Optimizer, Result, Space, run
from gpbt.lightning import BatchSize, DataField, LightningTrainable, ModuleField, OptimizerField

SPACE = Space(
    lr=Float(1e-4, 1e-1, log=True),
    weight_decay=Float(1e-4, 1, log=True),
    dropout=Float(0, 0.8),
    noise=Float(0, 0.5),
    batch_size=Int(8, 128, log=True),
)


class Digits(pl.LightningDataModule):
    """The images as numbers in [0, 1]: 800 to train (with noise), 400 to validate, the rest to test."""

    def __init__(self) -> None:
        super().__init__()
        self.batch_size = 32
        self.noise = 0.0
        pixels, labels = (torch.from_numpy(array) for array in load_digits(return_X_y=True))
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
        parts = torch.tensor_split(order, [800, 1200])
        self.train, self.valid, self.test = (
            TensorDataset(pixels[part].float() / 16, labels[part].long()) for part in parts
        )

    def train_dataloader(self) -> Any:
        """Draws new noise for each step."""
        pixels, labels = self.train.tensors
        noisy = pixels + self.noise * torch.randn(pixels.shape)
        return DataLoader(TensorDataset(noisy, labels), batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self) -> Any:
        """The validation images, which determine the score."""
        return DataLoader(self.valid, batch_size=400)

    def test_dataloader(self) -> Any:
        """The test images."""
        return DataLoader(self.test, batch_size=400)


class Net(pl.LightningModule):
    """A network with one hidden layer, and no code for the tuning."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10))

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        """The loss of a batch."""
        loss = nn.functional.cross_entropy(self.layers(batch[0]), batch[1])
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, _: int) -> None:
        """Logs the share of images that the model classifies correctly."""
        self.log("accuracy", (self.layers(batch[0]).argmax(1) == batch[1]).float().mean())

    test_step = validation_step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Makes the optimizer; the bindings set its values."""
        return torch.optim.AdamW(self.parameters())


def trainable() -> LightningTrainable:
    """Makes the trainable: a step is an epoch."""
    return LightningTrainable(
        model=lambda _: Net(),
        data=Digits,
        monitor="accuracy",
        trainer={"accelerator": "cpu", "devices": 1},
        bindings={
            "lr": OptimizerField("lr"),
            "weight_decay": OptimizerField("weight_decay"),
            "dropout": ModuleField("p", nn.Dropout),
            "noise": DataField("noise"),
            "batch_size": BatchSize(),
        },
    )


def main(arguments: Sequence[str] | None = None) -> Result:
    """Runs the search and prints the best model's accuracy and schedule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--population", type=int, default=12)
    parser.add_argument("--steps", type=int, default=10, help="epochs per model")
    parser.add_argument("--small", action="store_true", help="3 models, 3 epochs, to try it out")
    parser.add_argument("--workers", type=int, default=None, help="processes to train in; by default, this one")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    population, steps = (3, 3) if options.small else (options.population, options.steps)

    optimizer = Optimizer(SPACE, population=population, steps=steps, direction="maximize", seed=options.seed)
    result = run(optimizer, trainable, workers=options.workers)

    best = result.restore()
    assert isinstance(best, LightningTrainable)
    tested = accuracy(best.module, Digits())
    print(f"accuracy: {result.best.score:.4f} on the validation images, {tested:.4f} on the test images")
    for segment in result.schedule.segments:
        values = ", ".join(f"{name}={value:.3g}" for name, value in segment.config.items())
        print(f"  epochs {segment.start_step} to {segment.start_step + segment.steps}: {values}")
    return result


@torch.no_grad()
def accuracy(module: pl.LightningModule, data: Digits) -> float:
    """The share of test images that the model classifies correctly."""
    pixels, labels = data.test.tensors
    layers = module.eval().get_submodule("layers")
    return float((layers(pixels).argmax(1) == labels).float().mean())


if __name__ == "__main__":
    main()
