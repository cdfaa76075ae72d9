"""A PyTorch training as a trainable: factories in, the life of a trial out.

What is trained and how is the user's; when it is built, seeded, saved and restored is decided here.
"""

import copy
import math
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.utils.data import DataLoader

from gpbt_adapters.trainables import bindings as _bindings
from gpbt_adapters.trainables.bindings import Binding, Setter
from gpbt_adapters.trainables.pytorch.batches import Batches
from gpbt_adapters.trainables.pytorch.fields import ModuleField
from gpbt_adapters.trainables.pytorch.parts import Parts, Stateful, collect, plain_model, put_back, sources
from gpbt_adapters.trainables.random_states import OwnRandomness, generator_state, restore_generator
from gpbt_adapters.trainables.trainable import Trainable
from gpbt_core.errors import ConfigError, ProtocolError

__all__ = ["TorchTrainable"]

_FILE = "state.pt"

# Compiled code has modules' attributes burnt in: a new value compiles anew. The process keeps all versions that there
# were, for all models of one class, and runs uncompiled from the ninth on; so versions under other values are dropped.
_compiled_under: dict[str, Any] = {}


@attrs.define(kw_only=True, eq=False)
class TorchTrainable(Trainable):
    """Trains a PyTorch model.

    Give either a `loader` and a `loss`, for the usual loop over (inputs, targets), or a `step` function of your own.
    Global random generators (torch's, numpy's, Python's) are this object's own while it trains, and are as before
    afterwards.

    Attributes:
        model: Makes the model from a config; most ignore the config.
        optimizer: Makes the optimizer for a model, from a config; values that are bound need not be set here.
        score: Scores the training as it stands, higher or lower being better as the user says elsewhere. It is called
            in eval mode, without gradients; random numbers that it draws are the same each time.
        bindings: Where each hyperparameter lives, by its name in the config.
        loader: Makes the loader of the training data.
        loss: Called as `loss(outputs, targets)`; a module is copied, as its fields may be bound.
        step: Trains one step of the given parts, instead of the usual loop.
        updates: Batches per step; None: an epoch.
        scheduler: Makes a learning-rate scheduler; see `ScheduledRate` where the rate is tuned too.
        scheduler_every: Whether the scheduler goes on by one after each step, or after each update of the usual loop.
        extras: Makes further objects with a state, such as a moving average of the weights, from the parts so far.
        device: Where to train.
        autocast: The type to compute in under autocast; torch.float16 brings a gradient scaler along.
        compile: Options of torch.compile; None: not compiled. A new value in a module compiles anew.
        optimizer_state: Whether a child goes on from its parent's optimizer state, or with a new optimizer; fields
            that are bound to no hyperparameter are the parent's.
        trusted: Classes beyond tensors and plain values that a checkpoint may hold, where an optimizer's or an extra's
            state has some.

    Examples:
        >>> from gpbt.pytorch import OptimizerField
        >>> data = torch.utils.data.TensorDataset(torch.arange(8.0).reshape(8, 1), torch.arange(8.0).reshape(8, 1))
        >>> trainable = TorchTrainable(
        ...     model=lambda config: nn.Linear(1, 1),
        ...     optimizer=lambda model, config: torch.optim.SGD(model.parameters(), lr=1.0),
        ...     loader=lambda: DataLoader(data, batch_size=4, shuffle=True),
        ...     loss=nn.MSELoss(),
        ...     score=lambda parts: -float(parts.model.weight.sub(1).abs()),
        ...     bindings={"lr": OptimizerField("lr")},
        ... )
        >>> trainable.setup({"lr": 0.01}, seed=0)
        >>> trainable.step() < 0
        True
        >>> trainable.applied()
        {'lr': 0.01}
    """

    model: Callable[[Mapping[str, Any]], nn.Module]
    optimizer: Callable[[nn.Module, Mapping[str, Any]], torch.optim.Optimizer]
    score_of: Callable[[Parts], float] = attrs.field(alias="score")
    bindings: Mapping[str, Binding[Parts]]
    loader: Callable[[], DataLoader[Any]] | None = None
    loss: Callable[..., torch.Tensor] | None = None
    train: Callable[[Parts], None] | None = attrs.field(default=None, alias="step")
    updates: int | None = None
    scheduler: Callable[[torch.optim.Optimizer], LRScheduler] | None = None
    scheduler_every: Literal["step", "update"] = "step"
    extras: Callable[[Parts], Mapping[str, Stateful]] | None = None
    device: torch.device = attrs.field(default=torch.device("cpu"), converter=torch.device)
    autocast: torch.dtype | None = None
    compile: Mapping[str, Any] | None = None
    optimizer_state: Literal["keep", "reset"] = attrs.field(
        default="keep", validator=attrs.validators.in_(("keep", "reset"))
    )
    trusted: Sequence[type] = ()
    _parts: Parts | None = attrs.field(default=None, init=False)
    _random: OwnRandomness = attrs.field(init=False)
    _seed: int = attrs.field(init=False)
    _infinite: frozenset[str] = attrs.field(default=frozenset(), init=False)

    def __attrs_post_init__(self) -> None:
        """Refuses combinations that cannot train.

        Raises:
            ConfigError: Neither a step function nor loader and loss, or a setting that only the usual loop heeds.
        """
        if self.train is None and (self.loader is None or self.loss is None):
            raise ConfigError(
                "TorchTrainable: wanted a loader and a loss for the usual loop, or a step function; got neither"
            )
        if self.scheduler_every not in ("step", "update") or (
            self.train is not None and self.scheduler_every == "update"
        ):
            raise ConfigError(
                f"TorchTrainable: scheduler_every={self.scheduler_every!r}: wanted 'step', or 'update' in the usual "
                f"loop; a step function that wants more calls parts.scheduler.step() itself and gives no scheduler here"
            )
        if self.updates is not None and self.updates < 1:
            raise ConfigError(f"TorchTrainable: wanted at least 1 update per step, got updates={self.updates}")
        self._sow(0)

    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        """Builds model, optimizer and loader, and sets the config on them.

        Raises:
            ConfigError: A hyperparameter is bound nowhere, or to a place that cannot take its value.
        """
        self._sow(seed)
        with self._random:
            parts = self._build(config)
            self._write(parts, config)
        self._parts = parts

    def apply(self, config: Mapping[str, Any]) -> None:
        """Sets a config on the live training; weights and, but for an `OptimizerArgument`, optimizer state stay.

        Raises:
            ConfigError: A hyperparameter is bound nowhere, or to a place that cannot take its value.
            ProtocolError: There is no training yet.
        """
        with self._random:
            self._write(self.parts, config)

    def applied(self) -> Mapping[str, Any]:
        """Reads the live values back from optimizer, modules, loader and scheduler.

        Raises:
            ConfigError: Places that should agree do not.
            ProtocolError: There is no training yet.
        """
        return _bindings.read_back(self.parts, self.bindings)

    def step(self) -> float:
        """Trains one step.

        Returns:
            The score after it; NaN once a weight or a running statistic is not finite any more, whatever the score
            says. What was not finite as it was built (a mask of -inf) is not looked at.
        """
        parts = self.parts
        with self._random:
            parts.model.train()
            if self.train is not None:
                self.train(parts)
            else:
                self._usual_loop(parts)
            if parts.scheduler is not None and self.scheduler_every == "step":
                parts.scheduler.step()
        return math.nan if _not_finite(plain_model(parts)) - self._infinite else self.score()

    def score(self) -> float:
        """Scores the model as it stands; the training's random states are not touched."""
        parts = self.parts
        before, own = self._random.state, generator_state(parts.rng)
        generators = [(generator, generator.get_state()) for generator in parts.generators.values()]
        with self._random, torch.no_grad():
            parts.model.eval()
            value = float(self.score_of(parts))
        self._random.state = before
        restore_generator(parts.rng, own)
        for generator, state in generators:
            generator.set_state(state)
        return value

    def save(self, path: Path) -> None:
        """Writes `state.pt`: tensors and plain values, which torch.load opens with weights_only=True."""
        torch.save({**collect(self.parts), "seed": self._seed, "random": self._random.state}, path / _FILE)

    def load(self, path: Path) -> None:
        """Builds the model of the line's founder, under the founder's seed, and restores what `save` wrote.

        Raises:
            ConfigError: The file holds classes that `trusted` does not name, or is of another version or other
                factories.
            OSError: The file cannot be read.
        """
        try:
            with torch.serialization.safe_globals(list(self.trusted)):
                # On the CPU first: the states of random generators are refused from anywhere else.
                state = torch.load(path / _FILE, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            # PyTorch's message goes on to advise weights_only=False.
            found = str(error).rpartition("WeightsUnpickler error:")[2].strip().partition("\n")[0]
            raise ConfigError(
                f"TorchTrainable.load: {path / _FILE} holds more than tensors and plain values: {found} If you trust "
                f"the file, name its classes in trusted=[...]."
            ) from error
        self._sow(state["seed"])  # what factories drew, and no state dict has, is drawn again
        with self._random:
            parts = self._build(state["founder"])
            put_back(parts, state, optimizer=self.optimizer_state == "keep")
            self._write(parts, state["config"])  # modules' and loaders' values are in no state dict
        self._random.state = state["random"]
        self._parts = parts

    def close(self) -> None:
        """Lets go of the model, and of the device's memory with it."""
        self._parts = None

    @property
    def parts(self) -> Parts:
        """The live objects.

        Raises:
            ProtocolError: Neither `setup` nor `load` was called, or `close` was.
        """
        if self._parts is None:
            raise ProtocolError("TorchTrainable: there is no model yet; call setup or load first")
        return self._parts

    def _sow(self, seed: int) -> None:
        self._seed = seed
        self._random = OwnRandomness(sources(self.device), seed)

    def _build(self, config: Mapping[str, Any]) -> Parts:
        model = self.model(config).to(self.device)
        self._infinite = _not_finite(model)
        optimizer = self.optimizer(model, config)
        scheduler = None if self.scheduler is None else self.scheduler(optimizer)
        if isinstance(scheduler, ReduceLROnPlateau):
            raise ConfigError(
                "TorchTrainable: ReduceLROnPlateau reacts to scores, which is what the run does itself; leave it out, "
                "or step it in a step function of your own and return it from extras"
            )
        compiled: Any = model if self.compile is None else torch.compile(model, **self.compile)
        parts = Parts(
            model=compiled,
            optimizer=optimizer,
            loss=copy.deepcopy(self.loss).to(self.device) if isinstance(self.loss, nn.Module) else self.loss,
            batches=None if self.loader is None else Batches(self.loader()),
            updates=self.updates,
            scheduler=scheduler,
            scaler=torch.amp.GradScaler(self.device.type) if self.autocast == torch.float16 else None,
            rng=np.random.default_rng(self._seed),
            device=self.device,
            autocast_dtype=self.autocast,
            founder=dict(config),
            make_optimizer=lambda config: self.optimizer(model, config),
            optimizer_config=dict(config),
        )
        if self.extras is not None:
            parts.extras = self.extras(parts)
        return parts

    def _write(self, parts: Parts, config: Mapping[str, Any]) -> None:
        _bindings.write(parts, self.bindings, config)
        if self.compile is not None:
            burnt_in = {
                name: value
                for name, value in parts.held.items()
                if isinstance(self.bindings.get(name), ModuleField | Setter)
            }
            if burnt_in != _compiled_under:
                torch.compiler.reset()
                _compiled_under.clear()
                _compiled_under.update(burnt_in)

    def _usual_loop(self, parts: Parts) -> None:
        assert parts.optimizer is not None
        assert parts.loss is not None
        for inputs, targets in parts.take():
            parts.optimizer.zero_grad(set_to_none=True)
            with parts.autocast():
                loss = parts.loss(parts.model(inputs), targets)
            if parts.scaler is None:
                torch.autograd.backward(loss)
                parts.optimizer.step()
            else:
                torch.autograd.backward(parts.scaler.scale(loss))
                parts.scaler.step(parts.optimizer)
                parts.scaler.update()
            if parts.scheduler is not None and self.scheduler_every == "update":
                parts.scheduler.step()


def _not_finite(model: nn.Module) -> frozenset[str]:
    """Names the weights and statistics that are not finite, with one wait for the device."""
    tensors = {
        name: tensor.detach()
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
        if tensor.is_floating_point() and not is_lazy(tensor)
    }
    if not tensors:
        return frozenset()
    finite = torch.stack([tensor.isfinite().all() for tensor in tensors.values()]).tolist()
    return frozenset(name for name, good in zip(tensors, finite, strict=True) if not good)
