"""The live objects of one training, and four functions on them: capture, restore, apply, verify.

These four are all that a loop of your own needs, and all that `TorchTrainable` uses. States hold tensors and plain
values only, so that torch.load opens their files with weights_only=True.
"""

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import attrs
import numpy as np
import torch
from torch import nn

from gpbt_adapters.trainables import bindings as _bindings
from gpbt_adapters.trainables.bindings import Binding
from gpbt_adapters.trainables.pytorch.batches import Batches
from gpbt_adapters.trainables.random_states import NumpyGlobal, PythonGlobal, Source, generator_state, restore_generator
from gpbt_core.errors import ConfigError

__all__ = ["Parts", "Stateful", "TorchGlobal", "apply", "capture", "restore", "sources", "verify"]

_FORMAT = 1


class Stateful(Protocol):
    """Anything with PyTorch's pair of state methods: a second optimizer, a moving average of the weights, a metric."""

    def state_dict(self) -> dict[str, Any]:
        """Returns the state: tensors, numbers, strings, lists and dicts."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:
        """Restores it."""


@attrs.define(kw_only=True)
class Parts:
    """The live objects of one training. Only the model is required.

    Attributes:
        model: The module, on its device; compiled or not.
        optimizer: The optimizer of its weights.
        loss: Called as `loss(outputs, targets)`; its fields can be bound if it is a module.
        batches: The iteration over the training data.
        updates: Batches per step; None: an epoch.
        scheduler: The learning-rate scheduler.
        scaler: The gradient scaler of a float16 training.
        extras: Further objects with a state, by names of your own.
        generators: Further torch generators that the training draws from, by names of your own.
        figures: Numbers to be logged besides the score, by name, which a step function may set; the usual loop sets
            `train_loss`.
        rng: A numpy generator for your functions; its state is saved.
        device: Where the model is and the batches go.
        autocast_dtype: The type that `autocast` computes in; None: no autocast.
        config: The config in force.
        held: The last value of each hyperparameter, also of those that are inactive now.
        founder: The config that the model was built with.
        make_optimizer: Makes a new optimizer from a config, for hyperparameters bound as `OptimizerArgument`.
        optimizer_config: The config that the optimizer was made from.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer | None = None
    loss: Callable[..., torch.Tensor] | None = None
    batches: Batches | None = None
    updates: int | None = None
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None
    scaler: torch.amp.GradScaler | None = None
    extras: Mapping[str, Stateful] = attrs.field(factory=dict)
    generators: Mapping[str, torch.Generator] = attrs.field(factory=dict)
    figures: dict[str, float] = attrs.field(factory=dict)
    rng: np.random.Generator = attrs.field(factory=np.random.default_rng)
    device: torch.device = attrs.field(default=torch.device("cpu"), converter=torch.device)
    autocast_dtype: torch.dtype | None = None
    config: Mapping[str, Any] = attrs.field(factory=dict)
    held: Mapping[str, Any] = attrs.field(factory=dict)
    founder: Mapping[str, Any] = attrs.field(factory=dict)
    make_optimizer: Callable[[Mapping[str, Any]], torch.optim.Optimizer] | None = None
    optimizer_config: Mapping[str, Any] = attrs.field(factory=dict)

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Returns the context to compute outputs and loss in."""
        if self.autocast_dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.autocast_dtype)

    def take(self) -> Iterator[Any]:
        """Returns the batches of one step, on the device.

        Raises:
            ConfigError: There is no loader.
        """
        if self.batches is None:
            raise ConfigError(
                "Parts.take: there is no loader to take batches from; give one, or draw data in the step function"
            )
        return (to_device(batch, self.device) for batch in self.batches.take(self.updates))


def to_device(batch: Any, device: torch.device) -> Any:
    """Moves the tensors in nested tuples, lists and dicts; returns everything else as it is."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=batch.is_pinned()) if device.type != "cpu" else batch
    if isinstance(batch, Mapping):
        return {key: to_device(item, device) for key, item in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(to_device(item, device) for item in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(to_device(item, device) for item in batch)
    return batch


def plain_model(parts: Parts) -> nn.Module:
    """Returns the model without torch.compile, which would add a prefix to all names."""
    model: nn.Module = getattr(parts.model, "_orig_mod", parts.model)
    return model


def plain_value(value: Any) -> Any:
    """Returns a tensor of one element as a number, and everything else as it is."""
    return value.item() if isinstance(value, torch.Tensor) else value


class TorchGlobal:
    """The default generators of PyTorch: the CPU's and, if there is another, the training device's."""

    name = "torch"

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def seeded(self, seed: int) -> Any:
        """Returns the states that seeding would give."""
        return [torch.Generator(device).manual_seed(seed).get_state() for device in self._devices()]

    def get(self) -> Any:
        """Returns the states as byte tensors."""
        return [
            torch.get_rng_state() if device.type == "cpu" else torch.get_device_module(device).get_rng_state(device)
            for device in self._devices()
        ]

    def set(self, state: Any) -> None:
        """Puts states back."""
        for device, saved in zip(self._devices(), state, strict=True):
            if device.type == "cpu":
                torch.set_rng_state(saved)
            else:
                torch.get_device_module(device).set_rng_state(saved, device)

    def _devices(self) -> list[torch.device]:
        cpu = torch.device("cpu")
        return [cpu] if self._device.type == "cpu" else [cpu, self._device]


def sources(device: torch.device) -> list[Source]:
    """Names the global generators that a training on a device may draw from."""
    return [PythonGlobal(), NumpyGlobal(), TorchGlobal(device)]


def _single(parts: Parts) -> dict[str, Stateful | None]:
    """Lists the parts of which there is one or none, under the names that they have in a state."""
    return {
        "optimizer": parts.optimizer,
        "scheduler": parts.scheduler,
        "scaler": parts.scaler,
        "batches": parts.batches,
        "loss": parts.loss if isinstance(parts.loss, nn.Module) else None,
    }


def collect(parts: Parts) -> dict[str, Any]:
    """Collects the state of the parts without global generators; its tensors are the live ones."""
    return {
        "format": _FORMAT,
        "config": dict(parts.config),
        "held": dict(parts.held),
        "founder": dict(parts.founder),
        "optimizer_config": dict(parts.optimizer_config),
        "model": plain_model(parts).state_dict(),
        **{name: part.state_dict() for name, part in _single(parts).items() if part is not None},
        "extras": {name: extra.state_dict() for name, extra in parts.extras.items()},
        "generators": {name: generator.get_state() for name, generator in parts.generators.items()},
        "rng": generator_state(parts.rng),
    }


def put_back(parts: Parts, state: Mapping[str, Any], *, optimizer: bool = True) -> None:
    """Puts a collected state into the parts; optimizers and extras may keep tensors of the state as their own.

    Args:
        parts: Made by the same factories as those that the state is of.
        state: From `collect`.
        optimizer: Whether to restore the optimizer's state; its fields are restored in any case.

    Raises:
        ConfigError: The state is of another version, or has other parts.
    """
    if state.get("format") != _FORMAT:
        raise ConfigError(
            f"restore: the state must be of format {_FORMAT}, got {state.get('format')!r}: another version wrote it"
        )
    if parts.make_optimizer is not None and parts.optimizer_config != state["optimizer_config"]:
        parts.optimizer = parts.make_optimizer(state["optimizer_config"])
        parts.optimizer_config = dict(state["optimizer_config"])
    single = _single(parts)
    for name, part in single.items():
        if (part is None) != (name not in state):
            raise ConfigError(
                f"restore: the parts must be those of the state, which has {'the' if name in state else 'no'} {name}, "
                f"got parts with {'none' if part is None else 'one'}; build the parts as they were when the state was "
                f"captured"
            )
    for name in ("extras", "generators"):
        if getattr(parts, name).keys() != state[name].keys():
            raise ConfigError(
                f"restore: the {name} must be {sorted(state[name])}, as in the state, got "
                f"{sorted(getattr(parts, name))}; build the parts as they were when the state was captured"
            )
    plain_model(parts).load_state_dict(state["model"])
    for name, part in single.items():
        if part is None:
            continue
        if optimizer or name != "optimizer":
            part.load_state_dict(state[name])
        else:  # most schedulers compute the next rate from the one in the groups
            part.load_state_dict({**part.state_dict(), "param_groups": state[name]["param_groups"]})
    for name, extra in parts.extras.items():
        extra.load_state_dict(state["extras"][name])
    for name, generator in parts.generators.items():
        generator.set_state(state["generators"][name])
    restore_generator(parts.rng, state["rng"])
    parts.config = dict(state["config"])
    parts.held = dict(state["held"])
    parts.founder = dict(state["founder"])


def capture(parts: Parts) -> dict[str, Any]:
    """Copies all that the training needs to continue with the same bits, for torch.save or to keep in memory.

    Returns:
        Tensors and plain values: weights, optimizer, scheduler, scaler, position in the data, configs, and the random
        states of torch, numpy and Python.

    Examples:
        >>> model = nn.Linear(2, 1)
        >>> parts = Parts(model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
        >>> parent = capture(parts)
        >>> restore(parts, parent)
    """
    state = copy.deepcopy(collect(parts))
    state["random"] = {source.name: source.get() for source in sources(parts.device)}
    return state


def restore(parts: Parts, state: Mapping[str, Any]) -> None:
    """Restores a captured state, including its hyperparameters; so `apply` the config of this trial afterwards.

    Args:
        parts: Made by the same code as those that were captured.
        state: From `capture`, or from torch.load; several trainings may restore the same one.

    Raises:
        ConfigError: The state is of another version, or has other parts.
        RuntimeError: The weights do not fit the model (PyTorch's own).
    """
    # Optimizer.load_state_dict adopts the tensors that it is given: without a copy, two children would share momenta.
    adopted = {name: copy.deepcopy(state[name]) for name in ("optimizer", "extras") if name in state}
    put_back(parts, {**state, **adopted})
    for source in sources(parts.device):
        source.set(state["random"][source.name])


def apply(parts: Parts, bindings: Mapping[str, Binding[Parts]], config: Mapping[str, Any]) -> None:
    """Sets a config on the live objects in the middle of the training; the weights stay.

    Args:
        parts: The live objects.
        bindings: Where each hyperparameter lives, by the config's names.
        config: The values from now on.

    Raises:
        ConfigError: A hyperparameter has no binding, or is bound to a place that cannot take its value.

    Examples:
        >>> from gpbt.pytorch import OptimizerField
        >>> model = nn.Linear(2, 1)
        >>> parts = Parts(model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
        >>> apply(parts, {"lr": OptimizerField("lr")}, {"lr": 0.01})
        >>> parts.optimizer.param_groups[0]["lr"]
        0.01
    """
    _bindings.write(parts, bindings, config)


def verify(
    parts: Parts, bindings: Mapping[str, Binding[Parts]], config: Mapping[str, Any], *, trained: int = 0
) -> None:
    """Reads the live values back and compares them with a config.

    Args:
        parts: The live objects.
        bindings: Where each hyperparameter lives.
        config: What was set.
        trained: How many steps have been trained since then, at least 0. Call this before the first step of a segment
            and after the last one, where something may have written over a value.

    Raises:
        HyperparameterNotAppliedError: A live value is not the config's; the message names it.
    """
    _bindings.verify(parts, bindings, config, trained=trained)
