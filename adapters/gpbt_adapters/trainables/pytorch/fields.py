"""Where hyperparameters live in a PyTorch training: bindings to optimizers, modules, loaders and schedulers.

Each writes to the live object and reads back from it, never from what it wrote.
"""

import fnmatch
from typing import Any, ClassVar

import attrs
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from gpbt_adapters.trainables.bindings import Binding
from gpbt_adapters.trainables.pytorch.parts import Parts, plain_model
from gpbt_core.errors import ConfigError

__all__ = ["BatchSize", "ModuleField", "OptimizerArgument", "OptimizerField", "ScheduledRate"]


# Fields that an optimizer reads only as the state of a weight begins.
_INITIAL = ((torch.optim.Rprop, "lr"), (torch.optim.Adagrad, "initial_accumulator_value"))

# Fields that need an entry in the state of each weight, which is made only if they are on as that begins.
_ENTRIES = (
    ((torch.optim.Adam, torch.optim.AdamW), "amsgrad", "max_exp_avg_sq"),
    (torch.optim.RMSprop, "momentum", "momentum_buffer"),
    (torch.optim.RMSprop, "centered", "grad_avg"),
)


def _agreed(name: str, values: list[Any], where: str) -> Any:
    """Returns the value on which all places agree."""
    if any(value != values[0] for value in values):
        raise ConfigError(f"hyperparameter {name!r} has different live values in {where}: {values}")
    return values[0]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, torch.Tensor) else value


def _optimizer(parts: Parts, name: str) -> torch.optim.Optimizer:
    if parts.optimizer is None:
        raise ConfigError(f"hyperparameter {name!r} is bound to the optimizer, and there is none")
    return parts.optimizer


def _cycles_momentum(scheduler: Any) -> bool:
    """Whether a scheduler, or one that it is made of, steers the momentum besides the rate."""
    inner = getattr(scheduler, "_schedulers", ())
    return bool(getattr(scheduler, "cycle_momentum", False)) or any(_cycles_momentum(one) for one in inner)


