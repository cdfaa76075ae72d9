"""Tunes a convolutional network on Fashion-MNIST with PyTorch, and tests the best model once.

    python examples/fashion_mnist_pytorch.py FOLDER [--small] [--workers 2] [--device cuda]

FOLDER contains the four original files (train-images-idx3-ubyte.gz and so on, compressed or not). The score is the
accuracy on 10,000 images that are not used for training; the test images are used once, at the end.
"""

import argparse
import functools
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from gpbt import Float, Int, Optimizer, Result, Space, run
from gpbt.pytorch import BatchSize, ModuleField, OptimizerField, Parts, TorchTrainable

SPACE = Space(
    lr=Float(1e-4, 1, log=True),
    momentum=Float(0, 0.99),
    weight_decay=Float(1e-6, 1e-2, log=True),
    dropout=Float(0, 0.8),
    label_smoothing=Float(0, 0.2),
    batch_size=Int(16, 256, log=True),
)

BINDINGS = {
    "lr": OptimizerField("lr"),
    "momentum": OptimizerField("momentum"),
    "weight_decay": OptimizerField("weight_decay"),
    "dropout": ModuleField("p", nn.Dropout),
    "label_smoothing": ModuleField("label_smoothing", nn.CrossEntropyLoss),
    "batch_size": BatchSize(),
}


# The same as in the other program on these files, so that you can copy each as a single file.
def read_idx(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Reads one of the original files: two zeros, a type, the number of dimensions, their sizes, the values."""
    packed = path.with_name(path.name + ".gz")
    content = gzip.decompress(packed.read_bytes()) if packed.exists() else path.read_bytes()
    rank = content[3]
    shape = np.frombuffer(content, ">u4", count=rank, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


@functools.cache  # once per process, for any number of models
def read(folder: Path, part: str) -> TensorDataset:
    """Reads the images as numbers in [0, 1], shape (n, 1, 28, 28), and their labels 0 .. 9."""
    images = torch.from_numpy(read_idx(folder / f"{part}-images-idx3-ubyte").astype(np.float32) / 255)
    labels = torch.from_numpy(read_idx(folder / f"{part}-labels-idx1-ubyte").astype(np.int64))
    return TensorDataset(images[:, None], labels)


def split(data: TensorDataset, limit: int | None) -> tuple[TensorDataset, TensorDataset]:
    """Splits off a sixth for validation, the same for every model; `limit` is the number of images to use."""
    tensors = [tensor[:limit] for tensor in data.tensors]
    size = len(tensors[0]) // 6
    return TensorDataset(*(t[size:] for t in tensors)), TensorDataset(*(t[:size] for t in tensors))


def network(_: Mapping[str, Any]) -> nn.Module:
    """Makes the model; the binding sets its dropout."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(), nn.Linear(32 * 7 * 7, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, 10)),
    )


def sgd(model: nn.Module, _: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Makes the optimizer; the bindings set its values."""
    return torch.optim.SGD(model.parameters(), lr=0.1)


def accuracy(parts: Parts, data: TensorDataset) -> float:
    """The share of images that the model classifies correctly."""
    images, labels = data.tensors
    found = [parts.model(batch.to(parts.device)).argmax(1).cpu() for batch in torch.split(images, 1000)]
    return float((torch.cat(found) == labels).float().mean())


def trainable(folder: Path, limit: int | None, device: str) -> TorchTrainable:
    """Makes the trainable: a step is an epoch."""
    train, valid = split(read(folder, "train"), limit)
    return TorchTrainable(
        model=network,
        optimizer=sgd,
        loader=lambda: DataLoader(train, batch_size=64, shuffle=True),
        loss=nn.CrossEntropyLoss(),
        score=lambda parts: accuracy(parts, valid),
        bindings=BINDINGS,
        device=device,
    )


def main(arguments: Sequence[str] | None = None) -> Result:
    """Runs the search and prints the best model's accuracy and schedule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder of the four files")
    parser.add_argument("--population", type=int, default=25)
    parser.add_argument("--steps", type=int, default=10, help="epochs per model")
    parser.add_argument("--small", action="store_true", help="3,000 images, 4 models, 6 epochs, to try it out")
    parser.add_argument("--workers", type=int, default=None, help="processes to train in; by default, this one")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    population, steps, limit = (4, 6, 3000) if options.small else (options.population, options.steps, None)

    optimizer = Optimizer(SPACE, population=population, steps=steps, direction="maximize", seed=options.seed)
    factory = functools.partial(trainable, options.folder, limit, options.device)
    result = run(optimizer, factory, workers=options.workers)

    best = result.restore()
    assert isinstance(best, TorchTrainable)
    best.parts.model.eval()
    with torch.no_grad():
        tested = accuracy(best.parts, read(options.folder, "t10k"))
    print(f"accuracy: {result.best.score:.4f} on the validation images, {tested:.4f} on the test images")
    for segment in result.schedule.segments:
        values = ", ".join(f"{name}={value:.3g}" for name, value in segment.config.items())
        print(f"  epochs {segment.start_step} to {segment.start_step + segment.steps}: {values}")
    return result


if __name__ == "__main__":
    main()
