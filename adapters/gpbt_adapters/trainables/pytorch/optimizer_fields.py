"""Bindings to the optimizer: to fields of its parameter groups, to what it is made from, to a scheduler's base rate.

Each writes to the live object and reads back from it, never from what it wrote.
"""

from typing import Any, ClassVar

import attrs
import torch
from torch.optim.lr_scheduler import LambdaLR

from gpbt_adapters.trainables.bindings import Binding, agreed, check_alike
from gpbt_adapters.trainables.pytorch.parts import Parts, plain_value
from gpbt_core.errors import ConfigError

__all__ = ["OptimizerArgument", "OptimizerField", "ScheduledRate"]

# Fields that an optimizer reads only as the state of a weight begins.
_INITIAL = ((torch.optim.Rprop, "lr"), (torch.optim.Adagrad, "initial_accumulator_value"))

# Fields that need an entry in the state of each weight, which is made only if they are on as that begins.
_ENTRIES = (
    ((torch.optim.Adam, torch.optim.AdamW), "amsgrad", "max_exp_avg_sq"),
    (torch.optim.RMSprop, "momentum", "momentum_buffer"),
    (torch.optim.RMSprop, "centered", "grad_avg"),
)


def _optimizer(parts: Parts, name: str) -> torch.optim.Optimizer:
    if parts.optimizer is None:
        raise ConfigError(f"hyperparameter {name!r} is bound to the optimizer, but there is none")
    return parts.optimizer


def _cycles_momentum(scheduler: Any) -> bool:
    """Whether a scheduler, or one that it is made of, changes the momentum besides the rate."""
    inner = getattr(scheduler, "_schedulers", ())
    return bool(getattr(scheduler, "cycle_momentum", False)) or any(_cycles_momentum(one) for one in inner)