@attrs.frozen
class OptimizerField(Binding[Parts]):
    """A field of the optimizer's parameter groups, such as lr, momentum, weight_decay, or one of Adam's betas.

    Attributes:
        field: The field's name in the groups.
        index: Which element, where the field is a tuple such as betas; None: the whole field.
        group: The group's position, or its "name" entry; None: all groups.
    """

    field: str
    index: int | None = attrs.field(default=None, kw_only=True)
    group: int | str | None = attrs.field(default=None, kw_only=True)

    saved: ClassVar[bool] = True

    def write(self, parts: Parts, name: str, value: Any) -> None:
        """Sets the field in each of the groups.

        Raises:
            ConfigError: There is no such group, field or index; a scheduler would write over a bound lr, momentum or
                beta1; or the optimizer reads the field only as its state begins.
        """
        if self.field == "lr" and parts.scheduler is not None:
            raise ConfigError(
                f"hyperparameter {name!r} is bound to the optimizer's lr, and {type(parts.scheduler).__name__} writes "
                f"over that at each of its steps. Leave the scheduler out, since the run finds a schedule of its own; "
                f"or bind {name!r} as ScheduledRate(), so that it becomes the base rate that a LambdaLR multiplies."
            )
        momentum = self.field == "momentum" or (self.field == "betas" and self.index in (None, 0))
        if momentum and _cycles_momentum(parts.scheduler):
            raise ConfigError(
                f"hyperparameter {name!r} is bound to the optimizer's {self.field}, and "
                f"{type(parts.scheduler).__name__} writes over that at each of its steps. Make the scheduler with "
                f"cycle_momentum=False."
            )
        optimizer = _optimizer(parts, name)
        if any(isinstance(optimizer, kind) and self.field == field for kind, field in _INITIAL):
            raise ConfigError(
                f"hyperparameter {name!r} is bound to {self.field!r}, which {type(optimizer).__name__} reads only as "
                f"its state begins: a change along a line would do nothing. Bind {name!r} as OptimizerArgument(), "
                f"which makes a new optimizer."
            )
        for group in self._groups(parts, name):
            old = group[self.field]
            if self.index is not None:
                elements = list(old)
                elements[self.index] = value
                group[self.field] = type(old)(elements)
            elif not isinstance(old, torch.Tensor):
                group[self.field] = value
            elif any(other is not group and other.get(self.field) is old for other in optimizer.param_groups):
                group[self.field] = torch.full_like(old, value)  # PyTorch gives all groups the tensor of its default
            else:
                old.fill_(value)  # in place: a captured or compiled step reads this tensor
            if value:
                self._make_entries(optimizer, group)

    def _make_entries(self, optimizer: torch.optim.Optimizer, group: dict[str, Any]) -> None:
        """Adds what the field needs to states that began without it, as the optimizer itself would have begun it."""
        for kind, field, entry in _ENTRIES:
            if self.field == field and isinstance(optimizer, kind):
                for weight in group["params"]:
                    state = optimizer.state.get(weight)
                    if state and entry not in state:
                        state[entry] = torch.zeros_like(weight, memory_format=torch.preserve_format)

    def read(self, parts: Parts, name: str) -> Any:
        """Reads the field from the groups.

        Raises:
            ConfigError: The groups disagree.
        """
        fields = [group[self.field] for group in self._groups(parts, name)]
        values = [_plain(field if self.index is None else field[self.index]) for field in fields]
        return _agreed(name, values, f"the optimizer's groups ({self.field})")

    def _groups(self, parts: Parts, name: str) -> list[dict[str, Any]]:
        groups = _optimizer(parts, name).param_groups
        if isinstance(self.group, int):
            chosen = groups[self.group : self.group + 1]
        else:
            chosen = [group for group in groups if self.group is None or group.get("name") == self.group]
        if not chosen:
            raise ConfigError(
                f"hyperparameter {name!r} is bound to parameter group {self.group!r}; the optimizer has {len(groups)} "
                f"groups, named {[group.get('name') for group in groups]}"
            )
        for group in chosen:
            if self.field not in group:
                raise ConfigError(
                    f"hyperparameter {name!r} is bound to the field {self.field!r}; {type(parts.optimizer).__name__} "
                    f"has {sorted(set(group) - {'params'})}"
                )
            if self.index is not None and not (
                isinstance(group[self.field], tuple | list) and 0 <= self.index < len(group[self.field])
            ):
                raise ConfigError(
                    f"hyperparameter {name!r} is bound to element {self.index} of {self.field}={group[self.field]!r}"
                )
        return chosen


@attrs.frozen
class ModuleField(Binding[Parts]):
    """An attribute of modules, such as the p of every Dropout or the label_smoothing of a loss.

    Attributes:
        field: The attribute's name.
        of: The class, or classes, of the modules.
        names: Which modules, as a shell pattern of their names in the model ("encoder.*"); None: all, and the loss too.
    """

    field: str
    of: type[nn.Module] | tuple[type[nn.Module], ...] = nn.Module
    names: str | None = attrs.field(default=None, kw_only=True)

    def write(self, parts: Parts, name: str, value: Any) -> None:
        """Sets the attribute on each of the modules.

        Raises:
            ConfigError: No module is meant, or one has no such attribute.
        """
        for module in self._modules(parts, name):
            old = getattr(module, self.field)
            if isinstance(old, torch.Tensor):
                with torch.no_grad():
                    old.fill_(value)
            else:
                setattr(module, self.field, value)

    def read(self, parts: Parts, name: str) -> Any:
        """Reads the attribute from the modules.

        Raises:
            ConfigError: The modules disagree.
        """
        values = [_plain(getattr(module, self.field)) for module in self._modules(parts, name)]
        return _agreed(name, values, f"the modules' {self.field}")

    def _modules(self, parts: Parts, name: str) -> list[nn.Module]:
        named = list(plain_model(parts).named_modules())
        if self.names is None and isinstance(parts.loss, nn.Module):
            named += [("loss", module) for module in parts.loss.modules()]
        chosen = [
            module
            for path, module in named
            if isinstance(module, self.of) and (self.names is None or fnmatch.fnmatchcase(path, self.names))
        ]
        if self.of is nn.Module:  # containers come along under a bare pattern, and are not meant
            chosen = [module for module in chosen if hasattr(module, self.field)]
        if not chosen:
            raise ConfigError(
                f"hyperparameter {name!r} is bound to the attribute {self.field!r} of modules of {self.of} named "
                f"{self.names or 'anything'!r}; the model has {sorted({type(module).__name__ for _, module in named})}"
            )
        lacking = [type(module).__name__ for module in chosen if not hasattr(module, self.field)]
        if lacking:
            raise ConfigError(
                f"hyperparameter {name!r} is bound to the attribute {self.field!r}, which {lacking[0]} has not"
            )
        return chosen


