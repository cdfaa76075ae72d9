"""A found schedule as a torch learning-rate scheduler, to train again without gpbt."""

from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from gpbt_core.errors import ConfigError
from gpbt_core.records import Schedule

__all__ = ["lambda_lr"]


def lambda_lr(optimizer: Optimizer, schedule: Schedule, name: str = "lr", *, calls_per_step: int = 1) -> LambdaLR:
    """Makes a scheduler that sets the rate to one hyperparameter of a schedule.

    Args:
        optimizer: The optimizer whose lr to set. Each of its groups gets the schedule's rate, whatever rate it has now.
        schedule: The found schedule.
        name: The learning rate's name in its configs.
        calls_per_step: How often scheduler.step() will be called per step of the schedule, at least 1.

    Returns:
        The scheduler, at the schedule's first rate. After the end of the schedule the last rate is kept.

    Raises:
        ConfigError: The optimizer has a rate of 0, or the schedule no such hyperparameter.

    Examples:
        >>> import torch
        >>> from gpbt import Segment
        >>> found = Schedule(
        ...     (Segment(config={"lr": 0.5}, start_step=0, steps=1), Segment(config={"lr": 0.1}, start_step=1, steps=2))
        ... )
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = lambda_lr(optimizer, found)
        >>> rates = []
        >>> for _ in range(3):
        ...     optimizer.step()
        ...     rates += scheduler.get_last_lr()
        ...     scheduler.step()
        >>> rates
        [0.5, 0.1, 0.1]
    """
    lacking = [segment.start_step for segment in schedule.segments if name not in segment.config]
    if lacking or not schedule.segments:
        raise ConfigError(f"lambda_lr: the schedule has no {name!r} in its segments from steps {lacking or 'none'}")
    bases = [group.get("initial_lr", group["lr"]) for group in optimizer.param_groups]
    if not all(bases):
        raise ConfigError(f"lambda_lr: the optimizer's rates must not be 0, since they are multiplied, got {bases}")

    def factor(base: float) -> Callable[[int], float]:
        return lambda call: float(schedule.at(min(call // calls_per_step, schedule.steps - 1))[name]) / base

    return LambdaLR(optimizer, [factor(float(base)) for base in bases])
