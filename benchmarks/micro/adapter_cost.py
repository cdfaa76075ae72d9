"""What the PyTorch adapter costs per trial beside the training, against a bare torch.save and torch.load.

    python -m benchmarks.micro.adapter_cost [--repeats 30]

A perceptron of a million parameters with Adam's two moments is kept on a local disk. Bare is torch.save and torch.load
of the state dicts of model and optimizer; the adapter saves, loads into a fresh object, applies another config and
verifies it, and its time includes the user's own factories, which are also shown by themselves. They take turns, so
that a busy machine is busy for all. Exits with an error above the bound of 3.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from gpbt_adapters.trainables.pytorch import BatchSize, ModuleField, OptimizerField, Parts, TorchTrainable
from gpbt_adapters.trainables.trainable import verify_applied

__all__ = ["main", "measure"]

BOUND = 3.0
PARENT = {"lr": 1e-3, "beta": 0.9, "decay": 1e-2, "dropout": 0.2, "smoothing": 0.1, "batch": 64}
CHILD = {"lr": 3e-3, "beta": 0.8, "decay": 1e-3, "dropout": 0.4, "smoothing": 0.0, "batch": 32}


def model(_: Mapping[str, Any]) -> nn.Module:
    """Makes a perceptron with 1,017,290 parameters."""
    return nn.Sequential(
        nn.Linear(784, 800), nn.ReLU(), nn.Dropout(), nn.Linear(800, 480), nn.ReLU(), nn.Dropout(), nn.Linear(480, 10)
    )


def optimizer(net: nn.Module, _: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Makes the optimizer."""
    return torch.optim.AdamW(net.parameters())


def trainable() -> TorchTrainable:
    """Makes a trainable whose step is a single batch."""
    data = TensorDataset(torch.randn(256, 784), torch.zeros(256, dtype=torch.long))
    return TorchTrainable(
        model=model,
        optimizer=optimizer,
        loader=lambda: DataLoader(data, batch_size=64, shuffle=True),
        loss=nn.CrossEntropyLoss(),
        updates=1,
        score=lambda _: 0.0,
        bindings={
            "lr": OptimizerField("lr"),
            "beta": OptimizerField("betas", index=0),
            "decay": OptimizerField("weight_decay"),
            "dropout": ModuleField("p", nn.Dropout),
            "smoothing": ModuleField("label_smoothing", nn.CrossEntropyLoss),
            "batch": BatchSize(),
        },
    )


def seconds(action: Callable[[], object]) -> float:
    """Times one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measure(repeats: int) -> dict[str, float]:
    """Median seconds of the bare pair, of the adapter's four calls, and of the user's factories.

    Args:
        repeats: How often each is timed, after three rounds that are not counted.
    """
    parent = trainable()
    parent.setup(PARENT, seed=0)
    parent.step()
    parts: Parts = parent.parts
    assert parts.optimizer is not None
    state = {"model": parts.model.state_dict(), "optimizer": parts.optimizer.state_dict()}
    times: dict[str, list[float]] = {"bare": [], "adapter": [], "factories": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)

        def bare() -> None:
            torch.save(state, path / "bare.pt")
            torch.load(path / "bare.pt", weights_only=True)

        def adapter() -> None:
            parent.save(path)
            child = trainable()
            child.load(path)
            child.apply(CHILD)
            verify_applied(child, CHILD)

        def factories() -> None:
            optimizer(model({}), {})

        for _ in range(repeats + 3):
            for name, action in (("bare", bare), ("adapter", adapter), ("factories", factories)):
                times[name].append(seconds(action))
    return {name: statistics.median(values[3:]) for name, values in times.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program and returns the exit status.

    Args:
        arguments: Command-line arguments; None: those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30)
    medians = measure(parser.parse_args(arguments).repeats)
    ratio = medians["adapter"] / medians["bare"]
    size = sum(parameter.numel() for parameter in model({}).parameters())
    print(f"{size:,} parameters, AdamW; medians in ms")
    print(f"  torch.save + torch.load                {1e3 * medians['bare']:8.1f}")
    print(f"  adapter: save, load, apply, verify     {1e3 * medians['adapter']:8.1f}   {ratio:.2f} x (bound {BOUND:g})")
    print(f"  of it the user's model and optimizer   {1e3 * medians['factories']:8.1f}")
    return 0 if ratio < BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