@attrs.frozen
class OptimizerField(Binding[Parts]):
    """A field of the optimizer's parameter groups, such as lr, momentum, weight_decay, or one of Adam's betas.

    Attributes:
        field: The field's name in the groups.
        index: Which element, if the field is a tuple such as betas; None: the whole field.
        group: The group's position, or its "name" entry; None: all groups, which must have been built with one value.
        keep_ratio: Whether the groups keep the ratio of the values that they were built with. The config's value is
            then that of the first group whose value is not 0; a value of 0 stays 0.

    Examples:
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
        >>> optimizer = torch.optim.AdamW(
        ...     [
        ...         {"params": [model[0].weight], "weight_decay": 0.01},
        ...         {"params": [model[0].bias, *model[1].parameters()], "weight_decay": 0.0},
        ...     ]
        ... )
        >>> binding = OptimizerField("weight_decay", keep_ratio=True)  # or group=0
        >>> binding.write(Parts(model=model, optimizer=optimizer), "decay", 0.3)
        >>> [group["weight_decay"] for group in optimizer.param_groups]
        [0.3, 0.0]
    """

    field: str
    index: int | None = attrs.field(default=None, kw_only=True)
    group: int | str | None = attrs.field(default=None, kw_only=True)
    keep_ratio: bool = attrs.field(default=False, kw_only=True)

    saved: ClassVar[bool] = True

    def write(self, parts: Parts, name: str, value: Any) -> None:
        """Sets the field in each of the groups.

        Raises:
            ConfigError: There is no such group, field or index.
            ConfigError: The groups were built with different values.
            ConfigError: A scheduler would write over a bound lr, momentum or beta1.
            ConfigError: The optimizer reads the field only as its state begins.
        """
        if self.field == "lr" and parts.scheduler is not None:
            raise ConfigError(
                f"hyperparameter {name!r} is bound to the optimizer's lr, and {type(parts.scheduler).__name__} writes "
                f"over that at each of its steps. Leave the scheduler out, since the run finds a schedule itself; "
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
        for group, share in zip(groups := self._groups(parts, name), self._shares(groups, name), strict=True):
            wanted = value if share is None else value * share
            old = group[self.field]
            if self.index is not None:
                elements = list(old)
                elements[self.index] = wanted
                group[self.field] = type(old)(elements)
            elif not isinstance(old, torch.Tensor):
                group[self.field] = wanted
            elif any(other is not group and other.get(self.field) is old for other in optimizer.param_groups):
                group[self.field] = torch.full_like(old, wanted)  # PyTorch gives all groups the tensor of its default
            else:
                old.fill_(wanted)  # in place: a captured or compiled step reads this tensor
            if wanted:
                self._make_entries(optimizer, group)

    def _shares(self, groups: list[dict[str, Any]], name: str) -> list[float | None]:
        """What to multiply the config's value with in each group; None: nothing."""
        live = [self._live(group) for group in groups]
        if not self.keep_ratio:
            check_alike(
                name,
                live,
                f"the parameter groups' {self.field}",
                f"Name one group with {type(self).__name__}({self.field!r}, group=...), or pass keep_ratio=True",
            )
            return [None] * len(groups)
        key = f"gpbt_share_of_{self.field}_{self.index}"  # in the groups, whose state PyTorch saves with them
        if not all(key in group for group in groups):
            first = next((value for value in live if value), None)
            if first is None:
                raise ConfigError(
                    f"hyperparameter {name!r} keeps the ratio of the parameter groups' {self.field}, and all of them "
                    f"were built with 0: there is no ratio to keep. Build those that it acts on with another value."
                )
            for group, value in zip(groups, live, strict=True):
                group[key] = value / first
        return [group[key] for group in groups]

    def _live(self, group: dict[str, Any]) -> Any:
        return plain_value(group[self.field] if self.index is None else group[self.field][self.index])

    def _make_entries(self, optimizer: torch.optim.Optimizer, group: dict[str, Any]) -> None:
        """Adds the entries that the field needs to states that began without them, as the optimizer makes them."""
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
        groups = self._groups(parts, name)
        values = [self._live(group) for group in groups]
        if self.keep_ratio:
            shares = self._shares(groups, name)
            if any(value for value, share in zip(values, shares, strict=True) if not share):
                raise ConfigError(
                    f"hyperparameter {name!r}: a group built with {self.field}=0 has another value by now"
                )
            values = [value / share for value, share in zip(values, shares, strict=True) if share]
        return agreed(name, values, f"the optimizer's groups ({self.field})")

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
class OptimizerArgument(Binding[Parts]):
    """A hyperparameter that the optimizer factory reads, such as the kind of optimizer; a change makes a new optimizer.

    The new optimizer starts with an empty state. It is made before any field is written.
    """

    order: ClassVar[int] = -1
    saved: ClassVar[bool] = True

    def write(self, parts: Parts, name: str, value: Any) -> None:
        """Makes a new optimizer if the live one was made from another value.

        Raises:
            ConfigError: There is no optimizer factory, or a scheduler belongs to the old optimizer.
        """
        if name in parts.optimizer_config and parts.optimizer_config[name] == value:
            return
        if parts.make_optimizer is None:
            raise ConfigError(
                f"hyperparameter {name!r} is bound as OptimizerArgument, but Parts.make_optimizer is None; set it"
            )
        if parts.scheduler is not None:
            raise ConfigError(
                f"hyperparameter {name!r} is bound as OptimizerArgument, and {type(parts.scheduler).__name__} would "
                f"keep changing the optimizer that it replaces; leave the scheduler out"
            )
        parts.optimizer = parts.make_optimizer(parts.config)
        parts.optimizer_config = dict(parts.config)

    def read(self, parts: Parts, name: str) -> Any:
        """Returns the value that the live optimizer was made from."""
        return parts.optimizer_config.get(name)


@attrs.frozen
class ScheduledRate(Binding[Parts]):
    """The base rate that a LambdaLR scheduler multiplies by its factor: lr = base x factor(step).

    The factor of a LambdaLR is a function of its step count alone, so a new base is a new curve at once. Other
    schedulers compute the next rate from the last, or hold several rates, and are refused.

    Attributes:
        keep_ratio: Whether the parameter groups keep the ratio of the rates that they were built with. The config's
            value is then the base rate of the first group. By default they must have been built with one rate.
    """

    keep_ratio: bool = attrs.field(default=False, kw_only=True)

    saved: ClassVar[bool] = True

    def write(self, parts: Parts, name: str, value: Any) -> None:
        """Sets the base rate, and the rate in force with it.

        Raises:
            ConfigError: The scheduler is not a LambdaLR, or the groups were built with different rates.
        """
        scheduler = self._scheduler(parts, name)
        if not self.keep_ratio:
            check_alike(
                name,
                [plain_value(group["initial_lr"]) for group in scheduler.optimizer.param_groups],
                "the parameter groups' lr",
                "Build them with one rate, or pass ScheduledRate(keep_ratio=True)",
            )
        scheduler.base_lrs = [value * share for share in self._shares(scheduler, name)]
        for group, base, factor in zip(
            scheduler.optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True
        ):
            rate = base * factor(scheduler.last_epoch)
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
        for group, base, factor, share in zip(
            scheduler.optimizer.param_groups,
            scheduler.base_lrs,
            scheduler.lr_lambdas,
            self._shares(scheduler, name),
            strict=True,
        ):
            multiple = factor(scheduler.last_epoch)
            bases.append((plain_value(group["lr"]) / multiple if multiple else base) / share)
        return agreed(name, bases, "the optimizer's groups (lr)")

    def _shares(self, scheduler: LambdaLR, name: str) -> list[float]:
        built = [plain_value(group["initial_lr"]) for group in scheduler.optimizer.param_groups]
        if not self.keep_ratio:
            return [1.0] * len(built)
        if not all(built):
            raise ConfigError(
                f"hyperparameter {name!r} keeps the ratio of the parameter groups' rates, which must not be 0, got "
                f"{built}; build the groups with other rates"
            )
        return [rate / built[0] for rate in built]

    @staticmethod
    def _scheduler(parts: Parts, name: str) -> LambdaLR:
        if not isinstance(parts.scheduler, LambdaLR):
            raise ConfigError(
                f"hyperparameter {name!r} is bound as ScheduledRate, which composes with a torch LambdaLR; got "
                f"{type(parts.scheduler).__name__}. Write the scheduler as a LambdaLR, whose factor is a function of "
                f"the step."
            )
        return parts.scheduler
