"""A schedule as code to copy: for gpbt, as plain Python and JSON, and as the learning-rate schedules of frameworks.

The code needs nothing but the framework that it names, and runs as it is.
"""

import json
from collections.abc import Iterator

import attrs

from gpbt_core.codec import encode_schedule
from gpbt_core.records import Schedule

__all__ = ["Code", "codes", "rate_of"]

_RATES = ("lr", "learning_rate", "eta0", "eta", "learning_rate_init", "rate", "alpha_lr", "lr0", "step_size")


@attrs.frozen(kw_only=True)
class Code:
    """A piece of code.

    Attributes:
        name: What it is for.
        about: How to use it, in a sentence.
        text: The code.
    """

    name: str
    about: str
    text: str


def codes(schedule: Schedule) -> tuple[Code, ...]:
    """A schedule as code to copy.

    Those of PyTorch, Optax and Keras set the learning rate only, and are left out where no hyperparameter has the name
    of one in all segments.

    Args:
        schedule: A schedule with at least one segment.

    Examples:
        >>> from gpbt_core import Segment
        >>> found = Schedule((Segment(config={"lr": 0.5}, start_step=0, steps=2),))
        >>> [code.name for code in codes(found)]
        ['Replay', 'Python', 'JSON', 'PyTorch', 'Optax', 'Keras']
    """
    return tuple(_codes(schedule))


def rate_of(schedule: Schedule) -> str | None:
    """The hyperparameter that is a learning rate by its name, and a number in all segments; None if there is none."""
    names = [
        name
        for name in schedule.segments[0].config
        if all(type(part.config.get(name)) in (int, float) for part in schedule.segments)
    ]
    ends = {name: name.replace("__", ".").rpartition(".")[2].lower() for name in names}
    return min(
        (name for name in names if ends[name] in _RATES), key=lambda name: _RATES.index(ends[name]), default=None
    )


def _codes(schedule: Schedule) -> Iterator[Code]:
    rows = [(part.start_step, dict(part.config)) for part in schedule.segments]
    segments = "".join(
        f"    Segment(config={dict(part.config)!r}, start_step={part.start_step}, steps={part.steps}),\n"
        for part in schedule.segments
    )
    yield Code(
        name="Replay",
        about="Trains new models from scratch under the schedule; `factory` is the one that you gave to run.",
        text=f"from gpbt import Schedule, Segment, replays\n\nschedule = Schedule((\n{segments}))\n"
        "print(replays(factory, schedule, seeds=range(5)))\n",
    )
    lines = "".join(f"    ({start}, {config!r}),\n" for start, config in rows)
    yield Code(
        name="Python",
        about="Plain Python: the config that holds at a step, counted from 0.",
        text=f"SCHEDULE = [  # from this step on, this config\n{lines}]\n\n\n"
        "def config_at(step):\n"
        '    """The hyperparameters at a step; after the end, the last ones."""\n'
        "    return [config for start, config in SCHEDULE if start <= step][-1]\n",
    )
    yield Code(
        name="JSON",
        about="As `gpbt schedule --format json` prints it.",
        text=json.dumps(encode_schedule(schedule), indent=2, ensure_ascii=False) + "\n",
    )
    name = rate_of(schedule)
    if name is not None:
        yield from _rates(name, [start for start, _ in rows], [config[name] for _, config in rows])


def _rates(name: str, starts: list[int], rates: list[float]) -> Iterator[Code]:
    head = f"STARTS = {starts}\nRATES = {rates}  # {json.dumps(name)} from each of these steps on\n"
    yield Code(
        name="PyTorch",
        about="Sets the learning rate of `optimizer`; call scheduler.step() after each step of the schedule.",
        text=f"from torch.optim.lr_scheduler import LambdaLR\n\n{head}\n"
        "for group in optimizer.param_groups:\n"
        '    group["lr"] = group["initial_lr"] = 1.0  # LambdaLR multiplies it\n'
        "scheduler = LambdaLR(\n"
        "    optimizer, lambda step: [rate for start, rate in zip(STARTS, RATES) if start <= step][-1]\n"
        ")\n",
    )
    yield Code(
        name="Optax",
        about="Pass `learning_rate` to an optimizer of Optax, as in optax.sgd(learning_rate).",
        text=f"import optax\n\n{head}UPDATES = 1  # updates of the optimizer per step of the schedule\n\n"
        "learning_rate = optax.join_schedules(\n"
        "    [optax.constant_schedule(rate) for rate in RATES], [start * UPDATES for start in STARTS[1:]]\n"
        ")\n",
    )
    yield Code(
        name="Keras",
        about="Pass `callback` to fit(callbacks=[callback]); a step of the schedule is an epoch.",
        text=f"import keras\n\n{head}\n"
        "callback = keras.callbacks.LearningRateScheduler(\n"
        "    lambda epoch, _: [rate for start, rate in zip(STARTS, RATES) if start <= epoch][-1]\n"
        ")\n",
    )