@attrs.frozen
class BatchSize(Binding[Parts]):
    """The loader's batch size; a change holds from the next batch on."""

    def write(self, parts: Parts, name: str, value: Any) -> None:
        """Sets it.

        Raises:
            ConfigError: There is no loader, or the size is below 1.
        """
        if value < 1:
            raise ConfigError(f"hyperparameter {name!r}: wanted a batch size of at least 1, got {value!r}")
        self._batches(parts, name).batch_size = value

    def read(self, parts: Parts, name: str) -> Any:
        """Reads it."""
        return self._batches(parts, name).batch_size

    @staticmethod
    def _batches(parts: Parts, name: str) -> Any:
        if parts.batches is None:
            raise ConfigError(f"hyperparameter {name!r} is bound as BatchSize, and there is no loader")
        return parts.batches


@attrs.frozen
class OptimizerArgument(Binding[Parts]):
    """A hyperparameter that the optimizer factory reads, such as the kind of optimizer: a change makes a new optimizer.

    The new optimizer starts with an empty state. It is made before any field is written.
    """

    order: ClassVar[int] = -1
    saved: ClassVar[bool] = True

    def write(self, parts: Parts, name: str, value: Any) -> None:
        """Makes a new optimizer if the live one was made under another value.

        Raises:
            ConfigError: There is no optimizer factory, or a scheduler hangs on the old optimizer.
        """
        if name in parts.optimizer_config and parts.optimizer_config[name] == value:
            return
        if parts.make_optimizer is None:
            raise ConfigError(
                f"hyperparameter {name!r} is bound as OptimizerArgument; fill in Parts.make_optimizer to allow that"
            )
        if parts.scheduler is not None:
            raise ConfigError(
                f"hyperparameter {name!r} is bound as OptimizerArgument, and {type(parts.scheduler).__name__} would go "
                f"on steering the optimizer that it replaces; leave the scheduler out."
            )
        parts.optimizer = parts.make_optimizer(parts.config)
        parts.optimizer_config = dict(parts.config)

    def read(self, parts: Parts, name: str) -> Any:
        """Returns the value that the live optimizer was made under."""
        return parts.optimizer_config.get(name)


@attrs.frozen
class ScheduledRate(Binding[Parts]):
    """The base rate that a LambdaLR scheduler multiplies by its factor: lr = base x factor(step).

    The factor of a LambdaLR is a function of its step count alone, so a new base is a new curve at once. Other
    schedulers compute the next rate from the last, or hold several rates, and are refused.
    """

    saved: ClassVar[bool] = True

    def write(self, parts: Parts, name: str, value: Any) -> None:
        """Sets the base rate, and the rate in force with it.

        Raises:
            ConfigError: The scheduler is not a LambdaLR.
        """
        scheduler = self._scheduler(parts, name)
        scheduler.base_lrs = [value] * len(scheduler.base_lrs)
        for group, factor in zip(scheduler.optimizer.param_groups, scheduler.lr_lambdas, strict=True):
            rate = value * factor(scheduler.last_epoch)
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def read(self, parts: Parts, name: str) -> Any:
        """Returns the base rate that the optimizer's live rates follow from.

        Raises:
            ConfigError: The groups disagree.
        """
        scheduler = self._scheduler(parts, name)
        bases = []
        for group, base, factor in zip(
            scheduler.optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True
        ):
            multiple = factor(scheduler.last_epoch)
            bases.append(_plain(group["lr"]) / multiple if multiple else base)
        return _agreed(name, bases, "the optimizer's groups (lr)")

    @staticmethod
    def _scheduler(parts: Parts, name: str) -> LambdaLR:
        if not isinstance(parts.scheduler, LambdaLR):
            raise ConfigError(
                f"hyperparameter {name!r} is bound as ScheduledRate, which composes with a torch LambdaLR; got "
                f"{type(parts.scheduler).__name__}. Write the scheduler as a LambdaLR, whose factor is a function of "
                f"the step."
            )
        return parts.scheduler
