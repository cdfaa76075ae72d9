"""A PyTorch training as a trainable, made from factories.

The user decides what is trained and how; this module decides when it is built, seeded, saved and restored.
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
from gpbt_adapters.trainables.bindings import Binding, PartsTrainable, Setter
from gpbt_adapters.trainables.pytorch.batches import Batches
from gpbt_adapters.trainables.pytorch.fields import ModuleField
from gpbt_adapters.trainables.pytorch.parts import Parts, Stateful, collect, plain_model, put_back, sources
from gpbt_adapters.trainables.random_states import OwnRandomness, generator_state, restore_generator
from gpbt_adapters.trainables.trainable import as_score, check_callables
from gpbt_core.errors import ConfigError

__all__ = ["TorchTrainable", "not_finite"]

_FILE = "state.pt"

# Compiled code contains the values of modules' attributes: a new value compiles again. The process keeps all versions
# for all models of one class, and runs uncompiled from the ninth on; so versions with other values are dropped.
_compiled_under: dict[str, Any] = {}


@attrs.define(kw_only=True, eq=False)
class TorchTrainable(PartsTrainable[Parts]):
    """Trains a PyTorch model.

    Give either a `loader` and a `loss`, for the usual loop over (inputs, targets), or a `step` function of your own.
    While it trains, the global random generators (torch's, numpy's, Python's) have states of its own; afterwards they
    are as before.

    Attributes:
        model: Makes the model from a config; most ignore the config.
        optimizer: Makes the optimizer for a model from a config; bound values need not be set here.
        score: Returns the score of the training, a number; the optimizer's direction says whether higher is better. It
            is called in eval mode, without gradients; random numbers that it draws are the same each time.
        bindings: Where each hyperparameter lives, by its name in the config.
        loader: Makes the loader of the training data.
        loss: Called as `loss(outputs, targets)`; a module is copied, since its fields may be bound.
        step: Trains one step of the given parts, instead of the usual loop.
        updates: Batches per step; None: an epoch.
        scheduler: Makes a learning-rate scheduler; to tune the rate as well, see `ScheduledRate`.
        scheduler_every: When the scheduler is stepped: after each "step", or after each "update" of the usual loop.
            None: by your own `step` function, which calls `parts.scheduler.step()` as often as it wants; the usual loop
            takes it for "step".
        extras: Makes further objects with a state, such as a moving average of the weights, from the parts so far.
        device: The device to train on.
        autocast: The type to compute in under autocast; torch.float16 adds a gradient scaler.
        compile: Options of torch.compile; None: not compiled. A new value in a module compiles again.
        optimizer_state: Whether a child keeps its parent's optimizer state or starts with a new one; fields that are
            bound to no hyperparameter are the parent's.
        trusted: Classes besides tensors and plain values that a checkpoint may hold, if the state of an optimizer or
            of an extra has some.
        parts: The live objects, from `setup` or `load` to `close`.

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
    scheduler_every: Literal["step", "update"] | None = None
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
            ConfigError: Neither a step function nor loader and loss, or a setting that only the usual loop uses.
        """
        if self.train is None and (self.loader is None or self.loss is None):
            raise ConfigError(
                "TorchTrainable: it needs a loader and a loss for the usual loop, or a step function; got neither"
            )
        if self.scheduler_every not in ("step", "update", None) or (
            self.train is not None and self.scheduler_every == "update"
        ):
            raise ConfigError(
                f"TorchTrainable: scheduler_every must be 'step', 'update' in the usual loop only, or None, got "
                f"{self.scheduler_every!r}; a step function that steps the scheduler after each update calls "
                f"parts.scheduler.step() itself, with scheduler_every=None"
            )
        check_callables(
            "TorchTrainable",
            {"model": self.model, "optimizer": self.optimizer, "score": self.score_of}
            | {
                name: function
                for name, function in {
                    "loader": self.loader,
                    "loss": self.loss,
                    "step": self.train,
                    "scheduler": self.scheduler,
                    "extras": self.extras,
                }.items()
                if function is not None
            },
        )
        if self.updates is not None and self.updates < 1:
            raise ConfigError(f"TorchTrainable: updates must be at least 1, got {self.updates}")
        self._sow(0)

    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        """Builds model, optimizer and loader, and sets the config on them.

        Raises:
            ConfigError: A hyperparameter has no binding, or is bound to a place that cannot take its value.
        """
        self._sow(seed)
        with self._random:
            parts = self._build(config)
            self._write(parts, config)
        self._parts = parts

    def apply(self, config: Mapping[str, Any]) -> None:
        """Sets a config on the live training; weights stay, and the optimizer state, except with `OptimizerArgument`.

        Raises:
            ConfigError: A hyperparameter has no binding, or is bound to a place that cannot take its value.
            ProtocolError: There is no model yet.
        """
        with self._random:
            self._write(self.parts, config)

    def step(self) -> float:
        """Trains one step.

        Returns:
            The score after it; NaN if a weight or a running statistic is no longer finite. Those that were built so,
            such as a mask of -inf, do not count.

        Raises:
            ConfigError: The usual loop cannot use the loader's batches, the score is not a number, or the step function
                did not step the scheduler that it is to step.
        """
        parts = self.parts
        with self._random:
            parts.model.train()
            if self.train is not None:
                self._own_step(parts, self.train)
            else:
                self._usual_loop(parts)
            scheduled = self.scheduler_every == "step" or (self.scheduler_every is None and self.train is None)
            if parts.scheduler is not None and scheduled:
                parts.scheduler.step()
        return math.nan if not_finite(plain_model(parts)) - self._infinite else self.score()

    def score(self) -> float:
        """Scores the model; the random states of the training do not change.

        Raises:
            ConfigError: The score is not a number.
        """
        parts = self.parts
        before, own = self._random.state, generator_state(parts.rng)
        generators = [(generator, generator.get_state()) for generator in parts.generators.values()]
        with self._random, torch.no_grad():
            parts.model.eval()
            value = as_score(self.score_of(parts), "TorchTrainable.score")
        self._random.state = before
        restore_generator(parts.rng, own)
        for generator, state in generators:
            generator.set_state(state)
        return value

    def figures(self) -> Mapping[str, float]:
        """Returns `Parts.figures`; after the usual loop the mean loss of the last step's batches, `train_loss`.

        Raises:
            ProtocolError: There is no model yet.
        """
        return dict(self.parts.figures)

    def save(self, path: Path) -> None:
        """Writes `state.pt`: tensors and plain values, which torch.load opens with weights_only=True."""
        torch.save({**collect(self.parts), "seed": self._seed, "random": self._random.state}, path / _FILE)

    def load(self, path: Path) -> None:
        """Builds the model of the line's founder with the founder's seed, and restores what `save` wrote.

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
            # The rest of PyTorch's message advises weights_only=False.
            found = str(error).rpartition("WeightsUnpickler error:")[2].strip().partition("\n")[0]
            raise ConfigError(
                f"TorchTrainable.load: {path / _FILE} holds more than tensors and plain values: {found} If you trust "
                f"the file, name its classes in trusted=[...]."
            ) from error
        self._sow(state["seed"])  # so that factories draw again what no state dict has
        with self._random:
            parts = self._build(state["founder"])
            put_back(parts, state, optimizer=self.optimizer_state == "keep")
            self._write(parts, state["config"])  # values of modules and loaders are in no state dict
        self._random.state = state["random"]
        self._parts = parts

    def close(self) -> None:
        """Drops the model, and with it the device's memory and the loader's workers."""
        if self._parts is not None and self._parts.batches is not None:
            self._parts.batches.close()
        super().close()

    def _sow(self, seed: int) -> None:
        self._seed = seed
        self._random = OwnRandomness(sources(self.device), seed)

    def _build(self, config: Mapping[str, Any]) -> Parts:
        model = self.model(config).to(self.device)
        self._infinite = not_finite(model)
        optimizer = self.optimizer(model, config)
        scheduler = None if self.scheduler is None else self.scheduler(optimizer)
        if isinstance(scheduler, ReduceLROnPlateau):
            raise ConfigError(
                "TorchTrainable: ReduceLROnPlateau reacts to scores, which the run does itself; leave it out, or step "
                "it in a step function of your own and return it from extras"
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
        if parts.batches is not None:
            parts.batches.close()  # a Setter may have changed the dataset, of which persistent workers have a copy
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

    def _own_step(self, parts: Parts, train: Callable[[Parts], None]) -> None:
        scheduler = parts.scheduler if self.scheduler_every is None else None
        before = getattr(scheduler, "last_epoch", None)  # a ChainedScheduler does not count
        train(parts)
        if before is not None and getattr(scheduler, "last_epoch", None) == before:
            raise ConfigError(
                f"TorchTrainable: the step function must step the {type(scheduler).__name__}, which stands at "
                f"{before} as before; call parts.scheduler.step() after each update there, or pass "
                f"scheduler_every='step' to have it stepped once after each step"
            )

    def _usual_loop(self, parts: Parts) -> None:
        assert parts.optimizer is not None
        assert parts.loss is not None
        losses = []
        for batch in parts.take():
            if not isinstance(batch, list | tuple) or len(batch) != 2:
                raise ConfigError(
                    f"TorchTrainable: the usual loop needs batches of (inputs, targets), got {_kind_of(batch)} from "
                    f"the loader; return a pair from its dataset or collate_fn, or give a step function"
                )
            inputs, targets = batch
            parts.optimizer.zero_grad(set_to_none=True)
            with parts.autocast():
                loss = parts.loss(parts.model(inputs), targets)
            losses.append(loss.detach())
            if parts.scaler is None:
                torch.autograd.backward(loss)
                parts.optimizer.step()
            else:
                torch.autograd.backward(parts.scaler.scale(loss))
                parts.scaler.step(parts.optimizer)
                parts.scaler.update()
            if parts.scheduler is not None and self.scheduler_every == "update":
                parts.scheduler.step()
        parts.figures["train_loss"] = float(torch.stack(losses).mean())


def _kind_of(batch: Any) -> str:
    if isinstance(batch, Mapping):
        return f"a {type(batch).__name__} with the keys {list(batch)}"
    return f"a {type(batch).__name__}{f' of {len(batch)}' if isinstance(batch, list | tuple) else ''}"


def not_finite(model: nn.Module) -> frozenset[str]:
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
