"""A small convolutional network on 14x14 images of Fashion-MNIST, by PyTorch, with regularization to be scheduled."""

import math
from collections.abc import Mapping
from typing import Any

import attrs
import torch
from torch import nn

from benchmarks.problem import Direction, Options
from benchmarks.problems.data import quarter
from benchmarks.problems.lenet import Images, accuracy, images_of
from benchmarks.problems.network import INITIAL, TRAINING, Network, after, drawn, resume
from gpbt_core.space import Float, Space

__all__ = ["Convolutional", "augmented", "convolutional", "convolutional_quarter"]

BATCH = 50
_SHIFT, _TURN = 0.3, math.radians(30)  # at full strength: of half the image's side, and either way
_SPACE = Space(
    lr=Float(1e-4, 1, log=True),
    one_minus_momentum=Float(1e-2, 1, log=True),
    weight_decay=Float(1e-6, 1e-1, log=True),
    label_smoothing=Float(0, 0.5),
    augmentation=Float(0, 1),
)


@attrs.frozen(kw_only=True, eq=False)
class Convolutional:
    """Two convolutions (8 and 16 maps of 3x3, ReLU, max-pooled), a layer of 64, and the classes; SGD with momentum.

    Attributes:
        data: Images (rows, 1, 14, 14) and classes.
        models: Number of models in the default budget.
        steps: Steps per model in the default budget.
        space: SGD's hyperparameters, label smoothing, and how far images are shifted and turned.
    """

    data: Images
    models: int
    steps: int
    direction: Direction = "maximize"
    space: Space = _SPACE
    rate: str = "lr"

    def start(self, seed: int) -> Network:
        """PyTorch's own initial weights, drawn from the seed."""
        with drawn(seed, INITIAL, 0):
            return Network(seed=seed, weights=_module().state_dict())

    def train(self, state: Network, config: Mapping[str, Any]) -> tuple[Network, float]:
        """One epoch on batches of 50, then the accuracy on the validation rows."""
        module = _module()
        optimizer = torch.optim.SGD(module.parameters())
        resume(
            state,
            module,
            optimizer,
            lr=config["lr"],
            momentum=1 - config["one_minus_momentum"],
            weight_decay=config["weight_decay"],
        )
        criterion = nn.CrossEntropyLoss(label_smoothing=config["label_smoothing"])
        module.train()
        with drawn(state.seed, TRAINING, state.step):
            for rows in torch.split(torch.randperm(len(self.data.x_train)), BATCH):
                images = augmented(self.data.x_train[rows], config["augmentation"])
                optimizer.zero_grad()
                torch.autograd.backward(criterion(module(images), self.data.y_train[rows]))
                optimizer.step()
        return after(state, module, optimizer), accuracy(module, self.data.x_valid, self.data.y_valid)

    def test(self, state: Network) -> float:
        """The accuracy on the test rows."""
        module = _module()
        module.load_state_dict(state.weights)
        return accuracy(module, self.data.x_test, self.data.y_test)


def augmented(images: torch.Tensor, strength: float) -> torch.Tensor:
    """Shifts and turns each image by an amount that PyTorch's generator draws; at strength 0, not at all."""
    turn = (2 * torch.rand(len(images)) - 1) * strength * _TURN
    shift = (2 * torch.rand(len(images), 2) - 1) * strength * _SHIFT
    if strength == 0:  # the same draws, so that the noise after them is the same
        return images
    rows = [torch.cos(turn), -torch.sin(turn), shift[:, 0], torch.sin(turn), torch.cos(turn), shift[:, 1]]
    grid = nn.functional.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(images.shape), align_corners=False)
    return nn.functional.grid_sample(images, grid, align_corners=False)


def convolutional(options: Options) -> Convolutional:
    """4000 rows to train, 2000 to validate, 2000 to test."""
    rows = {"train": 400, "valid": 200, "test": 200} if options.smoke else {"train": 4000, "valid": 2000, "test": 2000}
    data = images_of(options, **rows)
    pooled = {
        name: nn.functional.avg_pool2d(getattr(data, name), 2).contiguous() for name in ("x_train", "x_valid", "x_test")
    }
    return Convolutional(data=attrs.evolve(data, **pooled), models=options.models, steps=options.steps)


def convolutional_quarter(options: Options) -> Convolutional:
    """The same on a quarter of the training rows."""
    problem = convolutional(options)
    return attrs.evolve(problem, data=quarter(problem.data))


def _module() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(144, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
