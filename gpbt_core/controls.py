"""Control lines: they keep their founder's config to the end, so that a run shows what a constant config gives.

A score that judges too early misleads the selection. It must not choose the controls: they are the first founders, and
nothing stops them.
"""

import itertools
from collections.abc import Sequence
from typing import ClassVar

import attrs
import numpy as np

from gpbt_core.errors import ConfigError
from gpbt_core.numbers import as_int, plain
from gpbt_core.records import Record, Trial
from gpbt_core.reproduction import Closing, Genealogical, Keep, Plan, Reproduction, Slot
from gpbt_core.space.parameters import alike

__all__ = ["Controlled", "control_of"]


@attrs.frozen(kw_only=True)
class Controlled(Genealogical):
    """`Genealogical`, with control lines that are part of the budget.

    The first founders keep their configs for all T steps, whatever their scores. They are not stopped early, and each
    takes one slot of each generation until then. Apart from that, they are candidates like all others: if a constant
    config is better than all schedules, it is the result. The rule can promise nothing about the next parents, so all
    completed trials keep their checkpoints until their generation closes.

    Attributes:
        controls: The number of control lines, at least 1 and below the number of slots of each generation.

    Raises:
        ConfigError: `controls` is out of its range, or as for `Genealogical`.

    Examples:
        >>> from gpbt_core import Float, Optimizer, Space
        >>> optimizer = Optimizer(Space(x=Float(0, 1)), population=6, steps=4, controls=2)
        >>> while not optimizer.finished:
        ...     for trial in optimizer.ask():
        ...         optimizer.tell(trial.id, trial.config["x"])
        >>> rule, records = optimizer.settings.reproduction, optimizer.records
        >>> lines = [record.trial for record in records if control_of(rule, records, record.trial) is not None]
        >>> {trial.config["x"] for trial in lines} == {records[0].trial.config["x"], records[1].trial.config["x"]}
        True
    """

    name: ClassVar[str] = "controlled"

    controls: int = attrs.field(default=3, converter=plain)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if isinstance(self.controls, bool) or (as_int(self.controls) or 0) < 1:
            raise ConfigError(f"controlled: controls must be a whole number of at least 1, got {self.controls!r}")

    def segment_lengths(self, population: int, steps: int) -> tuple[int, ...]:
        """See `Reproduction.segment_lengths`."""
        lengths = super().segment_lengths(population, steps)
        rule = Genealogical(**{field.name: getattr(self, field.name) for field in attrs.fields(Genealogical)})
        slots = min(rule.slots(generation, population, steps) for generation in range(_line(lengths, steps)))
        if self.controls >= slots:
            raise ConfigError(
                f"controlled: controls must be below {slots}, the number of slots of the smallest generation, got "
                f"{self.controls}; take fewer, or a larger population"
            )
        return lengths

    def plan(self, closing: Closing, rng: "np.random.Generator") -> Plan:
        """See `Reproduction.plan`."""
        planned = super().plan(closing, rng)
        if closing.generation >= _line(super().segment_lengths(closing.population, closing.steps), closing.steps):
            return planned  # a revision, or an extension: the lines are complete
        lines: dict[int, int] = {}
        for record in closing.candidates:
            founder = control_of(self, closing.records, record.trial)
            if founder is not None:
                lines.setdefault(founder, record.trial.id)
        controls = [Slot(trial_id, repeat=True) for trial_id in lines.values()]
        others = [slot for slot in planned.slots if slot not in controls]
        slots = (*controls, *others[: len(planned.slots) - len(controls)])
        used = dict.fromkeys([*planned.parents, *lines.values()])
        parents = {slot.parent for slot in slots}
        return Plan(tuple(parent for parent in used if parent in parents), slots)

    def keep(self, generation: int, population: int) -> Keep | None:  # noqa: ARG002  # the protocol's signature
        """Nothing: a control line goes on whatever its rank."""
        return None


def _line(lengths: Sequence[int], steps: int) -> int:
    """How many of the lengths are the segments of a line of `steps` steps; the others are those of revisions."""
    return next(number for number, trained in enumerate(itertools.accumulate(lengths), start=1) if trained >= steps)


def control_of(rule: Reproduction, records: Sequence[Record], trial: Trial) -> int | None:
    """The founder of the control line that a trial is on; None: it is on none. O(its depth).

    Args:
        rule: The rule of the run.
        records: The trials of the run, by id; that of `trial` itself may be missing.
        trial: The trial.
    """
    if not isinstance(rule, Controlled):
        return None
    founder = trial
    while founder.parent is not None:
        founder = records[founder.parent].trial
        if not alike(founder.config, trial.config):
            return None
    return founder.id if founder.id < rule.controls else None
