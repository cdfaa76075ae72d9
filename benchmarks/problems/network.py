"""PyTorch models as values: how a step of training resumes from a state and leaves it as it was.

Training uses one CPU thread and noise from (seed, stream, step) alone, so that equal seeds and configs give equal bits
on one machine.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import numpy as np
import torch
from torch import nn

__all__ = ["INITIAL", "TRAINING", "Network", "after", "drawn", "resume"]

INITIAL, TRAINING = 0, 1  # streams of a seed


@attrs.frozen(kw_only=True, eq=False)
class Network:
    """A model: its tensors and the optimizer's, never changed in place; the seed is the source of all noise."""

    seed: int
    step: int = 0
    weights: Mapping[str, torch.Tensor]
    optimizer: Mapping[str, Any] | None = None


@contextlib.contextmanager
def drawn(seed: int, stream: int, step: int) -> Iterator[None]:
    """Seeds PyTorch's generator for the block, on one thread; restores the generator."""
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence([seed, stream, step]).generate_state(1)[0]))
        yield


def resume(state: Network, module: nn.Module, optimizer: torch.optim.Optimizer, **group: Any) -> None:
    """Gives a module and its optimizer copies of a state, and the optimizer new hyperparameters.

    Args:
        state: Left unchanged.
        module: Of the architecture of the state.
        optimizer: Of the module's parameters, in one group.
        group: The entries of the group to set.
    """
    module.load_state_dict(state.weights)  # copies
    if state.optimizer is not None:
        optimizer.load_state_dict(_copied(state.optimizer))
    optimizer.param_groups[0].update(group)


def after(state: Network, module: nn.Module, optimizer: torch.optim.Optimizer) -> Network:
    """The state after a training step; it takes ownership of the tensors."""
    return Network(seed=state.seed, step=state.step + 1, weights=module.state_dict(), optimizer=optimizer.state_dict())


def _copied(optimizer: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the state of an optimizer, which updates its tensors in place."""
    state = {
        index: {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in entry.items()}
        for index, entry in optimizer["state"].items()
    }
    return {"state": state, "param_groups": [dict(group) for group in optimizer["param_groups"]]}
