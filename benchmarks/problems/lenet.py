"""LeNet on Fashion-MNIST by PyTorch, the setting of the paper; one CPU thread, so that equal seeds give equal bits."""

from collections.abc import Mapping
from typing import Any

import attrs
import torch
from torch import nn

from benchmarks.problem import Direction, Options
from benchmarks.problems.fashion import fashion_images
from benchmarks.problems.network import INITIAL, TRAINING, Network, after, drawn, resume
from gpbt_core.space import Float, Space

__all__ = ["Images", "LeNet", "accuracy", "images_of", "lenet", "lenet_subset"]

BATCH = 100
_CHUNK = 1000  # rows scored at a time
_SPACE = Space(
    lr=Float(1e-5, 1, log=True),
    one_minus_beta1=Float(1e-4, 1e-1, log=True),
    one_minus_beta2=Float(1e-5, 1e-2, log=True),
    dropout=Float(0, 1),
    weight_decay=Float(1e-6, 1, log=True),
)


@attrs.frozen(kw_only=True, eq=False)
class Images:
    """Images (rows, 1, height, width) as float32 and classes (rows,) as int64, for each of three uses."""

    x_train: torch.Tensor
    y_train: torch.Tensor
    x_valid: torch.Tensor
    y_valid: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor


@attrs.frozen(kw_only=True, eq=False)
class LeNet:
    """Two convolutions (6 and 16 maps of 5x5, ReLU, max-pooled), layers of 120 and 84 with dropout, and the classes.

    Attributes:
        data: Images and classes.
        models: Number of models in the default budget.
        steps: Steps per model in the default budget.
        space: Adam's hyperparameters, dropout, and weight decay; all but dropout on log scales.
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
            return Network(seed=seed, weights=_module(0.0).state_dict())

    def train(self, state: Network, config: Mapping[str, Any]) -> tuple[Network, float]:
        """One epoch of Adam on batches of 100, then the accuracy on the validation rows."""
        module = _module(config["dropout"])
        optimizer = torch.optim.Adam(module.parameters())
        resume(
            state,
            module,
            optimizer,
            lr=config["lr"],
            betas=(1 - config["one_minus_beta1"], 1 - config["one_minus_beta2"]),
            weight_decay=config["weight_decay"],
        )
        with drawn(state.seed, TRAINING, state.step):
            self._epoch(module, optimizer)
        return after(state, module, optimizer), accuracy(module, self.data.x_valid, self.data.y_valid)

    def test(self, state: Network) -> float:
        """The accuracy on the test rows."""
        module = _module(0.0)
        module.load_state_dict(state.weights)
        return accuracy(module, self.data.x_test, self.data.y_test)

    def _epoch(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        module.train()
        order = torch.randperm(len(self.data.x_train))
        for begin in range(0, len(order), BATCH):
            rows = order[begin : begin + BATCH]
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(module(self.data.x_train[rows]), self.data.y_train[rows])
            torch.autograd.backward(loss)
            optimizer.step()


def lenet(options: Options) -> LeNet:
    """All of Fashion-MNIST: 50000 rows to train, 10000 to validate, the 10000 of the test files to test."""
    return _lenet(options, train=50_000, valid=10_000, test=10_000)


def lenet_subset(options: Options) -> LeNet:
    """10000 rows to train, 5000 to validate, the 10000 of the test files to test."""
    return _lenet(options, train=10_000, valid=5_000, test=10_000)


def _lenet(options: Options, **rows: int) -> LeNet:
    if options.smoke:
        rows = {"train": 300, "valid": 200, "test": 200}
    return LeNet(data=images_of(options, **rows), models=options.models, steps=options.steps)


def images_of(options: Options, **rows: int) -> Images:
    """Fashion-MNIST as tensors; `rows` and errors are those of `fashion_images`."""
    images = fashion_images(options, **rows)
    tensors = {field.name: torch.from_numpy(getattr(images, field.name)) for field in attrs.fields(Images)}
    return Images(**{name: tensor.unsqueeze(1) if name[0] == "x" else tensor for name, tensor in tensors.items()})


def _module(dropout: float) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(84, 10),
    )


@torch.no_grad()
def accuracy(module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """The share of rows that a module classifies right; NaN where an output is not finite."""
    torch.set_num_threads(1)
    module.eval()
    logits = torch.cat([module(x[begin : begin + _CHUNK]) for begin in range(0, len(x), _CHUNK)])
    if not torch.isfinite(logits).all():
        return float("nan")
    return float((logits.argmax(dim=1) == y).double().mean())
